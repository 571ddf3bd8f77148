/* SPDX-License-Identifier: Apache-2.0 */
/* The key table and the values of keys. */

#include "conf_support.h"

#include "weave_keys.h"

static apr_array_header_t *items(const char *text)
{
    apr_array_header_t *list = apr_array_make(pool, 1, sizeof(char *));
    char *state, *rest = apr_pstrdup(pool, text), *item;

    for (item = apr_strtok(rest, "\n", &state); item;
         item = apr_strtok(NULL, "\n", &state)) {
        APR_ARRAY_PUSH(list, const char *) = item;
    }
    if (!list->nelts) {
        APR_ARRAY_PUSH(list, const char *) = "";
    }
    return list;
}

static const char *parse(weave_key_value_t *value, weave_key_e key,
                         const char *text)
{
    return weave_key_parse(value, weave_key_get(key), items(text), pool);
}

static void assert_number(weave_key_e key, const char *text, apr_int64_t num)
{
    weave_key_value_t value;
    const char *wrong = parse(&value, key, text);

    if (wrong) {
        fail_msg("%s %s", weave_key_get(key)->full, wrong);
    }
    if (value.num != num) {
        fail_msg("%s = %s is %" APR_INT64_T_FMT, weave_key_get(key)->full, text,
                 value.num);
    }
}

static void assert_refused(weave_key_e key, const char *text,
                           const char *reason)
{
    weave_key_value_t value = {.num = 42};
    const char *wrong = parse(&value, key, text);

    if (!wrong) {
        fail_msg("%s = %s is taken", weave_key_get(key)->full, text);
    }
    else if (!strstr(wrong, reason)) {
        fail_msg("'%s' is not in '%s'", reason, wrong);
    }
    assert_int_equal(value.num, 42);
}

static void assert_accepted(weave_key_e key, const char *text, const char *str)
{
    weave_key_value_t value;
    const char *wrong = parse(&value, key, text);

    if (wrong) {
        fail_msg("%s %s", weave_key_get(key)->full, wrong);
    }
    assert_string_equal(value.str, str);
}

/* --- the table ---------------------------------------------------------- */

static void test_rows_are_where_their_numbers_say(void **state)
{
    int i, j;

    (void)state;
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);

        assert_int_equal(key->key, i);
        assert_true(weave_key_section_is(key->section));
        assert_string_equal(
            key->full, apr_pstrcat(pool, key->section, ".", key->name, NULL));
        assert_true(*key->help);
        for (j = 0; j < i; j++) {
            assert_string_not_equal(key->full, weave_key_get(j)->full);
        }
    }
}

/* A default must be something that an administrator could write. */
static void test_defaults_are_allowed(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);
        weave_key_value_t value, made;

        weave_key_default(&made, key, pool);
        assert_non_null(made.str);
        if (*key->fallback) {
            assert_null(parse(&value, i, key->fallback));
            assert_int_equal(value.num, made.num);
            assert_string_equal(value.str, made.str);
        }
        else if (i != WEAVE_WORKERS_PROCESSES) {
            assert_int_equal(made.num, -1);
        }
    }
}

static void test_default_of_processes_is_one_to_four(void **state)
{
    weave_key_value_t value;

    (void)state;
    weave_key_default(&value, weave_key_get(WEAVE_WORKERS_PROCESSES), pool);
    assert_in_range(value.num, 1, 4);
}

static void test_choices_are_in_the_order_of_their_enums(void **state)
{
    (void)state;
    assert_number(WEAVE_WORKERS_MODE, "processes", WEAVE_MODE_PROCESSES);
    assert_number(WEAVE_WORKERS_MODE, "Embedded", WEAVE_MODE_EMBEDDED);
    assert_number(WEAVE_MAINTENANCE_MODE, "off", WEAVE_MAINTENANCE_OFF);
    assert_number(WEAVE_MAINTENANCE_MODE, "backoff", WEAVE_MAINTENANCE_BACKOFF);
    assert_number(WEAVE_MAINTENANCE_MODE, "drain", WEAVE_MAINTENANCE_DRAINING);
    assert_number(WEAVE_MAINTENANCE_MODE, "on", WEAVE_MAINTENANCE_ON);
    assert_number(WEAVE_MAINTENANCE_STYLE, "sync", WEAVE_STYLE_SYNC);
    assert_number(WEAVE_MAINTENANCE_STYLE, "plain", WEAVE_STYLE_PLAIN);
    assert_number(WEAVE_RELEASE_RELOAD, "none", WEAVE_RELOAD_NONE);
    assert_number(WEAVE_RELEASE_RELOAD, "touch", WEAVE_RELOAD_TOUCH);
    assert_refused(WEAVE_WORKERS_MODE, "process", "one of processes, embedded");
    assert_refused(WEAVE_WORKERS_MODE, "", "one of processes, embedded");
}

