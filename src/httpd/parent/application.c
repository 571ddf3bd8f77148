/* SPDX-License-Identifier: Apache-2.0 */
/* application.c: everything that is looked at before an application may run */
#include "parent.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_strings.h>
#include <apr_user.h>
#include <mpm_common.h>
#include <unixd.h>

#include "weave_check.h"
#include "weave_file.h"
#include "weave_folder.h"
#include "weave_host.h"
#include "weave_spec.h"

#define fail mod_weave_check_fail
#define KEPT_MOST (64 * WEAVE_INI_MAX_BYTES)

static const char *source_text(mod_weave_check_t *check,
                               const weave_conf_t *conf, weave_key_e key)
{
    return weave_conf_source(conf, key, check->ptemp);
}

/* ---- the file ---- */

static void problems_report(mod_weave_check_t *check,
                            const apr_array_header_t *problems)
{
    mod_weave_check_report(check, problems, "WEAVE0001: ", "WEAVE0002: ");
}

/* Fails where PROBLEM is one. */
static void fail_if(mod_weave_check_t *check, const char *problem)
{
    if (problem)
        fail(check, "%s", problem);
}

/* Fails where somebody else could put another file in the place of PATH. */
static void check_way(mod_weave_check_t *check, const mod_weave_app_t *app,
                      const char *path, const weave_ini_file_t *file)
{
    const char *problem =
        weave_folder_check_file(path, &file->status, app->uid, check->ptemp);

    if (problem)
        fail(check, "WEAVE0160: %s decides what runs here, and %s", path,
             problem);
}

static void check_files(mod_weave_check_t *check, const mod_weave_app_t *app)
{
    const apr_array_header_t *files = weave_conf_files(app->conf);
    const weave_ini_file_t *file = (const weave_ini_file_t *)files->elts;
    int i;

    /* what is kept was checked when it was read */
    if (geteuid() != 0 || app->is_kept)
        return;
    for (i = 0; i < files->nelts; i++) {
        fail_if(check, weave_check_ini(&file[i], check->ptemp));
        check_way(check, app, file[i].path, &file[i]);
    }
    for (i = 0; i < check->mounts->nelts; i++) {
        const char *path =
            APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *)->ini;

        if (strcmp(path, file->path) != 0)
            check_way(check, app, path, file);
    }
}

/* ---- keys that need the file system ---- */

static void check_script(mod_weave_check_t *check, const weave_conf_t *conf)
{
    const char *problem = weave_check_script(
        source_text(check, conf, WEAVE_WSGI_SCRIPT),
        weave_conf_str(conf, WEAVE_WSGI_SCRIPT),
        weave_conf_str(conf, WEAVE_WSGI_CALLABLE), check->ptemp);

    fail_if(check, problem);
    if (problem && mod_weave_is_running() &&
        weave_conf_int(conf, WEAVE_WORKERS_MODE) == WEAVE_MODE_EMBEDDED)
        check->errors--; /* the children import it as soon as it is there */
}

/* Warns where somebody else than root and its user could exchange FOLDER, from
 * which the application takes code. */
static void note_code(mod_weave_check_t *check, const mod_weave_app_t *app,
                      weave_key_e key, const char *folder)
{
    const char *problem;

    if (weave_check_way(&problem, folder, app->uid,
                        weave_conf_str(app->conf, WEAVE_RELEASE_HOME),
                        check->ptemp) == EPERM)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, check->s,
                     "WEAVE0163: %s: %s: others could replace code that runs as"
                     " %s: %s",
                     source_text(check, app->conf, key),
                     weave_key_get(key)->full,
                     weave_folder_user(app->uid, check->ptemp), problem);
}

/* The virtualenv chooses the Python that is loaded, so with that it is an
 * error. */
static void note_paths(mod_weave_check_t *check, const mod_weave_app_t *app)
{
    const char *script = weave_conf_str(app->conf, WEAVE_WSGI_SCRIPT);
    const apr_array_header_t *path =
        weave_conf_list(app->conf, WEAVE_WSGI_PYTHON_PATH);
    const char *slash = strrchr(script, '/');
    int i;

    if (geteuid() != 0 || !mod_weave_is_configtest())
        return;
    if (slash && slash != script)
        note_code(
            check, app, WEAVE_WSGI_SCRIPT,
            apr_pstrmemdup(check->ptemp, script, (apr_size_t)(slash - script)));
    for (i = 0; i < path->nelts; i++)
        note_code(check, app, WEAVE_WSGI_PYTHON_PATH,
                  APR_ARRAY_IDX(path, i, const char *));
}

