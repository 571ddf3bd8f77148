/* SPDX-License-Identifier: Apache-2.0 */
/* test_verdict.c: what maintenance makes of requests */

#include "maintenance_support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "weave_verdict.h"

static const char *const ON = "{\"format\": \"mod_weave maintenance\","
                              " \"version\": 1, \"entries\": [{\"ini\": null,"
                              " \"mode\": \"on\", \"since_us\": 5,"
                              " \"until_us\": 0, \"retry_after_s\": 77,"
                              " \"by\": \"root\", \"message\": \"soon\"}]}";

/* ---- several settings ---- */

static weave_verdict_t verdict;

static void add(uint32_t mode, uint32_t retry, int64_t until,
                const char *message)
{
    weave_maintenance_t setting = word_make(mode, "root");

    setting.retry_after_s = retry;
    setting.until_us = until;
    apr_cpystrn(setting.message, message, sizeof(setting.message));
    weave_verdict_add(&verdict, &setting, 6 * SECOND, 10 * SECOND);
}

static void the_strictest_wins(void **state)
{
    (void)state;
    memset(&verdict, 0, sizeof(verdict));
    assert_int_equal(verdict.mode, WEAVE_MAINTENANCE_OFF);
    add(WEAVE_MAINTENANCE_BACKOFF, 5, 0, "later");
    assert_int_equal(verdict.mode, WEAVE_MAINTENANCE_BACKOFF);
    add(WEAVE_MAINTENANCE_ON, 0, 0, "");
    add(WEAVE_MAINTENANCE_DRAINING, 9, 0, "drains");
    assert_int_equal(verdict.mode, WEAVE_MAINTENANCE_ON);
    assert_int_equal(verdict.setting.retry_after_s, 0);
    /* for people: of the strictest that says anything */
    assert_string_equal(verdict.message, "drains");
    /* of two that are as strict, who names a number, or lasts longer */
    add(WEAVE_MAINTENANCE_ON, 30, 50 * SECOND, "");
    assert_int_equal(verdict.setting.retry_after_s, 30);
    add(WEAVE_MAINTENANCE_ON, 0, 0, "now");
    assert_int_equal(verdict.setting.retry_after_s, 30);
    assert_string_equal(verdict.message, "now");
    /* over */
    add(WEAVE_MAINTENANCE_ON, 40, 6 * SECOND, "over");
    assert_int_equal(verdict.setting.retry_after_s, 30);
}

static void a_drain_becomes_on(void **state)
{
    weave_maintenance_t setting = word_make(WEAVE_MAINTENANCE_DRAINING, "");

    (void)state;
    memset(&verdict, 0, sizeof(verdict));
    weave_verdict_add(&verdict, &setting, 6 * SECOND, 2 * SECOND);
    assert_int_equal(verdict.mode, WEAVE_MAINTENANCE_DRAINING);
    weave_verdict_add(&verdict, &setting, 7 * SECOND, 2 * SECOND);
    assert_int_equal(verdict.mode, WEAVE_MAINTENANCE_ON);
}

/* ---- the first call of a sync ---- */

static void knows_the_first_call(void **state)
{
    static const char *const first[] = {
        "/1.1/user/info/collections", "/1.5/42/info/collections/",
        "/info/collections", "/mount/1.0/u/info/collections",
        "/1.1/storage/info/collections"};
    static const char *const others[] = {"/1.1/user/info/collection_counts",
                                         "/1.1/user/info/collections/x",
                                         "/1.5/42/storage/info/collections",
                                         "/info/collections2",
                                         "/xinfo/collections",
                                         "collections",
                                         ""};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(first) / sizeof(*first); i++)
        if (!weave_verdict_is_first_call(first[i]))
            fail_msg("%s is one", first[i]);
    for (i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (weave_verdict_is_first_call(others[i]))
            fail_msg("%s is none", others[i]);
}

/* ---- what is known of the file ---- */

static _Atomic uint64_t seen;
static weave_known_t known; /* of one process */
static const char *wrong;

static int learn(weave_known_t *what)
{
    return weave_known_learn(what, &wrong, &seen, folder, geteuid(), pool);
}

static uint32_t mode_for(const weave_known_t *what, const char *ini)
{
    memset(&verdict, 0, sizeof(verdict));
    weave_known_add(&verdict, what, ini, apr_time_now(), 1);
    return verdict.mode;
}

static void put(const char *text)
{
    struct timespec times[2] = {{time(NULL) - 60, random() % 1000000000},
                                {time(NULL) - 60, random() % 1000000000}};
    const char *path = in_folder(WEAVE_MAINTENANCE_FILE);
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static int known_setup(void **state)
{
    memset(&known, 0, sizeof(known));
    seen = 0;
    return each_setup(state);
}

static void off_where_nothing_was_said(void **state)
{
    (void)state;
    assert_false(learn(&known));
    assert_null(wrong);
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_OFF);
    assert_false(weave_known_is_set(&known, apr_time_now()));
    strcat(folder, "-no"); /* nor is there a folder */
    assert_false(learn(&known));
    folder[strlen(folder) - 3] = '\0';
}

static void reads_what_has_changed(void **state)
{
    (void)state;
    put(ON);
    assert_true(learn(&known));
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_ON);
    assert_int_equal(verdict.setting.retry_after_s, 77);
    assert_true(seen == known.stamp && seen != 0);
    assert_false(learn(&known));
    assert_true(weave_known_is_set(&known, apr_time_now()));
    writes(entries_make());
    assert_true(learn(&known));
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_OFF);
    assert_null(wrong);
}

