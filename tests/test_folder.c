/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that nobody else may be able to exchange, and those above them. */

#include "conf_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "weave_folder.h"

/* Numbers that need no entry anywhere. */
#define ALICE 54321
#define MALLORY 54322

static weave_folder_t found;
static const char *why;

static const char *made_folder(const char *name, mode_t mode, uid_t owner)
{
    const char *path = in_folder(name);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, owner, (gid_t)-1), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void made_link(const char *to, const char *name, uid_t owner)
{
    assert_int_equal(symlink(to, in_folder(name)), 0);
    assert_int_equal(lchown(in_folder(name), owner, (gid_t)-1), 0);
}

static int tree_setup(void **state)
{
    if (each_setup(state) != 0)
        return -1;
    made_folder("a", 0755, geteuid());
    made_folder("a/b", 0755, geteuid());
    made_folder("a/b/c", 0755, geteuid());
    return 0;
}

static int tree_teardown(void **state)
{
    const char *command = apr_pstrcat(pool, "rm -rf ", folder, NULL);

    return system(command) == 0 ? each_teardown(state) : -1;
}

static apr_status_t opens(const char *name, uid_t also, mode_t make)
{
    why = "";
    return weave_folder_open(&found, &why, in_folder(name), also, make, pool);
}

static void assert_opens(const char *name, uid_t also)
{
    if (opens(name, also, 0) != APR_SUCCESS)
        fail_msg("%s: %s", name, why);
    close(found.fd);
}

/* NAME is refused with a sentence about ABOUT that has TEXT. */
static void assert_refuses(const char *name, uid_t also, const char *about,
                           const char *text)
{
    const char *path = in_folder(about);

    assert_int_equal(opens(name, also, 0), EPERM);
    if (strncmp(why, path, strlen(path)) != 0 || !strstr(why, text))
        fail_msg("'%s' is not about %s: %s", why, path, text);
}

static void a_descriptor_stays_with_its_folder(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(opens("a/b/c", geteuid(), 0), APR_SUCCESS);
    assert_int_equal(found.made, 0);
    assert_int_equal(found.status.st_mode & 07777, 0755);
    assert_int_equal(rename(in_folder("a"), in_folder("old")), 0);
    made_folder("a", 0755, geteuid());
    assert_int_equal(mkdirat(found.fd, "here", 0700), 0);
    assert_int_equal(stat(in_folder("old/b/c/here"), &status), 0);
    close(found.fd);
}

static void others_may_write_in_none(void **state)
{
    static const char *const names[] = {"a/b/c", "a/b", "a"};
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(chmod(in_folder(names[i]), 0757), 0);
        assert_refuses("a/b/c", geteuid(), names[i], "0757");
        assert_non_null(strstr(why, "chmod go-w"));
        assert_int_equal(chmod(in_folder(names[i]), 01777), 0);
        assert_opens("a/b/c", geteuid());
        assert_int_equal(chmod(in_folder(names[i]), 0755), 0);
    }
}

static void links_are_followed(void **state)
{
    (void)state;
    made_link("b/../b", "a/relative", geteuid());
    made_link(in_folder("a/relative/c/"), "absolute", geteuid());
    made_link("loop", "loop", geteuid());
    made_link("nowhere", "dangling", geteuid());
    assert_opens("a/./relative//c", geteuid());
    assert_opens("absolute/../c", geteuid());
    assert_int_equal(opens("loop", geteuid(), 0), ELOOP);
    assert_int_equal(opens("dangling/x", geteuid(), 0), ENOENT);
    /* the way of a link is looked at like any other */
    assert_int_equal(chmod(in_folder("a/b"), 0777), 0);
    assert_refuses("absolute", geteuid(), "a/b", "0777");
}

