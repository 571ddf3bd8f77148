/* SPDX-License-Identifier: Apache-2.0 */
/* test_reason.c: what an application says, without the secrets of its ini */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conf_support.h"
#include "weave_reason.h"

static const char ini_text[] = "[wsgi]\n"
                               "script = /srv/app.wsgi\n"
                               "environ.TOKEN = \"t0ken t0ken\"\n"
                               "[storage]\n"
                               "sqluri = mysql://app:hush@hush@db:3306/x\n"
                               "pool_size = 4711\n"
                               "pin = abc\n"
                               "key = wonder\n"
                               "names =\n"
                               "    alice in wonderland\n"
                               "    bob-the-builder\n"
                               "mode = ${NOT_SET}plain\n";

static const char *shown(const char *text)
{
    apr_table_t *env = apr_table_make(pool, 2);
    weave_ini_t *ini;

    apr_table_setn(env, "DB_PASSWORD", "of httpd");
    apr_table_setn(env, "SHLVL", "1");
    weave_ini_parse(&ini, ini_text, strlen(ini_text), "x.ini", problems, pool);
    return weave_reason_mask(text, ini, env, pool);
}

static void hides_values(void **state)
{
    (void)state;
    assert_string_equal(shown("no mysql://app:hush@hush@db:3306/x here"),
                        "no *** here");
    assert_string_equal(shown("denied (hush@hush), hush@hush"),
                        "denied (***), ***");
    assert_string_equal(
        shown("t0ken t0ken: alice in wonderland,bob-the-builder"),
        "***: ***,***");
    assert_string_equal(shown("1 time: 'of httpd' is wrong"),
                        "1 time: '***' is wrong");
}

/* A value that is a part of another one, or meets it, uncovers nothing. */
static void hides_what_overlaps(void **state)
{
    (void)state;
    assert_string_equal(shown("a wonder, alice in wonderland"), "a ***, ***");
    assert_string_equal(shown("alice in wonderland"), "***");
    assert_string_equal(shown("t0ken t0ken t0ken"), "***");
}

static void shows_what_is_no_secret(void **state)
{
    static const char text[] = "/srv/app.wsgi of abc: 4711, alice and db";

    (void)state;
    assert_string_equal(shown(text), text);
    assert_string_equal(shown(""), "");
}

/* Whatever is cut off, no beginning of a value stands at the end. */
static void cuts(void **state)
{
    const char *value = "alice in wonderland";
    char text[2048];
    size_t len;

    (void)state;
    for (len = 960; len < 1100; len++) {
        size_t part;

        for (part = 4; part <= strlen(value); part++) {
            memset(text, '.', len);
            memcpy(text + len, value, part);
            text[len + part] = '\0';
            if (len + part >= 1000)
                assert_null(strstr(shown(text), "alic"));
        }
    }
    memset(text, '.', 999);
    strcpy(text + 999, "\xc3\xa4 and more");
    assert_string_equal(shown(text) + 999, " ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(hides_values),
        each(hides_what_overlaps),
        each(shows_what_is_no_secret),
        each(cuts),
    };

    return run_each(tests);
}
