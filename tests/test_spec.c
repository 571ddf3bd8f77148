/* SPDX-License-Identifier: Apache-2.0 */
/* test_spec.c: an application as JSON, there and back, and what it becomes */

#include "conf_support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "layout_support.h"
#include "weave_spec.h"

static weave_spec_t *spec_make(void)
{
    weave_spec_t *spec = apr_pcalloc(pool, sizeof(*spec));

    spec->app = 3;
    spec->name = spec->ini = "/etc/sync.ini";
    spec->ini_text = "[wsgi]\nmodule = m\xc3\xbc\n";
    spec->libdir = folder;
    spec->software = "Apache/2.4";
    spec->keys = "[wsgi]\nmodule = \"m\"\nenviron.Name = \"one\"\n"
                 "environ.NAME = \"${HOME}\"\n[workers]\nprocesses = 4\n"
                 "env.TZ = \"\"\nenv.Tz = \"$$\"\nmax_rss = 5 GiB\n";
    spec->passed = apr_table_make(pool, 2);
    apr_table_addn(spec->passed, "TMPDIR", "");
    spec->user = "www-data";
    spec->uid = 33;
    spec->gid = 4000000000L;
    spec->socket_gid = -1;
    spec->log_level = 6;
    return spec;
}

static const char *formatted(const weave_spec_t *spec)
{
    const char *text = weave_spec_format(spec, pool);

    assert_non_null(text);
    return text;
}

static weave_spec_t *parsed(const char *text)
{
    weave_spec_t *spec = NULL;
    const char *problem = weave_spec_parse(&spec, text, pool);

    if (problem)
        fail_msg("%s", problem);
    return spec;
}

static void goes_there_and_back(void **state)
{
    const char *text = formatted(spec_make());
    weave_spec_t *spec = parsed(text);

    (void)state;
    assert_null(strchr(text, '\n')); /* it travels in lines */
    assert_string_equal(formatted(spec), text);
    assert_int_equal(spec->app, 3);
    assert_string_equal(spec->ini_text, "[wsgi]\nmodule = m\xc3\xbc\n");
    assert_string_equal(apr_table_get(spec->passed, "TMPDIR"), "");
    assert_int_equal(spec->gid, 4000000000L);
    assert_null(spec->virtualenv);
    assert_null(spec->python);
    assert_null(spec->stamp);
}

static void keeps_what_was_resolved(void **state)
{
    weave_spec_t *spec = spec_make();

    (void)state;
    spec->python = "/venv/bin/python";
    spec->version = "3.11";
    spec->libpython = "/lib/libpython3.11.so";
    spec->soname = "libpython3.11.so.1.0";
    spec->engine = "/lib/weave-engine-3.11.so";
    spec->stamp = "1";
    spec = parsed(formatted(spec));
    assert_string_equal(spec->python, "/venv/bin/python");
    assert_string_equal(spec->version, "3.11");
    assert_string_equal(spec->libpython, "/lib/libpython3.11.so");
    assert_string_equal(spec->soname, "libpython3.11.so.1.0");
    assert_string_equal(spec->engine, "/lib/weave-engine-3.11.so");
    assert_string_equal(spec->stamp, "1");
}

static void knows_its_keys(void **state)
{
    weave_spec_t *spec = parsed(formatted(spec_make()));
    const apr_array_header_t *rows =
        apr_table_elts(weave_conf_environ(spec->conf));

    (void)state;
    assert_int_equal(weave_spec_int(spec, WEAVE_WORKERS_PROCESSES), 4);
    assert_int_equal(weave_spec_int(spec, WEAVE_WORKERS_UMASK), -1);
    assert_true(weave_spec_int(spec, WEAVE_WORKERS_MAX_RSS) == APR_INT64_C(5)
                                                                   << 30);
    assert_string_equal(weave_spec_str(spec, WEAVE_WORKERS_HOME), "/");
    assert_int_equal(rows->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(rows, 1, apr_table_entry_t).val,
                        "${HOME}");
    rows = apr_table_elts(weave_spec_env(spec, pool));
    assert_int_equal(rows->nelts, 3);
    assert_string_equal(APR_ARRAY_IDX(rows, 1, apr_table_entry_t).val, "$$");
    assert_string_equal(APR_ARRAY_IDX(rows, 2, apr_table_entry_t).key,
                        "TMPDIR");
}

