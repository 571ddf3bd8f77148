/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: finds the httpd that is meant, and says who may use its folders */
#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "fields.h"
#include "weave_folder.h"
#include "weave_httpd_state.h"
#include "weave_maintenance.h"

const char *ctl_path_resolve(const char *path, apr_pool_t *pool)
{
    char *found = realpath(path, NULL);

    if (found)
        path = apr_pstrdup(pool, found);
    free(found);
    return path;
}

/* Returns why this user does not own DIR, or NULL. *is_mine is set to 1 where
 * it does; DIR need not be there. */
static const char *owner_why_not(const char *dir, int *is_mine,
                                 apr_pool_t *pool)
{
    struct stat status;

    if (stat(dir, &status) < 0)
        return errno == EACCES
                   ? apr_pstrcat(pool, dir, ": ", strerror(errno), NULL)
                   : NULL;
    if (status.st_uid == geteuid()) {
        *is_mine = 1;
        return NULL;
    }
    return apr_pstrcat(pool, dir, " belongs to ",
                       weave_folder_user(status.st_uid, pool), NULL);
}

const char *ctl_rights_why_not(const ctl_t *ctl)
{
    /* the folders that were named count, or else the defaults */
    const char *dir = ctl->dir_given || !ctl->state_dir ? ctl->dir : NULL;
    const char *state = ctl->state_dir, *why = NULL;
    int is_mine = 0;

    if (geteuid() == 0)
        return NULL;
    if (dir)
        why = owner_why_not(dir, &is_mine, ctl->pool);
    if (!state && !ctl->dir_given)
        state = WEAVE_STATE_DIR;
    if (!why && !is_mine && state)
        why = owner_why_not(state, &is_mine, ctl->pool);
    return why;
}

static apr_status_t state_release(void *state)
{
    json_decref(state);
    return APR_SUCCESS;
}

const char *ctl_dir_why_not(const char *dir, apr_pool_t *pool)
{
    weave_folder_t folder;
    const char *why;
    apr_status_t rv = weave_folder_open(&folder, &why, dir, geteuid(), 0, pool);

    if (rv == APR_SUCCESS)
        close(folder.fd);
    return rv == EPERM ? why : NULL;
}

/* Reads what the httpd of ctl->dir has written. */
static void httpd_read(ctl_httpd_t *httpd, const ctl_t *ctl)
{
    weave_counters_t *counters = NULL;
    json_t *state = NULL;

    httpd->unseen = ctl_dir_why_not(ctl->dir, ctl->pool);
    if (httpd->unseen)
        return;
    errno = 0;
    httpd->runs = weave_counters_holder(ctl->dir, ctl->pool) != 0;
    if (httpd->runs && errno == EACCES)
        httpd->unseen = apr_psprintf(
            ctl->pool,
            "only root and the user that starts httpd may look into %s (%s)",
            ctl->dir, strerror(EACCES));
    if (!httpd->unseen)
        httpd->unseen = weave_httpd_state_read(&state, ctl->dir, ctl->pool);
    if (!httpd->unseen && httpd->runs)
        httpd->unseen = weave_counters_read(&counters, ctl->dir, ctl->pool);
    if (state)
        apr_pool_cleanup_register(ctl->pool, state, state_release,
                                  apr_pool_cleanup_null);
    httpd->state = state;
    httpd->counters = counters;
    if (!httpd->unseen && httpd->runs &&
        (!counters || ctl_int(state, "pid") != counters->parent))
        httpd->unseen = apr_psprintf(ctl->pool,
                                     "an httpd runs with %s, and has not"
                                     " written " WEAVE_HTTPD_STATE_FILE
                                     " there: its error log says why",
                                     ctl->dir);
}

/* Returns why no WeaveStateDir can be known where none was named; or NULL. */
static const char *state_dir_why_not(const ctl_httpd_t *httpd, const ctl_t *ctl)
{
    if (httpd->unseen)
        return apr_pstrcat(ctl->pool, httpd->unseen,
                           "; to go on all the same, name the folder of"
                           " WeaveStateDir with -s",
                           NULL);
    if (ctl->dir_given) /* the default may be that of another httpd */
        return apr_psprintf(ctl->pool,
                            "%s/" WEAVE_HTTPD_STATE_FILE
                            " is not there: no httpd runs with this"
                            " WeaveRuntimeDir, or somebody has removed what"
                            " was in it, which `apachectl graceful` makes"
                            " again. Or name the folder of WeaveStateDir"
                            " with -s",
                            ctl->dir);
    return NULL;
}

/* Compares the WeaveStateDir that was named with OWN, that of the httpd.
 * Returns NULL, or what is wrong; and forgets an httpd that was not named. */
static const char *state_dir_compare(ctl_httpd_t *httpd, const char *own,
                                     const ctl_t *ctl)
{
    struct stat a, b;

    if (!strcmp(own, ctl->state_dir) ||
        (stat(own, &a) == 0 && stat(ctl->state_dir, &b) == 0 &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino))
        return NULL;
    if (ctl->dir_given)
        return apr_psprintf(ctl->pool,
                            "the httpd that runs with %s (-d) has its"
                            " WeaveStateDir in %s, not in %s (-s): leave out"
                            " one of them ($WEAVE_RUNTIME_DIR and"
                            " $WEAVE_STATE_DIR are the same as they)",
                            ctl->dir, own, ctl->state_dir);
    *httpd = (ctl_httpd_t){0};
    return NULL;
}

const char *ctl_httpd_find(ctl_httpd_t *httpd, const ctl_t *ctl)
{
    const char *problem = NULL, *own;

    *httpd = (ctl_httpd_t){0};
    httpd_read(httpd, ctl);
    own = ctl_text(httpd->state, "state_dir");
    if (httpd->unseen && ctl->state_dir && !ctl->dir_given)
        *httpd = (ctl_httpd_t){0}; /* it was not named */
    if (ctl->state_dir)
        problem = *own ? state_dir_compare(httpd, own, ctl) : NULL;
    else if (!*own)
        problem = state_dir_why_not(httpd, ctl);
    if (!problem || !(ctl->state_dir || ctl->dir_given))
        httpd->state_dir = ctl->state_dir ? ctl->state_dir
                           : *own         ? own
                                          : WEAVE_STATE_DIR;
    return problem;
}
