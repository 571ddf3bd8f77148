/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: maintenance as it is in force, gathered from WeaveStateDir */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include <apr_tables.h>

#include "ctl.h"
#include "weave_maintenance_board.h"

/* One thing that somebody has said, and that is not over. */
typedef struct ctl_word_t {
    uint32_t mode;            /* what it makes of a request now: not OFF */
    weave_maintenance_t said; /* of a configuration: mode and since_us only */
    const char *from;  /* "weavectl", "WeaveMaintenance", "maintenance.mode" */
    const char *where; /* FILE, FILE:LINE */
    const char *scope, *server; /* of a configuration; otherwise "" */
    int all;                    /* said by weavectl for all applications */
} ctl_word_t;

/* An application of an httpd that runs. */
typedef struct ctl_app_t {
    const weave_maintenance_board_t *board;
    const char *ini;
    uint32_t place;
    int embedded;
    apr_array_header_t *words;  /* ctl_word_t; the first is in force */
    apr_array_header_t *scoped; /* those for a part of it: only there */
    const json_t *declared;     /* as the httpd has it */
    const weave_tally_t *tally; /* NULL: not to be read */
} ctl_app_t;

typedef struct ctl_view_t {
    const char *dir;              /* WeaveStateDir; NULL: not known */
    int matched;                  /* the httpd of ctl->dir is among them */
    apr_array_header_t *boards;   /* weave_maintenance_board_t *; to be shown */
    apr_array_header_t *apps;     /* ctl_app_t */
    apr_array_header_t *entries;  /* of the state file, what is not over */
    apr_array_header_t *problems; /* const char *; none: all is known */
} ctl_view_t;

/* The WeaveStateDir that is meant. NULL, or what is wrong. */
const char *ctl_state_dir(const char **dir, const ctl_t *ctl);

/* Everything there is to show. Problems are in it. */
void ctl_view_load(ctl_view_t *view, const ctl_t *ctl);

/* The applications of BOARD, appended to APPS. NULL, or what is wrong. */
const char *ctl_apps_add(apr_array_header_t *apps,
                         const weave_maintenance_board_t *board,
                         const char *dir, apr_pool_t *pool);

/* The mode that is in force for all of APP. */
uint32_t ctl_app_mode(const ctl_app_t *app);

/* Is what FILE (NULL: nothing) says the same as what BOARD has in ROW? */
int ctl_same(const weave_maintenance_t *file,
             const weave_maintenance_board_t *board, uint32_t row);

/* Is INI (NULL: all) meant by the command line? */
int ctl_is_meant(const ctl_t *ctl, const char *ini);

/* What the command line says, mode, terms and by whom; an exit status. */
int ctl_word_read(weave_maintenance_t *word, const ctl_t *ctl);

/* ---- for people (show.c) ---- */

/* "all applications", or INI. */
const char *ctl_whose(const char *ini);
/* "15:32:11", with the date when that is another day. */
const char *ctl_clock(apr_pool_t *pool, int64_t time_us);
/* "for all applications until 15:32:11 (30 min), Retry-After 60 s" */
const char *ctl_terms(const ctl_t *ctl, const char *ini,
                      const weave_maintenance_t *word);
/* "on since 14:02:11 by alice" */
const char *ctl_since(const ctl_t *ctl, const weave_maintenance_t *word);
/* "WeaveMaintenance On at httpd.conf:3" */
const char *ctl_origin(const ctl_t *ctl, const ctl_word_t *word);

void ctl_app_show(const ctl_t *ctl, const ctl_app_t *app);
/* What holds for no application that runs; and the problems. */
int ctl_rest_show(const ctl_t *ctl, const ctl_view_t *view);
/* "maintenance" of the application in --json. */
json_t *ctl_app_json(const ctl_app_t *app);

#endif
