/* SPDX-License-Identifier: Apache-2.0 */
/* weave_check.c: checks the files and folders that an application needs */
#include "weave_check.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_strings.h>

#include "weave_folder.h"

const char *weave_check_ini(const weave_ini_file_t *file, apr_pool_t *pool)
{
    const char *word;

    if (file->status.st_uid == 0 &&
        !(file->status.st_mode & (S_IWGRP | S_IWOTH)))
        return NULL;
    word = weave_shell_quote(file->path, pool);
    return apr_psprintf(
        pool,
        "WEAVE0003: %s decides what runs here, but users other than root can"
        " write it: `chown root %s && chmod go-w %s`",
        file->path, word, word);
}

const char *weave_check_script(const char *where, const char *script,
                               const char *callable, apr_pool_t *pool)
{
    apr_finfo_t finfo;
    apr_status_t rv = APR_SUCCESS;
    char why[120];

    if (*script)
        rv = apr_stat(&finfo, script, APR_FINFO_TYPE, pool);
    if (!*script || (rv == APR_SUCCESS && finfo.filetype == APR_REG))
        return NULL;
    return apr_psprintf(pool,
                        "WEAVE0004: %s: wsgi.script names %s: %s. Give the path"
                        " of the file that defines `%s`",
                        where, script,
                        rv == APR_SUCCESS ? "it is not a file"
                                          : apr_strerror(rv, why, sizeof(why)),
                        callable);
}

const char *weave_check_folder(const char *where, const char *name,
                               const char *path, apr_pool_t *pool)
{
    apr_finfo_t finfo;

    if (!*path ||
        (apr_stat(&finfo, path, APR_FINFO_TYPE, pool) == APR_SUCCESS &&
         finfo.filetype == APR_DIR))
        return NULL;
    return apr_psprintf(pool,
                        "WEAVE0125: %s: %s names %s, which is not a folder:"
                        " create it",
                        where, name, path);
}

const char *weave_check_virtualenv(weave_virtualenv_t **venv, const char *where,
                                   const char *path, long uid, apr_pool_t *pool)
{
    const char *problem = NULL;
    char resolved[PATH_MAX];

    if (!*path)
        return NULL;
    if (geteuid() == 0 && uid >= 0)
        problem = weave_folder_check(path, (uid_t)uid, pool);
    if (problem)
        return apr_psprintf(pool, "WEAVE0161: %s: wsgi.virtualenv: %s", where,
                            problem);
    /* a link that is changed must not change a running application */
    problem = weave_virtualenv_open(
        venv, realpath(path, resolved) ? resolved : path, pool);
    return problem ? apr_psprintf(pool, "WEAVE0005: %s: wsgi.virtualenv: %s",
                                  where, problem)
                   : NULL;
}

const char *weave_check_engine(const char *engine, const char *version,
                               apr_pool_t *pool)
{
    if (access(engine, R_OK) == 0)
        return NULL;
    return apr_psprintf(pool,
                        "WEAVE0006: there is no engine for Python %s: %s is"
                        " missing. Build and install it with `make install"
                        " PYTHONS=/path/to/python%s`",
                        version ? version : "(default)", engine,
                        version ? version : "3");
}

const char *weave_check_program(const char *libdir, const char *name,
                                apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, libdir, "/", name, NULL);

    if (access(path, X_OK) == 0)
        return NULL;
    return apr_psprintf(pool,
                        "WEAVE0126: %s is missing or cannot be executed:"
                        " install all parts of mod_weave together, with `make"
                        " install`",
                        path);
}
