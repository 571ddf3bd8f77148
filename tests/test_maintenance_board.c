/* SPDX-License-Identifier: Apache-2.0 */
/* test_maintenance_board.c: maintenance in shared memory, and who finds it */

#include "conf_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_maintenance_board.h"
#include "weave_tally.h"

#define WRITES 100000
#define CHANGES 100 /* that a reader is to see, however it has its turns */

static int fd;
static weave_maintenance_board_t *board;

static int board_setup(void **state)
{
    return each_setup(state) || weave_maintenance_board_create(&fd, &board) ? -1
                                                                            : 0;
}

static int board_teardown(void **state)
{
    weave_maintenance_board_unmap(board);
    close(fd);
    return each_teardown(state);
}

/* ---- rows ---- */

/* One whose every field says the same. */
static void word_make(weave_maintenance_t *word, uint32_t number)
{
    memset(word, 0, sizeof(*word));
    word->mode = number % 3 + 1;
    word->retry_after_s = number;
    word->since_us = word->until_us = number;
    snprintf(word->by, sizeof(word->by), "%0100u", number);
    snprintf(word->message, sizeof(word->message), "%0500u", number);
}

static void is_whole(const weave_maintenance_t *word, uint32_t number)
{
    weave_maintenance_t same;

    word_make(&same, number);
    assert_memory_equal(word, &same, sizeof(same));
}

static void starts_off(void **state)
{
    weave_maintenance_t copy;
    uint32_t row;

    (void)state;
    assert_int_equal(board->epoch, 1);
    assert_int_equal(board->pid, getpid());
    assert_int_equal(board->tally_fd, -1);
    for (row = 0; row < WEAVE_MAINTENANCE_ROWS; row++) {
        weave_maintenance_row_get(&copy, board, row);
        assert_int_equal(copy.mode, WEAVE_MAINTENANCE_OFF);
        assert_int_equal(board->rows[row].mode, WEAVE_MAINTENANCE_OFF);
    }
}

static void keeps_rows_apart(void **state)
{
    weave_maintenance_t word, copy;

    (void)state;
    word_make(&word, 7);
    weave_maintenance_row_set(board, 3, &word);
    weave_maintenance_row_get(&copy, board, 3);
    is_whole(&copy, 7);
    assert_int_equal(board->rows[3].mode, word.mode);
    assert_int_equal(board->rows[3].serial, 2);
    weave_maintenance_row_get(&copy, board, 2);
    assert_int_equal(copy.mode, WEAVE_MAINTENANCE_OFF);
    weave_maintenance_row_get(&copy, board, 4);
    assert_int_equal(copy.mode, WEAVE_MAINTENANCE_OFF);
}

static pid_t forked(void (*code)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        code();
        _exit(0);
    }
    return pid;
}

static void writes_all_the_time(void)
{
    weave_maintenance_t word;
    uint32_t number;

    for (number = 1; number <= WRITES || !board->rows[6].serial; number++) {
        word_make(&word, number);
        weave_maintenance_row_set(board, 5, &word);
    }
}

static void readers_see_whole_words(void **state)
{
    weave_maintenance_t copy;
    uint32_t last = 1, changes = 0;
    pid_t pid;

    (void)state;
    word_make(&copy, 1);
    weave_maintenance_row_set(board, 5, &copy);
    pid = forked(writes_all_the_time);
    while (changes < CHANGES) {
        weave_maintenance_row_get(&copy, board, 5);
        if (!*copy.by) { /* the writer was put aside in the middle */
            assert_int_equal(copy.mode, WEAVE_MAINTENANCE_ON);
            continue;
        }
        is_whole(&copy, copy.retry_after_s);
        assert_true(copy.retry_after_s >= last);
        changes += copy.retry_after_s != last;
        last = copy.retry_after_s;
    }
    weave_maintenance_row_set(board, 6, &copy); /* enough */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    weave_maintenance_row_get(&copy, board, 5);
    assert_true(copy.retry_after_s >= WRITES);
}

/* What it was about to say nobody knows; the next one writes on. */
static void outlives_a_writer(void **state)
{
    weave_maintenance_t word, copy;

    (void)state;
    word_make(&word, 1);
    word.mode = WEAVE_MAINTENANCE_BACKOFF;
    weave_maintenance_row_set(board, 5, &word);
    board->rows[5].serial++;
    board->rows[5].word.mode = WEAVE_MAINTENANCE_OFF;
    weave_maintenance_row_get(&copy, board, 5);
    assert_int_equal(copy.mode, WEAVE_MAINTENANCE_ON);
    assert_int_equal(copy.until_us, 0);
    assert_int_equal(copy.retry_after_s, 0);
    assert_string_equal(copy.by, "");
    assert_string_equal(copy.message, "");
    word_make(&word, 2);
    weave_maintenance_row_set(board, 5, &word);
    assert_int_equal(board->rows[5].serial & 1, 0);
    weave_maintenance_row_get(&copy, board, 5);
    is_whole(&copy, 2);
}

