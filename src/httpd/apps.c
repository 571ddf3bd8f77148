/* SPDX-License-Identifier: Apache-2.0 */
/* apps.c: the applications of this httpd */
#include "mod_weave.h"

#include <dlfcn.h>
#include <string.h>

#include <apr_strings.h>

/* As long as a pconf lives. */
static apr_array_header_t *the_good, *the_all; /* mod_weave_app_t * */
static mod_weave_app_t *the_embedded;

void mod_weave_apps_clear(apr_pool_t *pconf)
{
    the_embedded = NULL;
    the_good = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
    the_all = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
}

void mod_weave_apps_add(mod_weave_app_t *app, int is_good)
{
    APR_ARRAY_PUSH(is_good ? the_good : the_all, mod_weave_app_t *) = app;
}

void mod_weave_app_embed(mod_weave_app_t *app)
{
    the_embedded = app;
}

const apr_array_header_t *mod_weave_apps_good(void)
{
    return the_good;
}

const apr_array_header_t *mod_weave_apps(void)
{
    return the_all;
}

mod_weave_app_t *mod_weave_app_get(void)
{
    return the_embedded;
}

mod_weave_server_t *mod_weave_server_get(server_rec *s)
{
    return ap_get_module_config(s->module_config, &weave_module);
}

int mod_weave_is_configtest(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}

const char *mod_weave_libdir(apr_pool_t *pool)
{
    Dl_info info;
    const char *slash;

    if (dladdr(&weave_module, &info) && info.dli_fname &&
        (slash = strrchr(info.dli_fname, '/')))
        return apr_pstrmemdup(pool, info.dli_fname, slash - info.dli_fname);
    return ".";
}
