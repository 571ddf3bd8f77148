/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: finds the httpd that is meant, and says who may use its folders */
#ifndef CTL_FOLDER_H
#define CTL_FOLDER_H

#include <jansson.h>

#include "ctl.h"
#include "weave_counters.h"

/* The httpd of WeaveRuntimeDir ctl->dir, and its WeaveStateDir. */
typedef struct ctl_httpd_t {
    int runs;
    const json_t *state; /* weave_httpd_state.h; NULL: none, or not known */
    const weave_counters_t *counters; /* NULL: none, or not known */
    const char *unseen; /* why it is not known what runs; NULL: it is known */
    const char *state_dir; /* NULL: not known */
} ctl_httpd_t;

/* Returns PATH without links, or as it is where it does not exist. */
const char *ctl_path_resolve(const char *path, apr_pool_t *pool);

/* Returns why this user cannot do what only root and the user that starts httpd
 * may; or NULL: this is one of them, as far as the folders of CTL tell. */
const char *ctl_rights_why_not(const ctl_t *ctl);

/* Returns why what is in the folder DIR is not believed: another user could
 * have put it there; or NULL. */
const char *ctl_dir_why_not(const char *dir, apr_pool_t *pool);

/* Finds the httpd that is meant. Returns NULL, or why nothing may be changed in
 * the WeaveStateDir: it is not known whether it is the one that is meant. What
 * HTTPD has lives as long as ctl->pool. */
const char *ctl_httpd_find(ctl_httpd_t *httpd, const ctl_t *ctl);

#endif
