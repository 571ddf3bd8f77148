/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_DSO_H
#define WEAVE_DSO_H

/**
 * Loading an engine and the libpython that belongs to it, for good: what comes
 * in here is never unloaded. What the object offers is its host's business
 * (weave_engine.h).
 */

#include <apr_pools.h>

/**
 * Loads LIBPYTHON (a path; NULL: SONAME, where the linker knows it; both NULL:
 * whatever the object is linked with) and the object at PATH, both with global
 * symbols, and finds SYMBOL in it. NULL and *found, or what is wrong.
 */
const char *weave_dso_load(const void **found, const char *libpython,
                           const char *soname, const char *path,
                           const char *symbol, apr_pool_t *pool);

#endif
