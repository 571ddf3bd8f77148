/* SPDX-License-Identifier: Apache-2.0 */
/* check.c: what configtest and every start look at
 *
 * At configtest and at a first start a problem is fatal. In a running server
 * it is logged, and the application goes on with what it had: httpd would
 * otherwise leave, and take every other site with it. */
#include "parent.h"

#include <signal.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <mpm_common.h>
#include <unixd.h>

#include <apr_strings.h>

#include "weave_folder.h"

/* ---- one of them ---- */

/* Embedded mode has room for one Python, which must be ours. */
static void check_embedded(mod_weave_group_t *group,
                           const mod_weave_group_t *embedded)
{
    const mod_weave_mount_t *mount = mod_weave_group_first(group), *other;
    const char *loaded = mod_weave_libpython_loaded(group->check.ptemp);

    if (loaded)
        mod_weave_check_fail(
            &group->check,
            "WEAVE0012: another module has loaded %s into httpd; two Pythons"
            " in one process do not work. Disable it (mod_wsgi: `a2dismod"
            " wsgi`), or use worker processes: `[workers] mode = processes`",
            loaded);
    if (!embedded)
        return;
    other = mod_weave_group_first(embedded);
    mod_weave_check_fail(
        &group->check,
        "WEAVE0011: %s:%d: embedded mode has room for one application in an"
        " httpd, and %s:%d has mounted %s already. Run one of them in worker"
        " processes: `[workers] mode = processes`",
        mount->file, mount->line, other->file, other->line,
        embedded->check.ini);
}

/* Nobody answers for these but the 503. */
static void unbind_mounts(mod_weave_group_t *group)
{
    int i;

    for (i = 0; i < group->check.mounts->nelts; i++)
        APR_ARRAY_IDX(group->check.mounts, i, mod_weave_mount_t *)->app = NULL;
    group->app = NULL;
}

/* Reads the file of GROUP, or TEXT, what was good before. */
static void group_read(mod_weave_group_t *group, const char *text,
                       const mod_weave_group_t *embedded)
{
    group->check.is_kept = text != NULL;
    group->check.ini_now = text ? text : group->check.ini_real;
    group->app = mod_weave_app_read(&group->check);
    if (group->app && group->app->embedded)
        check_embedded(group, embedded);
}

/* Makes it from the text that was good last. Children that have the application
 * in them read the file, too; others get nothing of it. */
static void kept_read(mod_weave_group_t *group,
                      const mod_weave_group_t *embedded)
{
    apr_pool_t *pconf = group->check.pconf;
    int fd = mod_weave_retained_text(group->check.ini, ap_unixd_config.user_id);

    if (fd < 0)
        return;
    group_read(group, apr_psprintf(pconf, "/proc/self/fd/%d", fd), embedded);
    if (group->app && group->app->embedded)
        apr_pool_cleanup_register(pconf, (void *)(intptr_t)fd,
                                  mod_weave_fd_close, apr_pool_cleanup_null);
    else
        close(fd);
}

/* The running server's last word: what was good before. */
static void fall_back(mod_weave_group_t *group,
                      const mod_weave_group_t *embedded)
{
    unbind_mounts(group);
    group->fell_back = 1;
    group->check.errors = 0;
    kept_read(group, embedded);
    if (group->app && !group->check.errors) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, group->check.s,
                     "WEAVE0013: the application of %s goes on with the"
                     " configuration it had; mend what is wrong and use"
                     " `apachectl graceful` again",
                     group->check.ini);
        return;
    }
    unbind_mounts(group);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, group->check.s,
                 "WEAVE0014: the application of %s answers 503 until its"
                 " configuration is mended",
                 group->check.ini);
}

/* ---- all of it ---- */

/* `httpd -k stop` checks the configuration before it sends a signal to the
 * httpd that runs, and must not fail because of ours. */
static int is_command(apr_pool_t *pool)
{
    pid_t pid;

    return !mod_weave_is_configtest() &&
           ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG &&
           ap_read_pid(pool, ap_pid_fname, &pid) == APR_SUCCESS &&
           kill(pid, 0) == 0;
}

/* Where all children are in use, a graceful restart has no place for new ones
 * until old ones have left. */
