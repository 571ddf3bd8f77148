/* SPDX-License-Identifier: Apache-2.0 */
/* release.h: which generation an application gets, and when */
#ifndef SUPER_RELEASE_H
#define SUPER_RELEASE_H

#include "super.h"

/* httpd wants the spec TEXT. FORCE: starts a new generation in any case.
 * Returns NULL, or a message (in POOL): a TEXT that cannot be read changes
 * nothing. */
const char *super_release_want(super_app_t *app, const char *text, int force,
                               apr_pool_t *pool);
/* Starts a new generation of what is wanted; returns the same. */
const char *super_release_reload(super_app_t *app, apr_pool_t *pool);
/* Drains APP, which httpd wants no more. It may be freed. */
void super_release_remove(super_app_t *app);

#endif
