/* SPDX-License-Identifier: Apache-2.0 */
/* test_counters.c: what httpd's children count */

#include "conf_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_counters.h"

static int counters_fd;
static weave_counters_t *counters;

static int counters_setup(void **state)
{
    long holder;

    return each_setup(state) ||
           weave_counters_create(&counters, &counters_fd, &holder, folder,
                                 pool) != NULL;
}

static int counters_teardown(void **state)
{
    weave_counters_unmap(counters);
    close(counters_fd);
    unlink(in_folder(WEAVE_COUNTERS_FILE));
    return each_teardown(state);
}

/* ---- the file ---- */

/* A mapping has all of its room: a full disk must not kill who writes there. */
static void has_all_of_its_room(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(fstat(counters_fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_true((size_t)status.st_blocks * 512 >= sizeof(*counters));
}

static weave_counters_t *reads(void)
{
    weave_counters_t *copy;
    const char *problem = weave_counters_read(&copy, folder, pool);

    if (problem)
        fail_msg("%s", problem);
    return copy;
}

/* Reading closes the file, which ends the lock of the process that has it. */
static void reads_as_another(void)
{
    long holder = -1;
    int fd;
    weave_counters_t *mine;

    assert_int_equal(weave_counters_holder(folder, pool), getppid());
    assert_non_null(weave_counters_create(&mine, &fd, &holder, folder, pool));
    assert_int_equal(holder, getppid());
    assert_int_equal(reads()->parent, getppid());
}

static void knows_whose_it_is(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    pid = in_child(reads_as_another);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void reads_of_another_container(void)
{
    assert_int_equal(weave_counters_admitted(reads(), 2), -1);
}

/* Its numbers of processes are others than here. */
static void knows_no_process_of_another_container(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    counters->parent = 1;
    pid = in_child(reads_of_another_container);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void holds(void)
{
    long holder;
    pid_t pid;
    int fd;
    weave_counters_t *made;

    close(counters_fd);
    unlink(in_folder(WEAVE_COUNTERS_FILE));
    if (weave_counters_create(&made, &fd, &holder, folder, pool))
        _exit(1);
    pid = fork();
    if (pid == 0)
        pause(); /* has its descriptor */
    made->children[0].pid = pid;
    _exit(0);
}

/* What it has forked lives, and has the descriptor. */
static void knows_that_it_is_gone(void **state)
{
    int status;
    pid_t pid = in_child(holds);

    (void)state;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(kill(reads()->children[0].pid, 0) == 0);
    assert_int_equal(weave_counters_holder(folder, pool), 0);
    assert_int_equal(reads()->parent, pid);
    kill(reads()->children[0].pid, SIGKILL);
}

static void nobody_holds_what_is_not_there(void **state)
{
    weave_counters_t *copy;

    (void)state;
    unlink(in_folder(WEAVE_COUNTERS_FILE));
    assert_int_equal(weave_counters_holder(folder, pool), 0);
    assert_null(weave_counters_read(&copy, folder, pool));
    assert_null(copy);
}

static void refuses_another_version(void **state)
{
    weave_counters_t *copy;

    (void)state;
    counters->version++;
    assert_non_null(weave_counters_read(&copy, folder, pool));
    assert_null(copy);
    counters->version--;
    assert_non_null(reads());
    assert_int_equal(truncate(in_folder(WEAVE_COUNTERS_FILE), 100), 0);
    assert_non_null(
        strstr(weave_counters_read(&copy, folder, pool), "/counters is"));
    assert_null(copy);
}

/* ---- answers ---- */

static void clears_one_application(void **state)
{
    const weave_counters_row_t *row;

    (void)state;
    counters->rows[2].refused[WEAVE_REFUSED_LATE] = (uint64_t)3 << 32;
    counters->rows[2].backoff = 3;
    counters->rows[1].backoff = 1000; /* another's */
    row = &reads()->rows[2];
    assert_true(row->refused[WEAVE_REFUSED_LATE] == (uint64_t)3 << 32);
    assert_true(row->backoff == 3);
    weave_counters_clear(counters, 2);
    assert_true(counters->rows[2].backoff == 0);
    assert_true(counters->rows[1].backoff == 1000);
}

/* ---- children ---- */

/* A child that takes a slot, has admitted ADMITTED requests and spooled SPOOLED
 * bytes for application 2, until it is killed. */
static pid_t child_with(uint32_t admitted, uint64_t spooled)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        weave_counters_child_t *slot = weave_counters_child(counters);

        if (slot)
            slot->admitted[2] = admitted;
        if (slot)
            slot->spooled[2] = spooled;
        _exit(write(ready[1], slot ? "y" : "n", 1) != 1 || pause());
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    return pid;
}

static pid_t child_start(uint32_t admitted)
{
    return child_with(admitted, 0);
}

static void child_end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int64_t admitted(void)
{
    return weave_counters_admitted(counters, 2);
}

static void counts_what_is_admitted(void **state)
{
    pid_t one = child_start(3), other = child_start(4);

    (void)state;
    assert_int_equal(admitted(), 7);
    assert_int_equal(weave_counters_admitted(counters, 1), 0);
    counters->parent = (uint32_t)getppid(); /* these are not its children */
    assert_int_equal(admitted(), 0);
    counters->parent = (uint32_t)getpid();
    child_end(one); /* in the middle of its requests */
    assert_int_equal(admitted(), 4);
    child_end(other);
    assert_int_equal(admitted(), 0);
}

static void a_zombie_has_admitted_nothing(void **state)
{
    pid_t pid = child_start(1);
    siginfo_t info;

    (void)state;
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(admitted(), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void gives_slots_again(void **state)
{
    weave_counters_child_t *slot = weave_counters_child(counters), *its = NULL;
    pid_t gone = child_start(5);
    int i;

    (void)state;
    assert_ptr_equal(weave_counters_child(counters), slot); /* its own */
    child_end(gone);
    for (i = 0; i < WEAVE_COUNTERS_CHILDREN; i++)
        if (counters->children[i].pid == gone)
            its = &counters->children[i];
        else
            counters->children[i].pid = getppid(); /* lives */
    assert_non_null(its);
    child_end(child_start(0));
    assert_int_not_equal(its->pid, gone);
    assert_int_equal(its->admitted[2], 0);
    assert_int_equal(admitted(), 0);
}

/* httpd -X */
static void counts_a_parent_that_serves(void **state)
{
    (void)state;
    weave_counters_child(counters)->admitted[2] = 2;
    assert_int_equal(admitted(), 2);
}

static void says_that_there_was_none(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < WEAVE_COUNTERS_CHILDREN; i++)
        counters->children[i].pid = getppid();
    assert_null(weave_counters_child(counters));
    assert_int_equal(admitted(), -1);
}

#define COUNTERS(test)                                                         \
    cmocka_unit_test_setup_teardown(test, counters_setup, counters_teardown)

/* ---- spooled bodies ---- */

static int spools(weave_counters_child_t *slot, uint64_t bytes, uint64_t most)
{
    return !weave_counters_spool(counters, slot, 2, bytes, most);
}

static void bounds_what_is_spooled(void **state)
{
    weave_counters_child_t *slot = weave_counters_child(counters);

    (void)state;
    assert_true(spools(slot, 60, 100));
    assert_false(spools(slot, 41, 100));
    assert_true(spools(slot, 40, 100));
    assert_false(spools(slot, 1, 100));
    assert_false(spools(slot, UINT64_MAX - 50, 100));
    assert_int_equal(weave_counters_spool(counters, slot, 3, 100, 100), 0);
    slot->spooled[2] -= 30;
    assert_true(spools(slot, 30, 100));
}

static void forgets_what_a_killed_child_has_spooled(void **state)
{
    weave_counters_child_t *slot = weave_counters_child(counters);
    pid_t one = child_with(0, 50), other = child_with(0, 30);

    (void)state;
    assert_true(spools(slot, 20, 100));
    assert_false(spools(slot, 1, 100));
    child_end(one);
    assert_true(spools(slot, 50, 100));
    assert_false(spools(slot, 1, 100));
    child_end(other);
    assert_true(spools(slot, 30, 100));
}

/* A child that lies can keep others from spooling, and no more. */
static void sums_do_not_wrap_around(void **state)
{
    weave_counters_child_t *slot = weave_counters_child(counters);
    pid_t one = child_with(0, UINT64_MAX - 1), other = child_with(0, 5);

    (void)state;
    assert_false(spools(slot, 1, 100));
    child_end(one);
    child_end(other);
    assert_true(spools(slot, 100, 100));
}

static void tells_who_has_failed(void **state)
{
    weave_counters_child_t *slot = weave_counters_child(counters);
    const char *text = "untouched";

    (void)state;
    counters->parent = (uint32_t)getppid();
    assert_int_equal(weave_counters_failed(&text, counters, pool), 0);
    weave_counters_fail(counters, slot, "ImportError: no \x1b[2J");
    assert_int_equal(weave_counters_failed(&text, counters, pool), 1);
    assert_string_equal(text, "ImportError: no \\x1b[2J");
    counters->parent = 1;
    assert_int_equal(weave_counters_failed(&text, counters, pool), 0);
    counters->parent = (uint32_t)getppid();
    memset(counters->failure, 'x', sizeof(counters->failure)); /* anybody's */
    assert_int_equal(weave_counters_failed(&text, counters, pool), 1);
    assert_int_equal(strlen(text), sizeof(counters->failure));
    weave_counters_fail(counters, slot, NULL);
    assert_int_equal(weave_counters_failed(&text, counters, pool), 0);
    weave_counters_fail(counters, NULL, "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COUNTERS(has_all_of_its_room),
        COUNTERS(knows_whose_it_is),
        COUNTERS(knows_no_process_of_another_container),
        COUNTERS(knows_that_it_is_gone),
        COUNTERS(nobody_holds_what_is_not_there),
        COUNTERS(refuses_another_version),
        COUNTERS(clears_one_application),
        COUNTERS(counts_what_is_admitted),
        COUNTERS(a_zombie_has_admitted_nothing),
        COUNTERS(gives_slots_again),
        COUNTERS(counts_a_parent_that_serves),
        COUNTERS(says_that_there_was_none),
        COUNTERS(bounds_what_is_spooled),
        COUNTERS(forgets_what_a_killed_child_has_spooled),
        COUNTERS(sums_do_not_wrap_around),
        COUNTERS(tells_who_has_failed),
    };

    return run_each(tests);
}
