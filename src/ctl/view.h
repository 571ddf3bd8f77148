/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: the maintenance that is in force for each application of an httpd */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include <apr_tables.h>
#include <jansson.h>

#include "folder.h"
#include "weave_maintenance.h"

/* What one switch sets, where that is not over. */
typedef struct ctl_setting_t {
    uint32_t mode;           /* what it makes of a request now: not OFF */
    int64_t on_us;           /* when a drain becomes, or became, on; 0: never */
    weave_maintenance_t raw; /* as it was set; that of a configuration has only
                                mode and since_us */
    const char *from;   /* "weavectl", "WeaveMaintenance", "maintenance.mode" */
    const char *where;  /* FILE, FILE:LINE */
    const char *scope;  /* "": all of the application; or the part of it */
    const char *server; /* of a configuration; or "" */
    int all;            /* weavectl has set it for all applications */
} ctl_setting_t;

/* An application as httpd has it. */
typedef struct ctl_app_t {
    const char *ini;
    int slot;                /* in counters and roster; -1: it has none */
    int embedded, failed;    /* failed: httpd could not bring it up */
    int plain;               /* maintenance.style */
    int64_t drain_us;        /* maintenance.drain */
    int64_t admitted;        /* requests that children have; -1: not known */
    int64_t stamp;           /* of the sync.ini that httpd has read, see
                                weave_conf_stamp(); 0: not known */
    const char *problem;     /* why httpd did not take the sync.ini as it was;
                                "": it did */
    const char *virtualenv;  /* of httpd's children, links followed; "" */
    const json_t *declared;  /* by the configuration, as httpd.json has it */
    apr_array_header_t *set; /* ctl_setting_t, the strictest first; behind them
                                those that are for a part of it only */
} ctl_app_t;

typedef struct ctl_view_t {
    ctl_httpd_t httpd;
    weave_maintenance_file_e file;
    const char *unusable;         /* why nothing may be changed; or NULL */
    const char *damage;           /* why the state file is not known; or NULL */
    apr_array_header_t *entries;  /* of the state file */
    apr_array_header_t *apps;     /* ctl_app_t: worker processes come first */
    apr_array_header_t *problems; /* const char *; none: all is known */
} ctl_view_t;

/* Reads what httpd says and the state file. ctl_view_refresh() reads only the
 * state file again. What VIEW has lives as long as ctl->pool. */
void ctl_view_load(ctl_view_t *view, const ctl_t *ctl);
void ctl_view_refresh(ctl_view_t *view, const ctl_t *ctl);

/* Says whether the command line means INI (NULL: all applications). */
int ctl_is_meant(const ctl_t *ctl, const char *ini);
/* Returns the next application from *AT on that is meant, or NULL. */
const ctl_app_t *ctl_app_next(const ctl_view_t *view, const ctl_t *ctl,
                              int *at);
/* Returns the application of exactly INI, or NULL. */
const ctl_app_t *ctl_app_find(const ctl_view_t *view, const char *ini);
/* Prints that httpd has no application of the INI of CTL, or by which other
 * name it has it. Returns CTL_FAILED. */
int ctl_app_missing(const ctl_view_t *view, const ctl_t *ctl);
/* Does the same where httpd has it by another name. Otherwise CTL_DONE. */
int ctl_name_check(const ctl_view_t *view, const ctl_t *ctl);
/* Returns the mode that is in force for all of APP. */
uint32_t ctl_app_mode(const ctl_app_t *app);

#endif