/* --- values ------------------------------------------------------------- */

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        apr_int64_t us;
    } rows[] = {
        {"60", 60000000},      {"60s", 60000000},    {"60 s", 60000000},
        {"60\tS", 60000000},   {"500ms", 500000},    {"10000 us", 10000},
        {"5m", 300000000},     {"5 min", 300000000}, {"1h", 3600000000},
        {"24 H", 86400000000}, {"1d", 86400000000},  {"10 ms", 10000},
        {"0000060", 60000000}};
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_number(WEAVE_LIMITS_REQUEST_TIMEOUT, rows[i].text, rows[i].us);
    }
}

static void test_durations_refused(void **state)
{
    static const char *const rows[] = {"",
                                       "s",
                                       "-1",
                                       "+1",
                                       "1.5 s",
                                       "9 ms",
                                       "86401",
                                       "2 d",
                                       "1 x",
                                       "1 s s",
                                       "0x10",
                                       " 60",
                                       "1 month",
                                       "999999999999999999d",
                                       "9999999999999999999999999999"};
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refused(WEAVE_LIMITS_REQUEST_TIMEOUT, rows[i],
                       "a duration from 10 ms to 1 d");
    }
}

static void test_sizes(void **state)
{
    (void)state;
    assert_number(WEAVE_LIMITS_SPOOL_AT, "0", 0);
    assert_number(WEAVE_LIMITS_SPOOL_AT, "262144", 262144);
    assert_number(WEAVE_LIMITS_SPOOL_AT, "17 B", 17);
    assert_number(WEAVE_LIMITS_SPOOL_AT, "256K", 262144);
    assert_number(WEAVE_LIMITS_SPOOL_AT, "256 KiB", 262144);
    assert_number(WEAVE_LIMITS_SPOOL_AT, "1 mib", 1048576);
    assert_number(WEAVE_LIMITS_SPOOL_AT, "1G", 1073741824);
    assert_refused(WEAVE_LIMITS_SPOOL_AT, "2 GiB", "a size from 0 to 1 GiB");
    assert_refused(WEAVE_LIMITS_SPOOL_AT, "1 KB", "a size");
    assert_refused(WEAVE_LIMITS_SPOOL_AT, "-1", "a size");
    assert_refused(WEAVE_WORKERS_MAX_RSS, "999999999999999999G", "a size");
}

static void test_other_numbers(void **state)
{
    (void)state;
    assert_number(WEAVE_MAINTENANCE_SPREAD, "5", 5);
    assert_number(WEAVE_MAINTENANCE_SPREAD, "5%", 5);
    assert_number(WEAVE_MAINTENANCE_SPREAD, "100 %", 100);
    assert_refused(WEAVE_MAINTENANCE_SPREAD, "101", "from 0 to 100 %");
    assert_number(WEAVE_WORKERS_THREADS, "1024", 1024);
    assert_refused(WEAVE_WORKERS_THREADS, "0", "from 1 to 1024");
    assert_refused(WEAVE_WORKERS_THREADS, "8 threads", "a whole number");
    assert_number(WEAVE_WORKERS_UMASK, "027", 027);
    assert_number(WEAVE_WORKERS_UMASK, "77", 077);
    assert_refused(WEAVE_WORKERS_UMASK, "028", "an octal number");
    assert_refused(WEAVE_WORKERS_UMASK, "1000", "from 000 to 777");
}

static void test_booleans(void **state)
{
    (void)state;
    assert_number(WEAVE_WSGI_STREAM_INPUT, "true", 1);
    assert_number(WEAVE_WSGI_STREAM_INPUT, "FALSE", 0);
    assert_number(WEAVE_WSGI_STREAM_INPUT, "On", 1);
    assert_number(WEAVE_WSGI_STREAM_INPUT, "no", 0);
    assert_refused(WEAVE_WSGI_STREAM_INPUT, "1", "true or false");
    assert_refused(WEAVE_WSGI_STREAM_INPUT, "", "true or false");
}

