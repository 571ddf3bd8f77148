/* SPDX-License-Identifier: Apache-2.0 */
/* change.h: what one `weavectl maintenance MODE` changes */
#ifndef CTL_CHANGE_H
#define CTL_CHANGE_H

#include "view.h"

typedef struct change_t {
    ctl_t *ctl;
    const char *ini;   /* resolved; NULL: all */
    const char *names; /* by which it is kept, each with a '\n' behind it */
    const char *dir;
    weave_maintenance_t word;
    int64_t wait_us;
    apr_array_header_t *boards;         /* those that run */
    apr_array_header_t *entries;        /* of the file, as it is to be */
    apr_array_header_t *old;            /* as it was, of what was not over */
    apr_array_header_t *before, *after; /* ctl_app_t */
    const char *why;    /* an httpd runs that could not be told */
    const char *unread; /* what a configuration says is not known: why */
} change_t;

/* Is ENTRY for what the change_t DATA means? As weave_maintenance_drop asks. */
int change_is_meant(const weave_maintenance_entry_t *entry, const void *data);

/* Has every child go by `on` where the drain of CHANGE stands: those of before
 * the last graceful go by what maintenance.drain and WeaveMaintenance were
 * then. An exit status, said. */
int change_hold(change_t *change);

/* report.c: says what has come of it; an exit status. */
int change_report(const change_t *change);

/* wait.c: waits until the applications that are meant are on and nothing of
 * them is in Python, for wait_us at most; an exit status, said. */
int change_wait(change_t *change);

#endif
