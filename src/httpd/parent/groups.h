/* SPDX-License-Identifier: Apache-2.0 */
/* groups.h: which mounts belong to one application */
#ifndef GROUPS_H
#define GROUPS_H

#include "parent.h"

/* The mounts of one application: those that write its sync.ini's path alike. */
typedef struct mod_weave_group_t {
    mod_weave_check_t check;
    dev_t dev; /* of what its links lead to; with `ino`, 0: it is not there */
    ino_t ino;
    mod_weave_app_t *app;
    int fell_back; /* what its file says does not count */
} mod_weave_group_t;

/* Returns the groups of all mounts of all servers, of mod_weave_group_t *. What
 * runs already comes first, then the order of httpd.conf. PROTO is what their
 * `check` begins with. */
apr_array_header_t *mod_weave_groups_collect(const mod_weave_check_t *proto);
/* The first mount of GROUP, which has one. */
const mod_weave_mount_t *mod_weave_group_first(const mod_weave_group_t *group);
/* Tells whether A and B name one file by two paths. */
int mod_weave_group_is_same_file(const mod_weave_group_t *a,
                                 const mod_weave_group_t *b);
/* Offers GROUP, which is number I of GROUPS, the mounts of those behind it that
 * name the same file: see mod_weave_app_bind. */
void mod_weave_group_offer(mod_weave_group_t *group,
                           const apr_array_header_t *groups, int i);
/* Takes those that GROUP has accepted from the groups behind number I. One that
 * has no mount left is no application. */
void mod_weave_groups_leave(const mod_weave_group_t *group,
                            const apr_array_header_t *groups, int i);

#endif
