/* SPDX-License-Identifier: Apache-2.0 */
/* The module's configuration: from sync.ini, from directives, merged. */

#include "conf_support.h"

#include "weave_conf.h"

#define S APR_INT64_C(1000000)

static weave_conf_t *conf;

static apr_status_t read_text(const char *text)
{
    conf = NULL;
    return weave_conf_read(&conf, file_write("a.ini", text), problems, pool);
}

static void assert_no_problem(void)
{
    if (problems->nelts) {
        fail_msg("%s", weave_problem_text(problem(0), pool));
    }
}

static void assert_path(weave_key_e key, const char *name)
{
    assert_string_equal(weave_conf_str(conf, key), in_folder(name));
}

static const char *set(weave_conf_t *in, const char *key, const char *value)
{
    return weave_conf_set(in, key, value, 0, "httpd.conf", 30, pool);
}

static const char *list_item(weave_key_e key, int i)
{
    const apr_array_header_t *list = weave_conf_list(conf, key);

    assert_in_range(i, 0, list->nelts - 1);
    return APR_ARRAY_IDX(list, i, const char *);
}

/* --- reading ------------------------------------------------------------ */

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(read_text(""), APR_SUCCESS);
    assert_no_problem();
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_THREADS), 8);
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_MODE),
                     WEAVE_MODE_PROCESSES);
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_UMASK), -1);
    assert_int_equal(weave_conf_int(conf, WEAVE_LIMITS_REQUEST_TIMEOUT),
                     60 * S);
    assert_int_equal(weave_conf_int(conf, WEAVE_LIMITS_SPOOL_AT), 262144);
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_RETRY_AFTER),
                     1800 * S);
    assert_int_equal(weave_conf_int(conf, WEAVE_WSGI_PASS_AUTHORIZATION), 1);
    assert_string_equal(weave_conf_str(conf, WEAVE_WSGI_CALLABLE),
                        "application");
    assert_string_equal(weave_conf_str(conf, WEAVE_WSGI_SCRIPT), "");
    assert_string_equal(weave_conf_str(conf, WEAVE_WORKERS_HOME), "/");
    assert_string_equal(weave_conf_str(conf, WEAVE_MAINTENANCE_MODE), "off");
    assert_int_equal(weave_conf_list(conf, WEAVE_WSGI_PYTHON_PATH)->nelts, 0);
    assert_true(apr_is_empty_table(weave_conf_environ(conf)));
    assert_false(weave_conf_is_set(conf, WEAVE_WORKERS_THREADS));
    assert_string_equal(weave_conf_source(conf, WEAVE_WORKERS_THREADS, pool),
                        "default");
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("[wsgi]\nscript = weave.wsgi\nenviron.My.Key = a b\n"
                  "environ.my.key = \"12\"\n"
                  "[workers]\nprocesses = 3\nenv.TZ = UTC\numask = 027\n"
                  "[limits]\nrequest_timeout = 5 min\nspool_at = 1 MiB\n"
                  "[maintenance]\nmode = drain\nspread = 0 %\n"
                  "allow =\n  192.0.2.1\n  10.0.0.0/8\n"
                  "[storage]\nanything = goes\n"),
        APR_SUCCESS);
    assert_no_problem();
    assert_int_equal(apr_table_elts(weave_conf_environ(conf))->nelts, 2);
    assert_string_equal(apr_table_get(weave_conf_env(conf), "TZ"), "UTC");
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_PROCESSES), 3);
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_UMASK), 027);
    assert_int_equal(weave_conf_int(conf, WEAVE_LIMITS_REQUEST_TIMEOUT),
                     300 * S);
    assert_int_equal(weave_conf_int(conf, WEAVE_LIMITS_SPOOL_AT), 1048576);
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_MODE),
                     WEAVE_MAINTENANCE_DRAINING);
    assert_string_equal(weave_conf_str(conf, WEAVE_MAINTENANCE_MODE), "drain");
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_SPREAD), 0);
    assert_string_equal(list_item(WEAVE_MAINTENANCE_ALLOW, 1), "10.0.0.0/8");
    assert_true(weave_conf_is_set(conf, WEAVE_WORKERS_PROCESSES));
    assert_true(weave_conf_is_set(conf, WEAVE_WSGI_ENVIRON));
    assert_string_equal(weave_conf_source(conf, WEAVE_WORKERS_PROCESSES, pool),
                        apr_pstrcat(pool, in_folder("a.ini"), ":6", NULL));
    assert_int_equal(weave_conf_files(conf)->nelts, 1);
}

