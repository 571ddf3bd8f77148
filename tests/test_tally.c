/* SPDX-License-Identifier: Apache-2.0 */
/* test_tally.c: what httpd's children count */

#include "conf_support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_tally.h"

static int board_fd, tally_fd;
static weave_maintenance_board_t *board;
static weave_tally_t *tally;

static int tally_setup(void **state)
{
    if (each_setup(state) ||
        weave_maintenance_board_create(&board_fd, &board) != APR_SUCCESS ||
        weave_tally_create(&tally_fd, &tally) != APR_SUCCESS)
        return -1;
    board->tally_fd = tally_fd;
    strcpy(board->state_dir, "/proc/self"); /* a folder of this user's */
    return 0;
}

static int tally_teardown(void **state)
{
    weave_tally_unmap(tally);
    close(tally_fd);
    weave_maintenance_board_unmap(board);
    close(board_fd);
    return each_teardown(state);
}

/* ---- answers ---- */

static void sums_stripes(void **state)
{
    weave_tally_row_t sum;
    const weave_tally_t *seen;
    int stripe, kind;

    (void)state;
    for (stripe = 0; stripe < WEAVE_TALLY_STRIPES; stripe++) {
        weave_tally_row_t *row = &tally->rows[stripe][2];

        for (kind = 0; kind < WEAVE_REFUSED_KINDS; kind++)
            row->refused[kind] = (uint64_t)(kind + 1) << 32;
        row->backoff = 3;
        row->backoff_load = 4;
        row->load_us = stripe == 5 ? 99 : stripe;
        tally->rows[stripe][1].backoff = 1000; /* another's */
    }
    seen = weave_tally_open(board, pool);
    assert_non_null(seen);
    weave_tally_sum(&sum, seen, 2);
    for (kind = 0; kind < WEAVE_REFUSED_KINDS; kind++)
        assert_true(sum.refused[kind] == (uint64_t)(kind + 1) * 16 << 32);
    assert_true(sum.backoff == 48);
    assert_true(sum.backoff_load == 64);
    assert_true(sum.load_us == 99);
}

static void opens_nothing_else(void **state)
{
    (void)state;
    board->tally_fd = -1;
    assert_null(weave_tally_open(board, pool));
    board->tally_fd = board_fd;
    assert_null(weave_tally_open(board, pool));
}

/* ---- children ---- */

/* A child that takes a seat, has RUNNING requests, and has spooled SPOOLED
 * bytes for application 2, until it is killed. */
static pid_t child_with(uint32_t running, uint64_t spooled)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        weave_tally_child_t *seat = weave_tally_seat(tally);

        if (seat)
            atomic_fetch_add(&seat->running, running);
        if (seat)
            atomic_store(&tally->spooled[seat - tally->children][2], spooled);
        _exit(write(ready[1], seat ? "y" : "n", 1) != 1 || pause());
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    return pid;
}

static pid_t child_start(uint32_t running)
{
    return child_with(running, 0);
}

static void child_end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void counts_what_runs(void **state)
{
    pid_t one = child_start(3), other = child_start(4);

    (void)state;
    assert_int_equal(weave_tally_running(tally, getpid()), 7);
    assert_int_equal(weave_tally_running(tally, getppid()), 0);
    child_end(one); /* in the middle of its requests */
    assert_int_equal(weave_tally_running(tally, getpid()), 4);
    child_end(other);
    assert_int_equal(weave_tally_running(tally, getpid()), 0);
}

