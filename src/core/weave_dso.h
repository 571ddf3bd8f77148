/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_DSO_H
#define WEAVE_DSO_H

/**
 * Loads an engine and the libpython that belongs to it. They are never
 * unloaded. weave_engine.h describes what an engine offers.
 */

#include <apr_pools.h>

/**
 * Loads LIBPYTHON (a path; NULL: SONAME, which the linker finds; both NULL: the
 * one that the object is linked with) and the object at PATH, both with global
 * symbols, and looks SYMBOL up in it. Returns NULL and sets *found; or returns
 * a message in POOL.
 */
const char *weave_dso_load(const void **found, const char *libpython,
                           const char *soname, const char *path,
                           const char *symbol, apr_pool_t *pool);

#endif