static void is_for_one_or_for_all(void **state)
{
    apr_array_header_t *entries = entries_make();

    (void)state;
    set(entries, "/a.ini", WEAVE_MAINTENANCE_ON);
    set(entries, NULL, WEAVE_MAINTENANCE_BACKOFF);
    writes(entries);
    learn(&known);
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_ON);
    assert_int_equal(mode_for(&known, "/b.ini"), WEAVE_MAINTENANCE_BACKOFF);
    assert_int_equal(mode_for(&known, "/a.ini/"), WEAVE_MAINTENANCE_BACKOFF);
}

static void is_on(const char *why)
{
    if (!learn(&known) || !wrong)
        fail_msg("%s: nothing has changed", why);
    if (wrong && !strstr(wrong, why))
        fail_msg("'%s' is not in '%s'", why, wrong);
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_ON);
    assert_false(learn(&known)); /* once */
}

/* Whatever it was before; what was on keeps its seconds and its message. */
static void what_is_damaged_is_on(void **state)
{
    (void)state;
    writes(entries_make());
    learn(&known);
    put("{");
    is_on("damaged");
    assert_string_equal(verdict.setting.by, WEAVE_MAINTENANCE_BY_NOBODY);
    put("[]");
    is_on("damaged");
    put(ON);
    learn(&known);
    put("");
    is_on("damaged");
    assert_int_equal(verdict.setting.retry_after_s, 77);
    assert_string_equal(verdict.message, "soon");
    put(ON);
    assert_true(learn(&known));
    assert_null(wrong);
    assert_int_equal(known.on_us, 0);
}

/* A process that has just started goes by the same. */
static void damaged_for_who_knows_nothing(void **state)
{
    (void)state;
    put("{");
    is_on("damaged");
}

static void what_is_gone_holds(void **state)
{
    weave_known_t other = {0};
    apr_array_header_t *entries = entries_make();

    (void)state;
    put(ON);
    learn(&known);
    unlink(in_folder(WEAVE_MAINTENANCE_FILE));
    assert_true(learn(&known));
    assert_non_null(strstr(wrong, "has gone"));
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_ON);
    assert_int_equal(verdict.setting.retry_after_s, 77);
    /* one that does not know what was in it */
    assert_true(learn(&other));
    assert_non_null(wrong);
    assert_int_equal(mode_for(&other, "/a.ini"), WEAVE_MAINTENANCE_ON);
    assert_true(other.on_us);
    /* nor does one that is behind */
    set(entries, "/b.ini", WEAVE_MAINTENANCE_BACKOFF);
    writes(entries);
    learn(&other);
    unlink(in_folder(WEAVE_MAINTENANCE_FILE));
    learn(&known);
    assert_true(known.on_us);
    learn(&other);
    assert_int_equal(mode_for(&other, "/a.ini"), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_for(&other, "/b.ini"), WEAVE_MAINTENANCE_BACKOFF);
}

static void nothing_to_hold_is_no_problem(void **state)
{
    (void)state;
    writes(entries_make());
    learn(&known);
    unlink(in_folder(WEAVE_MAINTENANCE_FILE));
    learn(&known);
    assert_null(wrong);
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_OFF);
}

/* No descriptor is left: what has not changed is known, what has is on, and it
 * is tried again. */
static void without_descriptors(void **state)
{
    struct rlimit before, none;

    (void)state;
    writes(entries_make());
    learn(&known);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_false(learn(&known));
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_OFF);
    setrlimit(RLIMIT_NOFILE, &before);
    put("{\"format\": \"mod_weave maintenance\", \"version\": 1,"
        " \"entries\": []}");
    setrlimit(RLIMIT_NOFILE, &none);
    is_on("Too many open files");
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(learn(&known));
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_OFF);
}

static void a_folder_of_others_is_not_believed(void **state)
{
    (void)state;
    writes(entries_make());
    chmod(folder, 0777);
    is_on("is not believed");
    chmod(folder, 0700);
    assert_true(learn(&known));
    assert_int_equal(mode_for(&known, "/a.ini"), WEAVE_MAINTENANCE_OFF);
}

static void no_regular_file(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in_folder(WEAVE_MAINTENANCE_FILE), 0644), 0);
    is_on("not a regular file");
    unlink(in_folder(WEAVE_MAINTENANCE_FILE));
    assert_int_equal(
        symlink(WEAVE_MAINTENANCE_FILE, in_folder(WEAVE_MAINTENANCE_FILE)), 0);
    is_on("symbolic links");
}

#define KNOWN(test)                                                            \
    cmocka_unit_test_setup_teardown(test, known_setup, tidy_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_strictest_wins),
        cmocka_unit_test(a_drain_becomes_on),
        cmocka_unit_test(knows_the_first_call),
        KNOWN(off_where_nothing_was_said),
        KNOWN(reads_what_has_changed),
        KNOWN(is_for_one_or_for_all),
        KNOWN(what_is_damaged_is_on),
        KNOWN(damaged_for_who_knows_nothing),
        KNOWN(what_is_gone_holds),
        KNOWN(nothing_to_hold_is_no_problem),
        KNOWN(without_descriptors),
        KNOWN(a_folder_of_others_is_not_believed),
        KNOWN(no_regular_file),
    };

    return run_each(tests);
}
