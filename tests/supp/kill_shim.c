/* SPDX-License-Identifier: Apache-2.0 */
/* Ends the program that it is preloaded into in the middle of its work.
 * WEAVE_TEST_KILL is the number of a signal and, behind a blank, before which
 * of the calls below it comes; the first one is 1. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void step_count(void)
{
    static int steps;
    const char *given = getenv("WEAVE_TEST_KILL");
    int number = 0, at = 0;

    if (given && sscanf(given, "%d %d", &number, &at) == 2 && ++steps == at)
        raise(number);
}

/* Defines the call NAME, which is a step, and then goes to that of libc. */
#define STEP(type, name, parameters, arguments)                                \
    type name parameters                                                       \
    {                                                                          \
        step_count();                                                          \
        return ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))arguments;         \
    }

STEP(int, close, (int fd), (fd))
STEP(int, fchmod, (int fd, mode_t mode), (fd, mode))
STEP(int, flock, (int fd, int operation), (fd, operation))
STEP(int, fsync, (int fd), (fd))
STEP(int, ftruncate, (int fd, off_t bytes), (fd, bytes))
STEP(int, posix_fallocate, (int fd, off_t from, off_t bytes), (fd, from, bytes))
STEP(int, renameat, (int from, const char *old, int to, const char *fresh),
     (from, old, to, fresh))
STEP(int, unlinkat, (int folder, const char *name, int flags),
     (folder, name, flags))
STEP(ssize_t, write, (int fd, const void *data, size_t bytes),
     (fd, data, bytes))
