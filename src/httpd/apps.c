/* SPDX-License-Identifier: Apache-2.0 */
/* apps.c: the applications of this httpd */
#include "mod_weave.h"

#include <dlfcn.h>
#include <string.h>

#include <apr_strings.h>

struct mod_weave_apps_t mod_weave_apps;

void mod_weave_apps_clear(apr_pool_t *pconf)
{
    mod_weave_apps.good = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
    mod_weave_apps.all = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
    mod_weave_apps.embedded = NULL;
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
