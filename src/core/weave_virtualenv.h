/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_VIRTUALENV_H
#define WEAVE_VIRTUALENV_H

/**
 * Finds out which Python a virtualenv belongs to, and so which engine and which
 * libpython must be loaded. Runs nothing of the virtualenv.
 */

#include <apr_pools.h>

typedef struct weave_virtualenv_t {
    const char *path;    /* the folder with pyvenv.cfg */
    const char *python;  /* path/bin/python: becomes sys.executable */
    const char *version; /* "3.11" */
    const char *home;    /* the folder of the Python that it was made from */
    /* That Python's libpython, or NULL where the system's linker finds it. */
    const char *libpython;
    const char *soname; /* "libpython3.11.so.1.0" */
} weave_virtualenv_t;

/**
 * Reads the virtualenv at PATH. Returns NULL and sets *virtualenv; or returns a
 * message for the administrator, with the cure. Both are in POOL.
 */
const char *weave_virtualenv_open(weave_virtualenv_t **virtualenv,
                                  const char *path, apr_pool_t *pool);

#endif
