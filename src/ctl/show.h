/* SPDX-License-Identifier: Apache-2.0 */
/* show.h: prints the maintenance that is in force, for people and programs */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "view.h"

/* --- parts of sentences -------------------------------------------------- */

/* Returns "all applications", or INI. */
const char *ctl_whose(const char *ini);
/* Returns "on since 14:02:11 by alice". A drain that has become on is "on,
 * after a drain since ...". MODE is what it is now. */
const char *ctl_since(const weave_maintenance_t *raw, uint32_t mode,
                      apr_pool_t *pool);
/* Returns " until 15:32:11 (23 min left)", or " until it is taken back". */
const char *ctl_left(const weave_maintenance_t *raw, apr_pool_t *pool);
/* Returns "for all applications until 15:32:11 (30 min), Retry-After 60 s". */
const char *ctl_terms(const char *ini, const weave_maintenance_t *raw,
                      apr_pool_t *pool);
/* Returns "WeaveMaintenance On at httpd.conf:3". */
const char *ctl_origin(const ctl_setting_t *setting, apr_pool_t *pool);

/* --- all of it ----------------------------------------------------------- */

/* Prints the maintenance and the counters of APP. */
void ctl_app_show(const ctl_t *ctl, const ctl_view_t *view,
                  const ctl_app_t *app);
/* Prints what is set for applications that httpd does not have, and the
 * problems. Returns CTL_FAILED where there are any. */
int ctl_rest_show(const ctl_t *ctl, const ctl_view_t *view);
/* `weavectl maintenance` without MODE; returns an exit status. */
int ctl_maintenance_show(const ctl_t *ctl);
/* Makes the member "maintenance" of the application for --json. */
json_t *ctl_app_json(const ctl_view_t *view, const ctl_app_t *app);

#endif
