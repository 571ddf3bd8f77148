/* SPDX-License-Identifier: Apache-2.0 */
/* config.c: weavectl config and weavectl check */
#include <fcntl.h>
#include <pwd.h>
#include <string.h>

#include <apr_strings.h>

#include "ini.h"
#include "say.h"
#include "weave_check.h"
#include "weave_control.h"
#include "weave_file.h"
#include "weave_spec.h"

#define PAGE_BYTES 262144 /* as httpd has it: docs/keys/maintenance.page.md */

/* Reads the INI and prints its problems. Returns NULL where it cannot be read.
 */
static weave_conf_t *conf_load(const ctl_t *ctl, int *errors)
{
    apr_array_header_t *problems = weave_problems_make(ctl->pool);
    weave_conf_t *conf =
        ctl_ini_read(ctl->ini ? ctl->ini : CTL_DEFAULT_INI, problems);

    if (conf)
        weave_conf_check(conf, problems);
    *errors = ctl_problems_print(conf, problems);
    if (!conf && !ctl->ini)
        ctl_error("No INI was named, so " CTL_DEFAULT_INI " was read. Name"
                  " yours, such as /etc/app.ini, behind the command.");
    return conf;
}

/* ---- config ---- */

/* Returns the value of KEY, for programs exactly and as it could be written,
 * for people in the unit that they would use. A default may be a text for
 * people.
 */
static const char *value_text(const ctl_t *ctl, const weave_conf_t *conf,
                              const weave_key_t *key)
{
    apr_int64_t number = weave_conf_int(conf, key->key);
    apr_pool_t *pool = ctl->pool;

    if (!weave_conf_is_set(conf, key->key) && key->shown)
        return key->shown;
    if (!ctl->json &&
        (key->type == WEAVE_TYPE_DURATION || key->type == WEAVE_TYPE_SIZE))
        return weave_key_number_text(key, number, pool);
    switch (key->type) {
    case WEAVE_TYPE_PATHS:
    case WEAVE_TYPE_NETS:
    case WEAVE_TYPE_NAMES:
        return apr_array_pstrcat(pool, weave_conf_list(conf, key->key),
                                 ctl->json ? '\n' : ' ');
    case WEAVE_TYPE_BOOL:
        return number ? "true" : "false";
    case WEAVE_TYPE_OCTAL:
        return apr_psprintf(pool, "%04o", (unsigned)number);
    case WEAVE_TYPE_DURATION:
        return number % 1000 ? apr_psprintf(pool, "%ldus", (long)number)
               : number % 1000000
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

static void row_add(json_t *rows, const char *key, const char *value,
                    const char *where, apr_pool_t *pool)
{
    json_array_append_new(rows,
                          json_pack("{s:s, s:o, s:o}", "key", key, "value",
                                    weave_control_text(value, pool), "where",
                                    weave_control_text(where, pool)));
}

/* Adds KEY, or each member of a family. */
static void key_add(json_t *rows, const ctl_t *ctl, const weave_conf_t *conf,
                    const weave_key_t *key)
{
    const char *where = weave_conf_source(conf, key->key, ctl->pool);
    const apr_array_header_t *members;
    int i;

    if (key->type != WEAVE_TYPE_PREFIX) {
        row_add(rows, key->full, value_text(ctl, conf, key), where, ctl->pool);
        return;
    }
    members =
        apr_table_elts(key->key == WEAVE_WSGI_ENVIRON ? weave_conf_environ(conf)
                                                      : weave_conf_env(conf));
    for (i = 0; i < members->nelts; i++) {
        const apr_table_entry_t *member =
            &APR_ARRAY_IDX(members, i, apr_table_entry_t);

        row_add(rows, apr_pstrcat(ctl->pool, key->full, member->key, NULL),
                member->val, where, ctl->pool);
    }
}

/* Longer texts do not make the column wider. */
#define COLUMN_MOST 40

static int column_width(const json_t *rows, const char *name)
{
    const json_t *row;
    int width = 0;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        int columns = ctl_columns(ctl_text(row, name));

        if (columns > width && columns <= COLUMN_MOST)
            width = columns;
    }
    return width;
}

static void table_print(const json_t *rows)
{
    int keys = column_width(rows, "key"), values = column_width(rows, "value");
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *value = ctl_text(row, "value");

        ctl_cell(ctl_text(row, "key"), keys);
        ctl_cell(*value ? value : "-", values);
        ctl_line("%s", ctl_text(row, "where"));
    }
}