/* A table that is not there is an empty one. */
static void needs_no_table(void **state)
{
    weave_spec_t *spec = spec_make();

    (void)state;
    spec->passed = NULL;
    spec = parsed(formatted(spec));
    assert_true(apr_is_empty_table(spec->passed));
}

/* What is wrong is said, without the value, and there is no spec. */
static void refuses_damaged_keys(void **state)
{
    static const char *const texts[] = {"[wsgi",
                                        "[wsgi]\nskript = hush\n",
                                        "[workers]\nthreads = hush\n",
                                        "[workers]\nthreads = 0\n",
                                        "[workers]\nthreads = 3\nthreads = 4\n",
                                        "[wsgi]\nscript = ${WEAVE_HUSH}\n",
                                        "threads\n"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        weave_spec_t *made = spec_make(), *spec = made;
        const char *problem;

        made->keys = texts[i];
        problem = weave_spec_parse(&spec, formatted(made), pool);
        assert_non_null(problem);
        assert_ptr_equal(spec, made);
        assert_non_null(strstr(problem, "its keys"));
    }
}

/* Same application, same text: that is what makes it the same generation. */
static void says_the_same_twice(void **state)
{
    weave_spec_t *spec = spec_make();
    const char *text = formatted(spec);

    (void)state;
    assert_string_equal(formatted(spec_make()), text);
    spec->keys = "[workers]\nthreads = 9\n";
    assert_string_not_equal(formatted(spec), text);
}

static void wants_utf8(void **state)
{
    weave_spec_t *spec = spec_make();

    (void)state;
    spec->keys = "[wsgi]\nscript = \"/srv/caf\xe9.wsgi\"\n";
    assert_null(weave_spec_format(spec, pool));
    spec = spec_make();
    spec->script = "/caf\xe9";
    assert_null(weave_spec_format(spec, pool));
    spec = spec_make();
    apr_table_addn(spec->passed, "NAME", "caf\xe9");
    assert_null(weave_spec_format(spec, pool));
    spec = spec_make();
    apr_table_addn(spec->passed, "caf\xe9", "");
    assert_null(weave_spec_format(spec, pool));
    spec = spec_make();
    spec->name = NULL;
    assert_null(weave_spec_format(spec, pool));
}

static void names_differences(void **state)
{
    weave_spec_t *a = parsed(formatted(spec_make())), *b = spec_make();

    (void)state;
    assert_string_equal(weave_spec_differences(a, parsed(formatted(b)), pool),
                        "");
    b->keys = apr_pstrcat(pool, b->keys, "threads = 9\nenv.MORE = x\n", NULL);
    b->version = "3.12";
    apr_table_addn(b->passed, "MORE", "x");
    assert_string_equal(weave_spec_differences(a, parsed(formatted(b)), pool),
                        "workers.threads,workers.env.,passed,version");
}

static void refuses(json_t *object, const char *key)
{
    char *text = json_dumps(object, JSON_COMPACT);
    weave_spec_t *spec = NULL;
    const char *problem = weave_spec_parse(&spec, text, pool);

    assert_null(spec);
    assert_non_null(problem);
    if (!strstr(problem, key))
        fail_msg("%s is not in: %s", key, problem);
    free(text);
    json_decref(object);
}