static void test_paths(void **state)
{
    (void)state;
    read_text("[wsgi]\nscript = bin/x.wsgi\nvirtualenv = ./venv/\n"
              "python_path = lib\n  /abs/../lib\n"
              "[workers]\nhome = data\n"
              "[release]\nfind_links = https://example.org/a/../b\n  dist\n");
    assert_no_problem();
    assert_path(WEAVE_WSGI_VIRTUALENV, "venv");
    assert_path(WEAVE_WSGI_SCRIPT, "venv/bin/x.wsgi");
    assert_string_equal(list_item(WEAVE_WSGI_PYTHON_PATH, 0), in_folder("lib"));
    assert_string_equal(list_item(WEAVE_WSGI_PYTHON_PATH, 1), "/lib");
    assert_path(WEAVE_WORKERS_HOME, "data");
    assert_string_equal(list_item(WEAVE_RELEASE_FIND_LINKS, 0),
                        "https://example.org/a/../b");
    assert_string_equal(list_item(WEAVE_RELEASE_FIND_LINKS, 1),
                        in_folder("dist"));
    read_text("[wsgi]\nscript = x.wsgi\n");
    assert_path(WEAVE_WSGI_SCRIPT, "x.wsgi");
    read_text("[wsgi]\nscript = /a/x.wsgi\nvirtualenv = venv\n");
    assert_string_equal(weave_conf_str(conf, WEAVE_WSGI_SCRIPT), "/a/x.wsgi");
}

/* A path belongs to the folder of the file in which it stands. */
static void test_paths_of_extended_files(void **state)
{
    const char *sub = in_folder("sub");

    (void)state;
    apr_dir_make(sub, APR_FPROT_OS_DEFAULT, pool);
    file_write("sub/b.ini", "[wsgi]\nvirtualenv = venv\nscript = x.wsgi\n"
                            "[maintenance]\npage = x.html\n");
    read_text("[DEFAULT]\nextends = sub/b.ini\n[maintenance]\npage = y.html\n");
    assert_no_problem();
    assert_path(WEAVE_WSGI_SCRIPT, "sub/venv/x.wsgi");
    assert_path(WEAVE_MAINTENANCE_PAGE, "y.html");
    apr_file_remove(in_folder("sub/b.ini"), pool);
    apr_dir_remove(sub, pool);
}

static void test_keys_of_default(void **state)
{
    (void)state;
    file_write("b.ini", "[wsgi]\n[workers]\nthreads = 5\n");
    assert_int_equal(
        read_text("[DEFAULT]\nextends = b.ini\nthreads = 3\nprocesses = 2\n"
                  "unknown = 1\nkeep = 7\n[workers]\n"),
        APR_SUCCESS);
    assert_no_problem();
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_THREADS), 5);
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_PROCESSES), 2);
    assert_false(weave_conf_is_set(conf, WEAVE_RELEASE_KEEP));
    read_text("[DEFAULT]\nkeep = 0\n[release]\nkeep = 5\n");
    assert_no_problem();
    read_text("[DEFAULT]\nkeep = 0\n[release]\n");
    assert_error(0, "a.ini", 2,
                 "release.keep '0' is not allowed here: "
                 "a whole number from 1 to 1000");
}

static void test_retry_after_of_global(void **state)
{
    (void)state;
    read_text("[global]\nretry_after = 600\n");
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_RETRY_AFTER),
                     600 * S);
    assert_false(weave_conf_is_set(conf, WEAVE_MAINTENANCE_RETRY_AFTER));
    assert_string_equal(
        weave_conf_source(conf, WEAVE_MAINTENANCE_RETRY_AFTER, pool),
        apr_pstrcat(pool, in_folder("a.ini"), ":2", NULL));
    read_text("[global]\nretry_after = 600\n[maintenance]\nretry_after = 7\n");
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_RETRY_AFTER),
                     7 * S);
    assert_no_problem();
    assert_int_equal(read_text("[global]\nretry_after = soon\n"), APR_SUCCESS);
    assert_notice(0, "a.ini", 2, "global.retry_after is not used");
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_RETRY_AFTER),
                     1800 * S);
}

