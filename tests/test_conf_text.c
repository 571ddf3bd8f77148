/* SPDX-License-Identifier: Apache-2.0 */
/* test_conf_text.c: a configuration that goes to another process as a text */

#include "conf_support.h"

#include "weave_conf.h"

static weave_conf_t *conf;

#define SECRET "do-not-tell"

static void read_text(const char *text)
{
    assert_int_equal(
        weave_conf_read(&conf, file_write("a.ini", text), problems, pool),
        APR_SUCCESS);
}

static void read_example(void)
{
    read_text("[wsgi]\n"
              "virtualenv = " SECRET "/venv\n"
              "script = bin/" SECRET "\n"
              "python_path = " SECRET "\n"
              "   other\n"
              "environ.Key = " SECRET "\n"
              "environ.key = other\n"
              "[workers]\n"
              "mode = embedded\n"
              "threads = 3\n"
              "umask = 027\n"
              "user = " SECRET "\n"
              "env.TOKEN = " SECRET "\n"
              "[limits]\n"
              "request_timeout = 90 s\n"
              "spool_dir = spool\n"
              "backoff_at = 50 %\n"
              "[maintenance]\n"
              "mode = drain\n"
              "allow = 10.0.0.0/8, ::1\n"
              "message = Bald wieder da\n"
              "[release]\n"
              "warmup = /" SECRET "\n"
              "migrate = " SECRET "\n"
              "find_links = https://me:" SECRET "@localhost/\n"
              "[global]\n"
              "retry_after = 77\n"
              "heartbeat_page = /alive/\n"
              "[storage]\n"
              "password = " SECRET "\n");
}

static const char *text_of(weave_conf_part_e part)
{
    return weave_conf_text(conf, part, weave_conf_environ(conf), pool);
}

static weave_conf_t *read_back(const char *text)
{
    weave_conf_t *copy = NULL;

    assert_int_equal(
        weave_conf_parse(&copy, text, in_folder("a.ini"), problems, pool),
        APR_SUCCESS);
    assert_int_equal(problems->nelts, 0);
    return copy;
}

static void assert_key_same(const weave_conf_t *copy, weave_key_e key)
{
    if (!weave_conf_is_same(conf, copy, key))
        fail_msg("%s is another", weave_key_get(key)->full);
}

static void test_everything(void **state)
{
    weave_conf_t *copy;
    int i;

    (void)state;
    read_example();
    copy = read_back(text_of(WEAVE_CONF_ALL));
    for (i = 0; i < WEAVE_KEY_COUNT; i++)
        assert_key_same(copy, i);
}

