/* SPDX-License-Identifier: Apache-2.0 */
/* check.c: what configtest and every start look at
 *
 * At configtest and at a first start a problem is fatal. In a running server
 * it is logged, and the application goes on with what it had: httpd would
 * otherwise leave, and take every other site with it. */
#include "mod_weave.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <mpm_common.h>
#include <apr_strings.h>

#include "weave_spec.h"

/* Embedded mode has room for one application. */
static mod_weave_app_t *the_app;

typedef struct {
    server_rec *s;
    apr_pool_t *pconf, *ptemp;
    apr_array_header_t *mounts; /* of mod_weave_mount_t *, all servers */
    apr_array_header_t *sets; /* of weave_conf_t *: the WeaveSet around each */
    int errors;
    int foreign_python; /* 1: another module has loaded one */
} check_t;

mod_weave_app_t *mod_weave_app_get(void)
{
    return the_app;
}

static int is_configtest(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}

static void fail(check_t *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fail(check_t *check, const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = apr_pvsprintf(check->ptemp, format, args);
    va_end(args);
    check->errors++;
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, check->s, "%s", text);
}

static const char *where(check_t *check, const weave_conf_t *conf,
                         weave_key_e key)
{
    return weave_conf_where(conf, key, check->ptemp);
}

static void report(check_t *check, const apr_array_header_t *problems)
{
    int i;

    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);
        const char *text = weave_problem_text(problem, check->ptemp);

        if (problem->level == WEAVE_PROBLEM_ERROR)
            fail(check, "WEAVE0001: %s", text);
        else
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, check->s, "WEAVE0002: %s",
                         text);
    }
}

/* ---- the file ---- */

/* As root: who may write a file that chooses code and users? */
static void check_owner(check_t *check, const weave_conf_t *conf)
{
    const apr_array_header_t *files = weave_conf_files(conf);
    int i;

    if (geteuid() != 0)
        return;
    for (i = 0; i < files->nelts; i++) {
        const weave_ini_file_t *file =
            &APR_ARRAY_IDX(files, i, weave_ini_file_t);

        if (file->finfo.user != 0 ||
            (file->finfo.protection & (APR_FPROT_GWRITE | APR_FPROT_WWRITE)))
            fail(check,
                 "WEAVE0003: %s can be written by somebody who is not root,"
                 " and decides what runs here: `chown root %s && chmod"
                 " go-w %s`",
                 file->path, file->path, file->path);
    }
}

/* ---- keys that need the file system ---- */

static void check_script(check_t *check, const weave_conf_t *conf)
{
    const char *script = weave_conf_str(conf, WEAVE_WSGI_SCRIPT);
    apr_finfo_t finfo;
    apr_status_t rv;
    char why[120];

    if (!*script)
        return;
    rv = apr_stat(&finfo, script, APR_FINFO_TYPE, check->ptemp);
    if (rv == APR_SUCCESS && finfo.filetype == APR_REG)
        return;
    fail(check,
         "WEAVE0004: %s: wsgi.script names %s: %s. Give the path of the file"
         " that defines `%s`",
         where(check, conf, WEAVE_WSGI_SCRIPT), script,
         rv == APR_SUCCESS ? "this is no file"
                           : apr_strerror(rv, why, sizeof(why)),
         weave_conf_str(conf, WEAVE_WSGI_CALLABLE));
    if (mod_weave_is_running())
        check->errors--; /* the children import it as soon as it is there */
}

static void check_virtualenv(check_t *check, mod_weave_app_t *app)
{
    const char *path = weave_conf_str(app->conf, WEAVE_WSGI_VIRTUALENV);
    const char *problem;
    char resolved[PATH_MAX];
    weave_virtualenv_t *venv;

    if (!*path)
        return;
    /* a link that moves on must not change a running application */
    problem = weave_virtualenv_open(
        &venv, realpath(path, resolved) ? resolved : path, check->pconf);
    if (problem)
        fail(check, "WEAVE0005: %s: wsgi.virtualenv: %s",
             where(check, app->conf, WEAVE_WSGI_VIRTUALENV), problem);
    else
        app->venv = venv;
}

static void check_engine(check_t *check, mod_weave_app_t *app)
{
    const char *version = app->venv ? app->venv->version : NULL, *problem;

    app->engine = weave_spec_engine(mod_weave_libdir(check->ptemp), version,
                                    check->pconf);
    if (access(app->engine, R_OK) != 0) {
        fail(check,
             "WEAVE0006: there is no engine for Python %s: %s is missing."
             " Build and install it with `make install"
             " PYTHONS=/path/to/python%s`",
             version ? version : "(default)", app->engine,
             version ? version : "3");
        return;
    }
    if (!is_configtest())
        return;
    problem = mod_weave_probe(app, check->ptemp);
    if (problem)
        fail(check, "WEAVE0007: %s", problem);
}