static void note_limits(server_rec *s)
{
    int most = 0, limit = 0, threaded = AP_MPMQ_NOT_SUPPORTED;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &most);
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit);
    if (threaded == AP_MPMQ_NOT_SUPPORTED || limit >= 2 * most || most <= 0)
        return;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                 "WEAVE0120: ServerLimit is %d, and up to %d children serve: at"
                 " a graceful restart new ones find no place until old ones"
                 " have left, and clients wait. Set ServerLimit to %d",
                 limit, most, 2 * most);
}

/* Between exec and its first line, a program that its user can read can be
 * looked into by his other processes, which keep what they have opened. */
static void note_program(server_rec *s, apr_pool_t *pool)
{
    const char *path =
        apr_pstrcat(pool, mod_weave_libdir(pool), "/weave-worker", NULL);
    apr_finfo_t found;

    if (mod_weave_apps.good->nelts && geteuid() == 0 &&
        apr_stat(&found, path, APR_FINFO_PROT, pool) == APR_SUCCESS &&
        (found.protection & APR_FPROT_WREAD))
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "WEAVE0220: everybody can read %s: so processes of one"
                     " user can read each other's memory, and with it the"
                     " secrets of applications: `chmod 711 %s`",
                     path, weave_shell_quote(path, pool));
}

/* Names two paths in WeaveApp that lead to one file: their owner may have meant
 * one application. */
static void note_same_files(const apr_array_header_t *groups, server_rec *s)
{
    int i, j;

    for (i = 0; i < groups->nelts; i++)
        for (j = 0; j < i; j++) {
            const mod_weave_group_t *one =
                APR_ARRAY_IDX(groups, j, mod_weave_group_t *);
            const mod_weave_group_t *other =
                APR_ARRAY_IDX(groups, i, mod_weave_group_t *);

            if (!mod_weave_group_is_same_file(one, other) ||
                !one->check.mounts->nelts || !other->check.mounts->nelts)
                continue;
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "WEAVE0300: WeaveApp names one file by two paths, %s"
                         " and %s: these are two applications, each with its"
                         " own processes and maintenance. For one application,"
                         " write the same path in both lines",
                         one->check.ini, other->check.ini);
            break;
        }
}

/* One user's processes can end each other, whatever else they must not do. */
static void note_users(server_rec *s, apr_pool_t *pool)
{
    const char *list = "";
    int i;

    for (i = 0; i < mod_weave_apps.good->nelts; i++) {
        const mod_weave_app_t *app =
            APR_ARRAY_IDX(mod_weave_apps.good, i, mod_weave_app_t *);

        if (!app->embedded && app->uid == ap_unixd_config.user_id)
            list = apr_pstrcat(pool, list, " ", app->ini, NULL);
    }
    if (*list && geteuid() == 0)
        ap_log_error(
            APLOG_MARK, APLOG_NOTICE, 0, s,
            "WEAVE0202: these applications run as httpd's own user, %s,"
            " so they can end httpd's children and each other; give"
            " each one a user with workers.user:%s",
            ap_unixd_config.user_name, list);
}

/* Maintenance is for those, too, that cannot run. */
static void group_register(const mod_weave_group_t *group)
{
    mod_weave_app_t *app = group->app;
    int slot = mod_weave_retained_slot(group->check.ini), i;

    if (!app || group->check.errors) {
        app = apr_pcalloc(group->check.pconf, sizeof(*app));
        app->ini = group->check.ini;
        app->slot = slot;
    }
    app->stamp = group->check.stamp;
    app->problem = group->fell_back ? group->check.problem : NULL;
    APR_ARRAY_PUSH(mod_weave_apps.all, mod_weave_app_t *) = app;
    for (i = 0; i < group->check.mounts->nelts; i++)
        APR_ARRAY_IDX(group->check.mounts, i, mod_weave_mount_t *)->slot = slot;
}

