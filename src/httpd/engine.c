/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: finding and loading the shared object of an engine
 *
 * dlopen() rather than apr_dso: what is loaded here must never be unloaded,
 * and libpython's symbols must be global, because extension modules of many
 * builds do not link with it. */
#include "mod_weave.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

/* The engines lie beside this module. VERSION NULL: the default one. */
const char *mod_weave_engine_path(const char *version, apr_pool_t *pool)
{
    Dl_info info;
    const char *folder = ".", *slash;

    if (dladdr(&weave_module, &info) && info.dli_fname &&
        (slash = strrchr(info.dli_fname, '/')))
        folder = apr_pstrmemdup(pool, info.dli_fname, slash - info.dli_fname);
    if (!version)
        return apr_pstrcat(pool, folder, "/weave-engine.so", NULL);
    return apr_pstrcat(pool, folder, "/weave-engine-", version, ".so", NULL);
}

static const char *load_libpython(const weave_virtualenv_t *venv,
                                  apr_pool_t *pool)
{
    if (!venv)
        return NULL;
    if (venv->libpython) {
        if (!dlopen(venv->libpython, RTLD_NOW | RTLD_GLOBAL))
            return apr_psprintf(pool, "cannot load %s: %s", venv->libpython,
                                dlerror());
        return NULL;
    }
    /* the system's; where the linker does not know it, the engine does */
    if (!dlopen(venv->soname, RTLD_NOW | RTLD_GLOBAL))
        (void)dlerror();
    return NULL;
}

static const char *check(const weave_engine_t *engine,
                         const mod_weave_app_t *app, apr_pool_t *pool)
{
    const char *wanted = app->venv ? app->venv->version : NULL;

    if (engine->magic != WEAVE_ENGINE_MAGIC ||
        engine->abi != WEAVE_ENGINE_ABI || engine->size != sizeof(*engine))
        return apr_psprintf(pool,
                            "%s belongs to another version of mod_weave:"
                            " install the engines and mod_weave.so together"
                            " (`make install`) and restart httpd",
                            app->engine);
    if (wanted && strcmp(wanted, engine->python) != 0)
        return apr_psprintf(pool, "%s is an engine for Python %s, not %s",
                            app->engine, engine->python, wanted);
    if (strncmp(engine->runtime_version(), engine->python,
                strlen(engine->python)) != 0)
        return apr_psprintf(pool,
                            "%s was built for Python %s, but the libpython"
                            " that was loaded is %s",
                            app->engine, engine->python,
                            engine->runtime_version());
    return NULL;
}

const char *mod_weave_engine_load(const weave_engine_t **engine,
                                  const mod_weave_app_t *app, apr_pool_t *pool)
{
    const char *problem = load_libpython(app->venv, pool);
    void *object;

    if (problem)
        return problem;
    object = dlopen(app->engine, RTLD_NOW | RTLD_GLOBAL);
    if (!object)
        return apr_psprintf(pool, "cannot load the engine: %s", dlerror());
    *engine = dlsym(object, WEAVE_ENGINE_SYMBOL);
    if (!*engine)
        return apr_psprintf(pool, "%s is no engine of mod_weave", app->engine);
    return check(*engine, app, pool);
}