static void refuses_missing_and_wrong(void **state)
{
    json_t *whole = json_loads(formatted(spec_make()), 0, NULL), *value;
    const char *key;
    int count = 0;

    (void)state;
    json_object_foreach(whole, key, value)
    {
        json_t *broken = json_copy(whole);

        json_object_del(broken, key);
        refuses(broken, key);
        broken = json_copy(whole);
        json_object_set_new(broken, key, json_object());
        refuses(broken, key);
        broken = json_copy(whole);
        json_object_set_new(broken, key, json_real(1.5));
        refuses(broken, key);
        if (json_is_integer(value)) {
            broken = json_copy(whole);
            json_object_set_new(broken, key, json_string("1"));
            refuses(broken, key);
        }
        if (!json_is_null(value)) {
            broken = json_copy(whole);
            json_object_set_new(broken, key, json_null());
            refuses(broken, key);
        }
        if (json_is_array(value)) {
            broken = json_copy(whole);
            json_object_set_new(broken, key, json_pack("[s,i]", "one", 2));
            refuses(broken, key);
        }
        count++;
    }
    assert_true(count >= 20);
    value = json_copy(whole);
    json_object_set_new(value, "passed", json_pack("[s]", "half a pair"));
    refuses(value, "passed");
    value = json_copy(whole);
    json_object_set_new(value, "app", json_integer(1LL << 32));
    refuses(value, "app");
    json_decref(whole);
}

/* Names, types and order of its fields. */
static void the_layout_has_its_version(void **state)
{
    json_t *whole = json_loads(formatted(spec_make()), 0, NULL), *value;
    const char *key;
    uint64_t hash = 0;

    (void)state;
    json_object_foreach(whole, key, value)
    {
        json_type type = json_typeof(value);

        hash = layout_hash(hash, key, strlen(key));
        hash = layout_hash(hash, &type, sizeof(type));
    }
    json_decref(whole);
    layout_check("a spec (WEAVE_SPEC_VERSION)", WEAVE_SPEC_VERSION, hash, 2,
                 0x88f71d41a5721669);
}

static void refuses_no_object(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "1", "null", "{\"app\":1,\"app\":1}", "\xff"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        weave_spec_t *spec = NULL;

        assert_non_null(weave_spec_parse(&spec, texts[i], pool));
        assert_null(spec);
    }
}

/* ---- resolving ---- */

static void link_make(const char *to, const char *name)
{
    unlink(in_folder(name));
    assert_int_equal(symlink(to, in_folder(name)), 0);
    APR_ARRAY_PUSH(written, const char *) = in_folder(name);
}

static void dir_make(const char *name)
{
    assert_int_equal(
        apr_dir_make_recursive(in_folder(name), APR_FPROT_OS_DEFAULT, pool), 0);
}

static int tree_teardown(void **state)
{
    static const char *const dirs[] = {
        "new/bin",  "new/lib/python3.99", "new/lib", "new",
        "base/bin", "base/lib",           "base"};
    size_t i;
    int each_file;

    for (each_file = 0; each_file < written->nelts; each_file++)
        unlink(APR_ARRAY_IDX(written, each_file, const char *));
    for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
        rmdir(in_folder(dirs[i]));
    return each_teardown(state);
}

/* A virtualenv in new/, a Python in base/, engines for it and by default. */
static int tree_setup(void **state)
{
    if (each_setup(state) != 0)
        return -1;
    dir_make("base/bin");
    dir_make("base/lib");
    dir_make("new/bin");
    dir_make("new/lib/python3.99");
    chmod(file_write("base/bin/python3.99", ""), 0755);
    file_write("base/lib/libpython3.99.so.1.0", "");
    chmod(file_write("new/bin/python", ""), 0755);
    file_write(
        "new/pyvenv.cfg",
        apr_psprintf(pool, "home = %s/base/bin\nversion = 3.99.1\n", folder));
    file_write("new/app.wsgi", "one");
    file_write("weave-engine.so", "");
    file_write("weave-engine-3.99.so", "");
    return 0;
}

static void keys_set(weave_spec_t *spec, const char *virtualenv,
                     const char *script, const char *reload)
{
    spec->keys = apr_psprintf(pool,
                              "[wsgi]\nvirtualenv = \"%s\"\nscript = \"%s\"\n"
                              "[release]\nreload = %s\n",
                              virtualenv, script, reload);
    spec->conf = parsed(formatted(spec))->conf;
}

