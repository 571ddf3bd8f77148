/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_RUNTIME_H
#define MOD_WEAVE_RUNTIME_H

#include <apr_pools.h>

/* Looks whether workers can be reached through the folder DIR, and whether it
 * is this httpd's: what weaved would say when httpd has left the terminal, and
 * what would be a 503 for ever. Makes nothing. Waits some seconds for another
 * weaved that is about to end. NULL, or a message. */
const char *mod_weave_runtime_check(const char *dir, apr_pool_t *pool);

#endif