static void check_virtualenv(mod_weave_check_t *check, mod_weave_app_t *app)
{
    weave_virtualenv_t *venv = NULL;

    fail_if(check,
            weave_check_virtualenv(
                &venv, source_text(check, app->conf, WEAVE_WSGI_VIRTUALENV),
                weave_conf_str(app->conf, WEAVE_WSGI_VIRTUALENV),
                (long)app->uid, weave_conf_str(app->conf, WEAVE_RELEASE_HOME),
                check->pconf));
    app->venv = venv;
}

/* SOURCES: where the lines of its text come from. */
static void check_engine(mod_weave_check_t *check, mod_weave_app_t *app,
                         const apr_array_header_t *sources)
{
    const char *version = app->venv ? app->venv->version : NULL, *problem;
    mod_weave_probe_t own = {NULL, NULL};

    app->engine = weave_spec_engine(mod_weave_libdir(check->ptemp), version,
                                    check->pconf);
    problem = weave_check_engine(app->engine, version, check->ptemp);
    fail_if(check, problem);
    if (problem || !mod_weave_is_configtest())
        return;
    problem = mod_weave_probe(&own, app, check->ptemp);
    if (problem)
        fail(check, "WEAVE0007: %s", problem);
    else
        mod_weave_rows_report(check, app, &own, sources);
}

/* ---- who it runs as ---- */

/* httpd's own, unless the keys say otherwise. Only root has a choice. */
static void check_user(mod_weave_check_t *check, mod_weave_app_t *app)
{
    const char *user = weave_conf_str(app->conf, WEAVE_WORKERS_USER);
    const char *group = weave_conf_str(app->conf, WEAVE_WORKERS_GROUP);
    apr_status_t rv = APR_SUCCESS;
    char why[120];

    app->user = geteuid() == 0 ? ap_unixd_config.user_name : "";
    app->uid = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    app->gid = geteuid() == 0 ? ap_unixd_config.group_id : getegid();
    if (app->embedded)
        return;
    if (*user) {
        app->user = apr_pstrdup(check->pconf, user);
        rv = apr_uid_get(&app->uid, &app->gid, user, check->ptemp);
    }
    if (rv != APR_SUCCESS) {
        fail(check,
             "WEAVE0121: %s: workers.user: there is no user %s on this system"
             " (%s). Name one that `getent passwd` knows, or make it with"
             " `useradd --system %s`",
             source_text(check, app->conf, WEAVE_WORKERS_USER), user,
             apr_strerror(rv, why, sizeof(why)), user);
        return;
    }
    if (*group)
        rv = apr_gid_get(&app->gid, group, check->ptemp);
    if (rv != APR_SUCCESS)
        fail(check,
             "WEAVE0122: %s: workers.group: there is no group %s on this"
             " system. Name one that `getent group` knows",
             source_text(check, app->conf, WEAVE_WORKERS_GROUP), group);
    else if (app->uid == 0)
        fail(check,
             "WEAVE0123: the workers of %s would run as root, which they never"
             " do. Set `User` in httpd.conf, or [workers] user",
             app->ini);
    else if (geteuid() != 0 && (app->uid != geteuid() || app->gid != getegid()))
        fail(check,
             "WEAVE0124: %s: only an httpd that root starts can run workers as"
             " another user. Remove workers.user and workers.group, or start"
             " httpd as root",
             source_text(check, app->conf,
                         *user ? WEAVE_WORKERS_USER : WEAVE_WORKERS_GROUP));
}

/* ---- files and folders ---- */

static void check_folder(mod_weave_check_t *check, const weave_conf_t *conf,
                         weave_key_e key)
{
    fail_if(check, weave_check_folder(source_text(check, conf, key),
                                      weave_key_get(key)->full,
                                      weave_conf_str(conf, key), check->ptemp));
}

/* For each mount: a virtual host may have a page of its own. */
static void check_pages(mod_weave_check_t *check)
{
    int i;

    for (i = 0; i < check->mounts->nelts; i++) {
        const weave_conf_t *conf =
            APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *)->conf;
        const char *problem = mod_weave_page_check(conf, check->ptemp);

        if (problem)
            fail(check,
                 "WEAVE0155: %s: maintenance.page cannot be shown by httpd's"
                 " children: %s. Give a file that the user of httpd can read",
                 source_text(check, conf, WEAVE_MAINTENANCE_PAGE), problem);
    }
}

