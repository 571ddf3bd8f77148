/* SPDX-License-Identifier: Apache-2.0 */
/* change.h: `weavectl maintenance MODE`: what it sets, how it changes the state
 * file, and how it waits */
#ifndef CTL_CHANGE_H
#define CTL_CHANGE_H

#include "view.h"

typedef struct ctl_change_t {
    const ctl_t *ctl;
    weave_maintenance_t setting;
    int64_t wait_us;         /* 0: it does not wait */
    ctl_view_t view;         /* as it is after the change */
    apr_array_header_t *old; /* the entries before it, without what was over */
} ctl_change_t;

/* Each of these returns an exit status, and prints what is wrong. */

/* Reads from the command line what CHANGE sets, who gives the command and how
 * long it waits. */
int ctl_change_read(ctl_change_t *change);

/* Makes the change. Where it fails, nothing has changed. */
int ctl_change_make(ctl_change_t *change);

/* Turns the drain that CHANGE has made into an `on`, unless somebody has
 * changed it since: children of before the last graceful may go by another
 * maintenance.drain. */
int ctl_change_hold(ctl_change_t *change);

/* Waits until the applications that are meant are on, and nothing of them is in
 * Python. */
int ctl_change_wait(ctl_change_t *change);

/* Sleeps until every child of httpd goes by the state file as it is now. */
void ctl_change_settle(void);

#endif
