/* SPDX-License-Identifier: Apache-2.0 */
/* weave_locale: which locale the environment asks for, and what becomes of it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>

#include "weave_host.h"

static int environment_clear(void **state)
{
    (void)state;
    unsetenv("LC_ALL");
    unsetenv("LC_CTYPE");
    unsetenv("LANG");
    return 0;
}

static void assert_wanted(const char *locale, const char *variable)
{
    const char *found = NULL;
    const char *wanted = weave_locale_wanted(&found);

    if (!locale) {
        assert_null(wanted);
        return;
    }
    assert_non_null(wanted);
    assert_string_equal(wanted, locale);
    assert_string_equal(found, variable);
}

static void test_order(void **state)
{
    (void)state;
    assert_wanted(NULL, NULL);
    setenv("LANG", "de_DE.UTF-8", 1);
    assert_wanted("de_DE.UTF-8", "LANG");
    setenv("LC_CTYPE", "", 1);
    assert_wanted("de_DE.UTF-8", "LANG");
    setenv("LC_CTYPE", "fr_FR.UTF-8", 1);
    assert_wanted("fr_FR.UTF-8", "LC_CTYPE");
    setenv("LC_ALL", "tr_TR.UTF-8", 1);
    assert_wanted("tr_TR.UTF-8", "LC_ALL");
}

static void test_c(void **state)
{
    (void)state;
    setenv("LANG", "C", 1);
    assert_wanted(NULL, NULL);
    setenv("LANG", "de_DE.UTF-8", 1);
    setenv("LC_CTYPE", "POSIX", 1);
    assert_wanted(NULL, NULL);
    setenv("LC_ALL", "C", 1);
    assert_wanted("C", "LC_ALL");
}

static void assert_ctype(const char *locale)
{
    const char *now = setlocale(LC_CTYPE, NULL);

    assert_non_null(now);
    assert_string_equal(now, locale);
}

static void test_set(void **state)
{
    (void)state;
    assert_int_equal(weave_locale_set("POSIX"), 0);
    assert_ctype("C");
    assert_int_equal(weave_locale_set("no_SUCH.locale"), -1);
    assert_ctype("C.UTF-8");
    assert_int_equal(weave_locale_set("C"), 0);
    assert_int_equal(weave_locale_set(NULL), 0);
    assert_ctype("C.UTF-8");
    assert_string_equal(setlocale(LC_NUMERIC, NULL), "C");
    assert_string_equal(setlocale(LC_COLLATE, NULL), "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, environment_clear),
        cmocka_unit_test_setup(test_c, environment_clear),
        cmocka_unit_test_setup(test_set, environment_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
