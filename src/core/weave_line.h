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

/** Writes such a line to descriptor FD in one piece. Any thread. */
void weave_line_write(int fd, int level, const char *text, size_t len);

/** printf-like, to standard error. */
void weave_line_say(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
