/* SPDX-License-Identifier: Apache-2.0 */
/* The dialect of sync.ini; ini_differential.t holds it against Python too. */

#include "ini_support.h"

/* --- lines -------------------------------------------------------------- */

static void test_lines(void **state)
{
    (void)state;
    read_text("# comment\n"
              "[a]\n"
              "one = 1 ; not a comment\n"
              "Two:x=y\n"
              "  ; a comment\n"
              "three =\n"
              "four = x\n"
              "   y\n"
              "\n"
              "   z\n"
              "five");
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "a.ini", 11, "neither a [section] nor a 'key = value'");
    assert_null(
        strstr(APR_ARRAY_IDX(problems, 0, weave_problem_t *)->text, "five"));
    assert_text("a", "one", "1 ; not a comment");
    assert_text("a", "two", "x=y");
    assert_text("a", "three", "");
    assert_string_equal(get("a", "four")->raw, "x\ny\n\nz");
    assert_int_equal(get("a", "four")->line, 7);
    assert_string_equal(get("a", "four")->file, in_folder("a.ini"));
}

static void test_line_ends_and_mark(void **state)
{
    (void)state;
    read_text("\xef\xbb\xbf[a]\r\nx = 1\r\n  2\ry = 3");
    assert_no_problem();
    assert_string_equal(get("a", "x")->raw, "1\n2");
    assert_int_equal(get("a", "y")->line, 4);
}

static void test_white_space_is_unicode(void **state)
{
    (void)state;
    read_text("[a]\nx\xc2\xa0=\xe3\x80\x80"
              "1\xe2\x80\xa8\n");
    assert_no_problem();
    assert_string_equal(get("a", "x")->raw, "1");
}

static void test_all_problems_are_reported(void **state)
{
    (void)state;
    read_text("lost\n"
              "more = lost\n"
              "[a]\n"
              "x = 1\n"
              "nothing\n"
              "X = 2\n"
              "= 3\n"
              "[b\n"
              "[a]\n"
              "y = ${WEAVE_TEST_UNSET}\n");
    assert_int_equal(problems->nelts, 7);
    assert_error(0, "a.ini", 1, "text before the first [section]");
    assert_error(1, "a.ini", 5, "neither a [section] nor a 'key = value'");
    assert_error(2, "a.ini", 6, "'x' is in [a] twice");
    assert_error(3, "a.ini", 7, "a value without a key");
    assert_error(4, "a.ini", 8, "neither");
    assert_error(5, "a.ini", 9, "section [a] is there twice");
    assert_error(6, "a.ini", 10, "WEAVE_TEST_UNSET is not set");
    assert_string_equal(problem(6)->name, "WEAVE_TEST_UNSET");
    assert_string_equal(problem(6)->section, "a");
    assert_string_equal(get("a", "x")->raw, "1");
}

static void test_status_says_whether_it_is_good(void **state)
{
    (void)state;
    file_write("good.ini", "[a]\n");
    file_write("bad.ini", "[a]\n[a]\n");
    assert_int_equal(read_file("bad.ini"), APR_EGENERAL);
    assert_non_null(ini);
    assert_int_equal(read_file("good.ini"), APR_SUCCESS);
    assert_int_equal(weave_problems_count(problems, WEAVE_PROBLEM_ERROR), 1);
}

static void test_default_may_come_twice(void **state)
{
    (void)state;
    read_text("[DEFAULT]\nx = 1\n[a]\n[DEFAULT]\ny = 2\nx = 3\n");
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "a.ini", 6, "'x' is in [DEFAULT] twice");
    assert_int_equal(get("a", "x")->value.num, 1);
    assert_int_equal(get("a", "y")->value.num, 2);
    assert_int_equal(weave_ini_sections(ini)->nelts, 1);
    assert_null(weave_ini_get(ini, "b", "x"));
}

static void test_names_of_variables_keep_their_case(void **state)
{
    (void)state;
    read_text("[a]\nENV.Path = 1\nenv.PATH = 2\nEnviron.x.Y = 3\nENVY.X = 4\n"
              "env.Path = 5\n");
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "a.ini", 6, "env.Path");
    assert_int_equal(get("a", "env.Path")->value.num, 1);
    assert_int_equal(get("a", "env.PATH")->value.num, 2);
    assert_int_equal(get("a", "environ.x.Y")->value.num, 3);
    assert_int_equal(get("a", "envy.x")->value.num, 4);
}

static void test_what_is_no_text(void **state)
{
    static const char bytes[] = "[a]\nx = \xff\ny = \0\nz = \xc0\x80\n"
                                "ok = \xf0\x9f\x98\x80\nw = \xed\xa0\x80\n"
                                "\xff\xfe[b]\n";

    (void)state;
    file_write_bytes("a.ini", bytes, sizeof(bytes) - 1);
    assert_int_equal(read_file("a.ini"), APR_EGENERAL);
    assert_error(0, "a.ini", 2, "not UTF-8");
    assert_error(1, "a.ini", 3, "a NUL byte");
    assert_error(2, "a.ini", 4, "not UTF-8");
    assert_error(3, "a.ini", 6, "not UTF-8");
    assert_error(4, "a.ini", 7, "not UTF-8");
    assert_text("a", "ok", "\xf0\x9f\x98\x80");
}

