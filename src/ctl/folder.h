/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: finds the httpd that is meant, says who may use its folders, and
 * asks its weaved */
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

/* Returns why this user cannot do what only root and the user that starts httpd
 * may; or NULL: this is one of them, as far as the folders of CTL tell. */
const char *ctl_rights_why_not(const ctl_t *ctl);

/* Finds the httpd that is meant. Returns NULL, or why nothing may be changed in
 * the WeaveStateDir: it is not known whether it is the one that is meant. What
 * HTTPD has lives as long as ctl->pool. */
const char *ctl_httpd_find(ctl_httpd_t *httpd, const ctl_t *ctl);

/* Says whether two paths lead to one file or folder. */
int ctl_path_is_same(const char *one, const char *other);

/* Sends REQUEST, which is given away, to the weaved of ctl->dir. Returns its
 * answer, or NULL and *problem. */
json_t *ctl_call(const ctl_t *ctl, json_t *request, const char **problem);
/* Asks weaved so for its status, without what is around it. */
json_t *ctl_status_get(const ctl_t *ctl, const char **problem);

/* --- members of JSON objects that may lack them -------------------------- */

/* Returns 0 where there is no such number. */
static inline json_int_t ctl_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* Returns "" where there is no such text. */
static inline const char *ctl_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static inline int ctl_is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

#endif
