/* SPDX-License-Identifier: Apache-2.0 */
/* test_board.c: shared memory: who may write it, and what readers see */

#include "conf_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_time.h>

#include "weave_board.h"

#define NOBODY 65534
#define WRITES 200000
#define CHANGES 100 /* that a reader is to see, however it has its turns */

static int fd;
static weave_roster_t *roster;

static int roster_setup(void **state)
{
    return each_setup(state) || weave_roster_create(&fd, &roster) ? -1 : 0;
}

static int roster_teardown(void **state)
{
    weave_roster_unmap(roster);
    close(fd);
    return each_teardown(state);
}

/* CODE runs in a process of its own and returns its exit status. */
static pid_t forked(int (*code)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(code());
    return pid;
}

static void ends_well(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void checks_made(int made, size_t bytes)
{
    struct stat status;
    int seals = fcntl(made, F_GET_SEALS);

    assert_int_equal(fstat(made, &status), 0);
    assert_int_equal(status.st_size, bytes);
    assert_int_equal(status.st_mode & 07777, 0644);
    assert_int_equal(fcntl(made, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_equal(ftruncate(made, 0), -1);
    assert_int_equal(ftruncate(made, (off_t)bytes * 2), -1);
}

static void makes_a_roster(void **state)
{
    (void)state;
    checks_made(fd, sizeof(*roster));
    assert_int_equal(roster->magic, WEAVE_ROSTER_MAGIC);
    assert_int_equal(roster->version, WEAVE_ROSTER_VERSION);
    assert_int_equal(roster->bytes, sizeof(*roster));
    assert_int_equal(roster->apps[0].state, WEAVE_APP_NONE);
    assert_int_equal(roster->workers[0].state, WEAVE_WORKER_FREE);
}

static void makes_a_board(void **state)
{
    weave_board_t *board, *again;
    int made;

    (void)state;
    assert_int_equal(weave_board_create(&made, &board, 8), 0);
    checks_made(made, sizeof(*board));
    assert_int_equal(board->threads, 8);
    assert_int_equal(weave_board_map(&again, made, 1), 0);
    again->started[WEAVE_BOARD_SLOTS - 1] = 42;
    assert_int_equal(board->started[WEAVE_BOARD_SLOTS - 1], 42);
    weave_board_unmap(again);
    /* one is not the other */
    again = NULL;
    assert_int_equal(weave_roster_map(&roster, made, 0), APR_EMISMATCH);
    assert_int_equal(weave_board_map(&again, fd, 0), APR_EMISMATCH);
    /* nor is one of another version, or without its magic number */
    board->version++;
    assert_int_equal(weave_board_map(&again, made, 0), APR_EMISMATCH);
    board->version--;
    board->magic++;
    assert_int_equal(weave_board_map(&again, made, 0), APR_EMISMATCH);
    assert_null(again);
    weave_board_unmap(board);
    close(made);
}

static void readers_stay_readers(void **state)
{
    weave_roster_t *seen;
    int readonly;

    (void)state;
    assert_int_equal(weave_memory_reopen(&readonly, fd, 0), 0);
    assert_int_equal(fcntl(readonly, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(readonly, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(weave_roster_map(&seen, readonly, 1), EACCES);
    assert_int_equal(weave_roster_map(&seen, readonly, 0), 0);
    assert_int_equal(mprotect(seen, sizeof(*seen), PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
    roster->generations = 9;
    assert_int_equal(seen->generations, 9);
    weave_roster_unmap(seen);
    close(readonly);
}

static int opens_as_nobody(void)
{
    char path[64];

    if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        return 1;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
    /* a worker reads its own that way */
    return open(path, O_RDWR) >= 0 || open(path, O_RDONLY) < 0 ? 2 : 0;
}

/* A reader's descriptor must not become a writer's through /proc. */
static void others_cannot_reopen(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    ends_well(forked(opens_as_nobody));
}

static int memory(size_t bytes, int seals)
{
    int made = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    assert_true(made >= 0);
    assert_int_equal(ftruncate(made, (off_t)bytes), 0);
    assert_int_equal(pwrite(made, roster, 64, 0), 64);
    assert_int_equal(fcntl(made, F_ADD_SEALS, seals), 0);
    return made;
}

static void refuses(int made)
{
    weave_roster_t *seen = NULL;

    assert_int_equal(weave_roster_map(&seen, made, 0), APR_EMISMATCH);
    assert_null(seen);
    close(made);
}

static void refuses_what_may_shrink(void **state)
{
    char path[] = "/tmp/weave-test-XXXXXX";
    int file = mkstemp(path);

    (void)state;
    unlink(path);
    assert_int_equal(ftruncate(file, sizeof(*roster)), 0);
    refuses(file);
    refuses(memory(sizeof(*roster), 0));
    refuses(memory(sizeof(*roster), F_SEAL_GROW));
    refuses(memory(sizeof(*roster) - 1, F_SEAL_SHRINK | F_SEAL_GROW));
    refuses(memory(sizeof(*roster) + 4096, F_SEAL_SHRINK | F_SEAL_GROW));
    refuses(memory(0x40, F_SEAL_SHRINK | F_SEAL_GROW));
    refuses(dup(0));
}

static void refuses_other_versions(void **state)
{
    weave_roster_t *seen = NULL;

    (void)state;
    roster->version++;
    refuses(dup(fd));
    roster->version--;
    roster->magic++;
    refuses(dup(fd));
    roster->magic--;
    roster->bytes++;
    refuses(dup(fd));
    roster->bytes--;
    assert_int_equal(weave_roster_map(&seen, fd, 0), 0);
    weave_roster_unmap(seen);
}

/* ---- entries ---- */

/* One whose every field says the same. */
static void entry_make(weave_roster_worker_t *entry, uint32_t number)
{
    memset(entry, 0, sizeof(*entry));
    entry->state = number % 3 + 1;
    entry->app = entry->generation = entry->pid = number;
    snprintf(entry->socket, sizeof(entry->socket), "%0100u", number);
}

static int is_whole(const weave_roster_worker_t *entry)
{
    weave_roster_worker_t same;

    entry_make(&same, entry->pid);
    return entry->state == same.state && entry->app == same.app &&
           entry->generation == same.generation &&
           !strcmp(entry->socket, same.socket);
}

static int writes_all_the_time(void)
{
    weave_roster_worker_t entry;
    uint32_t number;

    for (number = 1; number <= WRITES || !roster->generations; number++) {
        entry_make(&entry, number);
        weave_roster_worker_set(roster, 5, &entry);
        weave_roster_worker_set(roster, WEAVE_ROSTER_WORKERS - 1, &entry);
    }
    return 0;
}

static void readers_see_whole_entries(void **state)
{
    weave_roster_worker_t copy;
    uint32_t last = 0, changes = 0;
    pid_t pid;

    (void)state;
    entry_make(&copy, 1);
    weave_roster_worker_set(roster, 5, &copy);
    pid = forked(writes_all_the_time);
    while (changes < CHANGES) {
        weave_roster_worker_get(&copy, roster, 5);
        if (copy.state == WEAVE_WORKER_FREE)
            continue; /* the writer was put aside in the middle */
        assert_true(is_whole(&copy));
        assert_true(copy.pid >= last);
        changes += copy.pid != last;
        last = copy.pid;
    }
    roster->generations = 1; /* enough */
    ends_well(pid);
    weave_roster_worker_get(&copy, roster, 5);
    last = copy.pid;
    assert_true(last >= WRITES);
    weave_roster_worker_get(&copy, roster, WEAVE_ROSTER_WORKERS - 1);
    assert_int_equal(copy.pid, last);
}

static void keeps_the_serial(void **state)
{
    weave_roster_worker_t entry;

    (void)state;
    entry_make(&entry, 3);
    entry.serial = 12345;
    weave_roster_worker_set(roster, 0, &entry);
    assert_int_equal(roster->workers[0].serial, 2);
    weave_roster_worker_set(roster, 0, &entry);
    assert_int_equal(roster->workers[0].serial, 4);
}

static void ends_the_path(void **state)
{
    weave_roster_worker_t entry;

    (void)state;
    entry_make(&entry, 3);
    memset(entry.socket, 'x', sizeof(entry.socket));
    weave_roster_worker_set(roster, 0, &entry);
    weave_roster_worker_get(&entry, roster, 0);
    assert_int_equal(strlen(entry.socket), WEAVE_SOCKET_PATH - 1);
}

/* weaved was killed while it wrote: nobody waits for it, and the next one
 * writes on. */
static void outlives_a_writer(void **state)
{
    weave_roster_worker_t entry, copy;

    (void)state;
    entry_make(&entry, 3);
    weave_roster_worker_set(roster, 0, &entry);
    roster->workers[0].serial++;
    roster->workers[0].pid = 99;
    weave_roster_worker_get(&copy, roster, 0);
    assert_int_equal(copy.state, WEAVE_WORKER_FREE);
    entry_make(&entry, 4);
    weave_roster_worker_set(roster, 0, &entry);
    assert_int_equal(roster->workers[0].serial & 1, 0);
    weave_roster_worker_get(&copy, roster, 0);
    assert_int_equal(copy.pid, 4);
    assert_true(is_whole(&copy));
}

/* ---- waiting ---- */

static int waits_through_readonly(void)
{
    weave_roster_t *seen;
    int readonly;
    uint32_t event;

    if (weave_memory_reopen(&readonly, fd, 0) ||
        weave_roster_map(&seen, readonly, 0))
        return 1;
    event = seen->apps[63].event;
    roster->generations = 1; /* here I am */
    while (seen->apps[63].event == event)
        weave_roster_wait(seen, 63, event, 120000000);
    return seen->apps[63].state == WEAVE_APP_SERVING &&
                   seen->apps[63].generation == 7
               ? 0
               : 2;
}

static void wakes_across_processes(void **state)
{
    apr_time_t begin;
    pid_t pid = forked(waits_through_readonly);

    (void)state;
    while (roster->generations != 1)
        usleep(1000);
    usleep(20000);
    begin = apr_time_now();
    weave_roster_app_set(roster, 63, WEAVE_APP_SERVING, 7);
    ends_well(pid);
    assert_true(apr_time_now() - begin < 60000000);
}

static void waits_no_longer_than_told(void **state)
{
    apr_time_t begin = apr_time_now();

    (void)state;
    weave_roster_wait(roster, 0, 0, 30000);
    assert_true(apr_time_now() - begin >= 29000);
    /* another event, no time at all: it does not sleep */
    begin = apr_time_now();
    weave_roster_wait(roster, 0, 1, 120000000);
    weave_roster_wait(roster, 0, 0, 0);
    weave_roster_wait(roster, 0, 0, -5);
    assert_true(apr_time_now() - begin < 60000000);
}

#define ROSTER(test)                                                           \
    cmocka_unit_test_setup_teardown(test, roster_setup, roster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROSTER(makes_a_roster),
        ROSTER(makes_a_board),
        ROSTER(readers_stay_readers),
        ROSTER(others_cannot_reopen),
        ROSTER(refuses_what_may_shrink),
        ROSTER(refuses_other_versions),
        ROSTER(readers_see_whole_entries),
        ROSTER(keeps_the_serial),
        ROSTER(ends_the_path),
        ROSTER(outlives_a_writer),
        ROSTER(wakes_across_processes),
        ROSTER(waits_no_longer_than_told),
    };

    return run_each(tests);
}