/* ---- what embedded mode cannot do ---- */

static void check_mode(check_t *check, const weave_conf_t *conf)
{
    if (weave_conf_int(conf, WEAVE_WORKERS_MODE) != WEAVE_MODE_EMBEDDED)
        fail(check,
             "WEAVE0008: %s: workers.mode = processes is not in this release"
             " of mod_weave: remove the line, or write `mode = embedded`",
             where(check, conf, WEAVE_WORKERS_MODE));
}

static void note_ignored(check_t *check, const weave_conf_t *conf)
{
    int key;

    if (!is_configtest())
        return;
    for (key = 0; key < WEAVE_KEY_COUNT; key++)
        if (weave_conf_is_set(conf, key) && !weave_key_get(key)->embedded)
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, check->s,
                         "WEAVE0009: %s: %s has no meaning in embedded mode"
                         " and is ignored",
                         where(check, conf, key), weave_key_get(key)->full);
}

/* Two mounts share one Python: what makes it cannot differ. */
static void check_same(check_t *check, const weave_conf_t *one,
                       const weave_conf_t *other)
{
    int key;

    for (key = 0; key < WEAVE_KEY_COUNT; key++) {
        const weave_key_t *row = weave_key_get(key);

        if (row->level == WEAVE_LEVEL_REQUEST ||
            weave_conf_same(one, other, key))
            continue;
        fail(check,
             "WEAVE0010: %s has two values for one application, at %s and"
             " %s: it can only have one",
             row->full, where(check, one, key), where(check, other, key));
    }
}

/* ---- an application ---- */

static weave_conf_t *read_conf(check_t *check, const char *path)
{
    const mod_weave_mount_t *mount =
        APR_ARRAY_IDX(check->mounts, 0, mod_weave_mount_t *);
    apr_array_header_t *problems = weave_problems_make(check->ptemp);
    weave_conf_t *conf = NULL;

    weave_conf_read(&conf, path, problems, check->pconf);
    if (conf)
        report(check, problems);
    else
        fail(check,
             "WEAVE0015: %s:%d: WeaveApp: %s. Give the path of a"
             " sync.ini",
             mount->file, mount->line,
             weave_problem_text(APR_ARRAY_IDX(problems, 0, weave_problem_t *),
                                check->ptemp));
    return conf;
}

/* Everything about APP but its file. */
static void check_app(check_t *check, mod_weave_app_t *app)
{
    apr_array_header_t *problems = weave_problems_make(check->ptemp);

    weave_conf_check(app->conf, problems);
    report(check, problems);
    check_mode(check, app->conf);
    note_ignored(check, app->conf);
    check_script(check, app->conf);
    check_virtualenv(check, app);
    if (!check->errors)
        check_engine(check, app);
}

/* Gives each mount its configuration; the first one's makes the process. */
static void bind_mounts(check_t *check, mod_weave_app_t *app,
                        const weave_conf_t *file)
{
    int i;

    for (i = 0; i < check->mounts->nelts; i++) {
        mod_weave_mount_t *mount =
            APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *);
        const weave_conf_t *set = APR_ARRAY_IDX(check->sets, i, weave_conf_t *);

        mount->conf = set ? weave_conf_merge(check->pconf, file, set) : file;
        mount->app = app;
        if (i == 0)
            app->conf = mount->conf;
        else
            check_same(check, app->conf, mount->conf);
    }
}

static mod_weave_app_t *make_app(check_t *check, const char *ini,
                                 const char *ini_now)
{
    mod_weave_app_t *app = apr_pcalloc(check->pconf, sizeof(*app));
    const weave_conf_t *file = read_conf(check, ini_now);

    if (!file)
        return NULL;
    app->ini = ini;
    app->ini_now = ini_now;
    app->environ = weave_conf_environ(file);
    bind_mounts(check, app, file);
    if (ini_now == ini) /* what is kept was checked when it was read */
        check_owner(check, file);
    check_app(check, app);
    if (ini_now == ini && !check->errors)
        app->flat = weave_conf_flatten(ini, file, check->pconf);
    return app;
}

/* ---- all of it ---- */

static void collect(check_t *check, server_rec *main_server)
{
    server_rec *s;
    int i;

    for (s = main_server; s; s = s->next) {
        mod_weave_server_t *conf = mod_weave_server_get(s);

        for (i = 0; i < conf->mounts->nelts; i++) {
            APR_ARRAY_PUSH(check->mounts, mod_weave_mount_t *) =
                APR_ARRAY_IDX(conf->mounts, i, mod_weave_mount_t *);
            APR_ARRAY_PUSH(check->sets, weave_conf_t *) = conf->set;
        }
    }
}

static const char *resolved(check_t *check, const char *path)
{
    char real[PATH_MAX];

    return realpath(path, real) ? apr_pstrdup(check->pconf, real) : path;
}

