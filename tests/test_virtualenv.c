/* SPDX-License-Identifier: Apache-2.0 */
/* Which Python a virtualenv belongs to, and what is said when it is gone. */

#include "conf_support.h"

#include <apr_file_info.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weave_check.h"

static void make_dir(const char *name)
{
    assert_int_equal(
        apr_dir_make_recursive(in_folder(name), APR_FPROT_OS_DEFAULT, pool), 0);
}

static void make_file(const char *name, const char *text, int mode)
{
    FILE *file = fopen(in_folder(name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    assert_int_equal(chmod(in_folder(name), mode), 0);
}

/* A Python in base/ and a virtualenv in venv/ that was made from it. */
static int tree_setup(void **state)
{
    if (each_setup(state) != 0)
        return -1;
    make_dir("base/bin");
    make_dir("base/lib");
    make_dir("venv/bin");
    make_dir("venv/lib/python3.99");
    make_file("base/bin/python3.99", "", 0755);
    make_file("base/lib/libpython3.99.so.1.0", "", 0644);
    make_file("venv/bin/python", "", 0755);
    make_file(
        "venv/pyvenv.cfg",
        apr_psprintf(pool, "home = %s/base/bin\nversion = 3.99.1\n", folder),
        0644);
    return 0;
}

static void remove_tree(const char *path)
{
    apr_finfo_t entry;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, path, pool) != APR_SUCCESS)
        return;
    while (apr_dir_read(&entry, APR_FINFO_NAME | APR_FINFO_TYPE, dir) ==
           APR_SUCCESS) {
        const char *name = apr_pstrcat(pool, path, "/", entry.name, NULL);

        if (!strcmp(entry.name, ".") || !strcmp(entry.name, ".."))
            continue;
        if (entry.filetype == APR_DIR)
            remove_tree(name);
        else
            apr_file_remove(name, pool);
    }
    apr_dir_close(dir);
    apr_dir_remove(path, pool);
}

static int tree_teardown(void **state)
{
    remove_tree(folder);
    return each_teardown(state);
}

static weave_virtualenv_t *opened(void)
{
    weave_virtualenv_t *venv = NULL;
    const char *problem = weave_virtualenv_open(&venv, in_folder("venv"), pool);

    if (problem)
        fail_msg("%s", problem);
    return venv;
}

static void assert_refused(const char *why)
{
    weave_virtualenv_t *venv = NULL;
    const char *problem = weave_virtualenv_open(&venv, in_folder("venv"), pool);

    assert_null(venv);
    assert_non_null(problem);
    if (!strstr(problem, why))
        fail_msg("expected \"%s\" in: %s", why, problem);
    /* the cure */
    assert_true(strstr(problem, "python3 -m venv") ||
                strstr(problem, "--enable-shared"));
}

static void finds_python(void **state)
{
    weave_virtualenv_t *venv = opened();

    (void)state;
    assert_string_equal(venv->version, "3.99");
    assert_string_equal(venv->python, in_folder("venv/bin/python"));
    assert_string_equal(venv->home, in_folder("base/bin"));
    assert_string_equal(venv->soname, "libpython3.99.so.1.0");
    assert_string_equal(venv->libpython,
                        in_folder("base/lib/libpython3.99.so.1.0"));
}

static void finds_lib64(void **state)
{
    (void)state;
    make_dir("base/lib64");
    assert_int_equal(apr_file_rename(in_folder("base/lib/libpython3.99.so.1.0"),
                                     in_folder("base/lib64/"
                                               "libpython3.99.so.1.0"),
                                     pool),
                     0);
    assert_string_equal(opened()->libpython,
                        in_folder("base/lib64/libpython3.99.so.1.0"));
}

/* The virtualenv command writes another word than venv. */
static void reads_version_info(void **state)
{
    (void)state;
    make_file("venv/pyvenv.cfg",
              apr_psprintf(pool,
                           "version_info=3.99.0.final.0\nHOME=%s/base/bin"
                           "\nprompt = a = b\nnonsense\n",
                           folder),
              0644);
    assert_string_equal(opened()->version, "3.99");
}

static void refuses_no_folder(void **state)
{
    (void)state;
    remove_tree(in_folder("venv"));
    assert_refused("No such file or directory");
}

static void refuses_no_virtualenv(void **state)
{
    (void)state;
    apr_file_remove(in_folder("venv/pyvenv.cfg"), pool);
    assert_refused("is no virtualenv");
}

static void refuses_half_a_config(void **state)
{
    (void)state;
    make_file("venv/pyvenv.cfg", "home = /usr/bin\n", 0644);
    assert_refused("does not say `home` and `version`");
}

/* Its owner may put there whatever keeps a reader waiting. */
static void waits_for_no_fifo(void **state)
{
    (void)state;
    alarm(10);
    unlink(in_folder("venv/pyvenv.cfg"));
    assert_int_equal(mkfifo(in_folder("venv/pyvenv.cfg"), 0644), 0);
    assert_refused("pyvenv.cfg: not a regular file");
    unlink(in_folder("venv/pyvenv.cfg"));
    assert_int_equal(symlink("/dev/zero", in_folder("venv/pyvenv.cfg")), 0);
    assert_refused("pyvenv.cfg: not a regular file");
    alarm(0);
}

static void refuses_gone_python(void **state)
{
    (void)state;
    apr_file_remove(in_folder("base/bin/python3.99"), pool);
    assert_refused("is not in");
}

static void refuses_other_packages(void **state)
{
    (void)state;
    apr_dir_remove(in_folder("venv/lib/python3.99"), pool);
    assert_refused("cannot be read");
}

static void refuses_broken_link(void **state)
{
    (void)state;
    apr_file_remove(in_folder("venv/bin/python"), pool);
    assert_refused("cannot be executed");
}

static void refuses_static_python(void **state)
{
    (void)state;
    apr_file_remove(in_folder("base/lib/libpython3.99.so.1.0"), pool);
    assert_refused("has no shared library");
}

#define TREE(test)                                                             \
    cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE(finds_python),           TREE(finds_lib64),
        TREE(reads_version_info),     TREE(refuses_no_folder),
        TREE(refuses_no_virtualenv),  TREE(refuses_half_a_config),
        TREE(waits_for_no_fifo),      TREE(refuses_gone_python),
        TREE(refuses_other_packages), TREE(refuses_broken_link),
        TREE(refuses_static_python),
    };

    return run_each(tests);
}
