/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: finding and loading the shared object of an engine */
#include "mod_weave.h"

#include <dlfcn.h>
#include <string.h>

#include <apr_strings.h>

#include "weave_dso.h"

const weave_engine_t *mod_weave_engine;

/* Engines and programs lie beside this module. */
const char *mod_weave_libdir(apr_pool_t *pool)
{
    Dl_info info;
    const char *slash;

    if (dladdr(&weave_module, &info) && info.dli_fname &&
        (slash = strrchr(info.dli_fname, '/')))
        return apr_pstrmemdup(pool, info.dli_fname, slash - info.dli_fname);
    return ".";
}

const char *mod_weave_engine_load(const weave_engine_t **engine,
                                  const mod_weave_app_t *app, apr_pool_t *pool)
{
    const weave_virtualenv_t *venv = app->venv;
    const void *found;
    const char *problem = weave_dso_load(
        &found, venv ? venv->libpython : NULL, venv ? venv->soname : NULL,
        app->engine, WEAVE_ENGINE_SYMBOL, pool);

    if (problem)
        return problem;
    *engine = found;
    return weave_engine_mismatch(*engine, app->engine,
                                 venv ? venv->version : NULL);
}