static void test_heartbeat_of_global(void **state)
{
    (void)state;
    assert_string_equal(weave_conf_heartbeat(weave_conf_make(pool)),
                        "/__heartbeat__");
    read_text("[global]\nheartbeat_page = /are/you/well//\n");
    assert_string_equal(weave_conf_heartbeat(conf), "/are/you/well");
    assert_string_equal(
        weave_conf_heartbeat(weave_conf_merge(pool, conf, conf)),
        "/are/you/well");
    assert_string_equal(weave_conf_heartbeat(weave_conf_merge(
                            pool, conf, weave_conf_make(pool))),
                        "/are/you/well");
    read_text("[global]\nheartbeat_page = /\n");
    assert_string_equal(weave_conf_heartbeat(conf), "/__heartbeat__");
    assert_no_problem();
}

/* --- what is refused ---------------------------------------------------- */

static void test_all_problems_are_reported(void **state)
{
    (void)state;
    assert_int_equal(read_text("[wsgi]\n"
                               "threads = 4\n"
                               "scirpt = x\n"
                               "zzz = 1\n"
                               "[workers]\n"
                               "processes = 0\n"
                               "environ.X = 1\n"
                               "nonsense\n"
                               "home = a\n"
                               "  b\n"
                               "env.1X = 1\n"
                               "mode = daemon\n"
                               "env. = 1\n"),
                     APR_EGENERAL);
    assert_int_equal(problems->nelts, 10);
    assert_error(0, "a.ini", 2,
                 "[wsgi] has no key 'threads'; it belongs in [workers]");
    assert_error(1, "a.ini", 3, "[wsgi] has no key 'scirpt'; is it 'script'?");
    assert_error(2, "a.ini", 4, "its keys are script, module, callable, ");
    assert_error(3, "a.ini", 6,
                 "workers.processes '0' is not allowed here: a whole number");
    assert_error(4, "a.ini", 7, "[workers] has no key 'environ.X'; ");
    assert_error(4, "a.ini", 7, "it belongs in [wsgi]");
    assert_error(5, "a.ini", 8, "neither a [section]");
    assert_error(6, "a.ini", 9, "takes one value, not a list");
    assert_error(7, "a.ini", 11, "workers.env.1X is no name");
    assert_error(8, "a.ini", 12,
                 "workers.mode 'daemon' is not allowed here: "
                 "one of processes, embedded");
    assert_error(9, "a.ini", 13, "is it 'env.NAME'?");
}

static void test_value_that_could_not_be_expanded(void **state)
{
    (void)state;
    assert_int_equal(read_text("[workers]\nthreads = ${WEAVE_TEST_UNSET}\n"
                               "env.MINE = 1\n"
                               "[storage]\nx = ${MINE}\ny = ${OTHERS}\n"),
                     APR_EGENERAL);
    assert_int_equal(problems->nelts, 2);
    assert_error(0, "a.ini", 2, "WEAVE_TEST_UNSET is not set");
    assert_error(1, "a.ini", 6, "OTHERS is not set");
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_THREADS), 8);
}

static void test_file_that_is_missing(void **state)
{
    (void)state;
    conf = NULL;
    assert_true(APR_STATUS_IS_ENOENT(
        weave_conf_read(&conf, in_folder("none.ini"), problems, pool)));
    assert_null(conf);
    assert_error(0, "none.ini", 0, "cannot be read");
}

static void test_sections_that_are_not_ours(void **state)
{
    (void)state;
    assert_int_equal(read_text("[worker]\nthreads = 4\n"
                               "[smtp]\nhost = x\n"
                               "[host:example.org:80]\nstorage.sqluri = x\n"
                               "workers.threads = 9\nwsgi.zzz = 1\n"
                               "[Limits]\n"),
                     APR_SUCCESS);
    assert_int_equal(problems->nelts, 2);
    assert_notice(0, "a.ini", 2,
                  "[worker] is left to the application; "
                  "is it [workers]?");
    assert_notice(1, "a.ini", 7,
                  "[host:example.org:80] cannot set "
                  "workers.threads");
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_THREADS), 8);
}

