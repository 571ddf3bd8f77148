/* SPDX-License-Identifier: Apache-2.0 */
/* test_ini_read.c: the files of a sync.ini, and those that they extend */

#include "ini_support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- files -------------------------------------------------------------- */

static void test_files_that_cannot_be_read(void **state)
{
    const char *fifo = in_folder("fifo");

    (void)state;
    assert_true(APR_STATUS_IS_ENOENT(read_file("none.ini")));
    assert_null(ini);
    assert_error(0, "none.ini", 0, "cannot be read: ");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    APR_ARRAY_PUSH(written, const char *) = fifo;
    assert_int_not_equal(read_file("fifo"), APR_SUCCESS);
    assert_error(1, "fifo", 0, "not a regular file");
    assert_int_not_equal(read_file("."), APR_SUCCESS);
    assert_int_equal(problems->nelts, 3);
}

/* A FIFO takes the place of the file and goes again, all the time. */
static void exchange(void)
{
    const char *file = in_folder("a.ini"), *fifo = in_folder("fifo");

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (renameat2(AT_FDCWD, file, AT_FDCWD, fifo, RENAME_EXCHANGE) == 0) {
    }
}

/* A regular file was looked at, and a FIFO is there when it is opened. */
static void test_waits_for_no_exchanged_fifo(void **state)
{
    int i, good = 0, bad = 0;
    pid_t child;

    (void)state;
    file_write("a.ini", "[a]\n");
    assert_int_equal(unlink(file_write("fifo", "")), 0);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    child = in_child(exchange);
    alarm(60); /* a test that hangs has failed */
    for (i = 0; i < 50000 && (good < 1000 || bad < 1000); i++) {
        apr_array_clear(problems);
        if (read_file("a.ini") == APR_SUCCESS) {
            good++;
        }
        else {
            assert_error(0, "a.ini", 0, "not a regular file");
            bad++;
        }
    }
    alarm(0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void test_size_is_bounded(void **state)
{
    char *text = apr_pcalloc(pool, WEAVE_INI_MAX_BYTES + 2);

    (void)state;
    memset(text, '\n', WEAVE_INI_MAX_BYTES + 1);
    memcpy(text, "[a]", 3);
    file_write("a.ini", text);
    assert_int_equal(read_file("a.ini"), EFBIG);
    assert_error(0, "a.ini", 0, "larger than 1 MiB");
    text[WEAVE_INI_MAX_BYTES] = '\0';
    file_write("a.ini", text);
    assert_int_equal(read_file("a.ini"), APR_EGENERAL);
    assert_error(1, "a.ini", WEAVE_INI_MAX_LINES + 1, "too many lines");
    text[WEAVE_INI_MAX_LINES] = '\0';
    file_write("a.ini", text);
    assert_int_equal(read_file("a.ini"), APR_SUCCESS);
}

/* However bad a file is, the log stays readable, and says that it is bad. */
static void test_problems_are_bounded(void **state)
{
    int i;
    char *text = apr_pcalloc(pool, 4 + 2000 + 1);

    (void)state;
    strcpy(text, "[a]\n");
    for (i = 0; i < 1000; i++) {
        strcat(text, "x\n");
    }
    read_text(text);
    assert_int_equal(problems->nelts, 500);
    assert_error(499, "a.ini", 501, "and more");
    assert_int_equal(read_file("a.ini"), APR_EGENERAL);
    assert_int_equal(problems->nelts, 500);
}

static void test_what_is_open_is_listed(void **state)
{
    struct stat info;
    const weave_ini_file_t *file;

    (void)state;
    file_write("b.ini", "");
    read_text("[DEFAULT]\nextends = b.ini\n");
    assert_int_equal(weave_ini_files(ini)->nelts, 2);
    file = &APR_ARRAY_IDX(weave_ini_files(ini), 1, weave_ini_file_t);
    assert_string_equal(file->path, in_folder("b.ini"));
    assert_int_equal(stat(file->path, &info), 0);
    assert_true(file->status.st_ino == info.st_ino);
    assert_int_equal(file->status.st_uid, info.st_uid);
    assert_int_equal(file->status.st_mode, info.st_mode);
}

/* --- extends ------------------------------------------------------------ */

static void test_what_is_read_first_wins(void **state)
{
    (void)state;
    file_write("b.ini", "[DEFAULT]\nextends = d.ini\nz = b\n"
                        "[s]\nx = b\ny = b\nw = ${WEAVE_TEST_UNSET}\n");
    file_write("c.ini", "[s]\ny = c\nc = %(here)s\n[t]\nt = 1\n");
    file_write("d.ini", "[s]\nc = d\nd = d\n");
    read_text("[DEFAULT]\nextends = b.ini\n  c.ini\n[s]\nx = a\nw = a\n");
    assert_no_problem();
    assert_text("s", "x", "a");
    assert_text("s", "y", "b");
    assert_text("s", "w", "a");
    assert_text("s", "c", "d");
    assert_text("s", "d", "d");
    assert_text("s", "z", "b");
    assert_int_equal(get("t", "t")->value.num, 1);
    assert_string_equal(get("s", "d")->file, in_folder("d.ini"));
    assert_int_equal(weave_ini_files(ini)->nelts, 4);
}

static void test_extends_that_is_missing(void **state)
{
    (void)state;
    file_write("b.ini", "[DEFAULT]\n\nextends = none.ini\n");
    read_text("[DEFAULT]\nextends = b.ini\n   %(here)s/x.ini\n[a]\nx = 1\n");
    assert_int_equal(problems->nelts, 2);
    assert_error(0, "a.ini", 2, "/x.ini: cannot be read");
    assert_error(1, "b.ini", 3, "none.ini: cannot be read");
    assert_int_equal(get("a", "x")->value.num, 1);
    read_text("[DEFAULT]\nextends =\n");
    assert_error(2, "a.ini", 2, "no file is named");
}

static void test_extends_in_a_circle(void **state)
{
    (void)state;
    file_write("b.ini", "[DEFAULT]\nextends = ./c.ini\n");
    file_write("c.ini", "[DEFAULT]\nextends = a.ini\n");
    read_text("[DEFAULT]\nextends = b.ini\n");
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "c.ini", 2, "a circle");
    read_text("[DEFAULT]\nextends = a.ini\n");
    assert_error(1, "a.ini", 2, "a circle");
}

/* Two that extend a third are no circle, and its problems come once. */
static void test_extends_of_the_same(void **state)
{
    (void)state;
    file_write("b.ini", "[DEFAULT]\nextends = d.ini\n");
    file_write("c.ini", "[DEFAULT]\nextends = d.ini\n");
    file_write("d.ini", "[a]\nbad\n");
    read_text("[DEFAULT]\nextends = b.ini\n  c.ini\n");
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "d.ini", 2, "neither");
}