static void test_strings(void **state)
{
    (void)state;
    assert_accepted(WEAVE_WSGI_SCRIPT, "a b/c.wsgi", "a b/c.wsgi");
    assert_accepted(WEAVE_WSGI_SCRIPT, "", "");
    assert_refused(WEAVE_WSGI_SCRIPT, "a\nb", "takes one value, not a list");
    assert_refused(WEAVE_WSGI_SCRIPT, "a\x1b[31m", "a path, on one line");
    assert_accepted(WEAVE_WSGI_CALLABLE, "app", "app");
    assert_accepted(WEAVE_WSGI_CALLABLE, "a_1.B2", "a_1.B2");
    assert_accepted(WEAVE_WSGI_CALLABLE, "\xc3\xa9t\xc3\xa9",
                    "\xc3\xa9t\xc3\xa9");
    assert_refused(WEAVE_WSGI_CALLABLE, "", "a Python name");
    assert_refused(WEAVE_WSGI_CALLABLE, "1a", "a Python name");
    assert_refused(WEAVE_WSGI_CALLABLE, "a..b", "a Python name");
    assert_refused(WEAVE_WSGI_CALLABLE, "a.", "a Python name");
    assert_refused(WEAVE_WSGI_CALLABLE, ".a", "a Python name");
    assert_refused(WEAVE_WSGI_CALLABLE, "make_app()", "a Python name");
    assert_accepted(WEAVE_WSGI_MODULE, "", "");
    assert_refused(WEAVE_WSGI_MODULE, "weave/server", "a Python name");
    /* what weavectl maintenance --message takes */
    assert_accepted(WEAVE_MAINTENANCE_MESSAGE, "Zur\u00fcck um 12 \u20ac",
                    "Zur\u00fcck um 12 \u20ac");
    assert_accepted(WEAVE_MAINTENANCE_MESSAGE, "", "");
    assert_refused(WEAVE_MAINTENANCE_MESSAGE, "a\u2028b", "on one line");
    assert_refused(WEAVE_MAINTENANCE_MESSAGE, "a\u2029b", "on one line");
    assert_refused(WEAVE_MAINTENANCE_MESSAGE, "a\xc2\x85z", "control");
    assert_refused(WEAVE_MAINTENANCE_MESSAGE,
                   "Zur\xfc"
                   "ck",
                   "UTF-8");
    assert_refused(WEAVE_MAINTENANCE_MESSAGE, "a\x1b[31m", "control");
    assert_accepted(WEAVE_RELEASE_WARMUP, "/a?b=c", "/a?b=c");
    assert_accepted(WEAVE_RELEASE_WARMUP, "", "");
    assert_refused(WEAVE_RELEASE_WARMUP, "a", "beginning with /");
    assert_refused(WEAVE_RELEASE_WARMUP, "/a b", "beginning with /");
}

static void test_lists(void **state)
{
    weave_key_value_t value;

    (void)state;
    assert_null(parse(&value, WEAVE_WSGI_PYTHON_PATH, "a\nb c"));
    assert_int_equal(value.list->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(value.list, 1, char *), "b c");
    assert_null(parse(&value, WEAVE_WSGI_PYTHON_PATH, ""));
    assert_int_equal(value.list->nelts, 0);
    assert_null(parse(&value, WEAVE_MAINTENANCE_ALLOW,
                      "192.0.2.7, 10.0.0.0/8\n2001:db8::/32 ::1"));
    assert_int_equal(value.list->nelts, 4);
    assert_string_equal(APR_ARRAY_IDX(value.list, 2, char *), "2001:db8::/32");
    assert_refused(WEAVE_MAINTENANCE_ALLOW, "example.org", "192.0.2.7");
    assert_refused(WEAVE_MAINTENANCE_ALLOW, "10.0.0.0/33", "addresses");
}

/* --- finding ------------------------------------------------------------ */

