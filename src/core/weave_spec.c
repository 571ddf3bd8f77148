/* SPDX-License-Identifier: Apache-2.0 */
/* weave_spec.c: an application for weaved and weave-worker, as JSON, whose
 * fields a table describes for both directions */
#include "weave_spec.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <jansson.h>

#include "weave_board.h"
#include "weave_check.h"

typedef enum { TEXT, OPTIONAL, NUMBER, TABLE } kind_e;

static const struct field_t {
    const char *name;
    kind_e kind;
    size_t offset;
} fields[] = {
#define FIELD(name, kind)                                                      \
    {                                                                          \
#name, kind, offsetof(weave_spec_t, name)                              \
    }
    FIELD(app, NUMBER),
    FIELD(name, TEXT),
    FIELD(ini, TEXT),
    FIELD(ini_text, TEXT),
    FIELD(ini_hash, NUMBER),
    FIELD(libdir, TEXT),
    FIELD(software, TEXT),
    FIELD(keys, TEXT),
    FIELD(passed, TABLE),
    FIELD(user, TEXT),
    FIELD(uid, NUMBER),
    FIELD(gid, NUMBER),
    FIELD(socket_gid, NUMBER),
    FIELD(log_level, NUMBER),
    FIELD(virtualenv, OPTIONAL),
    FIELD(script, OPTIONAL),
    FIELD(python, OPTIONAL),
    FIELD(version, OPTIONAL),
    FIELD(libpython, OPTIONAL),
    FIELD(soname, OPTIONAL),
    FIELD(engine, OPTIONAL),
    FIELD(stamp, OPTIONAL),
#undef FIELD
};
#define FIELDS (sizeof(fields) / sizeof(*fields))

#define AT(type, spec, field) (*(type *)((char *)(spec) + (field)->offset))

/* ---- writing ---- */

/* An array of pairs: names may differ in their case only. NULL: a text is no
 * UTF-8. */
static json_t *table_format(const apr_table_t *table)
{
    json_t *array = json_array();
    int i, wrong = 0;

    for (i = 0; table && i < apr_table_elts(table)->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(apr_table_elts(table), i, apr_table_entry_t);

        wrong |= json_array_append_new(array, json_string(row->key));
        wrong |= json_array_append_new(array, json_string(row->val));
    }
    if (!wrong)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *field_format(const weave_spec_t *spec,
                            const struct field_t *field)
{
    switch (field->kind) {
    case TEXT:
        return json_string(AT(const char *, spec, field));
    case OPTIONAL:
        return AT(const char *, spec, field)
                   ? json_string(AT(const char *, spec, field))
                   : json_null();
    case NUMBER:
        return json_integer(AT(apr_int64_t, spec, field));
    case TABLE:
        return table_format(AT(apr_table_t *, spec, field));
    }
    return NULL;
}

const char *weave_spec_format(const weave_spec_t *spec, apr_pool_t *pool)
{
    json_t *object = json_pack("{s:i}", "layout", WEAVE_SPEC_VERSION);
    const char *copy = NULL;
    char *text;
    int wrong = 0;
    size_t i;

    for (i = 0; i < FIELDS; i++)
        wrong |= json_object_set_new(object, fields[i].name,
                                     field_format(spec, &fields[i]));
    text = wrong ? NULL : json_dumps(object, JSON_COMPACT);
    if (text)
        copy = apr_pstrdup(pool, text);
    free(text);
    json_decref(object);
    return copy;
}

/* Adds the keys of which A and B have two values. */
static void keys_compare(apr_array_header_t *names, const weave_spec_t *a,
                         const weave_spec_t *b)
{
    int i;

    for (i = 0; i < WEAVE_KEY_COUNT; i++)
        if (!weave_conf_is_same(a->conf, b->conf, i))
            APR_ARRAY_PUSH(names, const char *) = weave_key_get(i)->full;
}

const char *weave_spec_differences(const weave_spec_t *a, const weave_spec_t *b,
                                   apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(char *));
    size_t i;

    for (i = 0; i < FIELDS; i++) {
        json_t *left = field_format(a, &fields[i]);
        json_t *right = field_format(b, &fields[i]);

        if (fields[i].offset == offsetof(weave_spec_t, keys))
            keys_compare(names, a, b);
        else if (!json_equal(left, right))
            APR_ARRAY_PUSH(names, const char *) = fields[i].name;
        json_decref(left);
        json_decref(right);
    }
    return apr_array_pstrcat(pool, names, ',');
}

/* ---- reading ---- */

static int table_parse(const json_t *array, apr_pool_t *pool,
                       apr_table_t **table)
{
    size_t i, count = json_array_size(array);

    *table = apr_table_make(pool, (int)count / 2 + 1);
    for (i = 0; i + 1 < count; i += 2) {
        const char *name = json_string_value(json_array_get(array, i));
        const char *value = json_string_value(json_array_get(array, i + 1));

        if (!name || !value)
            return -1;
        apr_table_add(*table, name, value);
    }
    return json_is_array(array) && count % 2 == 0 ? 0 : -1;
}