static void check_program(mod_weave_check_t *check, const char *name)
{
    fail_if(check, weave_check_program(mod_weave_libdir(check->ptemp), name,
                                       check->ptemp));
}

static void check_processes(mod_weave_check_t *check,
                            const mod_weave_app_t *app)
{
    const char *dir = mod_weave_runtime_dir();

    check_folder(check, app->conf, WEAVE_WORKERS_HOME);
    check_program(check, "weaved");
    check_program(check, "weave-worker");
    if (strlen(dir) > MOD_WEAVE_RUNTIME_DIR_MAX)
        fail(check,
             "WEAVE0127: WeaveRuntimeDir %s is too long: the path of a UNIX"
             " socket ends at %d bytes, so the folder may have %d. Choose a"
             " shorter one, such as /run/weave",
             dir, WEAVE_SOCKET_PATH - 1, MOD_WEAVE_RUNTIME_DIR_MAX);
}

/* ---- what embedded mode cannot do ---- */

/* The MPM's threads have the size that ThreadStackSize says; those of its
 * absence, and Python's, have the process's default, which child_init raises.
 * Prefork runs requests on its main thread. */
static void note_stacks(const server_rec *s)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;
    apr_size_t bytes;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    if (threaded == AP_MPMQ_NOT_SUPPORTED)
        bytes = weave_stack_main();
    else
        bytes = ap_thread_stacksize ? ap_thread_stacksize : WEAVE_STACK_BYTES;
    if (bytes < WEAVE_STACK_BYTES)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "WEAVE0212: Python runs on stacks of %" APR_SIZE_T_FMT
                     " KiB, as %s says: a deep recursion of the application"
                     " ends an httpd child, and the requests in it, instead of"
                     " being a RecursionError",
                     bytes >> 10,
                     threaded == AP_MPMQ_NOT_SUPPORTED ? "the hard limit"
                                                       : "ThreadStackSize");
}

/* WHERE says where `env.` was set. */
static void note_locale(const server_rec *s, const weave_conf_t *conf,
                        const char *where)
{
    const apr_array_header_t *rows = apr_table_elts(weave_conf_env(conf));
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const char *name = APR_ARRAY_IDX(rows, i, apr_table_entry_t).key;

        if (strcmp(name, "LANG") == 0 || strncmp(name, "LC_", 3) == 0)
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "WEAVE0231: %s: in embedded mode env.%s does not"
                         " change by which locale C libraries convert text,"
                         " for httpd uses it, too: it is C.UTF-8",
                         where, name);
    }
}

static void note_ignored(mod_weave_check_t *check, const weave_conf_t *conf)
{
    int key;

    if (!mod_weave_is_configtest())
        return;
    for (key = 0; key < WEAVE_KEY_COUNT; key++)
        if (weave_conf_is_set(conf, key) && !weave_key_get(key)->embedded)
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, check->s,
                         "WEAVE0009: %s: %s has no meaning in embedded mode"
                         " and is ignored",
                         source_text(check, conf, key),
                         weave_key_get(key)->full);
    note_locale(check->s, conf, source_text(check, conf, WEAVE_WORKERS_ENV));
}

/* Two mounts share one Python: what makes it cannot differ. */
static void check_same(mod_weave_check_t *check, const weave_conf_t *one,
                       const weave_conf_t *other)
{
    int key;

    for (key = 0; key < WEAVE_KEY_COUNT; key++) {
        const weave_key_t *row = weave_key_get(key);

        if (row->level == WEAVE_LEVEL_REQUEST ||
            weave_conf_is_same(one, other, key))
            continue;
        fail(check,
             "WEAVE0010: %s has two values for one application, at %s and"
             " %s: it can only have one",
             row->full, source_text(check, one, key),
             source_text(check, other, key));
    }
}

/* ---- an application ---- */

/* Reads what was good before. Relative paths of WeaveSet begin in the folder of
 * the file itself. */
static void kept_parse(weave_conf_t **conf, const mod_weave_check_t *check,
                       apr_array_header_t *problems)
{
    weave_file_t kept;
    apr_status_t rv = weave_file_read(&kept, AT_FDCWD, check->ini_now,
                                      KEPT_MOST, check->ptemp);

    if (rv == APR_SUCCESS)
        weave_conf_parse(conf, kept.data, check->ini_real, problems,
                         check->pconf);
    else
        weave_problem_add(problems, WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_FILE,
                          check->ini, 0, "%s",
                          weave_file_error_text(rv, KEPT_MOST, check->ptemp));
}