int ctl_config(const ctl_t *ctl)
{
    int errors, i;
    const weave_conf_t *conf = conf_load(ctl, &errors);
    json_t *rows = json_array();

    for (i = 0; conf && i < WEAVE_KEY_COUNT; i++)
        key_add(rows, ctl, conf, weave_key_get((weave_key_e)i));
    if (conf && ctl->json)
        ctl_json_print(rows, 0);
    else
        table_print(rows);
    json_decref(rows);
    return conf && !errors ? CTL_DONE : CTL_FAILED;
}

/* ---- check ---- */

/* Prints PROBLEM, if there is one. Returns the number of problems. */
static int problem_say(const char *problem)
{
    if (problem)
        ctl_error("error: %s", problem);
    return problem != NULL;
}

static const char *key_source(const ctl_t *ctl, const weave_conf_t *conf,
                              weave_key_e key)
{
    return weave_conf_source(conf, key, ctl->pool);
}

static int folder_check(const ctl_t *ctl, const weave_conf_t *conf,
                        weave_key_e key)
{
    return problem_say(
        weave_check_folder(key_source(ctl, conf, key), weave_key_get(key)->full,
                           weave_conf_str(conf, key), ctl->pool));
}

/* Looks at the page with the rights of this user. Only httpd knows whether its
 * own user may read it. */
static int page_check(const ctl_t *ctl, const weave_conf_t *conf)
{
    const char *path = weave_conf_str(conf, WEAVE_MAINTENANCE_PAGE);
    weave_file_t file;
    apr_status_t rv;

    if (!*path)
        return 0;
    rv = weave_file_read(&file, AT_FDCWD, path, PAGE_BYTES, ctl->pool);
    if (rv == APR_SUCCESS)
        return 0;
    return problem_say(
        apr_psprintf(ctl->pool, "%s: maintenance.page: %s: %s",
                     key_source(ctl, conf, WEAVE_MAINTENANCE_PAGE), path,
                     rv == WEAVE_FILE_OTHER || rv == WEAVE_FILE_LONG
                         ? "this is no file of at most 256 KiB"
                         : strerror(rv)));
}

static int python_check(const ctl_t *ctl, const weave_conf_t *conf)
{
    weave_virtualenv_t *venv = NULL;
    const char *problem = weave_check_virtualenv(
        &venv, key_source(ctl, conf, WEAVE_WSGI_VIRTUALENV),
        weave_conf_str(conf, WEAVE_WSGI_VIRTUALENV), -1,
        weave_conf_str(conf, WEAVE_RELEASE_HOME), ctl->pool);
    const char *version = venv ? venv->version : NULL;

    if (!problem)
        problem = weave_check_engine(
            weave_spec_engine(ctl->libdir, version, ctl->pool), version,
            ctl->pool);
    return problem_say(problem);
}

static int user_check(const ctl_t *ctl, const weave_conf_t *conf)
{
    const char *user = weave_conf_str(conf, WEAVE_WORKERS_USER);
    const struct passwd *found = *user ? getpwnam(user) : NULL;

    if (*user && !found)
        return problem_say(apr_psprintf(
            ctl->pool, "%s: workers.user: there is no user %s on this system",
            key_source(ctl, conf, WEAVE_WORKERS_USER), user));
    if (found && found->pw_uid == 0)
        return problem_say(apr_psprintf(
            ctl->pool, "%s: workers.user: workers never run as root",
            key_source(ctl, conf, WEAVE_WORKERS_USER)));
    return 0;
}

int ctl_check(const ctl_t *ctl)
{
    int errors;
    const weave_conf_t *conf = conf_load(ctl, &errors);

    if (!conf)
        return CTL_FAILED;
    errors += problem_say(weave_check_script(
        key_source(ctl, conf, WEAVE_WSGI_SCRIPT),
        weave_conf_str(conf, WEAVE_WSGI_SCRIPT),
        weave_conf_str(conf, WEAVE_WSGI_CALLABLE), ctl->pool));
    errors += folder_check(ctl, conf, WEAVE_WORKERS_HOME);
    errors += folder_check(ctl, conf, WEAVE_LIMITS_SPOOL_DIR);
    errors += page_check(ctl, conf);
    errors += python_check(ctl, conf);
    errors += user_check(ctl, conf);
    if (!errors)
        ctl_line("%s: no mistake found", ctl->ini ? ctl->ini : CTL_DEFAULT_INI);
    return errors ? CTL_FAILED : CTL_DONE;
}
