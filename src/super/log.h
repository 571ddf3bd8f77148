/* SPDX-License-Identifier: Apache-2.0 */
/* log.h: httpd's error log, which must not hold up weaved */
#ifndef SUPER_LOG_H
#define SUPER_LOG_H

#include <stddef.h>

#include <apr_pools.h>

/* Prepares descriptor 2, which is httpd's error log. */
void super_log_open(void);
/* Makes FD, which stays the caller's, the log from now on. Returns -1 where it
 * is none. */
int super_log_set(int fd);
/* Returns the path of the log's file, in POOL; NULL where it has none. */
const char *super_log_path(apr_pool_t *pool);
/* Writes a line with TEXT behind PREFIX, or several where it is too long;
 * WHOLE: see weave_line_append. Returns how many bytes that takes. */
size_t super_log_write(const char *prefix, size_t prefix_len, const char *text,
                       size_t len, int whole);
/* Writes a line of process PID (0: of weaved). */
void super_log_line(int level, long pid, const char *text, size_t len);

#endif