static weave_conf_t *conf_read(mod_weave_check_t *check)
{
    const mod_weave_mount_t *mount =
        APR_ARRAY_IDX(check->mounts, 0, mod_weave_mount_t *);
    apr_array_header_t *problems = weave_problems_make(check->ptemp);
    weave_conf_t *conf = NULL;

    if (check->is_kept)
        kept_parse(&conf, check, problems);
    else
        weave_conf_read(&conf, check->ini_now, problems, check->pconf);
    if (conf)
        problems_report(check, problems);
    else
        fail(check,
             "WEAVE0015: %s:%d: WeaveApp: %s. Give the path of a"
             " sync.ini",
             mount->file, mount->line,
             weave_problem_text(APR_ARRAY_IDX(problems, 0, weave_problem_t *),
                                check->ptemp));
    return conf;
}

/* Everything about APP but its file and its engine. */
static void check_app(mod_weave_check_t *check, mod_weave_app_t *app)
{
    apr_array_header_t *problems = weave_problems_make(check->ptemp);

    weave_conf_check(app->conf, problems);
    problems_report(check, problems);
    check_user(check, app);
    check_files(check, app);
    check_folder(check, app->conf, WEAVE_LIMITS_SPOOL_DIR);
    check_pages(check);
    if (app->embedded) {
        note_ignored(check, app->conf);
        note_stacks(check->s);
    }
    else
        check_processes(check, app);
    check_script(check, app->conf);
    if (!check->errors)
        note_paths(check, app);
    check_virtualenv(check, app);
}

static void check_mounts(mod_weave_check_t *check, const mod_weave_app_t *app)
{
    int i;

    for (i = 1; i < check->mounts->nelts; i++)
        check_same(check, app->conf,
                   APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *)->conf);
}

/* The text of the file, for the application: ${NAME} in its sections may be
 * what workers.env.NAME sets. This is the reader: its environment ends with it.
 */
static void text_make(mod_weave_check_t *check, mod_weave_app_t *app,
                      const weave_conf_t *file, apr_array_header_t *sources)
{
    const apr_array_header_t *own = apr_table_elts(weave_conf_env(file));
    int i;

    for (i = 0; i < own->nelts; i++)
        setenv(APR_ARRAY_IDX(own, i, apr_table_entry_t).key,
               APR_ARRAY_IDX(own, i, apr_table_entry_t).val, 0);
    app->text_read =
        weave_conf_flatten(app->ini_now, file, sources, check->pconf);
    if (!app->text_read)
        fail(check,
             "WEAVE0278: %s could be read once, and not a second time: somebody"
             " is writing it. Try again",
             app->ini);
}

mod_weave_app_t *mod_weave_app_make(const weave_conf_t **file_read,
                                    mod_weave_check_t *check)
{
    mod_weave_app_t *app = apr_pcalloc(check->pconf, sizeof(*app));
    const weave_conf_t *file = conf_read(check);
    apr_array_header_t *sources =
        apr_array_make(check->ptemp, 64, sizeof(weave_ini_entry_t *));

    *file_read = file;
    if (!file)
        return NULL;
    if (!check->is_kept)
        check->stamp = weave_conf_stamp(file);
    app->ini = check->ini;
    app->ini_now = check->ini_now;
    app->is_kept = check->is_kept;
    app->ini_hash = weave_conf_hash(file);
    app->mode_where =
        app->is_kept
            ? apr_pstrcat(check->pconf, app->ini, ", as it was before", NULL)
            : weave_conf_source(file, WEAVE_MAINTENANCE_MODE, check->pconf);
    mod_weave_app_bind(check, app, file);
    check_mounts(check, app);
    app->embedded =
        weave_conf_int(app->conf, WEAVE_WORKERS_MODE) == WEAVE_MODE_EMBEDDED;
    check_app(check, app);
    if (!app->is_kept && !check->errors)
        text_make(check, app, file, sources);
    if (!check->errors)
        check_engine(check, app, sources);
    if (check->errors)
        app->text_read = NULL;
    app->slot = mod_weave_retained_slot(app->ini);
    if (app->slot < 0)
        fail(check,
             "WEAVE0129: there is room for %d applications in an httpd, and %s"
             " is one more: run it in another httpd",
             WEAVE_ROSTER_APPS, app->ini);
    else if (app->text_read && !app->embedded)
        app->spec_made = mod_weave_spec_make(app, check->s, check->pconf);
    if (app->text_read && !app->embedded && !app->spec_made && !check->errors)
        fail(check,
             "WEAVE0128: %s: a path or a name in its configuration is no UTF-8",
             app->ini);
    return app;
}
