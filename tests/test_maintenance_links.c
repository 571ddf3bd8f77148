/* SPDX-License-Identifier: Apache-2.0 */
/* test_maintenance_links.c: how weavectl finds the maintenance board */

#include "maintenance_board_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_tally.h"

static const char *link_path(long pid)
{
    const char *path = in_folder(weave_maintenance_link_name(pid, pool));

    APR_ARRAY_PUSH(written, const char *) = path;
    return path;
}

/* A link of the folder to FILE of PID. */
static const char *links(long pid, int file)
{
    const char *path = link_path(pid);

    unlink(path);
    assert_int_equal(
        symlink(apr_psprintf(pool, "/proc/%ld/fd/%d", pid, file), path), 0);
    return path;
}

static int is_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

static int boards_count(int writable)
{
    const char *why = "";
    int count = weave_maintenance_boards(&why, folder, writable, pool)->nelts;

    assert_null(why);
    return count;
}

static void opens_through_a_link(void **state)
{
    const char *path = link_path(getpid()), *why = "";
    const char *name = weave_maintenance_link_name(getpid(), pool);
    weave_maintenance_board_t *seen;
    weave_maintenance_t word = {.mode = WEAVE_MAINTENANCE_ON,
                                .retry_after_s = 9};

    (void)state;
    assert_null(weave_maintenance_link(folder, name, fd, pool));
    /* one that an httpd of the same pid has left is replaced */
    unlink(path);
    assert_int_equal(symlink("/nowhere", path), 0);
    assert_null(weave_maintenance_link(folder, name, fd, pool));
    seen = weave_maintenance_open(&why, path, 1, pool);
    assert_non_null(seen);
    assert_null(why);
    weave_maintenance_row_set(seen, 0, &word);
    assert_int_equal(board->rows[0].word.retry_after_s, 9);
    seen = weave_maintenance_open(&why, path, 0, pool);
    assert_non_null(seen);
    assert_int_equal(mprotect(seen, sizeof(*seen), PROT_READ | PROT_WRITE), -1);
    assert_int_equal(boards_count(1), 1);
    assert_int_equal(boards_count(0), 1);
    assert_true(is_there(path));
    assert_non_null(weave_maintenance_link(in_folder("none"), name, fd, pool));
}

static void finds_none(void **state)
{
    const char *why = "";

    (void)state;
    assert_int_equal(boards_count(1), 0);
    assert_int_equal(
        weave_maintenance_boards(&why, in_folder("none"), 1, pool)->nelts, 0);
    assert_null(why);
    assert_null(weave_maintenance_open(&why, in_folder("none"), 0, pool));
    assert_null(why);
}

static void nothing(void)
{
}

static void sweeps_links_of_the_dead(void **state)
{
    pid_t dead = in_child(nothing);
    const char *path;

    (void)state;
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    path = links(dead, fd);
    assert_int_equal(boards_count(0), 0);
    assert_true(is_there(path));
    assert_int_equal(boards_count(1), 0);
    assert_false(is_there(path));
}

/* A pid is soon somebody else's, and so are its descriptors. */
static void refuses(int file)
{
    const char *path = links(getpid(), file), *why = "";

    assert_true(file >= 0);
    assert_null(weave_maintenance_open(&why, path, 1, pool));
    assert_null(why);
    assert_int_equal(boards_count(1), 0);
    assert_false(is_there(path));
    close(file);
}

