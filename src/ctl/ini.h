/* SPDX-License-Identifier: Apache-2.0 */
/* ini.h: reads a sync.ini, and finds out whether it is what runs */
#ifndef CTL_INI_H
#define CTL_INI_H

#include <jansson.h>

#include "view.h"
#include "weave_conf.h"

/* Reads the file INI, in the pool of PROBLEMS, and follows its links, as httpd
 * does: relative paths start where they lead to. NULL: it cannot be read. */
weave_conf_t *ctl_ini_read(const char *ini, apr_array_header_t *problems);
/* Prints what configtest would print about CONF (NULL: it cannot be read).
 * Returns the number of errors. */
int ctl_problems_print(const weave_conf_t *conf,
                       const apr_array_header_t *problems);
/* Prints the mistakes in the file INI for which configtest would refuse it, and
 * returns an exit status. Does not look at the files that INI names. */
int ctl_ini_check(const char *ini, apr_pool_t *pool);

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