static int check_all(apr_array_header_t *groups, int strict)
{
    const mod_weave_group_t *embedded = NULL;
    int i, errors = 0;

    for (i = 0; i < groups->nelts; i++) {
        mod_weave_group_t *group =
            APR_ARRAY_IDX(groups, i, mod_weave_group_t *);

        if (!group->check.mounts->nelts)
            continue; /* one before it has taken them */
        mod_weave_group_offer(group, groups, i);
        group_read(group, NULL, embedded);
        errors += group->check.errors;
        if (group->check.errors && !strict)
            fall_back(group, embedded);
        mod_weave_groups_leave(group, groups, i);
        if (group->app && group->app->embedded && !embedded)
            embedded = group;
        if (group->app && !group->check.errors)
            APR_ARRAY_PUSH(mod_weave_apps.good, mod_weave_app_t *) = group->app;
        group_register(group);
    }
    mod_weave_apps.embedded = embedded ? embedded->app : NULL;
    return errors;
}

/* Before an application that is new gets the slot of one that comes. */
static void ask_places(const apr_array_header_t *groups)
{
    int i;

    mod_weave_retained_unask();
    for (i = 0; i < groups->nelts; i++)
        mod_weave_retained_ask(
            APR_ARRAY_IDX(groups, i, mod_weave_group_t *)->check.ini);
}

/* Is this a start, before httpd leaves the terminal? */
static int is_start(apr_pool_t *pool)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_NORMAL &&
           ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG &&
           !is_command(pool);
}

/* At configtest, and at a start that can still fail. */
static int check_folders(apr_pool_t *ptemp, server_rec *s)
{
    const char *problem = NULL;
    int i, workers = 0;

    if (!mod_weave_apps.all->nelts ||
        (!mod_weave_is_configtest() && !is_start(ptemp)))
        return 0;
    for (i = 0; i < mod_weave_apps.good->nelts; i++)
        workers |=
            !APR_ARRAY_IDX(mod_weave_apps.good, i, mod_weave_app_t *)->embedded;
    if (workers)
        problem = mod_weave_runtime_check(mod_weave_runtime_dir(), ptemp);
    if (!problem)
        problem = mod_weave_publish_enter_check(ptemp);
    if (problem)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "%s", problem);
    return problem ? -1 : 0;
}

int mod_weave_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *main_server)
{
    mod_weave_check_t proto = {
        .s = main_server, .pconf = pconf, .ptemp = ptemp};
    apr_array_header_t *groups;
    int strict = !mod_weave_is_running(), errors;

    (void)plog;
    mod_weave_apps_clear(pconf);
    groups = mod_weave_groups_collect(&proto);
    ask_places(groups);
    errors = check_all(groups, strict);
    if (errors && strict && !is_command(ptemp))
        return HTTP_INTERNAL_SERVER_ERROR;
    if (check_folders(ptemp, main_server) != 0)
        return HTTP_INTERNAL_SERVER_ERROR;
    if (mod_weave_is_configtest() && groups->nelts) {
        note_limits(main_server);
        note_same_files(groups, main_server);
        note_users(main_server, ptemp);
        note_program(main_server, ptemp);
        mod_weave_publish_check(ptemp, main_server);
    }
    return OK;
}

/* Not at configtest, which has the environment of a shell. */
static void note_absent(const server_rec *s)
{
    int i;

    for (i = 0; i < mod_weave_apps.good->nelts; i++) {
        const char *text =
            APR_ARRAY_IDX(mod_weave_apps.good, i, mod_weave_app_t *)->absent;

        if (text && *text)
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "WEAVE0251: %s", text);
    }
}

int mod_weave_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *main_server)
{
    int running = mod_weave_is_running(), rc;

    (void)plog;
    (void)ptemp;
    ap_add_version_component(pconf, MOD_WEAVE_NAME "/" MOD_WEAVE_VERSION);
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    note_absent(main_server);
    mod_weave_retain(mod_weave_apps.good, mod_weave_apps.all);
    mod_weave_switches_complete(pconf, main_server);
    rc = mod_weave_supervise(pconf, main_server, mod_weave_apps.good, running);
    if (rc == 0 || running)
        rc |= mod_weave_counters_publish(running, pconf, main_server);
    if (rc != 0 && !running)
        return HTTP_INTERNAL_SERVER_ERROR;
    mod_weave_publish(pconf, main_server);
    mod_weave_state_publish(pconf, main_server);
    if (running)
        mod_weave_smooth_start(pconf, main_server);
    return OK;
}