static void refuses_what_is_no_board(void **state)
{
    int pipes[2], sockets[2], memory, tally_fd;
    weave_tally_t *tally;

    (void)state;
    refuses(open("/dev/null", O_RDWR));
    refuses(open(file_write("a", "file"), O_RDONLY));
    refuses(open("/", O_RDONLY | O_DIRECTORY));
    assert_int_equal(pipe(pipes), 0);
    refuses(pipes[0]);
    refuses(pipes[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    refuses(sockets[0]);
    close(sockets[1]);
    assert_int_equal(weave_tally_create(&tally_fd, &tally), 0);
    weave_tally_unmap(tally);
    refuses(tally_fd);
    memory = memfd_create("weave-maintenance", MFD_ALLOW_SEALING);
    assert_int_equal(write(memory, board, sizeof(*board)), sizeof(*board));
    refuses(memory); /* it could shrink */
}

static void refuses_links_that_lead_elsewhere(void **state)
{
    static const char *const targets[] = {
        "elsewhere",   "/etc/passwd", "/proc/self/fd/3",
        "/proc/1/mem", "/proc/1/fd/", "/proc/1/fd/0/../../environ"};
    const char *path = link_path(7), *why = "";
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        assert_int_equal(symlink(targets[i], path), 0);
        assert_null(weave_maintenance_open(&why, path, 1, pool));
        assert_null(why);
        unlink(path);
    }
}

/* Its httpd runs, and cannot be told: that is to be known. */
static void reports_those_of_another_version(void **state)
{
    const char *path = links(getpid(), fd), *why = NULL;

    (void)state;
    board->version++;
    assert_null(weave_maintenance_open(&why, path, 0, pool));
    assert_non_null(strstr(why, "another version"));
    assert_int_equal(weave_maintenance_boards(&why, folder, 1, pool)->nelts, 0);
    assert_non_null(strstr(why, "another version"));
    assert_true(is_there(path));
    board->version--;
    board->bytes++;
    assert_null(weave_maintenance_open(&why, path, 1, pool));
    assert_non_null(strstr(why, "another version"));
    board->magic++;
    assert_null(weave_maintenance_open(&why, path, 1, pool));
    assert_null(why);
    assert_int_equal(boards_count(1), 0);
    assert_false(is_there(path));
}

/* Root's httpd was killed, and somebody has its pid by now. */
static void refuses_those_of_other_users(void **state)
{
    const char *path = links(getpid(), fd), *why = "";

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(fchown(fd, 65534, (gid_t)-1), 0);
    assert_null(weave_maintenance_open(&why, path, 0, pool));
    assert_null(why);
    assert_int_equal(lchown(path, 65534, (gid_t)-1), 0);
    assert_non_null(weave_maintenance_open(&why, path, 0, pool));
    assert_int_equal(fchown(fd, 0, (gid_t)-1), 0);
    assert_int_equal(boards_count(1), 0);
    assert_false(is_there(path));
}

/* Root reads every folder. */
static const char *long_path(void)
{
    char *path = apr_palloc(pool, 8192);

    memset(path, 'x', 8191);
    path[8191] = '\0';
    return path;
}

static void reports_a_folder_that_cannot_be_read(void **state)
{
    const char *why = NULL;

    (void)state;
    assert_int_equal(
        weave_maintenance_boards(&why, long_path(), 1, pool)->nelts, 0);
    assert_non_null(strstr(why, "cannot be read"));
}

/* What is no link is not ours, whatever its name. */
static void leaves_files_alone(void **state)
{
    const char *file = file_write("httpd-2.4.tar", "precious");

    (void)state;
    assert_int_equal(boards_count(1), 0);
    assert_true(is_there(file));
}

static void waits(void)
{
    for (;;)
        pause();
}

/* A child has the descriptor, too; the board is its parent's. */
static void refuses_that_of_another(void **state)
{
    pid_t pid = in_child(waits);
    const char *path = links(pid, fd), *why = "";

    (void)state;
    assert_null(weave_maintenance_open(&why, path, 1, pool));
    assert_null(why);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Copied, or left where its httpd was before. */
static void believes_no_link_of_another_folder(void **state)
{
    const char *path = links(getpid(), fd), *why = NULL;

    (void)state;
    apr_cpystrn(board->state_dir, "/", sizeof(board->state_dir));
    assert_int_equal(weave_maintenance_boards(&why, folder, 1, pool)->nelts, 0);
    assert_non_null(strstr(why, path));
    assert_true(is_there(path));
    apr_cpystrn(board->state_dir, folder, sizeof(board->state_dir));
    assert_int_equal(boards_count(1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOARD(opens_through_a_link),
        BOARD(finds_none),
        BOARD(sweeps_links_of_the_dead),
        BOARD(refuses_what_is_no_board),
        BOARD(refuses_links_that_lead_elsewhere),
        BOARD(reports_those_of_another_version),
        BOARD(refuses_those_of_other_users),
        BOARD(reports_a_folder_that_cannot_be_read),
        BOARD(leaves_files_alone),
        BOARD(refuses_that_of_another),
        BOARD(believes_no_link_of_another_folder),
    };

    return run_each(tests);
}
