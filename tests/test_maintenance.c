/* SPDX-License-Identifier: Apache-2.0 */
/* test_maintenance.c: what weavectl has said, kept in a file */

#include "maintenance_support.h"

#include <stdio.h>
#include <sys/stat.h>

/* What is there is BAD, says so with its path, and says nothing else. */
static void reads_bad(const char *why)
{
    apr_array_header_t *entries = NULL;
    const char *problem = NULL;
    weave_maintenance_file_e file = weave_maintenance_read(
        &entries, NULL, &problem, folder, geteuid(), pool);

    if (file != WEAVE_MAINTENANCE_FILE_BAD)
        fail_msg("%s: it was taken", why);
    assert_int_equal(entries->nelts, 0);
    assert_non_null(problem);
    if (!strstr(problem, in_folder(WEAVE_MAINTENANCE_FILE)) ||
        !strstr(problem, why))
        fail_msg("'%s' is not in '%s'", why, problem);
}

static const char *text_of(const char *name)
{
    static char text[8192];
    FILE *in = fopen(in_folder(name), "r");
    size_t len;

    assert_non_null(in);
    len = fread(text, 1, sizeof(text) - 1, in);
    fclose(in);
    text[len] = '\0';
    return text;
}

/* ---- words ---- */

static void names_modes(void **state)
{
    static const char *const names[] = {"off", "backoff", "drain", "on"};
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(weave_maintenance_mode_find(names[i]), i);
        assert_string_equal(weave_maintenance_mode_name((uint32_t)i), names[i]);
    }
    assert_int_equal(weave_maintenance_mode_find(""), -1);
    assert_int_equal(weave_maintenance_mode_find("On"), -1);
    assert_int_equal(weave_maintenance_mode_find("onn"), -1);
    /* nothing becomes off by accident */
    assert_string_equal(weave_maintenance_mode_name(4), "on");
    assert_string_equal(weave_maintenance_mode_name(UINT32_MAX), "on");
}

static void ends_by_itself(void **state)
{
    weave_maintenance_t word = word_make(WEAVE_MAINTENANCE_ON, "");

    (void)state;
    assert_int_equal(weave_maintenance_mode_at(&word, INT64_MAX, 0),
                     WEAVE_MAINTENANCE_ON);
    word.until_us = 100;
    assert_int_equal(weave_maintenance_mode_at(&word, 99, 0),
                     WEAVE_MAINTENANCE_ON);
    assert_int_equal(weave_maintenance_mode_at(&word, 100, 0),
                     WEAVE_MAINTENANCE_OFF);
    word.mode = 7;
    assert_int_equal(weave_maintenance_mode_at(&word, 99, 0),
                     WEAVE_MAINTENANCE_ON);
}

static void drains_and_closes(void **state)
{
    weave_maintenance_t word = word_make(WEAVE_MAINTENANCE_DRAINING, "");
    int64_t since = word.since_us;

    (void)state;
    assert_int_equal(weave_maintenance_mode_at(&word, since + 9, 10),
                     WEAVE_MAINTENANCE_DRAINING);
    assert_int_equal(weave_maintenance_mode_at(&word, since + 10, 10),
                     WEAVE_MAINTENANCE_ON);
    assert_int_equal(weave_maintenance_mode_at(&word, since, 0),
                     WEAVE_MAINTENANCE_ON);
    /* a clock that was set back */
    assert_int_equal(weave_maintenance_mode_at(&word, since - SECOND, 10),
                     WEAVE_MAINTENANCE_DRAINING);
    /* its end is the end, drained or not */
    word.until_us = since + 5;
    assert_int_equal(weave_maintenance_mode_at(&word, since + 20, 10),
                     WEAVE_MAINTENANCE_OFF);
    /* since the end of time: no overflow */
    word.until_us = 0;
    word.since_us = INT64_MAX;
    assert_int_equal(weave_maintenance_mode_at(&word, since, 10),
                     WEAVE_MAINTENANCE_DRAINING);
}

/* ---- entries ---- */