static int is_earlier(const mod_weave_mount_t *one,
                      const mod_weave_mount_t *other)
{
    return !strcmp(one->file, other->file) && one->line < other->line;
}

/* The application that runs already, or else the first in httpd.conf. */
static const mod_weave_mount_t *choose(check_t *check)
{
    const char *running = mod_weave_retained_ini();
    const mod_weave_mount_t *chosen = NULL;
    int i;

    for (i = 0; i < check->mounts->nelts; i++) {
        const mod_weave_mount_t *mount =
            APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *);

        if (running && !strcmp(resolved(check, mount->ini), running))
            return mount;
        if (!chosen || is_earlier(mount, chosen))
            chosen = mount;
    }
    return chosen;
}

/* The ini that all mounts name. Mounts of another one leave the list. */
static const char *only_ini(check_t *check)
{
    const apr_array_header_t *mounts = check->mounts, *sets = check->sets;
    const mod_weave_mount_t *chosen = choose(check);
    const char *ini = resolved(check, chosen->ini);
    int i;

    check->mounts = apr_array_make(check->pconf, 4, sizeof(void *));
    check->sets = apr_array_make(check->pconf, 4, sizeof(void *));
    for (i = 0; i < mounts->nelts; i++) {
        mod_weave_mount_t *mount =
            APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *);

        if (!strcmp(resolved(check, mount->ini), ini)) {
            APR_ARRAY_PUSH(check->mounts, mod_weave_mount_t *) = mount;
            APR_ARRAY_PUSH(check->sets, weave_conf_t *) =
                APR_ARRAY_IDX(sets, i, weave_conf_t *);
            continue;
        }
        fail(check,
             "WEAVE0011: %s:%d: embedded mode has room for one application in"
             " an httpd, and %s:%d has mounted %s already. Mount the same"
             " sync.ini, or run a second httpd",
             mount->file, mount->line, chosen->file, chosen->line, chosen->ini);
    }
    return ini;
}

static void check_process(check_t *check)
{
    const char *loaded = mod_weave_libpython_loaded(check->ptemp);

    check->foreign_python = loaded != NULL;
    if (loaded)
        fail(check,
             "WEAVE0012: another module has loaded %s into httpd; two Pythons"
             " in one process do not work. Disable it (mod_wsgi: `a2dismod"
             " wsgi`)",
             loaded);
}

/* Nobody answers for these but the 503. */
static void unbind_mounts(check_t *check)
{
    int i;

    for (i = 0; i < check->mounts->nelts; i++)
        APR_ARRAY_IDX(check->mounts, i, mod_weave_mount_t *)->app = NULL;
    the_app = NULL;
}

/* The running server's last word: what was good before. */
static void fall_back(check_t *check, const char *ini)
{
    const char *kept = mod_weave_retained_ini(), *text = NULL;

    unbind_mounts(check);
    check->errors = 0;
    if (kept && !check->foreign_python)
        text = mod_weave_retained_text(check->pconf);
    if (text)
        the_app = make_app(check, kept, text);
    if (the_app && !check->errors) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, check->s,
                     "WEAVE0013: the application of %s goes on with the"
                     " configuration it had; mend what is wrong and use"
                     " `apachectl graceful` again",
                     kept);
        return;
    }
    unbind_mounts(check);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, check->s,
                 "WEAVE0014: the application of %s answers 503 until its"
                 " configuration is mended",
                 ini);
}

/* `httpd -k stop` checks the configuration before it sends a signal to the
 * httpd that runs, and must not fail because of ours. */
static int is_command(apr_pool_t *pool)
{
    pid_t pid;

    return !is_configtest() &&
           ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG &&
           ap_read_pid(pool, ap_pid_fname, &pid) == APR_SUCCESS &&
           kill(pid, 0) == 0;
}

int mod_weave_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *main_server)
{
    check_t check = {main_server, pconf, ptemp, NULL, NULL, 0, 0};
    const char *ini;

    (void)plog;
    the_app = NULL;
    check.mounts = apr_array_make(pconf, 4, sizeof(mod_weave_mount_t *));
    check.sets = apr_array_make(pconf, 4, sizeof(weave_conf_t *));
    collect(&check, main_server);
    if (!check.mounts->nelts)
        return OK;
    check_process(&check);
    ini = only_ini(&check);
    the_app = make_app(&check, ini, ini);
    if (!check.errors)
        return OK;
    if (is_command(ptemp))
        return OK;
    if (!mod_weave_is_running())
        return HTTP_INTERNAL_SERVER_ERROR;
    fall_back(&check, ini);
    return OK;
}

int mod_weave_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *main_server)
{
    (void)plog;
    (void)ptemp;
    (void)main_server;
    ap_add_version_component(pconf, MOD_WEAVE_NAME "/" MOD_WEAVE_VERSION);
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG)
        mod_weave_retain(the_app);
    return OK;
}