/* Whoever looks at `mode` alone may not take for OFF what is half an ON. */
static void is_never_off_by_accident(void **state)
{
    weave_maintenance_t off = {0}, on;
    int i;

    (void)state;
    word_make(&on, 2);
    on.mode = WEAVE_MAINTENANCE_ON;
    for (i = 0; i < 100; i++) {
        pid_t pid = fork();

        while (pid == 0) {
            weave_maintenance_row_set(board, 5, &on);
            weave_maintenance_row_set(board, 5, &off);
        }
        usleep(1000 + 13 * (unsigned)i);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(board->rows[5].mode || !board->rows[5].word.mode);
    }
}

static void ends_texts(void **state)
{
    weave_maintenance_t word, copy;

    (void)state;
    memset(&word, 'x', sizeof(word));
    weave_maintenance_row_set(board, 5, &word);
    weave_maintenance_row_get(&copy, board, 5);
    assert_int_equal(strlen(copy.by), sizeof(copy.by) - 1);
    assert_int_equal(strlen(copy.message), sizeof(copy.message) - 1);
}

/* ---- publishing ---- */

static void add(apr_array_header_t *entries, const char *ini, uint32_t mode)
{
    weave_maintenance_t word = {.mode = mode};

    weave_maintenance_set(entries, ini, NULL, &word);
}

static uint32_t mode_of(uint32_t row)
{
    weave_maintenance_t copy;

    weave_maintenance_row_get(&copy, board, row);
    assert_int_equal(copy.mode, board->rows[row].mode);
    return copy.mode;
}

static void publishes_by_place(void **state)
{
    apr_array_header_t *entries =
        apr_array_make(pool, 4, sizeof(weave_maintenance_entry_t));
    int last = WEAVE_ROSTER_APPS - 1;

    (void)state;
    strcpy(board->ini[0], "/a.ini");
    strcpy(board->ini[last], "/z.ini");
    add(entries, "/z.ini", WEAVE_MAINTENANCE_ON);
    add(entries, "/nobody.ini", WEAVE_MAINTENANCE_ON);
    add(entries, "", WEAVE_MAINTENANCE_ON);
    add(entries, NULL, WEAVE_MAINTENANCE_BACKOFF);
    weave_maintenance_publish(board, entries);
    assert_int_equal(board->epoch, 2);
    assert_int_equal(mode_of(WEAVE_MAINTENANCE_ALL), WEAVE_MAINTENANCE_BACKOFF);
    assert_int_equal(mode_of(1), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_of(2), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_of(1 + (uint32_t)last), WEAVE_MAINTENANCE_ON);
    /* what is said no more is off */
    apr_array_clear(entries);
    add(entries, "/a.ini", WEAVE_MAINTENANCE_DRAINING);
    weave_maintenance_publish(board, entries);
    assert_int_equal(board->epoch, 3);
    assert_int_equal(mode_of(WEAVE_MAINTENANCE_ALL), WEAVE_MAINTENANCE_OFF);
    assert_int_equal(mode_of(1), WEAVE_MAINTENANCE_DRAINING);
    assert_int_equal(mode_of(1 + (uint32_t)last), WEAVE_MAINTENANCE_OFF);
}

/* 0 is "it may run whatever is said". */
static void epoch_is_never_0(void **state)
{
    (void)state;
    board->epoch = UINT32_MAX - 1;
    weave_maintenance_turn(board);
    assert_int_equal(board->epoch, UINT32_MAX);
    weave_maintenance_turn(board);
    assert_int_equal(board->epoch, 1);
    weave_maintenance_turn(board);
    assert_int_equal(board->epoch, 2);
}

/* ---- links ---- */

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
    weave_maintenance_t word;

    (void)state;
    assert_null(weave_maintenance_link(folder, name, fd, pool));
    /* one that an httpd of the same pid has left is replaced */
    unlink(path);
    assert_int_equal(symlink("/nowhere", path), 0);
    assert_null(weave_maintenance_link(folder, name, fd, pool));
    seen = weave_maintenance_open(&why, path, 1, pool);
    assert_non_null(seen);
    assert_null(why);
    word_make(&word, 9);
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
    pid_t dead = forked(nothing);
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
    pid_t pid = forked(waits);
    const char *path = links(pid, fd), *why = "";

    (void)state;
    assert_null(weave_maintenance_open(&why, path, 1, pool));
    assert_null(why);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

#define BOARD(test)                                                            \
    cmocka_unit_test_setup_teardown(test, board_setup, board_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOARD(starts_off),
        BOARD(keeps_rows_apart),
        BOARD(readers_see_whole_words),
        BOARD(outlives_a_writer),
        BOARD(is_never_off_by_accident),
        BOARD(ends_texts),
        BOARD(publishes_by_place),
        BOARD(epoch_is_never_0),
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
    };

    return run_each(tests);
}
