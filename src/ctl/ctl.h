/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h: what the command line says, and the commands */
#ifndef CTL_H
#define CTL_H

#include <apr_pools.h>

/* Exit statuses, as --help has them. */
enum { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

/* INI of the commands that read a file, where none is given. */
#define CTL_DEFAULT_INI "/etc/sync.ini"

typedef struct ctl_t {
    apr_pool_t *pool;
    const char *ini;       /* absolute; links are not followed; NULL: all */
    const char *dir;       /* WeaveRuntimeDir */
    int dir_given;         /* 1: with -d, or by the environment */
    const char *state_dir; /* -s, or by the environment; NULL: neither */
    const char *libdir;    /* where the engines are */
    int json, no_wait;
    const char *topic;                  /* of help; NULL: not given */
    const char *release, *user, *group; /* of prove; NULL: not given */
    /* of maintenance; NULL: not given */
    const char *mode, *lasts, *retry_after, *message, *wait;
} ctl_t;

/* --- the commands; each returns an exit status --------------------------- */

int ctl_reload(const ctl_t *ctl);
int ctl_status(const ctl_t *ctl);
int ctl_maintenance(const ctl_t *ctl);
int ctl_config(const ctl_t *ctl);
int ctl_check(const ctl_t *ctl);
int ctl_prove(const ctl_t *ctl);

#endif
