/* SPDX-License-Identifier: Apache-2.0 */
/* outdated.h: finds out whether an application runs as its sync.ini says now */
#ifndef CTL_OUTDATED_H
#define CTL_OUTDATED_H

#include <jansson.h>

#include "view.h"

/* Says that the path of APP, as weaved has it, leads elsewhere than when httpd
 * read it; or NULL. */
const char *ctl_link_moved(const json_t *app, apr_pool_t *pool);
/* Says whether httpd has told weaved what the sync.ini of APP, as weaved has
 * it, says now. 1 also where that is not known. */
int ctl_is_taken(const json_t *app, apr_pool_t *pool);
/* Says that httpd has read the sync.ini of OWN as it is now, and why it goes on
 * with what it said before; or NULL. */
const char *ctl_refusal(const ctl_app_t *own, apr_pool_t *pool);
/* Says what of the sync.ini of APP, as weaved has it, does not run, and why; or
 * NULL: it runs, or that is not known. OWN is what httpd says of it, or NULL.
 */
const char *ctl_outdated(const json_t *app, const ctl_app_t *own,
                         apr_pool_t *pool);

#endif
