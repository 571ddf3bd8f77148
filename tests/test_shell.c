/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in commands: a shell must take each as the one word it is. */

#include "conf_support.h"

#include <stdio.h>

#include "weave_folder.h"

static void plain_paths_stay(void **state)
{
    (void)state;
    assert_string_equal(weave_shell_quote("/srv/app-2/a_b.c", pool),
                        "/srv/app-2/a_b.c");
}

static void a_shell_takes_one_word(void **state)
{
    static const char *const paths[] = {
        "/a b",      "/$(touch /tmp/x)", "/`id`", "/a'b",  "/'", "/a;b|c&d>e",
        "/\xc3\xa9", "/*?[a]{b,c}~#!",   "-rf",   "/a\nb", ""};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        char said[200] = "";
        FILE *shell =
            popen(apr_pstrcat(pool, "printf '<%s>' ",
                              weave_shell_quote(paths[i], pool), NULL),
                  "r");

        assert_non_null(shell);
        assert_true(fread(said, 1, sizeof(said) - 1, shell) > 0);
        pclose(shell);
        assert_string_equal(said, apr_pstrcat(pool, "<", paths[i], ">", NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(plain_paths_stay),
        each(a_shell_takes_one_word),
    };

    return run_each(tests);
}
