/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CHECK_H
#define WEAVE_CHECK_H

/**
 * Checks the files and folders that an application needs, so that httpd at
 * configtest, weaved before each generation, and weavectl report the same. Each
 * function returns NULL, or a message with its number and the cure, in
 * POOL. WHERE is the source of the value, for the message: FILE:LINE, or FILE.
 * An empty path is not checked.
 */

#include <sys/types.h>

#include <apr_pools.h>

#include "weave_ini.h"

typedef struct weave_virtualenv_t {
    const char *path;    /* the folder with pyvenv.cfg */
    const char *python;  /* path/bin/python: becomes sys.executable */
    const char *version; /* "3.11" */
    const char *home;    /* the folder of the Python that it was made from */
    /* That Python's libpython, or NULL where the system's linker finds it. */
    const char *libpython;
    const char *soname; /* "libpython3.11.so.1.0" */
} weave_virtualenv_t;

/** Checks that only root may write FILE, which chooses code and users. */
const char *weave_check_ini(const weave_ini_file_t *file, apr_pool_t *pool);

/** Checks that SCRIPT, which defines CALLABLE, is a file. */
const char *weave_check_script(const char *where, const char *script,
                               const char *callable, apr_pool_t *pool);

/** Checks that PATH, the value of the key NAME, is a folder. */
const char *weave_check_folder(const char *where, const char *name,
                               const char *path, apr_pool_t *pool);

/** Finds out which Python the virtualenv at PATH belongs to, and so which
 *  engine and which libpython must be loaded. Runs nothing of it. */
const char *weave_virtualenv_open(weave_virtualenv_t **virtualenv,
                                  const char *path, apr_pool_t *pool);

/** Checks that only root and the user UID can exchange the folder PATH; or, in
 *  or below HOME (release.home; "": none), root and the owner of HOME, as whom
 *  weavectl makes releases. On failure *problem is a message with the cure;
 *  EPERM: somebody else could. */
apr_status_t weave_check_way(const char **problem, const char *path, uid_t uid,
                             const char *home, apr_pool_t *pool);

/** Opens the virtualenv in PATH, which may be a link, and sets *venv. When this
 *  process is root, does weave_check_way() (UID -1: does not). */
const char *weave_check_virtualenv(weave_virtualenv_t **venv, const char *where,
                                   const char *path, long uid, const char *home,
                                   apr_pool_t *pool);

/** Checks that ENGINE exists, for Python VERSION (NULL: the default). */
const char *weave_check_engine(const char *engine, const char *version,
                               apr_pool_t *pool);

/** Checks that the program NAME in LIBDIR can be executed. */
const char *weave_check_program(const char *libdir, const char *name,
                                apr_pool_t *pool);

#endif
