/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: finds WeaveStateDir, and says who may use the folders of httpd */
#ifndef CTL_FOLDER_H
#define CTL_FOLDER_H

#include "ctl.h"

/* Returns why this user cannot do what only root and the user that starts httpd
 * may; or NULL: this is one of them, as far as the folders of CTL tell. */
const char *ctl_rights_why_not(const ctl_t *ctl);

/* Finds the WeaveStateDir that is meant. Returns NULL, or what is wrong. */
const char *ctl_state_dir(const char **dir, const ctl_t *ctl);
/* Returns why DIR cannot be read, or with WRITABLE changed; or NULL. */
const char *ctl_dir_check(const char *dir, int writable, apr_pool_t *pool);

/* Returns PATH without links, or as it is where it does not exist. */
const char *ctl_path_resolve(apr_pool_t *pool, const char *path);
int ctl_is_same_folder(const char *a, const char *b);

/* Says what WHY, of weave_maintenance_open, means for this user. */
const char *ctl_why(const char *why, apr_pool_t *pool);

#endif