static void test_check(void **state)
{
    (void)state;
    read_text("[wsgi]\nvirtualenv = v\n");
    assert_int_equal(weave_conf_check(conf, problems), APR_EGENERAL);
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "a.ini", 0, "there is no application");

    read_text("[wsgi]\nscript = x\nmodule = y\n");
    assert_int_equal(weave_conf_check(conf, problems), APR_EGENERAL);
    assert_int_equal(problems->nelts, 2);
    assert_error(1, "a.ini", 3, "wsgi.module and wsgi.script are both set");

    read_text("[wsgi]\nmodule = y\n[workers]\nmode = processes\nthreads = 2\n"
              "[release]\nreload = touch\n");
    assert_int_equal(weave_conf_check(conf, problems), APR_SUCCESS);
    assert_int_equal(problems->nelts, 3);
    assert_notice(2, "a.ini", 7, "does nothing without wsgi.script");
}

static void assert_same(const weave_conf_t *one, int from, int to)
{
    int i;

    for (i = from; i < to; i++) {
        if (!weave_conf_is_same(one, conf, i)) {
            fail_msg("%s differs", weave_key_get(i)->full);
        }
    }
}

static void test_same(void **state)
{
    static const struct {
        weave_key_e key;
        const char *line;
    } rows[] = {{WEAVE_WORKERS_THREADS, "[workers]\nthreads = 3\n"},
                {WEAVE_WORKERS_USER, "[workers]\nuser = other\n"},
                {WEAVE_WSGI_PYTHON_PATH, "[wsgi]\npython_path = a\n  c\n"},
                {WEAVE_WORKERS_ENV, "[workers]\nenv.X = 2\n"},
                {WEAVE_WSGI_ENVIRON, "[wsgi]\nenviron.X = 1\n"}};
    const weave_conf_t *one;
    apr_size_t i;

    (void)state;
    read_text("[wsgi]\npython_path = a\n  b\n[workers]\nenv.X = 1\n");
    one = conf;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        file_write("b.ini", rows[i].line);
        file_write("c.ini", "[wsgi]\npython_path = a\n  b\n"
                            "[workers]\nenv.X = 1\n");
        read_text("[DEFAULT]\nextends = b.ini\n  c.ini\n");
        assert_false(weave_conf_is_same(one, conf, rows[i].key));
        assert_same(one, 0, rows[i].key);
        assert_same(one, rows[i].key + 1, WEAVE_KEY_COUNT);
    }
}

/* --- directives --------------------------------------------------------- */

static void test_set(void **state)
{
    (void)state;
    conf = weave_conf_make(pool);
    assert_null(set(conf, "workers.Processes", "4"));
    assert_null(set(conf, "wsgi.environ.A", "b"));
    assert_null(set(conf, "wsgi.python_path", "a\nb"));
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_PROCESSES), 4);
    assert_string_equal(weave_conf_source(conf, WEAVE_WORKERS_PROCESSES, pool),
                        "httpd.conf:30");
    assert_string_equal(list_item(WEAVE_WSGI_PYTHON_PATH, 1), "b");
    assert_string_equal(apr_table_get(weave_conf_environ(conf), "A"), "b");
}

static void test_set_refused(void **state)
{
    (void)state;
    conf = weave_conf_make(pool);
    assert_string_equal(set(conf, "workers.process", "4"),
                        "workers.process is no key of the module; "
                        "is it workers.processes?");
    assert_string_equal(set(conf, "storage.sqluri", "x"),
                        "storage.sqluri is no key of the module");
    assert_non_null(
        strstr(set(conf, "limits.backoff", "-1"),
               "limits.backoff '-1' is not allowed here: a duration from 1 s"));
    assert_string_equal(set(conf, "release.keep", "3"),
                        "release.keep is for weavectl, which does not read"
                        " httpd.conf: set it in the sync.ini");
    assert_non_null(set(conf, "workers.threads", ""));
    assert_non_null(set(conf, "wsgi.environ.wsgi.input", "x"));
    assert_false(weave_conf_is_set(conf, WEAVE_LIMITS_BACKOFF));
    assert_false(weave_conf_is_set(conf, WEAVE_WSGI_ENVIRON));
}

