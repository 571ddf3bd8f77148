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

/* Answers REQUEST of CALLER, with descriptor PASS (-1: none), which stays the
 * owner's. Returns the answer, which the owner lets go of; or NULL:
 * super_caller_answer() follows. */
typedef json_t *super_request_fn(const json_t *request, super_caller_t *caller,
                                 int pass);

/* Is CALLER httpd's own channel, or a connection of weavectl's? */
int super_caller_is_httpd(const super_caller_t *caller);
/* Holds something for CALLER: GONE is called with DATA when its connection
 * ends. Until it is answered that has no limit in time. Returns 0; or -1: it
 * has something already, or it is httpd. */
int super_caller_hold(super_caller_t *caller, void (*gone)(void *data),
                      void *data);
/* Ends that. */
void super_caller_release(super_caller_t *caller);
/* Sends ANSWER, which it takes, to the request that was not answered. */
void super_caller_answer(super_caller_t *caller, json_t *answer);

/* Answers with FN on FD, the socket pair with httpd, which it takes. */
apr_status_t super_control_open(int fd, super_request_fn *fn);
/* Answers whoever connects to FD, a listening socket, which it takes. */
apr_status_t super_control_listen(int fd);
void super_control_unlisten(void);

/* operation.c: see super_request_fn. */
json_t *super_operation_answer(const json_t *request, super_caller_t *caller,
                               int pass);

/* want.c: does what the file FD, which stays the caller's, says that httpd
 * wants. Returns NULL, or a message (in POOL). */
const char *super_want_apply(int fd, apr_pool_t *pool);

#endif
