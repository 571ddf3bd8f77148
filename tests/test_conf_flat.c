/* SPDX-License-Identifier: Apache-2.0 */
/* test_conf_flat.c: what the files of a configuration say, as one text */

#include "conf_support.h"

#include "weave_conf.h"

static weave_conf_t *conf;

static apr_status_t read_text(const char *text)
{
    conf = NULL;
    return weave_conf_read(&conf, file_write("a.ini", text), problems, pool);
}

static apr_int64_t hash_of(const char *text)
{
    read_text(text);
    return weave_conf_hash(conf);
}

static void test_hash(void **state)
{
    apr_int64_t hash = hash_of("[own]\na = 1\nb = ${NOBODY_HAS_THIS}\n");

    (void)state;
    assert_true(hash > 0);
    assert_true(hash == hash_of("# a comment\n\n[own]\na: 1\n"
                                "b=${NOBODY_HAS_THIS}\n"));
    assert_false(hash == hash_of("[own]\na = 2\nb = ${NOBODY_HAS_THIS}\n"));
    assert_false(hash == hash_of("[own]\na = 1\n"));
    assert_false(hash == hash_of("[other]\na = 1\nb = ${NOBODY_HAS_THIS}\n"));
    file_write("b.ini", "[own]\nc = 1\n");
    hash = hash_of("[DEFAULT]\nextends = b.ini\n");
    file_write("b.ini", "[own]\nc = 2\n");
    assert_false(hash == hash_of("[DEFAULT]\nextends = b.ini\n"));
    assert_int_equal(weave_conf_hash(weave_conf_make(pool)), 0);
}

static void test_stamp(void **state)
{
    apr_int64_t stamp;

    (void)state;
    read_text("[own]\na = 1\n");
    stamp = weave_conf_stamp(conf);
    assert_true(stamp > 0);
    read_text("[own]\na = 12\n");
    assert_false(stamp == weave_conf_stamp(conf));
    assert_int_equal(weave_conf_stamp(weave_conf_make(pool)), 0);
}

static void test_sources_of_the_flat_text(void **state)
{
    apr_array_header_t *sources =
        apr_array_make(pool, 4, sizeof(weave_ini_entry_t *));
    const char *text, *line;
    int i = 0;

    (void)state;
    file_write("b.ini", "[own]\nlate = 1\n");
    read_text("[DEFAULT]\nextends = b.ini\n\n# comment\n[own]\n"
              "list =\n  one\n  two\nlast = x\n");
    text = weave_conf_flatten(in_folder("a.ini"), conf, sources, pool);
    for (line = text; *line; line = strchr(line, '\n') + 1, i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(sources, i, weave_ini_entry_t *);

        if (*line == '[') {
            assert_null(entry);
        }
        else if (*line == ' ') {
            assert_string_equal(entry->key, "list");
            assert_int_equal(entry->line, 6);
        }
        else if (*line != '\n') {
            assert_memory_equal(entry->key, line, strlen(entry->key));
            assert_string_equal(entry->file, strcmp(entry->key, "late")
                                                 ? in_folder("a.ini")
                                                 : in_folder("b.ini"));
        }
    }
    assert_int_equal(sources->nelts, i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_hash),
        each(test_stamp),
        each(test_sources_of_the_flat_text),
    };

    return run_each(tests);
}