static void one_folder_is_made(void **state)
{
    mode_t before = umask(077); /* which says nothing about it */

    (void)state;
    file_write("file", "");
    assert_int_equal(opens("a/new", geteuid(), 0), ENOENT);
    assert_non_null(strstr(why, "cannot be used: No such file"));
    assert_int_equal(opens("a/new/other", geteuid(), 0700), ENOENT);
    assert_non_null(strstr(why, "cannot be made"));
    assert_int_equal(opens("a/new/", geteuid(), 0710), APR_SUCCESS);
    assert_int_equal(found.made, 1);
    assert_int_equal(found.status.st_mode & 07777, 0710);
    close(found.fd);
    assert_int_equal(opens("a/new", geteuid(), 0700), APR_SUCCESS);
    assert_int_equal(found.made, 0);
    close(found.fd);
    assert_int_equal(opens("file", geteuid(), 0700), ENOTDIR);
    umask(before);
}

static void above_is_the_folder_of_a_path(void **state)
{
    static const char *const paths[][2] = {
        {"/run/weave", "/run"}, {"/run//weave//", "/run"},
        {"/run", "/"},          {"/", "/"},
        {"a/b", "a"},           {"a", "."}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        assert_string_equal(weave_folder_parent(paths[i][0], pool),
                            paths[i][1]);
}

/* ---- as root: users who are none of ours ---- */

static void folders_of_others_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(in_folder("a/b"), MALLORY, 0), 0);
    assert_refuses("a/b/c", 0, "a/b", "belongs to user 54322");
    assert_non_null(strstr(why, "chown root"));
    assert_refuses("a/b/c", ALICE, "a/b",
                   "must belong to root or user 54321: choose another "
                   "folder, or `chown root /");
    assert_int_equal(chown(in_folder("a/b"), ALICE, 0), 0);
    assert_opens("a/b/c", ALICE);
}

static void groups_of_others_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(in_folder("a/b"), 0775), 0);
    assert_opens("a/b/c", 0); /* the group root is root's own */
    assert_int_equal(chown(in_folder("a/b"), 0, MALLORY), 0);
    assert_int_equal(chmod(in_folder("a/b"), 0775), 0);
    assert_refuses("a/b/c", 0, "a/b", "group 54322");
}

static void links_of_others_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    made_folder("tmp", 01777, 0);
    made_link("../a/b", "tmp/link", MALLORY);
    assert_refuses("tmp/link", 0, "tmp/link", "a link on the way to");
    assert_refuses("tmp/link", ALICE, "tmp/link", "54322");
    assert_opens("tmp/link", MALLORY);
    /* nobody else can have put it there */
    made_link("b", "a/link", MALLORY);
    assert_opens("a/link/c", 0);
}

/* The file that ALICE may not read, and which root would read for her. */
static void links_to_files_are_of_root(void **state)
{
    const char *path = file_write("secret", "[a]\n");
    struct stat secret;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(stat(path, &secret), 0);
    made_folder("home", 0755, ALICE);
    made_link("../secret", "home/link", ALICE);
    why = weave_folder_check_file(in_folder("home/link"), &secret, ALICE, pool);
    assert_non_null(why);
    assert_non_null(strstr(why, "a link on the way"));
    assert_int_equal(lchown(in_folder("home/link"), 0, 0), 0);
    assert_null(
        weave_folder_check_file(in_folder("home/link"), &secret, ALICE, pool));
    assert_non_null(weave_folder_check_file(in_folder("home/link"), &secret,
                                            MALLORY, pool));
}

static void an_exchanged_file_is_seen(void **state)
{
    const char *path = file_write("file", "[a]\n");
    struct stat was;

    (void)state;
    assert_int_equal(stat(path, &was), 0);
    assert_null(weave_folder_check_file(path, &was, geteuid(), pool));
    file_write("other", "[b]\n");
    assert_int_equal(rename(in_folder("other"), path), 0);
    why = weave_folder_check_file(path, &was, geteuid(), pool);
    assert_non_null(why);
    assert_non_null(strstr(why, "another file than a moment ago"));
}

#define TREE(test)                                                             \
    cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE(a_descriptor_stays_with_its_folder),
        TREE(others_may_write_in_none),
        TREE(links_are_followed),
        TREE(one_folder_is_made),
        TREE(above_is_the_folder_of_a_path),
        TREE(folders_of_others_are_refused),
        TREE(groups_of_others_are_refused),
        TREE(links_of_others_are_refused),
        TREE(links_to_files_are_of_root),
        TREE(an_exchanged_file_is_seen),
    };

    return run_each(tests);
}
