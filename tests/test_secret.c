/* SPDX-License-Identifier: Apache-2.0 */
/* test_secret.c: made, written, read and compared */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "weave_secret.h"

static void each_is_another(void **state)
{
    weave_secret_t one, other;

    (void)state;
    assert_int_equal(weave_secret_make(&one), 0);
    assert_int_equal(weave_secret_make(&other), 0);
    assert_true(weave_secret_is_same(&one, &one));
    assert_false(weave_secret_is_same(&one, &other));
}

static void every_bit_counts(void **state)
{
    weave_secret_t one, other;
    size_t i;

    (void)state;
    assert_int_equal(weave_secret_make(&one), 0);
    for (i = 0; i < 8 * sizeof(one.bytes); i++) {
        other = one;
        other.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        assert_false(weave_secret_is_same(&one, &other));
    }
}

static void is_read_as_written(void **state)
{
    weave_secret_t one, other = {{0}};
    char text[WEAVE_SECRET_TEXT];

    (void)state;
    assert_int_equal(weave_secret_make(&one), 0);
    weave_secret_format(text, &one);
    assert_int_equal(strlen(text), 2 * sizeof(one.bytes));
    assert_int_equal(weave_secret_parse(&other, text), 0);
    assert_true(weave_secret_is_same(&one, &other));
}

static void refuses_what_is_none(void **state)
{
    weave_secret_t secret = {{7}}, before = secret;
    char text[WEAVE_SECRET_TEXT + 1];
    static const char wrong[] = "gG/:`@AF \n";
    size_t i;

    (void)state;
    assert_int_equal(weave_secret_parse(&secret, NULL), -1);
    assert_int_equal(weave_secret_parse(&secret, ""), -1);
    for (i = 0; i < sizeof(wrong) - 1; i++) {
        weave_secret_format(text, &secret);
        text[i] = wrong[i];
        assert_int_equal(weave_secret_parse(&secret, text), -1);
    }
    weave_secret_format(text, &secret);
    strcat(text, "0");
    assert_int_equal(weave_secret_parse(&secret, text), -1);
    text[WEAVE_SECRET_TEXT - 2] = '\0';
    assert_int_equal(weave_secret_parse(&secret, text), -1);
    assert_memory_equal(&secret, &before, sizeof(secret));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_another),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(is_read_as_written),
        cmocka_unit_test(refuses_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
