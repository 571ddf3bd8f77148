/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_LINE_H
#define WEAVE_LINE_H

/** Writes lines of httpd's error log, in its default format: in weaved, in
 *  workers outside a request, and in httpd's children for text beyond ASCII. */

#include <stddef.h>

/** Levels, as httpd numbers them. */
typedef enum weave_line_level_e {
    WEAVE_LINE_CRITICAL = 2,
    WEAVE_LINE_ERROR,
    WEAVE_LINE_WARNING,
    WEAVE_LINE_NOTICE,
    WEAVE_LINE_INFO,
    WEAVE_LINE_DEBUG
} weave_line_level_e;

#define WEAVE_LINE_BYTES 8192 /* as httpd's */

/** Fills LINE (WEAVE_LINE_BYTES) with time, level (httpd's number), pid, CLIENT
 *  (may be NULL) and TEXT. Returns its length, newline included. Control
 *  characters, and bytes that are no UTF-8, are escaped, since terminals may
 *  show the line. */
size_t weave_line_format(char *line, int level, const char *client,
                         const char *text, size_t len);

/** Fills LINE with all that is before the text in a line of process PID (0: of
 *  this process and thread). Returns its length. */
size_t weave_line_begin(char *line, int level, long pid);

/** Appends as much of the text from *text to END as fits to LINE, whose length
 *  is AT and which may have ROOM bytes with its newline. Moves *text to the
 *  rest, and returns the new length. WHOLE 0: the text was escaped before, so
 *  backslashes stay as they are. */
size_t weave_line_append(char *line, size_t at, size_t room, const char **text,
                         const char *end, int whole);

/** Returns the length of the prefix that weave_line_begin has written in
 *  process PID, at the beginning of the line TEXT; 0 when the line does not
 *  begin so. */
size_t weave_line_prefix_bytes(const char *text, size_t len, long pid);

/** Writes such a line to the descriptor FD at once. Any thread. */
void weave_line_write(int fd, int level, const char *client, const char *text,
                      size_t len);

/** Sets the descriptor that weave_line_say writes to, and the pid in all lines
 *  of this process (0: its own): a process that a worker has forked uses the
 *  worker's pid. Call it before there are threads. */
void weave_line_output_set(int fd, long pid);

/** Writes a line in the manner of printf(), to standard error or the descriptor
 *  of weave_line_output_set. Any thread. */
void weave_line_say(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