static int field_parse(weave_spec_t *spec, const struct field_t *field,
                       const json_t *value, apr_pool_t *pool)
{
    switch (field->kind) {
    case OPTIONAL:
        if (json_is_null(value))
            return 0;
        /* fall through */
    case TEXT:
        AT(const char *, spec, field) =
            apr_pstrdup(pool, json_string_value(value));
        return json_is_string(value) ? 0 : -1;
    case NUMBER:
        AT(apr_int64_t, spec, field) = json_integer_value(value);
        return json_is_integer(value) ? 0 : -1;
    case TABLE:
        return table_parse(value, pool, &AT(apr_table_t *, spec, field));
    }
    return -1;
}

static const char *layout_check(const json_t *object, apr_pool_t *pool)
{
    const json_t *layout = json_object_get(object, "layout");

    if (json_is_integer(layout) &&
        json_integer_value(layout) == WEAVE_SPEC_VERSION)
        return NULL;
    return apr_psprintf(pool,
                        "layout is %d, and %d is needed: it is of another"
                        " version of mod_weave: stop httpd and start it again",
                        (int)json_integer_value(layout), WEAVE_SPEC_VERSION);
}

/* Sets `conf`. Returns NULL, or what is wrong, which quotes no value. */
static const char *keys_parse(weave_spec_t *spec, apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_conf_t *conf = NULL;

    if (weave_conf_parse(&conf, spec->keys, "its keys", problems, pool) !=
            APR_SUCCESS ||
        !conf)
        return problems->nelts
                   ? weave_problem_text(
                         APR_ARRAY_IDX(problems, 0, weave_problem_t *), pool)
                   : "its keys cannot be read";
    spec->conf = conf;
    return NULL;
}

const char *weave_spec_parse(weave_spec_t **spec, const char *text,
                             apr_pool_t *pool)
{
    weave_spec_t *parsed = apr_pcalloc(pool, sizeof(*parsed));
    json_error_t error;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    const char *problem = NULL;
    size_t i;

    if (!object)
        return apr_psprintf(pool, "no JSON: %s", error.text);
    problem = layout_check(object, pool);
    for (i = 0; i < FIELDS && !problem; i++)
        if (field_parse(parsed, &fields[i],
                        json_object_get(object, fields[i].name), pool) < 0)
            problem = apr_psprintf(pool, "%s is missing or of the wrong type",
                                   fields[i].name);
    json_decref(object);
    if (!problem && (parsed->app < 0 || parsed->app >= WEAVE_ROSTER_APPS))
        problem = "app is no slot of the roster";
    if (!problem)
        problem = keys_parse(parsed, pool);
    if (!problem)
        *spec = parsed;
    return problem;
}

apr_table_t *weave_spec_env(const weave_spec_t *spec, apr_pool_t *pool)
{
    return apr_table_overlay(pool, weave_conf_env(spec->conf), spec->passed);
}

/* ---- resolving ---- */

const char *weave_spec_engine(const char *libdir, const char *version,
                              apr_pool_t *pool)
{
    return version ? apr_pstrcat(pool, libdir, "/weave-engine-", version, ".so",
                                 NULL)
                   : apr_pstrcat(pool, libdir, "/weave-engine.so", NULL);
}

const char *weave_spec_stamp(const char *path, apr_pool_t *pool)
{
    struct stat status;

    if (!*path || stat(path, &status) < 0)
        return "";
    return apr_psprintf(
        pool,
        "%" APR_INT64_T_FMT ".%09ld-%" APR_UINT64_T_FMT "-%" APR_INT64_T_FMT,
        (apr_int64_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
        (apr_uint64_t)status.st_ino, (apr_int64_t)status.st_size);
}

const char *weave_spec_resolve(weave_spec_t **resolved,
                               const weave_spec_t *spec,
                               const weave_link_t *as_if, apr_pool_t *pool)
{
    weave_spec_t *copy = apr_pmemdup(pool, spec, sizeof(*spec));
    const char *problem;
    weave_virtualenv_t *venv;
    const char *virtualenv = weave_spec_str(spec, WEAVE_WSGI_VIRTUALENV);

    copy->virtualenv = weave_link_follow(virtualenv, as_if, pool);
    copy->script =
        weave_link_follow(weave_spec_str(spec, WEAVE_WSGI_SCRIPT), as_if, pool);
    copy->conf = weave_conf_follow(spec->conf, as_if, 0, pool);
    copy->keys = weave_conf_text(copy->conf, WEAVE_CONF_PROCESS,
                                 weave_conf_environ(copy->conf), pool);
    copy->stamp =
        weave_spec_int(spec, WEAVE_RELEASE_RELOAD) == WEAVE_RELOAD_TOUCH
            ? weave_spec_stamp(copy->script, pool)
            : "";
    copy->python = copy->version = copy->libpython = copy->soname = NULL;
    if (*copy->virtualenv) {
        problem = weave_check_virtualenv(
            &venv, spec->name, as_if ? copy->virtualenv : virtualenv, spec->uid,
            weave_spec_str(spec, WEAVE_RELEASE_HOME), pool);
        if (problem)
            return problem;
        copy->python = venv->python;
        copy->version = venv->version;
        copy->libpython = venv->libpython;
        copy->soname = venv->soname;
    }
    copy->engine = weave_spec_engine(spec->libdir, copy->version, pool);
    problem = weave_check_engine(copy->engine, copy->version, pool);
    if (problem)
        return problem;
    *resolved = copy;
    return NULL;
}