static weave_spec_t *resolved(const weave_spec_t *spec)
{
    weave_spec_t *got = NULL;
    const char *problem = weave_spec_resolve(&got, spec, NULL, pool);

    if (problem)
        fail_msg("%s", problem);
    return got;
}

static void follows_links(void **state)
{
    weave_spec_t *spec = spec_make(), *got;

    (void)state;
    link_make("new", "current");
    keys_set(spec, in_folder("current"), in_folder("current/app.wsgi"), "none");
    got = resolved(spec);
    assert_string_equal(got->virtualenv, in_folder("new"));
    assert_string_equal(got->script, in_folder("new/app.wsgi"));
    assert_string_equal(got->python, in_folder("new/bin/python"));
    assert_string_equal(got->version, "3.99");
    assert_string_equal(got->libpython,
                        in_folder("base/lib/libpython3.99.so.1.0"));
    assert_string_equal(got->engine, in_folder("weave-engine-3.99.so"));
    /* what it was made from stays as it was */
    assert_null(spec->virtualenv);
    assert_null(spec->engine);
    assert_string_equal(formatted(parsed(formatted(got))), formatted(got));
}

static void takes_the_default_engine(void **state)
{
    weave_spec_t *got = resolved(parsed(formatted(spec_make())));

    (void)state;
    assert_string_equal(got->engine, in_folder("weave-engine.so"));
    assert_null(got->python);
    assert_null(got->version);
    assert_string_equal(weave_spec_engine("/lib", NULL, pool),
                        "/lib/weave-engine.so");
    assert_string_equal(weave_spec_engine("/lib", "3.8", pool),
                        "/lib/weave-engine-3.8.so");
}

static void stamps_scripts(void **state)
{
    weave_spec_t *spec = spec_make();
    const char *before;

    (void)state;
    keys_set(spec, "", in_folder("new/app.wsgi"), "touch");
    before = resolved(spec)->stamp;
    assert_string_equal(resolved(spec)->stamp, before);
    file_write("new/app.wsgi", "another");
    assert_string_not_equal(resolved(spec)->stamp, before);
    keys_set(spec, "", in_folder("new/app.wsgi"), "none");
    assert_string_equal(resolved(spec)->stamp, "");
    keys_set(spec, "", in_folder("gone.wsgi"), "touch");
    assert_string_equal(resolved(spec)->stamp, "");
    assert_string_equal(resolved(spec)->script, in_folder("gone.wsgi"));
}

static void refused(const weave_spec_t *spec, const char *why)
{
    weave_spec_t *got = NULL;
    const char *problem = weave_spec_resolve(&got, spec, NULL, pool);

    assert_null(got);
    assert_non_null(problem);
    if (!strstr(problem, why))
        fail_msg("expected \"%s\" in: %s", why, problem);
}

static void misses_engines(void **state)
{
    weave_spec_t *spec = spec_make();

    (void)state;
    keys_set(spec, in_folder("new"), "", "none");
    unlink(in_folder("weave-engine-3.99.so"));
    refused(spec, "there is no engine for Python 3.99");
    refused(spec, "PYTHONS=/path/to/python3.99");
    keys_set(spec, "", "", "none");
    unlink(in_folder("weave-engine.so"));
    refused(spec, in_folder("weave-engine.so is missing"));
    keys_set(spec, in_folder("gone"), "", "none");
    refused(spec, "No such file or directory");
}

#define TREE(test)                                                             \
    cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(goes_there_and_back),
        each(keeps_what_was_resolved),
        each(knows_its_keys),
        each(needs_no_table),
        each(refuses_damaged_keys),
        each(says_the_same_twice),
        each(wants_utf8),
        each(names_differences),
        each(refuses_missing_and_wrong),
        each(the_layout_has_its_version),
        each(refuses_no_object),
        TREE(follows_links),
        TREE(takes_the_default_engine),
        TREE(stamps_scripts),
        TREE(misses_engines),
    };

    return run_each(tests);
}
