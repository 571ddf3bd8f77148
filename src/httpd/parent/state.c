/* SPDX-License-Identifier: Apache-2.0 */
/* state.c: what weavectl finds of this httpd in WeaveRuntimeDir
 *
 * The counters, which the parent makes once and its children inherit, and what
 * the configuration says, anew at every restart. Nothing here waits, but for a
 * start that finds another httpd there: it may be about to end. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <unixd.h>

#include "weave_folder.h"
#include "weave_httpd_state.h"

#define ANOTHER_US INT64_C(6000000) /* as weaved waits for another weaved */
#define LOOK_US 20000

const char *mod_weave_runtime_used(const mod_weave_retained_t *data)
{
    if (data->supervisor)
        return data->runtime_dir;
    return data->counters_dir ? data->counters_dir : mod_weave_runtime_dir();
}

/* Where there is no weaved that would: for a group that can enter, as its. */
static const char *folder_make(const char *dir, apr_pool_t *pool)
{
    const char *problem = NULL;
    weave_folder_t folder;

    if (weave_folder_open(&folder, &problem, dir, geteuid(), 0710, pool) !=
        APR_SUCCESS)
        return problem;
    if (folder.made && geteuid() == 0 &&
        fchownat(folder.fd, "", (uid_t)-1, ap_unixd_config.group_id,
                 AT_EMPTY_PATH) < 0)
        problem = apr_psprintf(pool, "%s cannot be given to httpd's group: %s",
                               dir, strerror(errno));
    close(folder.fd);
    return problem;
}

static void state_complain(server_rec *s, const char *dir, const char *problem,
                           long holder)
{
    if (holder > 0)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0290: WeaveRuntimeDir %s is in use by another httpd"
                     " (pid %ld), and weavectl does not reach this one: give"
                     " each httpd a WeaveRuntimeDir of its own",
                     dir, holder);
    else
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0291: WeaveRuntimeDir: %s. weavectl shows nothing of"
                     " this httpd until that is mended and httpd is restarted"
                     " with `graceful`",
                     problem);
}

/* Returns 0 where somebody has removed the file, or the folder: what is there
 * now may be another httpd's. */
static int counters_are_there(const mod_weave_retained_t *data)
{
    struct stat status;

    return data->counters_fd >= 0 && fstat(data->counters_fd, &status) == 0 &&
           status.st_nlink > 0;
}

/* Children of before the restart count on in those of before. */
static void counters_replace(mod_weave_retained_t *data, weave_counters_t *made,
                             int fd, const char *dir)
{
    weave_counters_t *before = data->counters;

    if (before) {
        made->maintenance_seen = before->maintenance_seen;
        weave_counters_unmap(before);
    }
    if (data->counters_fd >= 0)
        close(data->counters_fd);
    data->counters = made;
    data->counters_fd = fd;
    if (data->counters_dir && !strcmp(dir, data->counters_dir))
        return;
    free(data->counters_dir);
    data->counters_dir = strdup(dir);
}

static void counters_make(mod_weave_retained_t *data, const char *dir,
                          int running, server_rec *s, apr_pool_t *pool)
{
    int64_t until = weave_clock_us() + (running ? 0 : ANOTHER_US);
    weave_counters_t *made = NULL;
    const char *problem = folder_make(dir, pool);
    long holder = 0;
    int fd = -1;

    if (!problem)
        problem = weave_counters_create(&made, &fd, &holder, dir, pool);
    while (holder > 0 && weave_clock_us() < until) {
        apr_sleep(LOOK_US);
        problem = weave_counters_create(&made, &fd, &holder, dir, pool);
    }
    if (!problem)
        counters_replace(data, made, fd, dir);
    else
        state_complain(s, dir, problem, holder);
    if (!data->counters)
        data->counters = weave_counters_anonymous();
}

static const char *state_write(const mod_weave_retained_t *data,
                               const apr_array_header_t *apps, server_rec *s,
                               apr_pool_t *pool)
{
    const char *dir = data->counters_dir, *problem;
    int root = geteuid() == 0;
    json_t *state = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:s, s:o, s:o, s:o}", "format",
        WEAVE_HTTPD_STATE_FORMAT, "version", WEAVE_HTTPD_STATE_VERSION, "pid",
        (json_int_t)getpid(), "uid",
        (json_int_t)(root ? ap_unixd_config.user_id : geteuid()), "gid",
        (json_int_t)(root ? ap_unixd_config.group_id : getegid()), "module",
        MOD_WEAVE_VERSION, "state_dir",
        weave_control_text(data->known_dir, pool), "runtime_dir",
        weave_control_text(dir, pool), "applications",
        mod_weave_declare(apps, s, pool));

    problem = weave_httpd_state_write(state, dir, pool);
    json_decref(state);
    return problem;
}

static apr_status_t state_remove(void *unused)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    apr_pool_t *pool;

    (void)unused;
    if (!data || data->owner != getpid() || !counters_are_there(data) ||
        ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_EXITING ||
        apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return APR_SUCCESS;
    weave_httpd_state_remove(data->counters_dir, pool);
    close(data->counters_fd);
    data->counters_fd = -1;
    apr_pool_destroy(pool);
    return APR_SUCCESS;
}

int mod_weave_counters_publish(int running, apr_pool_t *pconf, server_rec *s)
{
    mod_weave_retained_t *data = mod_weave_retained_get();

    if (!data || (!mod_weave_apps.all->nelts && !data->counters))
        return 0;
    data->owner = getpid();
    if (!counters_are_there(data))
        counters_make(data, mod_weave_runtime_used(data), running, s, pconf);
    mod_weave_counters = data->counters;
    apr_pool_cleanup_register(pconf, NULL, state_remove, apr_pool_cleanup_null);
    if (data->counters)
        return 0;
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "WEAVE0294: no memory can be shared with httpd's children");
    return -1;
}

void mod_weave_state_publish(apr_pool_t *pconf, server_rec *s)
{
    const mod_weave_retained_t *data = mod_weave_retained_get();
    const char *dir = mod_weave_runtime_dir(), *problem = NULL;

    if (data && strcmp(dir, mod_weave_runtime_used(data)) != 0)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0133: WeaveRuntimeDir %s holds from the next start"
                     " of httpd on; until then it is %s",
                     dir, mod_weave_runtime_used(data));
    if (data && counters_are_there(data))
        problem = state_write(data, mod_weave_apps.all, s, pconf);
    if (problem)
        state_complain(s, data->counters_dir, problem, 0);
}