static void test_without_secrets(void **state)
{
    static const weave_key_e kept[] = {
        WEAVE_WORKERS_MODE,        WEAVE_WORKERS_THREADS,
        WEAVE_WORKERS_UMASK,       WEAVE_LIMITS_REQUEST_TIMEOUT,
        WEAVE_LIMITS_SPOOL_DIR,    WEAVE_LIMITS_BACKOFF_AT,
        WEAVE_MAINTENANCE_MODE,    WEAVE_MAINTENANCE_ALLOW,
        WEAVE_MAINTENANCE_MESSAGE, WEAVE_MAINTENANCE_RETRY_AFTER};
    weave_conf_t *copy;
    size_t i;

    (void)state;
    read_example();
    assert_non_null(strstr(text_of(WEAVE_CONF_ALL), SECRET));
    assert_null(strstr(text_of(WEAVE_CONF_PUBLIC), SECRET));
    copy = read_back(text_of(WEAVE_CONF_PUBLIC));
    for (i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        assert_key_same(copy, kept[i]);
    assert_string_equal(weave_conf_heartbeat(copy), "/alive");
    assert_string_equal(weave_conf_str(copy, WEAVE_WSGI_SCRIPT), "");
    assert_string_equal(weave_conf_str(copy, WEAVE_RELEASE_MIGRATE), "");
    assert_true(apr_is_empty_table(weave_conf_environ(copy)));
    assert_true(apr_is_empty_table(weave_conf_env(copy)));
}

/* Of two values for Retry-After the module's own wins, also its default. */
static void test_retry_after(void **state)
{
    const weave_key_t *key = weave_key_get(WEAVE_MAINTENANCE_RETRY_AFTER);

    (void)state;
    read_text(apr_psprintf(pool,
                           "[maintenance]\nretry_after = %s\n"
                           "[global]\nretry_after = 77\n",
                           key->fallback));
    assert_key_same(read_back(text_of(WEAVE_CONF_PUBLIC)), key->key);
}

static void test_merging_afterwards(void **state)
{
    weave_conf_t *set, *merged, *copy;

    (void)state;
    read_example();
    copy = read_back(text_of(WEAVE_CONF_PUBLIC));
    set = weave_conf_make(pool);
    assert_null(weave_conf_set(set, "limits.spool_dir", "elsewhere", 0,
                               "httpd.conf", 3, pool));
    assert_null(weave_conf_set(set, "wsgi.environ.MORE", "x", 0, "httpd.conf",
                               4, pool));
    merged = weave_conf_merge(pool, copy, set);
    assert_string_equal(weave_conf_str(merged, WEAVE_LIMITS_SPOOL_DIR),
                        in_folder("elsewhere"));
    assert_int_equal(apr_table_elts(weave_conf_environ(merged))->nelts, 1);
}

/* WeaveSet may say what is no UTF-8: it is merged once more. */
static void test_set_without_utf8(void **state)
{
    weave_conf_t *set = weave_conf_make(pool), *copy = NULL;

    (void)state;
    read_text("[wsgi]\nvirtualenv = venv\nscript = bin/app\n");
    assert_null(
        weave_conf_set(set, "wsgi.virtualenv", "/srv/\xe4", 0, "x", 1, pool));
    conf = weave_conf_merge(pool, conf, set);
    weave_conf_parse(&copy, text_of(WEAVE_CONF_ALL), in_folder("a.ini"),
                     problems, pool);
    copy = weave_conf_merge(pool, copy, set);
    assert_key_same(copy, WEAVE_WSGI_VIRTUALENV);
}

#define LITERAL "${HOME} $$ %(here)s \"x\" ; # = [y]"

/* A value of KEY that differs from its default and is hard to write down. */
static const char *value_for(const weave_key_t *key)
{
    switch (key->type) {
    case WEAVE_TYPE_DOTTED:
        return "a.b";
    case WEAVE_TYPE_TARGET:
        return "/${HOME}/$$?\"x\"#y";
    case WEAVE_TYPE_PATH:
        return "/srv/" LITERAL;
    case WEAVE_TYPE_PATHS:
        return "/srv/" LITERAL "\n/other";
    case WEAVE_TYPE_NAMES:
        return "ONE two *";
    case WEAVE_TYPE_NETS:
        return "10.0.0.0/8";
    case WEAVE_TYPE_BOOL:
        return strcmp(key->fallback, "true") ? "true" : "false";
    case WEAVE_TYPE_OCTAL:
        return "027";
    case WEAVE_TYPE_DURATION:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT "us", key->min + 1);
    case WEAVE_TYPE_SIZE:
        return "12345";
    case WEAVE_TYPE_INT:
    case WEAVE_TYPE_PERCENT:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, key->max);
    case WEAVE_TYPE_CHOICE:
        return strrchr(key->choices, '|') + 1;
    default:
        return LITERAL;
    }
}

/* What worker processes are told of it. */
static const weave_conf_t *told(const apr_table_t *environ)
{
    weave_conf_t *read = NULL;
    const char *text = weave_conf_text(conf, WEAVE_CONF_PROCESS, environ, pool);

    assert_int_equal(weave_conf_parse(&read, text, "text", problems, pool),
                     APR_SUCCESS);
    assert_int_equal(problems->nelts, 0);
    assert_string_equal(
        weave_conf_text(read, WEAVE_CONF_PROCESS, environ, pool), text);
    return read;
}

