/* SPDX-License-Identifier: Apache-2.0 */
/* weave_check.c: checks the files and folders that an application needs */
#include "weave_check.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_cstr.h>
#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "weave_file.h"
#include "weave_folder.h"

#define CONFIG_BYTES 65536

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

/* ---- virtualenvs (PEP 405) ---- */

static const char *text_trim(char *text)
{
    char *end = text + strlen(text);

    while (apr_isspace(*text))
        text++;
    while (end > text && apr_isspace(end[-1]))
        *--end = '\0';
    return text;
}

/* Reads a line `key = value`. venv writes `version`, the virtualenv command
 * `version_info`. */
static void config_line_read(weave_virtualenv_t *venv, char *line,
                             apr_pool_t *pool)
{
    char *equals = strchr(line, '=');
    const char *key, *value;
    int major, minor;

    if (!equals)
        return;
    *equals = '\0';
    key = text_trim(line);
    value = text_trim(equals + 1);
    if (!apr_cstr_casecmp(key, "home"))
        venv->home = apr_pstrdup(pool, value);
    else if ((!apr_cstr_casecmp(key, "version") ||
              !apr_cstr_casecmp(key, "version_info")) &&
             sscanf(value, "%d.%d", &major, &minor) == 2)
        venv->version = apr_psprintf(pool, "%d.%d", major, minor);
}

static const char *config_read(weave_virtualenv_t *venv, apr_pool_t *pool)
{
    const char *name = apr_pstrcat(pool, venv->path, "/pyvenv.cfg", NULL);
    weave_file_t file;
    apr_status_t rv =
        weave_file_read(&file, AT_FDCWD, name, CONFIG_BYTES, pool);
    char *line, *rest;

    if (APR_STATUS_IS_ENOENT(rv))
        return apr_psprintf(
            pool,
            "%s is no virtualenv: it has no pyvenv.cfg. Make one with"
            " `python3 -m venv %s`",
            venv->path, weave_shell_quote(venv->path, pool));
    if (rv != APR_SUCCESS)
        return apr_psprintf(
            pool,
            "%s: %s. Make the virtualenv anew with `python3 -m venv --clear"
            " %s`",
            name, weave_file_error_text(rv, CONFIG_BYTES, pool),
            weave_shell_quote(venv->path, pool));
    for (line = apr_strtok(file.data, "\n", &rest); line;
         line = apr_strtok(NULL, "\n", &rest))
        config_line_read(venv, line, pool);
    if (!venv->home || !venv->version)
        return apr_psprintf(
            pool,
            "%s does not say `home` and `version`: make the virtualenv"
            " anew with `python3 -m venv --clear %s`",
            name, weave_shell_quote(venv->path, pool));
    return NULL;
}

/* Checks that the Python is still there. When another version has replaced it,
 * that one does not look into the folder of the packages. */
static const char *python_check(const weave_virtualenv_t *venv,
                                apr_pool_t *pool)
{
    const char *base =
        apr_psprintf(pool, "%s/python%s", venv->home, venv->version);
    const char *packages =
        apr_psprintf(pool, "%s/lib/python%s", venv->path, venv->version);
    const char *cure = apr_psprintf(
        pool,
        "Install that Python again, or make the virtualenv anew with"
        " `python3 -m venv --clear %s` and install its packages",
        weave_shell_quote(venv->path, pool));

    if (access(base, X_OK) < 0)
        return apr_psprintf(pool,
                            "the virtualenv %s was made with Python %s, which"
                            " is not in %s any more. %s",
                            venv->path, venv->version, venv->home, cure);
    if (access(packages, R_OK | X_OK) < 0)
        return apr_psprintf(pool,
                            "the virtualenv %s belongs to Python %s, but"
                            " %s cannot be read. %s",
                            venv->path, venv->version, packages, cure);
    if (access(venv->python, X_OK) < 0)
        return apr_psprintf(pool, "%s cannot be executed. %s", venv->python,
                            cure);
    return NULL;
}

