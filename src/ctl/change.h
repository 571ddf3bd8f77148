/* SPDX-License-Identifier: Apache-2.0 */
/* change.h: changes the state file, as `weavectl maintenance MODE` says */
#ifndef CTL_CHANGE_H
#define CTL_CHANGE_H

#include "view.h"

typedef struct ctl_change_t {
    const ctl_t *ctl;
    const char *ini; /* NULL: all applications */
    weave_maintenance_t setting;
    ctl_view_t view;         /* as it is after the change */
    apr_array_header_t *old; /* the entries before it, without what was over */
} ctl_change_t;

/* Makes the change. Returns an exit status; what is wrong is printed. Where it
 * fails, nothing has changed. */
int ctl_change_make(ctl_change_t *change);

/* Turns the drain that CHANGE has made into an `on`, unless somebody has
 * changed it since: children of before the last graceful may go by another
 * maintenance.drain. Returns an exit status; what is wrong is printed. */
int ctl_change_hold(ctl_change_t *change);

/* Sleeps until every child of httpd goes by the state file as it is now. */
void ctl_change_settle(void);

#endif