static void test_extends_too_deep(void **state)
{
    char name[] = "0.ini", *text;
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        name[0] = '0' + i;
        text = apr_psprintf(pool, "[DEFAULT]\nextends = %d.ini\n", i + 1);
        file_write(name, i < 9 ? text : "");
    }
    read_file("1.ini");
    assert_no_problem();
    read_file("0.ini");
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "8.ini", 2, "too deep");
}

static void test_extends_too_many(void **state)
{
    const char *text = "[DEFAULT]\nextends =\n";
    int i;

    (void)state;
    for (i = 0; i < 32; i++) {
        file_write(apr_psprintf(pool, "x%d", i), "");
        text = apr_psprintf(pool, "%s  x%d\n", text, i);
    }
    read_text(text);
    assert_int_equal(problems->nelts, 1);
    assert_error(0, "a.ini", 2, "too many files");
}

static void test_memory_opens_no_file(void **state)
{
    static const char text[] = "[DEFAULT]\nextends = /etc/passwd\nx = 1\n";

    (void)state;
    assert_int_equal(weave_ini_parse(&ini, text, sizeof(text) - 1, "/m/n.ini",
                                     problems, pool),
                     APR_EGENERAL);
    assert_string_equal(problem(0)->file, "/m/n.ini");
    assert_int_equal(problem(0)->kind, WEAVE_PROBLEM_EXTENDS);
    assert_string_equal(get("DEFAULT", "x")->dir, "/m");
    assert_int_equal(weave_ini_files(ini)->nelts, 0);
}

static void test_text_of_problems(void **state)
{
    (void)state;
    weave_problem_add(problems, WEAVE_PROBLEM_NOTICE, WEAVE_PROBLEM_KEY, "f", 0,
                      "%s", "t");
    weave_problem_add(problems, WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_KEY, "f", 7,
                      "%s", "t");
    assert_string_equal(weave_problem_text(problem(0), pool), "f: t");
    assert_string_equal(weave_problem_text(problem(1), pool), "f:7: t");
    assert_int_equal(weave_problems_count(problems, WEAVE_PROBLEM_NOTICE), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(test_files_that_cannot_be_read),
        each(test_waits_for_no_exchanged_fifo),
        each(test_size_is_bounded),
        each(test_problems_are_bounded),
        each(test_what_is_open_is_listed),
        each(test_what_is_read_first_wins),
        each(test_extends_that_is_missing),
        each(test_extends_in_a_circle),
        each(test_extends_of_the_same),
        each(test_extends_too_deep),
        each(test_extends_too_many),
        each(test_memory_opens_no_file),
        each(test_text_of_problems),
    };

    return run_each(tests);
}