static const char *libpython_find(weave_virtualenv_t *venv, apr_pool_t *pool)
{
    static const char *const folders[] = {"lib", "lib64", NULL};
    char *prefix = apr_pstrdup(pool, venv->home);
    char *slash = strrchr(prefix, '/');
    int i;

    venv->soname = apr_psprintf(pool, "libpython%s.so.1.0", venv->version);
    if (slash)
        *slash = '\0';
    for (i = 0; folders[i]; i++) {
        const char *path =
            apr_pstrcat(pool, prefix, "/", folders[i], "/", venv->soname, NULL);

        if (access(path, R_OK) == 0) {
            venv->libpython = path;
            return NULL;
        }
    }
    /* the linker finds the library of the system's own Python */
    if (!strcmp(prefix, "/usr") || !strcmp(prefix, "") ||
        !strcmp(prefix, "/usr/local"))
        return NULL;
    return apr_psprintf(pool,
                        "the Python in %s has no shared library %s in %s/lib:"
                        " it was built without --enable-shared. Use a Python"
                        " that was built with it",
                        venv->home, venv->soname, prefix);
}

const char *weave_virtualenv_open(weave_virtualenv_t **virtualenv,
                                  const char *path, apr_pool_t *pool)
{
    weave_virtualenv_t *venv = apr_pcalloc(pool, sizeof(*venv));
    const char *problem;
    apr_finfo_t finfo;
    apr_status_t rv = apr_stat(&finfo, path, APR_FINFO_TYPE, pool);
    char why[120];

    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE)
        return apr_psprintf(pool,
                            "the virtualenv %s: %s. Make one with"
                            " `python3 -m venv %s`",
                            path, apr_strerror(rv, why, sizeof(why)),
                            weave_shell_quote(path, pool));
    venv->path = apr_pstrdup(pool, path);
    venv->python = apr_pstrcat(pool, path, "/bin/python", NULL);
    problem = config_read(venv, pool);
    if (!problem)
        problem = python_check(venv, pool);
    if (!problem)
        problem = libpython_find(venv, pool);
    if (!problem)
        *virtualenv = venv;
    return problem;
}

/* ---- who can exchange code ---- */

static int is_in(const char *path, const char *folder)
{
    apr_size_t bytes = strlen(folder);

    return !strncmp(path, folder, bytes) &&
           (!path[bytes] || path[bytes] == '/');
}

/* Finds the user who owns HOME, where PATH is in it, also by links above. */
static int home_owner_find(uid_t *owner, const char *path, const char *home)
{
    char resolved[PATH_MAX];
    struct stat status;

    if (!*home || (!is_in(path, home) &&
                   !(realpath(home, resolved) && is_in(path, resolved))))
        return 0;
    if (stat(home, &status) < 0)
        return 0;
    *owner = status.st_uid;
    return 1;
}

apr_status_t weave_check_way(const char **problem, const char *path, uid_t uid,
                             const char *home, apr_pool_t *pool)
{
    weave_folder_t folder;
    apr_status_t rv = weave_folder_open(&folder, problem, path, uid, 0, pool);
    uid_t owner;

    if (rv == EPERM && home_owner_find(&owner, path, home) && owner != 0 &&
        owner != uid)
        rv = weave_folder_open(&folder, problem, path, owner, 0, pool);
    if (rv == APR_SUCCESS)
        close(folder.fd);
    return rv;
}

/* Tells whether PATH is the link that the first release makes, and is not there
 * yet. */
static int is_before_releases(const char *path, const char *home)
{
    apr_size_t bytes = strlen(home);
    struct stat status;

    return bytes && !strncmp(path, home, bytes) &&
           !strcmp(path + bytes, "/current") && lstat(path, &status) < 0 &&
           errno == ENOENT;
}

const char *weave_check_virtualenv(weave_virtualenv_t **venv, const char *where,
                                   const char *path, long uid, const char *home,
                                   apr_pool_t *pool)
{
    const char *problem = NULL;
    char resolved[PATH_MAX];
    int is_early;

    if (!*path)
        return NULL;
    is_early = is_before_releases(path, home);
    if (!is_early && geteuid() == 0 && uid >= 0 &&
        weave_check_way(&problem, path, (uid_t)uid, home, pool) != APR_SUCCESS)
        return apr_psprintf(pool, "WEAVE0161: %s: wsgi.virtualenv: %s", where,
                            problem);
    /* a link that is changed must not change a running application */
    problem =
        is_early
            ? apr_psprintf(pool,
                           "there is no release in %s yet: `weavectl install`"
                           " makes the first one",
                           home)
            : weave_virtualenv_open(
                  venv, realpath(path, resolved) ? resolved : path, pool);
    return problem ? apr_psprintf(pool, "WEAVE0005: %s: wsgi.virtualenv: %s",
                                  where, problem)
                   : NULL;
}

/* ---- what is installed ---- */

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
