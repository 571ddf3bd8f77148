/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_VIRTUALENV_H
#define WEAVE_VIRTUALENV_H

/**
 * A virtualenv, seen without running anything of it: which Python it belongs
 * to, and so which engine and which libpython must be loaded.
 */

#include <apr_pools.h>

typedef struct weave_virtualenv_t {
    const char *path;    /* the folder with pyvenv.cfg */
    const char *python;  /* path/bin/python: becomes sys.executable */
    const char *version; /* "3.11" */
    const char *home;    /* where the Python it was made from lives */
    /* That Python's libpython, or NULL where the system's linker knows it. */
    const char *libpython;
    const char *soname; /* "libpython3.11.so.1.0" */
} weave_virtualenv_t;

/**
 * Looks at PATH. NULL and *virtualenv, or a message for the administrator
 * with the cure; both in POOL.
 */
const char *weave_virtualenv_open(weave_virtualenv_t **virtualenv,
                                  const char *path, apr_pool_t *pool);

#endif
