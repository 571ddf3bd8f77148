/* SPDX-License-Identifier: Apache-2.0 */
/* config.c: weavectl config and weavectl check */
#include "ctl.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "weave_conf.h"
#include "weave_file.h"
#include "weave_spec.h"

#define PAGE_BYTES 262144 /* as httpd has it: docs/keys/maintenance.page.md */

/* The configuration of the ini, its problems printed. NULL: unreadable. */
static weave_conf_t *conf_read(const ctl_t *ctl, int *errors)
{
    apr_array_header_t *problems = weave_problems_make(ctl->pool);
    weave_conf_t *conf = NULL;
    int i;

    weave_conf_read(&conf, ctl->ini, problems, ctl->pool);
    if (conf)
        weave_conf_check(conf, problems);
    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);

        ctl_error("%s: %s",
                  problem->level == WEAVE_PROBLEM_ERROR ? "error" : "notice",
                  weave_problem_text(problem, ctl->pool));
    }
    *errors = weave_problems_count(problems, WEAVE_PROBLEM_ERROR);
    return conf;
}

/* ---- config ---- */

static const char *joined(const apr_array_header_t *list, apr_pool_t *pool)
{
    return apr_array_pstrcat(pool, list, ' ');
}

/* As it could be written; what is not set, as people are told it. */
static const char *value_of(const weave_conf_t *conf, const weave_key_t *key,
                            apr_pool_t *pool)
{
    apr_int64_t number = weave_conf_int(conf, key->key);

    if (!weave_conf_is_set(conf, key->key) && key->shown)
        return key->shown;
    switch (key->type) {
    case WEAVE_TYPE_PATHS:
    case WEAVE_TYPE_NETS:
        return joined(weave_conf_list(conf, key->key), pool);
    case WEAVE_TYPE_BOOL:
        return number ? "true" : "false";
    case WEAVE_TYPE_OCTAL:
        return apr_psprintf(pool, "%04o", (unsigned)number);
    case WEAVE_TYPE_DURATION:
        return number % 1000000
                   ? apr_psprintf(pool, "%ldms", (long)(number / 1000))
                   : apr_psprintf(pool, "%ld s", (long)(number / 1000000));
    case WEAVE_TYPE_PERCENT:
        return apr_psprintf(pool, "%ld %%", (long)number);
    case WEAVE_TYPE_INT:
    case WEAVE_TYPE_SIZE:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, number);
    default:
        return weave_conf_str(conf, key->key);
    }
}

typedef struct {
    json_t *rows; /* NULL: for people */
} out_t;

static void put(out_t *out, const char *name, const char *value,
                const char *where)
{
    if (out->rows)
        json_array_append_new(out->rows,
                              json_pack("{s:s, s:s, s:s}", "key", name, "value",
                                        value, "where", where));
    else
        ctl_line("%-32s %-32s %s", name, *value ? value : "-", where);
}

static void put_family(out_t *out, const weave_key_t *key,
                       const apr_table_t *table, const char *where,
                       apr_pool_t *pool)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        put(out, apr_pstrcat(pool, key->full, row->key, NULL), row->val, where);
    }
}

static void put_key(out_t *out, const weave_conf_t *conf, int number,
                    apr_pool_t *pool)
{
    const weave_key_t *key = weave_key_get((weave_key_e)number);
    const char *where = weave_conf_where(conf, key->key, pool);

    if (key->type == WEAVE_TYPE_PREFIX)
        put_family(out, key,
                   key->key == WEAVE_WSGI_ENVIRON ? weave_conf_environ(conf)
                                                  : weave_conf_env(conf),
                   where, pool);
    else
        put(out, key->full, value_of(conf, key, pool), where);
}