static void a_zombie_runs_nothing(void **state)
{
    pid_t pid = child_start(1);
    siginfo_t info;

    (void)state;
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(weave_tally_running(tally, getpid()), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void gives_seats_again(void **state)
{
    weave_tally_child_t *seat = weave_tally_seat(tally), *its = NULL;
    pid_t gone = child_start(5);
    int i;

    (void)state;
    assert_ptr_equal(weave_tally_seat(tally), seat); /* its own */
    child_end(gone);
    for (i = 0; i < WEAVE_TALLY_CHILDREN; i++)
        if (tally->children[i].pid == gone)
            its = &tally->children[i];
        else
            tally->children[i].pid = getppid(); /* lives */
    assert_non_null(its);
    child_end(child_start(0));
    assert_int_not_equal(its->pid, gone);
    assert_int_equal(its->running, 0);
    assert_int_equal(weave_tally_running(tally, getpid()), 0);
}

/* httpd -X */
static void counts_a_parent_that_serves(void **state)
{
    (void)state;
    weave_tally_seat(tally)->running = 2;
    assert_int_equal(weave_tally_running(tally, getpid()), 2);
}

static void says_that_there_was_none(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WEAVE_TALLY_CHILDREN; i++)
        tally->children[i].pid = getppid();
    assert_null(weave_tally_seat(tally));
    assert_int_equal(weave_tally_running(tally, getpid()), -1);
}

#define TALLY(test)                                                            \
    cmocka_unit_test_setup_teardown(test, tally_setup, tally_teardown)

/* ---- spooled bodies ---- */

static int spools(const weave_tally_child_t *seat, uint64_t bytes,
                  uint64_t most)
{
    return !weave_tally_spool(tally, seat, 2, bytes, most, getpid());
}

static void bounds_what_is_spooled(void **state)
{
    const weave_tally_child_t *seat = weave_tally_seat(tally);

    (void)state;
    assert_true(spools(seat, 60, 100));
    assert_false(spools(seat, 41, 100));
    assert_true(spools(seat, 40, 100));
    assert_false(spools(seat, 1, 100));
    assert_false(spools(seat, UINT64_MAX - 50, 100));
    assert_int_equal(weave_tally_spool(tally, seat, 3, 100, 100, getpid()), 0);
    weave_tally_unspool(tally, seat, 2, 30);
    assert_true(spools(seat, 30, 100));
}

static void forgets_what_a_killed_child_has_spooled(void **state)
{
    const weave_tally_child_t *seat = weave_tally_seat(tally);
    pid_t one = child_with(0, 50), other = child_with(0, 30);

    (void)state;
    assert_true(spools(seat, 20, 100));
    assert_false(spools(seat, 1, 100));
    child_end(one);
    assert_true(spools(seat, 50, 100));
    assert_false(spools(seat, 1, 100));
    child_end(other);
    assert_true(spools(seat, 30, 100));
}

/* A child that lies can keep others from spooling, and no more. */
static void sums_do_not_wrap_around(void **state)
{
    const weave_tally_child_t *seat = weave_tally_seat(tally);
    pid_t one = child_with(0, UINT64_MAX - 1), other = child_with(0, 5);

    (void)state;
    assert_false(spools(seat, 1, 100));
    child_end(one);
    child_end(other);
    assert_true(spools(seat, 100, 100));
}

static void tells_who_has_failed(void **state)
{
    weave_tally_child_t *seat = weave_tally_seat(tally);
    const char *text = "untouched";

    (void)state;
    assert_int_equal(weave_tally_failed(&text, tally, getppid(), pool), 0);
    weave_tally_fail(tally, seat, "ImportError: no \x1b[2J");
    assert_int_equal(weave_tally_failed(&text, tally, getppid(), pool), 1);
    assert_string_equal(text, "ImportError: no \\x1b[2J");
    assert_int_equal(weave_tally_failed(&text, tally, 1, pool), 0);
    memset(tally->failure, 'x', sizeof(tally->failure)); /* anybody's */
    assert_int_equal(weave_tally_failed(&text, tally, getppid(), pool), 1);
    assert_int_equal(strlen(text), sizeof(tally->failure));
    weave_tally_fail(tally, seat, NULL);
    assert_int_equal(weave_tally_failed(&text, tally, getppid(), pool), 0);
    weave_tally_fail(tally, NULL, "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALLY(sums_stripes),
        TALLY(opens_nothing_else),
        TALLY(counts_what_runs),
        TALLY(a_zombie_runs_nothing),
        TALLY(gives_seats_again),
        TALLY(counts_a_parent_that_serves),
        TALLY(says_that_there_was_none),
        TALLY(bounds_what_is_spooled),
        TALLY(forgets_what_a_killed_child_has_spooled),
        TALLY(sums_do_not_wrap_around),
        TALLY(tells_who_has_failed),
    };

    return run_each(tests);
}
