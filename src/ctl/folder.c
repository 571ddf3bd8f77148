/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: what is in the folders of an httpd, and its weaved */
#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "weave_clock.h"
#include "weave_control.h"
#include "weave_folder.h"
#include "weave_httpd_state.h"
#include "weave_maintenance.h"

#define ANSWER_MS 10000
/* An httpd that starts or ends has one of its two files for a moment only. */
#define MOMENT_US 1000000
#define LOOK_US 100000

const char *ctl_rights_why_not(const ctl_t *ctl)
{
    /* the folders that were named count, or else the defaults */
    const char *dirs[] = {ctl->dir_given || !ctl->state_dir ? ctl->dir : NULL,
                          ctl->state_dir   ? ctl->state_dir
                          : ctl->dir_given ? NULL
                                           : WEAVE_STATE_DIR};
    struct stat status;
    size_t i;

    if (geteuid() == 0)
        return NULL;
    for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
        if (!dirs[i])
            continue;
        if (stat(dirs[i], &status) == 0)
            return status.st_uid == geteuid()
                       ? NULL
                       : apr_pstrcat(
                             ctl->pool, dirs[i], " belongs to ",
                             weave_folder_user(status.st_uid, ctl->pool), NULL);
        if (errno == EACCES)
            return apr_pstrcat(ctl->pool, dirs[i], ": ", strerror(errno), NULL);
    }
    return NULL;
}

/* Returns why what is in the folder DIR is not believed: another user could
 * have put it there; or NULL. */
static const char *dir_why_not(const char *dir, apr_pool_t *pool)
{
    weave_folder_t folder;
    const char *why;
    apr_status_t rv = weave_folder_open(&folder, &why, dir, geteuid(), 0, pool);

    if (rv == APR_SUCCESS)
        close(folder.fd);
    return rv == EPERM ? why : NULL;
}

static apr_status_t state_release(void *state)
{
    json_decref(state);
    return APR_SUCCESS;
}

/* Says whether what was read is all that an httpd that runs writes. */
static int httpd_is_whole(const ctl_httpd_t *httpd)
{
    return !httpd->runs || (httpd->counters && ctl_int(httpd->state, "pid") ==
                                                   httpd->counters->parent);
}

/* Reads once what the httpd of ctl->dir has written. Returns NULL, or why it is
 * not known what runs. */
static const char *files_read(ctl_httpd_t *httpd, const ctl_t *ctl)
{
    const char *why = dir_why_not(ctl->dir, ctl->pool);
    weave_counters_t *counters = NULL;
    json_t *state = NULL;
    long holder;

    if (why)
        return why;
    errno = 0;
    holder = weave_counters_holder(ctl->dir, ctl->pool);
    httpd->runs = holder != 0;
    if (holder < 0 && errno == EACCES)
        return apr_psprintf(
            ctl->pool,
            "only root and the user that starts httpd may look into %s (%s)",
            ctl->dir, strerror(EACCES));
    why = weave_httpd_state_read(&state, ctl->dir, ctl->pool);
    if (state)
        apr_pool_cleanup_register(ctl->pool, state, state_release,
                                  apr_pool_cleanup_null);
    if (!why && httpd->runs)
        why = weave_counters_read(&counters, ctl->dir, ctl->pool);
    httpd->state = state;
    httpd->counters = counters;
    return why;
}

/* Does the same until both files are of one httpd, a moment long. */
static const char *httpd_read(ctl_httpd_t *httpd, const ctl_t *ctl)
{
    int64_t until = weave_clock_us() + MOMENT_US;
    const char *why;

    for (;;) {
        *httpd = (ctl_httpd_t){0};
        why = files_read(httpd, ctl);
        if (why || httpd_is_whole(httpd))
            return why;
        if (weave_clock_us() >= until)
            return apr_psprintf(ctl->pool,
                                "an httpd runs with %s, and has not"
                                " written " WEAVE_HTTPD_STATE_FILE
                                " there: its error log says why",
                                ctl->dir);
        apr_sleep(LOOK_US);
    }
}

int ctl_path_is_same(const char *one, const char *other)
{
    struct stat a, b;

    return !strcmp(one, other) ||
           (stat(one, &a) == 0 && stat(other, &b) == 0 &&
            a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

const char *ctl_httpd_find(ctl_httpd_t *httpd, const ctl_t *ctl)
{
    const char *own, *unseen = httpd_read(httpd, ctl);
    int is_other;

    httpd->unseen = unseen;
    own = ctl_text(httpd->state, "state_dir");
    is_other = ctl->state_dir && *own && !ctl_path_is_same(own, ctl->state_dir);
    if (is_other && ctl->dir_given)
        return apr_psprintf(ctl->pool,
                            "the httpd that runs with %s (-d) has its"
                            " WeaveStateDir in %s, not in %s (-s): leave out"
                            " one of them ($WEAVE_RUNTIME_DIR and"
                            " $WEAVE_STATE_DIR are the same as they)",
                            ctl->dir, own, ctl->state_dir);
    if (is_other || (httpd->unseen && ctl->state_dir && !ctl->dir_given))
        *httpd = (ctl_httpd_t){0}; /* it was not named */
    httpd->state_dir = ctl->state_dir   ? ctl->state_dir
                       : *own           ? own
                       : ctl->dir_given ? NULL
                                        : WEAVE_STATE_DIR;
    if (ctl->state_dir || *own)
        return NULL;
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

json_t *ctl_call(const ctl_t *ctl, json_t *request, const char **problem)
{
    const char *closed = dir_why_not(ctl->dir, ctl->pool);
    json_t *answer = NULL;
    char *why = NULL;

    if (closed)
        *problem = closed;
    else if (weave_control_ask(&answer, &why,
                               apr_pstrcat(ctl->pool, ctl->dir,
                                           "/" WEAVE_CONTROL_SOCKET, NULL),
                               request, -1, ANSWER_MS) != APR_SUCCESS)
        *problem = apr_pstrdup(ctl->pool, why);
    json_decref(request);
    free(why);
    return answer;
}

json_t *ctl_status_get(const ctl_t *ctl, const char **problem)
{
    json_t *answer = ctl_call(ctl, json_pack("{s:s}", "op", "status"), problem);
    json_t *status = json_incref(json_object_get(answer, "status"));

    json_decref(answer);
    return status;
}