int ctl_config(const ctl_t *ctl)
{
    int errors, i;
    const weave_conf_t *conf = conf_read(ctl, &errors);
    out_t out = {ctl->json ? json_array() : NULL};

    if (!conf)
        return CTL_FAILED;
    for (i = 0; i < WEAVE_KEY_COUNT; i++)
        put_key(&out, conf, i, ctl->pool);
    if (out.rows) {
        ctl_json_print(out.rows, 0);
        json_decref(out.rows);
    }
    return errors ? CTL_FAILED : CTL_DONE;
}

/* ---- check ---- */

static int wrong(const ctl_t *ctl, const weave_conf_t *conf, weave_key_e key,
                 const char *text)
{
    ctl_error("error: %s: %s: %s", weave_conf_where(conf, key, ctl->pool),
              weave_key_get(key)->full, text);
    return 1;
}

static int check_file(const ctl_t *ctl, const weave_conf_t *conf,
                      weave_key_e key, mode_t kind, const char *text)
{
    const char *path = weave_conf_str(conf, key);
    struct stat status;

    if (!*path ||
        (stat(path, &status) == 0 && (status.st_mode & S_IFMT) == kind))
        return 0;
    return wrong(ctl, conf, key, apr_psprintf(ctl->pool, "%s %s", path, text));
}

/* As this user: whether httpd's may read it only httpd knows. */
static int check_page(const ctl_t *ctl, const weave_conf_t *conf)
{
    const char *path = weave_conf_str(conf, WEAVE_MAINTENANCE_PAGE);
    weave_file_t file;
    apr_status_t rv;

    if (!*path)
        return 0;
    rv = weave_file_read(&file, AT_FDCWD, path, PAGE_BYTES, ctl->pool);
    if (rv == APR_SUCCESS)
        return 0;
    return wrong(ctl, conf, WEAVE_MAINTENANCE_PAGE,
                 apr_psprintf(ctl->pool, "%s: %s", path,
                              rv == WEAVE_FILE_OTHER || rv == WEAVE_FILE_LONG
                                  ? "this is no file of at most 256 KiB"
                                  : strerror(rv)));
}

static int check_virtualenv(const ctl_t *ctl, const weave_conf_t *conf)
{
    weave_spec_t *resolved;
    weave_spec_t spec = {
        .libdir = ctl->libdir,
        .virtualenv = weave_conf_str(conf, WEAVE_WSGI_VIRTUALENV),
        .script = weave_conf_str(conf, WEAVE_WSGI_SCRIPT),
    };
    const char *problem = weave_spec_resolve(&resolved, &spec, ctl->pool);

    return problem ? wrong(ctl, conf, WEAVE_WSGI_VIRTUALENV, problem) : 0;
}

static int check_user(const ctl_t *ctl, const weave_conf_t *conf)
{
    const char *user = weave_conf_str(conf, WEAVE_WORKERS_USER);
    const struct passwd *found = *user ? getpwnam(user) : NULL;

    if (*user && !found)
        return wrong(ctl, conf, WEAVE_WORKERS_USER,
                     apr_psprintf(ctl->pool, "there is no user %s", user));
    if (found && found->pw_uid == 0)
        return wrong(ctl, conf, WEAVE_WORKERS_USER,
                     "workers never run as root");
    return 0;
}

int ctl_check(const ctl_t *ctl)
{
    int errors;
    const weave_conf_t *conf = conf_read(ctl, &errors);

    if (!conf)
        return CTL_FAILED;
    errors += check_file(ctl, conf, WEAVE_WSGI_SCRIPT, S_IFREG,
                         "is no file: give the path of the script");
    errors += check_file(ctl, conf, WEAVE_WORKERS_HOME, S_IFDIR,
                         "is no folder: make it");
    errors += check_file(ctl, conf, WEAVE_LIMITS_SPOOL_DIR, S_IFDIR,
                         "is no folder: make it");
    errors += check_page(ctl, conf);
    errors += check_virtualenv(ctl, conf);
    errors += check_user(ctl, conf);
    if (!errors)
        ctl_line("%s: no mistake found", ctl->ini);
    return errors ? CTL_FAILED : CTL_DONE;
}
