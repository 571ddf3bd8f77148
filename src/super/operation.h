/* SPDX-License-Identifier: Apache-2.0 */
/* operation.h: what httpd and weavectl can ask of weaved (weave_control.h) */
#ifndef SUPER_OPERATION_H
#define SUPER_OPERATION_H

#include "super.h"

/* operation.c: see super_request_fn. */
json_t *super_operation_answer(const json_t *request, int is_httpd, int pass);

/* want.c: does what the file FD, which stays the caller's, says that httpd
 * wants. Returns NULL, or a message (in POOL). */
const char *super_want_apply(int fd, apr_pool_t *pool);

/* status.c: returns the answer of `status`. */
json_t *super_status_json(apr_pool_t *pool);

#endif
