/* SPDX-License-Identifier: Apache-2.0 */
/* spec.c: an application as weaved is told of it */
#include "parent.h"

#include <unistd.h>

#include <apr_strings.h>
#include <unixd.h>

#include "weave_environment.h"
#include "weave_spec.h"

#define PROCESSES_MOST 4 /* by default, however many cores there are */

static int processes_of(const weave_conf_t *conf)
{
    apr_int64_t given = weave_conf_int(conf, WEAVE_WORKERS_PROCESSES);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (given > 0)
        return (int)given;
    return cores < 1 ? 1 : cores < PROCESSES_MOST ? (int)cores : PROCESSES_MOST;
}

static void fill_limits(weave_spec_t *spec, const weave_conf_t *conf)
{
    spec->max_requests = weave_conf_int(conf, WEAVE_WORKERS_MAX_REQUESTS);
    spec->max_rss = weave_conf_int(conf, WEAVE_WORKERS_MAX_RSS);
    spec->request_timeout_us =
        weave_conf_int(conf, WEAVE_LIMITS_REQUEST_TIMEOUT);
    spec->startup_timeout_us =
        weave_conf_int(conf, WEAVE_LIMITS_STARTUP_TIMEOUT);
    spec->queue_length = (int)weave_conf_int(conf, WEAVE_LIMITS_QUEUE_LENGTH);
    spec->spool_dir = weave_conf_str(conf, WEAVE_LIMITS_SPOOL_DIR);
    spec->spool_max = weave_conf_int(conf, WEAVE_LIMITS_SPOOL_MAX);
    spec->spool_total = weave_conf_int(conf, WEAVE_LIMITS_SPOOL_TOTAL);
    spec->warmup = weave_conf_str(conf, WEAVE_RELEASE_WARMUP);
    spec->reload_touch =
        weave_conf_int(conf, WEAVE_RELEASE_RELOAD) == WEAVE_RELOAD_TOUCH;
}

static void fill_wsgi(weave_spec_t *spec, const mod_weave_app_t *app)
{
    const weave_conf_t *conf = app->conf;

    spec->virtualenv = weave_conf_str(conf, WEAVE_WSGI_VIRTUALENV);
    spec->script = weave_conf_str(conf, WEAVE_WSGI_SCRIPT);
    spec->module = weave_conf_str(conf, WEAVE_WSGI_MODULE);
    spec->callable = weave_conf_str(conf, WEAVE_WSGI_CALLABLE);
    spec->python_path =
        (apr_array_header_t *)weave_conf_list(conf, WEAVE_WSGI_PYTHON_PATH);
    spec->environ = (apr_table_t *)app->environ;
}

static apr_table_t *environment_make(mod_weave_app_t *app, apr_pool_t *pool)
{
    apr_array_header_t *absent = apr_array_make(pool, 4, sizeof(char *));
    apr_table_t *table =
        weave_environment_make(app->conf, environ, absent, pool);

    if (absent->nelts)
        app->absent = apr_psprintf(
            pool,
            "%s: workers.pass_env: httpd's environment does not have, as"
            " UTF-8: %s",
            weave_conf_source(app->conf, WEAVE_WORKERS_PASS_ENV, pool),
            apr_array_pstrcat(pool, absent, ' '));
    return table;
}

const char *mod_weave_spec_make(mod_weave_app_t *app, const server_rec *s,
                                apr_pool_t *pool)
{
    const weave_conf_t *conf = app->conf;
    int root = geteuid() == 0;
    weave_spec_t spec = {
        .app = mod_weave_retained_slot(app->ini),
        .name = app->ini,
        .ini = app->ini_now,
        .ini_text = app->text_read,
        .ini_hash = app->ini_hash,
        .libdir = mod_weave_libdir(pool),
        .software = ap_get_server_banner(),
        .processes = processes_of(conf),
        .threads = (int)weave_conf_int(conf, WEAVE_WORKERS_THREADS),
        .user = app->user,
        .uid = root ? (long)app->uid : -1,
        .gid = root ? (long)app->gid : -1,
        .umask = (int)weave_conf_int(conf, WEAVE_WORKERS_UMASK),
        .home = weave_conf_str(conf, WEAVE_WORKERS_HOME),
        .env = environment_make(app, pool),
        .socket_gid = root ? (long)ap_unixd_config.group_id : -1,
        .log_level = ap_get_server_module_loglevel(s, APLOG_MODULE_INDEX),
    };

    fill_wsgi(&spec, app);
    fill_limits(&spec, conf);
    app->slot = spec.app;
    if (spec.log_level > APLOG_DEBUG)
        spec.log_level = APLOG_DEBUG;
    return weave_spec_format(&spec, pool);
}