static void sets_and_finds(void **state)
{
    apr_array_header_t *entries = entries_make();

    (void)state;
    assert_null(weave_maintenance_find(entries, NULL));
    set(entries, "/a.ini", WEAVE_MAINTENANCE_ON);
    assert_null(weave_maintenance_find(entries, NULL));
    assert_null(weave_maintenance_find(entries, "/b.ini"));
    set(entries, NULL, WEAVE_MAINTENANCE_BACKOFF);
    set(entries, "/b.ini", WEAVE_MAINTENANCE_DRAINING);
    assert_int_equal(mode_of(entries, "/a.ini"), WEAVE_MAINTENANCE_ON);
    assert_int_equal(mode_of(entries, "/b.ini"), WEAVE_MAINTENANCE_DRAINING);
    assert_int_equal(mode_of(entries, NULL), WEAVE_MAINTENANCE_BACKOFF);
    /* said again, it replaces what was said */
    set(entries, "/a.ini", WEAVE_MAINTENANCE_BACKOFF);
    assert_int_equal(entries->nelts, 3);
    assert_int_equal(mode_of(entries, "/a.ini"), WEAVE_MAINTENANCE_BACKOFF);
    /* off for one is that one's */
    set(entries, "/a.ini", WEAVE_MAINTENANCE_OFF);
    assert_null(weave_maintenance_find(entries, "/a.ini"));
    assert_int_equal(entries->nelts, 2);
    set(entries, "/a.ini", WEAVE_MAINTENANCE_OFF);
    assert_int_equal(entries->nelts, 2);
    /* off for all is everybody's */
    set(entries, NULL, WEAVE_MAINTENANCE_OFF);
    assert_int_equal(entries->nelts, 0);
}

static void forgets_what_is_over(void **state)
{
    apr_array_header_t *entries = entries_make();
    weave_maintenance_t word = word_make(WEAVE_MAINTENANCE_ON, "");

    (void)state;
    set(entries, "/for-ever.ini", WEAVE_MAINTENANCE_ON);
    word.until_us = 10;
    weave_maintenance_set(entries, "/ten.ini", &word);
    word.until_us = 11;
    weave_maintenance_set(entries, "/eleven.ini", &word);
    word.mode = WEAVE_MAINTENANCE_OFF;
    APR_ARRAY_PUSH(entries, weave_maintenance_entry_t) =
        (weave_maintenance_entry_t){"/off.ini", word};
    weave_maintenance_expire(entries, 10);
    assert_int_equal(entries->nelts, 2);
    assert_non_null(weave_maintenance_find(entries, "/for-ever.ini"));
    assert_non_null(weave_maintenance_find(entries, "/eleven.ini"));
}

/* ---- the file ---- */