static void test_set_in_a_location(void **state)
{
    int i;

    (void)state;
    conf = weave_conf_make(pool);
    assert_null(weave_conf_set(conf, "wsgi.environ.A", "b", 1, "f", 1, pool));
    assert_null(
        weave_conf_set(conf, "maintenance.mode", "on", 1, "f", 1, pool));
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);

        if (key->level != WEAVE_LEVEL_REQUEST) {
            const char *name =
                apr_pstrcat(pool, key->full,
                            key->type == WEAVE_TYPE_PREFIX ? "X" : "", NULL);

            assert_non_null(strstr(
                weave_conf_set(conf, name, "1", 1, "httpd.conf", 30, pool),
                key->level == WEAVE_LEVEL_WEAVECTL
                    ? "set it in the sync.ini"
                    : "cannot stand in a <Location>"));
        }
    }
}

static void test_merge(void **state)
{
    weave_conf_t *file, *over = weave_conf_make(pool);

    (void)state;
    read_text("[global]\nretry_after = 600\n"
              "[wsgi]\nscript = x.wsgi\nvirtualenv = v\nenviron.A = file\n"
              "environ.a = lower\n"
              "[workers]\nthreads = 3\nprocesses = 3\n");
    file = conf;
    assert_null(set(over, "workers.threads", "4"));
    assert_null(set(over, "wsgi.environ.A", "set"));
    assert_null(set(over, "wsgi.environ.B", "new"));
    assert_null(set(over, "wsgi.virtualenv", "other"));
    conf = weave_conf_merge(pool, file, over);
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_THREADS), 4);
    assert_int_equal(weave_conf_int(conf, WEAVE_WORKERS_PROCESSES), 3);
    assert_int_equal(weave_conf_int(conf, WEAVE_MAINTENANCE_RETRY_AFTER),
                     600 * S);
    assert_int_equal(apr_table_elts(weave_conf_environ(conf))->nelts, 3);
    assert_string_equal(apr_table_get(weave_conf_environ(conf), "B"), "new");
    assert_string_equal(APR_ARRAY_IDX(apr_table_elts(weave_conf_environ(conf)),
                                      0, apr_table_entry_t)
                            .val,
                        "set");
    assert_path(WEAVE_WSGI_VIRTUALENV, "other");
    assert_path(WEAVE_WSGI_SCRIPT, "other/x.wsgi");
    assert_string_equal(weave_conf_source(conf, WEAVE_WORKERS_THREADS, pool),
                        "httpd.conf:30");

    /* what it was made from is as it was */
    assert_int_equal(weave_conf_int(file, WEAVE_WORKERS_THREADS), 3);
    assert_string_equal(weave_conf_str(file, WEAVE_WSGI_SCRIPT),
                        in_folder("v/x.wsgi"));
    assert_string_equal(weave_conf_str(over, WEAVE_WSGI_VIRTUALENV), "other");
    assert_int_equal(apr_table_elts(weave_conf_environ(file))->nelts, 2);
    assert_int_equal(apr_table_elts(weave_conf_environ(over))->nelts, 2);
}

static void test_merge_of_directives(void **state)
{
    weave_conf_t *server = weave_conf_make(pool), *host = weave_conf_make(pool);

    (void)state;
    assert_null(set(server, "wsgi.script", "x.wsgi"));
    assert_null(set(server, "limits.backoff", "5"));
    assert_null(set(host, "limits.backoff", "6"));
    conf = weave_conf_merge(pool, server, host);
    read_text("[wsgi]\nvirtualenv = v\n[limits]\nbackoff = 7\n");
    conf = weave_conf_merge(pool, conf, weave_conf_merge(pool, server, host));
    assert_path(WEAVE_WSGI_SCRIPT, "v/x.wsgi");
    assert_int_equal(weave_conf_int(conf, WEAVE_LIMITS_BACKOFF), 6 * S);
    assert_int_equal(weave_conf_files(conf)->nelts, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_defaults),
        each(test_values),
        each(test_paths),
        each(test_paths_of_extended_files),
        each(test_keys_of_default),
        each(test_retry_after_of_global),
        each(test_heartbeat_of_global),
        each(test_all_problems_are_reported),
        each(test_value_that_could_not_be_expanded),
        each(test_file_that_is_missing),
        each(test_sections_that_are_not_ours),
        each(test_check),
        each(test_same),
        each(test_set),
        each(test_set_refused),
        each(test_set_in_a_location),
        each(test_merge),
        each(test_merge_of_directives),
    };

    return run_each(tests);
}
