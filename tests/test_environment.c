/* SPDX-License-Identifier: Apache-2.0 */
/* test_environment.c: the variables of httpd's environment that workers get */

#include "conf_support.h"

#include "weave_environment.h"

static apr_table_t *table;
static apr_array_header_t *absent;

static void make(const char *workers, const char *const *variables)
{
    weave_conf_t *conf = NULL;
    const char *text =
        apr_pstrcat(pool, "[wsgi]\nmodule = x\n[workers]\n", workers, NULL);

    assert_int_equal(
        weave_conf_read(&conf, file_write("a.ini", text), problems, pool),
        APR_SUCCESS);
    absent = apr_array_make(pool, 1, sizeof(char *));
    table =
        weave_environment_passed(conf, (char *const *)variables, absent, pool);
}

/* "A=1 B=2", in their order. */
static void assert_table(const char *want)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    const char *text = "";
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        text = apr_pstrcat(pool, text, i ? " " : "", row->key, "=", row->val,
                           NULL);
    }
    assert_string_equal(text, want);
}

static const char *const some[] = {"A=1",  "B=2=3",    "a=4", "EMPTY=", "A=5",
                                   "AB=6", "BAD=\xff", "NO",  "b-c=7",  NULL};

static void test_names(void **state)
{
    (void)state;
    make("env.X = y\n", some);
    assert_table("");
    make("pass_env = B A, a\n  EMPTY\n", some);
    assert_table("B=2=3 A=1 a=4 EMPTY=");
    assert_int_equal(absent->nelts, 0);
    make("pass_env = A GONE BAD NO X\nenv.X = y\nenv.A = own\n", some);
    assert_table("");
    assert_string_equal(apr_array_pstrcat(pool, absent, ' '), "GONE BAD NO");
}

static void test_all(void **state)
{
    static const char *const variables[] = {
        "PATH=/bin",
        "LANG=C",
        "LC_ALL=C",
        "HOME=/root",
        "_=/usr/sbin/httpd",
        "APACHE_RUN_USER=x",
        "PYTHONPATH=/x",
        "LD_PRELOAD=/x",
        "LISTEN_FDS=1",
        "NOTIFY_SOCKET=/x",
        "WATCHDOG_USEC=1",
        "WEAVE_INI=/x",
        "UNDER_PYTHON=3",
        "LANGUAGES=4",
        "BASH_FUNC_x%%=() { :; }",
        "TZ=UTC",
        NULL,
    };

    (void)state;
    make("pass_env = *\n", some);
    assert_table("A=1 B=2=3 a=4 EMPTY= AB=6");
    make("pass_env = *\nenv.TZ = CET\n", variables);
    assert_table("PATH=/bin UNDER_PYTHON=3 LANGUAGES=4");
    make("pass_env = * LD_PRELOAD NOTIFY_SOCKET\n", variables);
    assert_table("PATH=/bin UNDER_PYTHON=3 LANGUAGES=4 TZ=UTC LD_PRELOAD=/x"
                 " NOTIFY_SOCKET=/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {each(test_names), each(test_all)};

    return run_each(tests);
}