static void test_processes_are_told_each_key(void **state)
{
    const weave_conf_t *read, *defaults = weave_conf_make(pool);
    int i;

    (void)state;
    setenv("HOME", "/expanded", 1);
    conf = weave_conf_make(pool);
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);
        const char *name =
            apr_pstrcat(pool, key->full,
                        key->type == WEAVE_TYPE_PREFIX ? "Name" : "", NULL);

        if (key->level != WEAVE_LEVEL_WEAVECTL)
            assert_null(weave_conf_set(conf, name, value_for(key), 0,
                                       "httpd.conf", i, pool));
    }
    read = told(weave_conf_environ(conf));
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);
        int is_told = i == WEAVE_WSGI_ENVIRON ||
                      (key->level != WEAVE_LEVEL_REQUEST &&
                       strcmp(key->section, "maintenance") != 0);

        if (!weave_conf_is_same(read, is_told ? conf : defaults, i))
            fail_msg("%s", key->full);
    }
    assert_string_equal(weave_conf_str(read, WEAVE_WSGI_VIRTUALENV),
                        "/srv/" LITERAL);
}

/* What a file says, merged, as it was read there. */
static void test_processes_are_told_what_was_merged(void **state)
{
    weave_conf_t *set = weave_conf_make(pool);
    const apr_table_t *environ;
    const weave_conf_t *read;

    (void)state;
    setenv("HOME", "/expanded", 1);
    setenv("TWICE", "${HOME}", 1);
    read_text("[wsgi]\nvirtualenv = venv\nscript = ${HOME}/${TWICE}\n"
              "environ.A = ${TWICE}$$\n[workers]\nthreads = 3\nhome =\n"
              "[limits]\nspool_dir = spool\n");
    environ = weave_conf_environ(conf);
    assert_null(weave_conf_set(set, "workers.threads", "5", 0, "x", 1, pool));
    assert_null(weave_conf_set(set, "wsgi.environ.B", "b", 0, "x", 2, pool));
    conf = weave_conf_merge(pool, conf, set);
    read = told(environ);
    assert_string_equal(weave_conf_str(read, WEAVE_WSGI_VIRTUALENV),
                        in_folder("venv"));
    assert_string_equal(weave_conf_str(read, WEAVE_WSGI_SCRIPT),
                        "/expanded/${HOME}");
    assert_string_equal(weave_conf_str(read, WEAVE_WORKERS_HOME), "");
    assert_string_equal(weave_conf_str(read, WEAVE_LIMITS_SPOOL_DIR),
                        in_folder("spool"));
    assert_int_equal(weave_conf_int(read, WEAVE_WORKERS_THREADS), 5);
    assert_int_equal(apr_table_elts(weave_conf_environ(read))->nelts, 1);
    assert_string_equal(apr_table_get(weave_conf_environ(read), "A"),
                        "${HOME}$$");
    /* a value that is the default makes no difference, wherever it is set */
    assert_null(
        weave_conf_set(set, "workers.mode", "processes", 0, "x", 3, pool));
    assert_string_equal(
        weave_conf_text(weave_conf_merge(pool, conf, set), WEAVE_CONF_PROCESS,
                        environ, pool),
        weave_conf_text(conf, WEAVE_CONF_PROCESS, environ, pool));
    unsetenv("TWICE");
}

/* A change of what weavectl alone reads makes no other spec, and so no new
 * generation. */
static void test_processes_are_not_told_what_weavectl_reads(void **state)
{
    static const char common[] =
        "[wsgi]\nvirtualenv = /srv/a\n[release]\nwarmup = /x\n";
    const char *before;

    (void)state;
    read_text(common);
    before = text_of(WEAVE_CONF_PROCESS);
    read_text(apr_pstrcat(pool, common,
                          "keep = 7\nmigrate = x\nchannel = y\n"
                          "find_links = https://me:" SECRET "@localhost/\n"
                          "system_site_packages = true\npython = /srv/p\n"
                          "keyring = k.gpg\nrepository = r\nvendor = v\n",
                          NULL));
    assert_string_equal(text_of(WEAVE_CONF_PROCESS), before);
    assert_null(strstr(text_of(WEAVE_CONF_PUBLIC), "keep"));
    read_text(apr_pstrcat(pool, common, "reload = touch\n", NULL));
    assert_string_not_equal(text_of(WEAVE_CONF_PROCESS), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_processes_are_not_told_what_weavectl_reads),
        each(test_processes_are_told_each_key),
        each(test_processes_are_told_what_was_merged),
        each(test_everything),
        each(test_without_secrets),
        each(test_merging_afterwards),
        each(test_retry_after),
        each(test_set_without_utf8),
    };

    return run_each(tests);
}
