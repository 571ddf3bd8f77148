/* SPDX-License-Identifier: Apache-2.0 */
/* weave_dso.c: loads engines
 *
 * Uses dlopen() instead of apr_dso, because an engine must never be unloaded,
 * and libpython's symbols must be global: extension modules of many builds do
 * not link with it. */
#include "weave_dso.h"

#include <dlfcn.h>

#include <apr_strings.h>

const char *weave_dso_load(const void **found, const char *libpython,
                           const char *soname, const char *path,
                           const char *symbol, apr_pool_t *pool)
{
    void *object;

    if (libpython) {
        if (!dlopen(libpython, RTLD_NOW | RTLD_GLOBAL))
            return apr_psprintf(pool, "cannot load %s: %s", libpython,
                                dlerror());
    }
    else if (soname && !dlopen(soname, RTLD_NOW | RTLD_GLOBAL)) {
        (void)dlerror(); /* the object itself may be linked with it */
    }
    object = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!object)
        return apr_psprintf(pool, "cannot load the engine: %s", dlerror());
    *found = dlsym(object, symbol);
    if (!*found)
        return apr_psprintf(pool, "%s is no engine of mod_weave", path);
    return NULL;
}
