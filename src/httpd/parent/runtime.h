/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_RUNTIME_H
#define MOD_WEAVE_RUNTIME_H

#include <apr_pools.h>

/* Looks whether workers can be reached through the folder DIR, and whether it
 * is this httpd's: what weaved would say when httpd has left the terminal, and
 * what would be a 503 for ever. Makes nothing. Waits some seconds for another
 * weaved that is about to end. NULL, or a message. */
const char *mod_weave_runtime_check(const char *dir, apr_pool_t *pool);

/* Returns why httpd's children cannot enter the folder DIR, or where it is not
 * there the one that it is to be made in, and what is to be done; EFFECT says
 * what they would do. NULL: they can. */
const char *mod_weave_enter_check(const char *dir, const char *effect,
                                  apr_pool_t *pool);

#endif
