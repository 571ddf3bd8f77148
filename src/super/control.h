/* SPDX-License-Identifier: Apache-2.0 */
/* control.h: the connections on which httpd and weavectl ask weaved */
#ifndef SUPER_CONTROL_H
#define SUPER_CONTROL_H

#include <apr_errno.h>
#include <jansson.h>

/* Answers REQUEST, which came from httpd's own channel (IS_HTTPD) or from
 * weavectl, with descriptor PASS (-1: none), which stays the caller's. The
 * answer is the caller's. */
typedef json_t *super_request_fn(const json_t *request, int is_httpd, int pass);

/* Answers with FN on FD, the socket pair with httpd, which it takes. */
apr_status_t super_control_open(int fd, super_request_fn *fn);
/* Answers whoever connects to FD, a listening socket, which it takes. */
apr_status_t super_control_listen(int fd);
void super_control_unlisten(void);

#endif
