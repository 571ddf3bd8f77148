/* SPDX-License-Identifier: Apache-2.0 */
/* test_process.c: other processes, as /proc has them */

#include "maintenance_board_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weave_process.h"

#define NAME "weave-test"

static const char *path_of(int fd)
{
    return apr_psprintf(pool, "/proc/%ld/fd/%d", (long)getpid(), fd);
}

static int opens(int fd, uid_t owner, int writable)
{
    int opened = weave_process_open(path_of(fd), NAME, owner, owner, writable);

    if (opened >= 0)
        close(opened);
    return opened >= 0;
}

static void opens_memory(void **state)
{
    int fd = memfd_create(NAME, MFD_CLOEXEC), found, i, blind;
    const apr_array_header_t *paths;

    (void)state;
    assert_true(opens(fd, geteuid(), 0));
    assert_true(opens(fd, geteuid(), 1));
    paths = weave_process_memory(&blind, NAME, pool);
    for (found = i = 0; i < paths->nelts; i++)
        found |= !strcmp(APR_ARRAY_IDX(paths, i, const char *), path_of(fd));
    assert_true(found);
    close(fd);
    assert_false(opens(fd, geteuid(), 0));
}

/* Whatever it is called, and whoever has it: a device does things when it is
 * opened. */
static void opens_nothing_else(void **state)
{
    char name[] = "/tmp/weave-process-XXXXXX";
    int other = memfd_create(NAME "-other", MFD_CLOEXEC);
    int mine = memfd_create(NAME, MFD_CLOEXEC);
    int device = posix_openpt(O_RDWR | O_NOCTTY), file = mkstemp(name);
    int ends[2];

    (void)state;
    unlink(name);
    assert_int_equal(pipe(ends), 0);
    assert_false(opens(other, geteuid(), 0));
    assert_false(opens(mine, geteuid() + 1, 0));
    assert_false(opens(file, geteuid(), 0));
    assert_false(opens(ends[0], geteuid(), 0));
    if (device >= 0)
        assert_false(opens(device, geteuid(), 0));
    assert_int_equal(errno, ENOENT);
    close(other);
    close(mine);
    close(file);
    close(ends[0]);
    close(ends[1]);
    close(device);
}

static void knows_who_has_gone(void **state)
{
    pid_t pid = fork();
    siginfo_t info;
    long parent = 0;

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(weave_process_is_gone(pid, &parent));
    assert_int_equal(parent, getpid());
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(weave_process_is_gone(pid, NULL));
    assert_false(weave_process_is_gone(getpid(), &parent));
    assert_int_equal(parent, getppid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOARD(opens_memory),
        BOARD(opens_nothing_else),
        BOARD(knows_who_has_gone),
    };

    return run_each(tests);
}
