/* SPDX-License-Identifier: Apache-2.0 */
/* spec.c: an application as weaved is told of it */
#include "parent.h"

#include <unistd.h>

#include <apr_strings.h>
#include <unixd.h>

#include "weave_environment.h"
#include "weave_spec.h"

static apr_table_t *passed_make(mod_weave_app_t *app, apr_pool_t *pool)
{
    apr_array_header_t *absent = apr_array_make(pool, 4, sizeof(char *));
    apr_table_t *table =
        weave_environment_passed(app->conf, environ, absent, pool);

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
    int root = geteuid() == 0;
    weave_spec_t spec = {
        .app = app->slot,
        .name = app->ini,
        .ini = app->ini_now,
        .ini_text = app->text_read,
        .ini_hash = app->ini_hash,
        .libdir = mod_weave_libdir(pool),
        .software = ap_get_server_banner(),
        .keys =
            weave_conf_text(app->conf, WEAVE_CONF_PROCESS, app->environ, pool),
        .passed = passed_make(app, pool),
        .user = app->user,
        .uid = root ? (long)app->uid : -1,
        .gid = root ? (long)app->gid : -1,
        .socket_gid = root ? (long)ap_unixd_config.group_id : -1,
        .log_level = ap_get_server_module_loglevel(s, APLOG_MODULE_INDEX),
    };

    if (spec.log_level > APLOG_DEBUG)
        spec.log_level = APLOG_DEBUG;
    return weave_spec_format(&spec, pool);
}
