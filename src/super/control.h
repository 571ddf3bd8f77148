/* SPDX-License-Identifier: Apache-2.0 */
/* control.h: the runtime directory, and who asks weaved there */
#ifndef SUPER_CONTROL_H
#define SUPER_CONTROL_H

#include "super.h"

/* dir.c */

/* Makes the runtime directory ours, at the start or once it is lost, and
 * listens there for weavectl. Returns NULL, or a message for the operator. */
const char *super_dir_open(apr_pool_t *pool);
/* Lets GID, httpd's children, enter it. */
void super_dir_group_set(long gid);
/* Makes a listening socket there; PATH is its path. */
apr_status_t super_dir_listen(int *fd, const char *path, mode_t mode,
                              int backlog);
/* Tells whether somebody has removed or replaced it, or sockets in it. */
int super_dir_is_lost(void);
/* Removes our own files there, and gives up the lock. */
void super_dir_remove(void);
/* Removes the socket PATH, which is one of its own. */
void super_dir_unlink(const char *path);

/* control.c */

/* Answers REQUEST, which came from httpd's own channel (IS_HTTPD) or from
 * weavectl, with descriptor PASS (-1: none), which stays the caller's. The
 * answer is the caller's. */
typedef json_t *super_request_fn(const json_t *request, int is_httpd, int pass);

/* Answers with FN on FD, the socket pair with httpd, which it takes. */
apr_status_t super_control_open(int fd, super_request_fn *fn);
/* Answers whoever connects to FD, a listening socket, which it takes. */
apr_status_t super_control_listen(int fd);
void super_control_unlisten(void);

/* operation.c: see super_request_fn. */
json_t *super_operation_answer(const json_t *request, int is_httpd, int pass);

/* want.c: does what the file FD, which stays the caller's, says that httpd
 * wants. Returns NULL, or a message (in POOL). */
const char *super_want_apply(int fd, apr_pool_t *pool);

#endif
