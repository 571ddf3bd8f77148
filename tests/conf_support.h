/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONF_SUPPORT_H
#define CONF_SUPPORT_H

/** What the tests of ini files and keys share: a pool for each test, a folder
 *  of files that is gone afterwards, and problems as text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weave_problem.h"

#define UNUSED __attribute__((unused))

static apr_pool_t *pool;             /* of one test */
static char folder[32];              /* of one test */
static apr_array_header_t *problems; /* of one test */
static apr_array_header_t *written;  /* paths in the folder */

/* CODE in a process of its own, which the caller waits for. */
static UNUSED pid_t in_child(void (*code)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        code();
        _exit(0);
    }
    return pid;
}

static UNUSED int each_setup(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    problems = weave_problems_make(pool);
    written = apr_array_make(pool, 4, sizeof(const char *));
    strcpy(folder, "/tmp/weave-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static UNUSED int each_teardown(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < written->nelts; i++) {
        apr_file_remove(APR_ARRAY_IDX(written, i, const char *), pool);
    }
    apr_dir_remove(folder, pool);
    apr_pool_destroy(pool);
    return 0;
}

static UNUSED const char *in_folder(const char *name)
{
    return apr_pstrcat(pool, folder, "/", name, NULL);
}

static UNUSED const char *file_write_bytes(const char *name, const char *data,
                                           apr_size_t data_bytes)
{
    const char *path = in_folder(name);
    apr_file_t *file;

    assert_int_equal(
        apr_file_open(&file, path,
                      APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE,
                      APR_FPROT_OS_DEFAULT, pool),
        APR_SUCCESS);
    assert_int_equal(apr_file_write_full(file, data, data_bytes, NULL),
                     APR_SUCCESS);
    apr_file_close(file);
    APR_ARRAY_PUSH(written, const char *) = path;
    return path;
}

static UNUSED const char *file_write(const char *name, const char *text)
{
    return file_write_bytes(name, text, strlen(text));
}

static UNUSED const weave_problem_t *problem(int i)
{
    assert_in_range(i, 0, problems->nelts - 1);
    return APR_ARRAY_IDX(problems, i, weave_problem_t *);
}

/* The Ith problem is of LEVEL, at NAME:LINE of the folder, and has TEXT. */
static UNUSED void assert_problem(int i, int level, const char *name, int line,
                                  const char *text)
{
    assert_string_equal(problem(i)->file, in_folder(name));
    assert_int_equal(problem(i)->line, line);
    assert_int_equal(problem(i)->level, level);
    if (!strstr(problem(i)->text, text)) {
        fail_msg("'%s' is not in '%s'", text, problem(i)->text);
    }
}

static UNUSED void assert_error(int i, const char *name, int line,
                                const char *text)
{
    assert_problem(i, WEAVE_PROBLEM_ERROR, name, line, text);
}

static UNUSED void assert_notice(int i, const char *name, int line,
                                 const char *text)
{
    assert_problem(i, WEAVE_PROBLEM_NOTICE, name, line, text);
}

#define each(test)                                                             \
    cmocka_unit_test_setup_teardown(test, each_setup, each_teardown)

/* TAP unless CMOCKA_MESSAGE_OUTPUT says otherwise, for prove. */
#define run_each(tests)                                                        \
    (apr_initialize(), atexit(apr_terminate),                                  \
     cmocka_set_message_output(CM_OUTPUT_TAP),                                 \
     cmocka_run_group_tests(tests, NULL, NULL))

#endif