static void test_messages_are_printable(void **state)
{
    char *text = apr_psprintf(
        pool, "[a]\n[\x1b[31m\x7f%01000d]\n[\x1b[31m\x7f%01000d]\n", 0, 0);

    (void)state;
    read_text(text);
    assert_error(0, "a.ini", 3, "\\x1b[31m\\x7f000");
    assert_in_range(strlen(problem(0)->text), 100, 410);
    assert_string_equal(problem(0)->text + strlen(problem(0)->text) - 3, "...");
}

/* --- values ------------------------------------------------------------- */

static void test_types(void **state)
{
    (void)state;
    read_text("[a]\ni = -12\nb = True\nq = \"12\"\nf = 1.5\n"
              "big = 9223372036854775808\nmin = -9223372036854775808\n"
              "minus = -\nquote = \"\none =\n   7\nplus = +1\n");
    assert_no_problem();
    assert_int_equal(get("a", "i")->value.type, WEAVE_INI_INT);
    assert_int_equal(get("a", "i")->value.num, -12);
    assert_int_equal(get("a", "b")->value.type, WEAVE_INI_BOOL);
    assert_int_equal(get("a", "b")->value.num, 1);
    assert_text("a", "q", "12");
    assert_text("a", "f", "1.5");
    assert_text("a", "big", "9223372036854775808");
    assert_true(get("a", "min")->value.num == APR_INT64_MIN);
    assert_text("a", "minus", "-");
    assert_text("a", "quote", "\"");
    assert_text("a", "plus", "+1");
    assert_int_equal(get("a", "one")->value.num, 7);
}

static void test_lists(void **state)
{
    const apr_array_header_t *items;

    (void)state;
    read_text("[a]\nx = one\n\n  2\n  \"3\"\n  # comment\n  false\n");
    assert_no_problem();
    assert_int_equal(get("a", "x")->value.type, WEAVE_INI_LIST);
    items = get("a", "x")->value.items;
    assert_int_equal(items->nelts, 4);
    assert_string_equal(APR_ARRAY_IDX(items, 0, weave_ini_value_t).text, "one");
    assert_int_equal(APR_ARRAY_IDX(items, 1, weave_ini_value_t).num, 2);
    assert_string_equal(APR_ARRAY_IDX(items, 2, weave_ini_value_t).text, "3");
    assert_int_equal(APR_ARRAY_IDX(items, 3, weave_ini_value_t).type,
                     WEAVE_INI_BOOL);
}

static void test_expansion(void **state)
{
    (void)state;
    setenv("WEAVE_TEST_SET", "${HOME}\n%(here)s", 1);
    setenv("WEAVE_TEST_PORT", "8080", 1);
    setenv("WEAVE_TEST_EMPTY", "", 1);
    read_text("[a]\n"
              "here = %(here)s/x%(here)s\n"
              "once = ${WEAVE_TEST_SET}\n"
              "port = ${WEAVE_TEST_PORT}\n"
              "both = a${WEAVE_TEST_PORT}$${WEAVE_TEST_EMPTY}%d\n"
              "literal = \"${WEAVE_TEST_PORT}%(here)s\"\n"
              "odd = $ ${} ${a ${1x} %(there)s %% $HOME ${\n");
    assert_no_problem();
    assert_text("a", "here", apr_pstrcat(pool, folder, "/x", folder, NULL));
    assert_text("a", "once", "${HOME}\n%(here)s");
    assert_int_equal(get("a", "port")->value.num, 8080);
    assert_text("a", "both", "a8080$%d");
    assert_text("a", "literal", "${WEAVE_TEST_PORT}%(here)s");
    assert_text("a", "odd", "$ ${} ${a ${1x} %(there)s %% $HOME ${");
}

static void test_variable_that_is_no_text(void **state)
{
    (void)state;
    setenv("WEAVE_TEST_BAD", "\xff", 1);
    read_text("[a]\nx = ${WEAVE_TEST_BAD}\n");
    assert_error(0, "a.ini", 2, "WEAVE_TEST_BAD is not UTF-8");
    assert_int_equal(get("a", "x")->broken, 1);
}

static void test_expansion_is_bounded(void **state)
{
    char *large = apr_pcalloc(pool, 100001);
    const char *text = "[a]\nx = ";
    apr_array_header_t *words = apr_array_make(pool, 100, sizeof(char *));
    int i;

    (void)state;
    memset(large, 'a', 100000);
    setenv("WEAVE_TEST_LARGE", large, 1);
    APR_ARRAY_PUSH(words, const char *) = text;
    for (i = 0; i < 100; i++) {
        APR_ARRAY_PUSH(words, const char *) = "${WEAVE_TEST_LARGE}";
    }
    read_text(apr_array_pstrcat(pool, words, 0));
    unsetenv("WEAVE_TEST_LARGE");
    assert_error(0, "a.ini", 2, "too much text");
    assert_in_range(strlen(get("a", "x")->value.text), 8000000, 8500000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_lines),
        each(test_line_ends_and_mark),
        each(test_white_space_is_unicode),
        each(test_all_problems_are_reported),
        each(test_status_says_whether_it_is_good),
        each(test_default_may_come_twice),
        each(test_names_of_variables_keep_their_case),
        each(test_what_is_no_text),
        each(test_messages_are_printable),
        each(test_types),
        each(test_lists),
        each(test_expansion),
        each(test_variable_that_is_no_text),
        each(test_expansion_is_bounded),
    };

    return run_each(tests);
}