static void test_find(void **state)
{
    const char *member = "?";

    (void)state;
    assert_ptr_equal(weave_key_find("wsgi.script", &member),
                     weave_key_get(WEAVE_WSGI_SCRIPT));
    assert_null(member);
    assert_ptr_equal(weave_key_find("Workers.THREADS", NULL),
                     weave_key_get(WEAVE_WORKERS_THREADS));
    assert_ptr_equal(weave_key_find("Wsgi.Environ.My.Key", &member),
                     weave_key_get(WEAVE_WSGI_ENVIRON));
    assert_string_equal(member, "My.Key");
    assert_null(weave_key_find("wsgi.environ.", &member));
    assert_null(weave_key_find("wsgi.environ", &member));
    assert_null(weave_key_find("script", &member));
    assert_null(weave_key_find("", &member));
}

static void test_nearest(void **state)
{
    static const struct {
        const char *name, *full;
    } rows[] = {{"workers.thread", "workers.threads"},
                {"workers.Thraeds", "workers.threads"},
                {"workers.mdoe", "workers.mode"},
                {"wsgi.threads", "workers.threads"},
                {"wsgi.virtual_env", "wsgi.virtualenv"},
                {"limits.request_timout", "limits.request_timeout"},
                {"maintenance.retryafter", "maintenance.retry_after"},
                {"workers.process", "workers.processes"},
                {"script", "wsgi.script"},
                {"wsgi.zzz", NULL},
                {"", NULL},
                {".", NULL}};
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const weave_key_t *key = weave_key_nearest(rows[i].name);

        if (!rows[i].full) {
            assert_null(key);
            continue;
        }
        assert_non_null(key);
        assert_string_equal(key->full, rows[i].full);
    }
}

static void test_nearest_of_something_long(void **state)
{
    char *name = apr_pcalloc(pool, 100001);

    (void)state;
    memset(name, 'a', 100000);
    assert_null(weave_key_nearest(name));
    assert_null(weave_key_section_nearest(name));
}

static void test_nearest_section(void **state)
{
    (void)state;
    assert_string_equal(weave_key_section_nearest("worker"), "workers");
    assert_string_equal(weave_key_section_nearest("WSGI"), "wsgi");
    assert_string_equal(weave_key_section_nearest(" limits"), "limits");
    assert_string_equal(weave_key_section_nearest("maintenence"),
                        "maintenance");
    assert_null(weave_key_section_nearest("workers"));
    assert_null(weave_key_section_nearest("storage"));
    assert_null(weave_key_section_nearest("smtp"));
    assert_null(weave_key_section_nearest("auth"));
    assert_null(weave_key_section_nearest("nodes"));
}

static void test_members(void **state)
{
    const weave_key_t *environ = weave_key_get(WEAVE_WSGI_ENVIRON);
    const weave_key_t *env = weave_key_get(WEAVE_WORKERS_ENV);

    (void)state;
    assert_null(weave_key_member_check(environ, "myapp.setting-1"));
    assert_non_null(weave_key_member_check(environ, "wsgi.input"));
    assert_non_null(weave_key_member_check(environ, "HTTP_COOKIE"));
    assert_non_null(weave_key_member_check(environ, "SCRIPT_NAME"));
    assert_non_null(weave_key_member_check(environ, "a b"));
    assert_null(weave_key_member_check(environ, "SCRIPT_NAMES"));
    assert_null(weave_key_member_check(env, "HTTP_PROXY"));
    assert_null(weave_key_member_check(env, "_x1"));
    assert_non_null(weave_key_member_check(env, "a.b"));
    assert_non_null(weave_key_member_check(env, "1a"));
    assert_non_null(weave_key_member_check(env, "A=B"));
    assert_non_null(weave_key_member_check(env, "WEAVE_INI"));
    assert_non_null(weave_key_member_check(env, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_rows_are_where_their_numbers_say),
        each(test_defaults_are_allowed),
        each(test_default_of_processes_is_one_to_four),
        each(test_choices_are_in_the_order_of_their_enums),
        each(test_durations),
        each(test_durations_refused),
        each(test_sizes),
        each(test_other_numbers),
        each(test_booleans),
        each(test_strings),
        each(test_lists),
        each(test_find),
        each(test_nearest),
        each(test_nearest_of_something_long),
        each(test_nearest_section),
        each(test_members),
    };

    return run_each(tests);
}
