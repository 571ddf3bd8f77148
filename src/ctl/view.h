/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: maintenance as it is in force, gathered from WeaveStateDir */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include <apr_tables.h>

#include <jansson.h>

#include "ctl.h"
#include "weave_maintenance_board.h"
#include "weave_tally.h"

/* One thing that somebody has said, and that is not over. */
typedef struct ctl_word_t {
    uint32_t mode;            /* what it makes of a request now: not OFF */
    int64_t on_us;            /* a drain becomes, or became, on; 0: never */
    weave_maintenance_t said; /* of a configuration: mode and since_us only */
    const char *from;   /* "weavectl", "WeaveMaintenance", "maintenance.mode" */
    const char *where;  /* FILE, FILE:LINE */
    const char *scope;  /* "": all of it; otherwise the part that it is for */
    const char *server; /* of a configuration, to be shown; otherwise "" */
    int all;            /* said by weavectl for all applications */
} ctl_word_t;

/* An application of an httpd that runs. */
typedef struct ctl_app_t {
    const weave_maintenance_board_t *board;
    const char *ini;
    const char *names; /* in WeaveApp, see weave_maintenance_board.h */
    uint32_t place;    /* in the roster; WEAVE_ROSTER_APPS: it has none */
    int64_t drain_us;
    int embedded;
    int64_t running;     /* embedded: requests in Python; -1: not known */
    const char *failure; /* embedded: of its import; NULL: none known */
    int failed;          /* httpd could not bring it up */
    const char *problem; /* why httpd goes on without what the sync.ini says, or
                            "": it does not */
    int64_t stamp; /* of the sync.ini as httpd has it (weave_conf_stamp); 0: not
                      known */
    int plain;     /* maintenance.style */
    int truncated; /* there is more than `words` and `scoped` */
    apr_array_header_t *words;  /* ctl_word_t; the first is in force */
    apr_array_header_t *scoped; /* those for a part of it: only there */
    const json_t *declared;     /* as the httpd has it */
    const weave_tally_t *tally; /* NULL: not to be read */
} ctl_app_t;

typedef struct ctl_view_t {
    const char *dir; /* WeaveStateDir; NULL: not known */
    int matched;     /* the httpd of ctl->dir is among them */
    weave_maintenance_file_e file;
    const char *unseen; /* an httpd may run that could not be looked at: why */
    apr_array_header_t *boards;   /* weave_maintenance_board_t *; to be shown */
    apr_array_header_t *apps;     /* ctl_app_t of them, in the order shown */
    apr_array_header_t *others;   /* ctl_app_t of httpds that are not shown */
    apr_array_header_t *entries;  /* of the state file, what is not over */
    apr_array_header_t *problems; /* const char *; none: all is known */
} ctl_view_t;

/* Why PATH is no sync.ini, or NULL. */
const char *ctl_ini_wrong(const char *path, apr_pool_t *pool);

/* Everything there is to show. Problems are in it; the INI of CTL is settled,
 * and the folder of weaved, where only one can be meant. */
void ctl_view_load(ctl_view_t *view, ctl_t *ctl);

/* The applications of BOARD, appended to APPS. NULL, or what is wrong. */
const char *ctl_apps_add(apr_array_header_t *apps,
                         const weave_maintenance_board_t *board,
                         const char *dir, apr_pool_t *pool);

/* As they are shown: those in worker processes first, otherwise as httpd has
 * them. */
apr_array_header_t *ctl_apps_order(const apr_array_header_t *apps,
                                   apr_pool_t *pool);
/* The one of INI, resolved, among APPS, or NULL. */
const ctl_app_t *ctl_app_find(const apr_array_header_t *apps, const char *ini);
/* The one that ENTRY is for among APPS, or NULL. */
const ctl_app_t *ctl_app_of(const apr_array_header_t *apps,
                            const weave_maintenance_entry_t *entry);
/* Where the INI of CTL is a name in WeaveApp of one of APPS, that one is meant,
 * wherever a link may lead by now. */
void ctl_ini_settle(ctl_t *ctl, const apr_array_header_t *apps);

/* Says that the path of APP, as `status` has it, leads elsewhere than when
 * httpd read it. NULL: it does not. */
const char *ctl_link_moved(const json_t *app, apr_pool_t *pool);
/* Has weaved been told what the sync.ini of APP, as `status` has it, says now?
 * 1 where nobody can tell. */
int ctl_is_taken(const json_t *app, apr_pool_t *pool);
/* Says that httpd has read the sync.ini of OWN as it is now, and why it goes on
 * without it; or NULL. */
const char *ctl_refusal(const ctl_app_t *own, apr_pool_t *pool);
/* Says what of the sync.ini of the application APP, as `status` has it, does
 * not run, and why; or NULL: what it says runs, or nobody can tell. OWN is
 * what httpd has of it, or NULL. */
const char *ctl_outdated(const json_t *app, const ctl_app_t *own,
                         apr_pool_t *pool);

/* Why what the configuration says of APP is not known, or NULL: it is. */
const char *ctl_untold(const ctl_app_t *app, apr_pool_t *pool);

/* What is left of an httpd whose parent was killed, as a sentence; or NULL: it
 * runs. */
const char *ctl_orphans(const weave_maintenance_board_t *board,
                        apr_pool_t *pool);

/* The mode that is in force for all of APP, as far as is known. */
uint32_t ctl_app_mode(const ctl_app_t *app);

/* Is what ENTRIES say the same as what BOARD has in ROW? */
int ctl_same(const apr_array_header_t *entries,
             const weave_maintenance_board_t *board, uint32_t row);

/* Is INI (NULL: all) meant by the command line? */
int ctl_is_meant(const ctl_t *ctl, const char *ini);

/* ---- for people (show.c) ---- */

/* "all applications", or INI. */
const char *ctl_whose(const char *ini);
/* "for all applications until 15:32:11 (30 min), Retry-After 60 s" */
const char *ctl_terms(const ctl_t *ctl, const char *ini,
                      const weave_maintenance_t *word);
/* "on since 14:02:11 by alice" */
const char *ctl_since(const ctl_t *ctl, const weave_maintenance_t *word);
/* The same, as it is now: "on, after a drain since 14:02:11 by alice" */
const char *ctl_now(const ctl_t *ctl, const ctl_word_t *word);
/* " until 15:32:11 (23 min left)", " until it is taken back" */
const char *ctl_left(const ctl_t *ctl, const weave_maintenance_t *word);
/* "WeaveMaintenance On at httpd.conf:3" */
const char *ctl_origin(const ctl_t *ctl, const ctl_word_t *word);

void ctl_app_show(const ctl_t *ctl, const ctl_app_t *app);
/* `weavectl maintenance` without a mode; an exit status. */
int ctl_maintenance_show(const ctl_t *given);
/* What holds for no application that runs; and the problems. */
int ctl_rest_show(const ctl_t *ctl, const ctl_view_t *view);
/* "maintenance" of the application in --json. */
json_t *ctl_app_json(const ctl_app_t *app);

#endif