static void goes_there_and_back(void **state)
{
    apr_array_header_t *entries = entries_make();
    weave_maintenance_t word = word_make(WEAVE_MAINTENANCE_DRAINING, "root");
    const weave_maintenance_t *got;
    struct stat status;

    (void)state;
    memset(word.by, 'b', sizeof(word.by) - 1);
    memset(word.message, 'm', sizeof(word.message) - 3);
    strcpy(word.message + sizeof(word.message) - 3, "\xc3\xbc");
    word.until_us = APR_INT64_C(4000000000000001);
    word.retry_after_s = WEAVE_MAINTENANCE_RETRY_MAX;
    weave_maintenance_set(entries, "/m\xc3\xbc \"x\"\n.ini", &word);
    set(entries, NULL, WEAVE_MAINTENANCE_BACKOFF);
    writes(entries);
    assert_int_equal(stat(in_folder(WEAVE_MAINTENANCE_FILE), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
    entries = reads();
    assert_int_equal(entries->nelts, 2);
    got = weave_maintenance_find(entries, "/m\xc3\xbc \"x\"\n.ini");
    assert_non_null(got);
    assert_memory_equal(got, &word, sizeof(word));
    assert_int_equal(mode_of(entries, NULL), WEAVE_MAINTENANCE_BACKOFF);
    /* nothing set is a file, too: somebody has said so */
    writes(entries_make());
    assert_int_equal(reads()->nelts, 0);
}

static void has_none_before_anybody_speaks(void **state)
{
    apr_array_header_t *entries = NULL;
    const char *problem = "";

    (void)state;
    assert_int_equal(weave_maintenance_read(&entries, NULL, &problem, folder,
                                            geteuid(), pool),
                     WEAVE_MAINTENANCE_FILE_NONE);
    assert_null(problem);
    assert_int_equal(entries->nelts, 0);
    assert_int_equal(weave_maintenance_read(&entries, NULL, &problem,
                                            in_folder("none"), geteuid(), pool),
                     WEAVE_MAINTENANCE_FILE_NONE);
    assert_int_equal(weave_maintenance_read(&entries, NULL, &problem,
                                            file_write("file", ""), geteuid(),
                                            pool),
                     WEAVE_MAINTENANCE_FILE_NONE);
}

static void refuses_every_truncation(void **state)
{
    apr_array_header_t *entries = entries_make();
    size_t len, cut;
    char *text;

    (void)state;
    set(entries, "/a.ini", WEAVE_MAINTENANCE_ON);
    set(entries, NULL, WEAVE_MAINTENANCE_ON);
    writes(entries);
    text = apr_pstrdup(pool, text_of(WEAVE_MAINTENANCE_FILE));
    len = strlen(text);
    assert_true(len > 200);
    for (cut = 0; cut < len; cut++) {
        file_write_bytes(WEAVE_MAINTENANCE_FILE, text, cut);
        reads_bad("damaged");
        file_write_bytes(WEAVE_MAINTENANCE_FILE, text + cut + 1, len - cut - 1);
        reads_bad("damaged");
    }
    file_write(WEAVE_MAINTENANCE_FILE, apr_pstrcat(pool, text, "\n", NULL));
    assert_int_equal(reads()->nelts, 2);
    file_write(WEAVE_MAINTENANCE_FILE, apr_pstrcat(pool, text, "x", NULL));
    reads_bad("damaged");
}

#define HEAD "{\"format\":\"mod_weave maintenance\",\"version\":1,\"entries\":"
#define WORD(mode, since, until, retry, by, message)                           \
    HEAD "[{\"ini\":null,\"mode\":" mode ",\"since_us\":" since                \
         ",\"until_us\":" until ",\"retry_after_s\":" retry ",\"by\":" by      \
         ",\"message\":" message "}]}"

static void refuses_what_is_no_word(void **state)
{
    static const char *const texts[] = {
        "null", "[]", "1", "\"on\"", "{}", "garbage", "\xff",
        "{\"format\":\"mod_weave maintenance\",\"version\":1}",
        "{\"version\":1,\"entries\":[]}",
        "{\"format\":\"another\",\"version\":1,\"entries\":[]}",
        "{\"format\":\"mod_weave maintenance\",\"entries\":[]}",
        "{\"format\":\"mod_weave maintenance\",\"version\":\"1\",\"entries\":"
        "[]}",
        HEAD "{}}", HEAD "null}", HEAD "[null]}", HEAD "[{}]}", HEAD "[[]]}",
        WORD("\"no\"", "0", "0", "0", "\"\"", "\"\""),
        WORD("3", "0", "0", "0", "\"\"", "\"\""),
        WORD("null", "0", "0", "0", "\"\"", "\"\""),
        WORD("\"on\"", "-1", "0", "0", "\"\"", "\"\""),
        WORD("\"on\"", "1.5", "0", "0", "\"\"", "\"\""),
        WORD("\"on\"", "0", "-1", "0", "\"\"", "\"\""),
        WORD("\"on\"", "0", "\"0\"", "0", "\"\"", "\"\""),
        WORD("\"on\"", "0", "0", "-1", "\"\"", "\"\""),
        WORD("\"on\"", "0", "0", "604801", "\"\"", "\"\""),
        WORD("\"on\"", "0", "0", "4294967296", "\"\"", "\"\""),
        WORD("\"on\"", "0", "0", "null", "\"\"", "\"\""),
        WORD("\"on\"", "99999999999999999999", "0", "0", "\"\"", "\"\""),
        WORD("\"on\"", "253402300800000000", "0", "0", "\"\"", "\"\""),
        WORD("\"on\"", "0", "253402300800000000", "0", "\"\"", "\"\""),
        WORD("\"on\"", "0", "0", "0", "\"\\u001b[2J\"", "\"\""),
        WORD("\"on\"", "0", "0", "0", "\"\"", "\"two\\nlines\""),
        WORD("\"on\"", "0", "0", "0", "null", "\"\""),
        WORD("\"on\"", "0", "0", "0", "\"\"", "[]"),
        WORD("\"on\"", "0", "0", "0", "\"\"", "\"\xff\""),
        WORD("\"on\"", "0", "0", "0", "\"\"", "\"\\u0000\""),
        /* which of the two is meant? */
        WORD("\"off\",\"mode\":\"on\"", "0", "0", "0", "\"\"", "\"\""),
        HEAD "[],\"entries\":[]}",
        HEAD "[{\"ini\":7,\"mode\":\"on\",\"since_us\":0,\"until_us\":0,"
             "\"retry_after_s\":0,\"by\":\"\",\"message\":\"\"}]}"};
    size_t i;

    (void)state;
    file_write(WEAVE_MAINTENANCE_FILE,
               WORD("\"on\"", "0", "0", "604800", "\"\"", "\"\""));
    assert_int_equal(mode_of(reads(), NULL), WEAVE_MAINTENANCE_ON);
    for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        file_write(WEAVE_MAINTENANCE_FILE, texts[i]);
        reads_bad("damaged");
    }
    file_write(WEAVE_MAINTENANCE_FILE, "{\"format\":\"mod_weave maintenance\","
                                       "\"version\":2,\"entries\":[]}");
    reads_bad("another version");
}

/* httpd waited for somebody to write into it, for ever. */
static void waits_for_no_fifo(void **state)
{
    const char *path = in_folder(WEAVE_MAINTENANCE_FILE);

    (void)state;
    assert_int_equal(mkfifo(path, 0644), 0);
    reads_bad("not a regular file");
    unlink(path);
}

static void refuses_long_strings(void **state)
{
    char by[WEAVE_MAINTENANCE_BY_BYTES + 1] = "";
    char message[WEAVE_MAINTENANCE_MESSAGE_BYTES + 1] = "";
    size_t more;

    (void)state;
    for (more = 0; more < 2; more++) {
        memset(by, 'b', sizeof(by) - 2 + more);
        file_write(WEAVE_MAINTENANCE_FILE,
                   apr_psprintf(pool,
                                WORD("\"on\"", "0", "0", "0", "\"%s\"", "\"\""),
                                more ? by : by + 1));
        if (more)
            reads_bad("damaged");
        else
            assert_int_equal(reads()->nelts, 1);
        memset(message, 'm', sizeof(message) - 2 + more);
        file_write(WEAVE_MAINTENANCE_FILE,
                   apr_psprintf(pool,
                                WORD("\"on\"", "0", "0", "0", "\"\"", "\"%s\""),
                                more ? message : message + 1));
        if (more)
            reads_bad("damaged");
        else
            assert_int_equal(reads()->nelts, 1);
    }
}

static void follows_no_link(void **state)
{
    struct stat status;

    (void)state;
    file_write("precious", "precious");
    assert_int_equal(symlink(in_folder("precious"),
                             in_folder(WEAVE_MAINTENANCE_FILE ".new")),
                     0);
    assert_int_equal(
        symlink(in_folder("precious"), in_folder(WEAVE_MAINTENANCE_FILE)), 0);
    writes(entries_make());
    assert_string_equal(text_of("precious"), "precious");
    assert_int_equal(reads()->nelts, 0);
    /* what is there now is room for the next one */
    assert_int_equal(lstat(in_folder(WEAVE_MAINTENANCE_FILE ".new"), &status),
                     0);
    assert_true(S_ISREG(status.st_mode));
    unlink(in_folder(WEAVE_MAINTENANCE_FILE ".new"));
    assert_int_equal(
        link(in_folder("precious"), in_folder(WEAVE_MAINTENANCE_FILE ".new")),
        0);
    writes(entries_make());
    assert_string_equal(text_of("precious"), "precious");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIDY(names_modes),
        TIDY(ends_by_itself),
        TIDY(drains_and_closes),
        TIDY(sets_and_finds),
        TIDY(forgets_what_is_over),
        TIDY(goes_there_and_back),
        TIDY(has_none_before_anybody_speaks),
        TIDY(refuses_every_truncation),
        TIDY(refuses_what_is_no_word),
        TIDY(waits_for_no_fifo),
        TIDY(refuses_long_strings),
        TIDY(follows_no_link),
    };

    return run_each(tests);
}
