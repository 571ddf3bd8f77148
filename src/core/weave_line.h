/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_LINE_H
#define WEAVE_LINE_H

/**
 * Lines of httpd's error log, in its default format, for who has only the
 * descriptor of the log: weaved, the workers outside a request, and httpd's
 * children for text that is not ASCII.
 */

#include <stddef.h>

#define WEAVE_LINE_BYTES 8192 /* as httpd's */

/**
 * Fills LINE (WEAVE_LINE_BYTES) with TEXT behind time, level (httpd's number)
 * and pid, and CLIENT where it is not NULL; returns its length, newline
 * included. UTF-8 stays; control characters, and what is no UTF-8, are
 * escaped: a terminal may read this.
 */
size_t weave_line_format(char *line, int level, const char *client,
                         const char *text, size_t len);

/**
 * The same in parts. Fills LINE with what stands before the text of a line of
 * process PID (0: this one and this thread), and returns its length.
 */
size_t weave_line_begin(char *line, int level, long pid);

/**
 * Puts what there is room for of *text, up to END, at LINE + AT, so that with
 * its newline it takes ROOM bytes at most; moves *text behind it, and returns
 * where the line ends. WHOLE 0: it has been escaped before, so backslashes stay
 * as they are.
 */
size_t weave_line_append(char *line, size_t at, size_t room, const char **text,
                         const char *end, int whole);

/**
 * Where a line that process PID says it has made begins with what
 * weave_line_begin makes in that process, its length; otherwise 0.
 */
size_t weave_line_prefix_bytes(const char *text, size_t len, long pid);

/** Writes such a line to descriptor FD in one piece. Any thread. */
void weave_line_write(int fd, int level, const char *client, const char *text,
                      size_t len);

/** Where weave_line_say writes from now on, and which process all lines of this
 *  one are of (0: itself): what a worker forks speaks in its name. */
void weave_line_output_set(int fd, long pid);

/** printf-like, to standard error unless weave_line_output_set says otherwise.
 */
void weave_line_say(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
