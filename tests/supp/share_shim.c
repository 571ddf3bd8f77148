/* SPDX-License-Identifier: Apache-2.0 */
/* Has a file of a share fail as on NFS, in the program that this is preloaded
 * into. WEAVE_TEST_SHARE is "CALL ERRNO FIRST COUNT PATH": COUNT calls of CALL
 * (open or read) for the file PATH, from the FIRST one on, fail with ERRNO. The
 * first one is 1; it counts anew when the variable changes. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Counts a call for a path; returns whether it is to fail, and sets errno. */
static int call_fails(const char *call, const char *path)
{
    static char before[4096];
    static int calls;
    const char *given = getenv("WEAVE_TEST_SHARE");
    char name[8];
    int number, first, count, at = 0;

    if (!given ||
        sscanf(given, "%7s %d %d %d %n", name, &number, &first, &count, &at) !=
            4 ||
        strcmp(name, call) != 0 || strcmp(given + at, path) != 0) {
        return 0;
    }
    if (strcmp(before, given) != 0) {
        snprintf(before, sizeof before, "%s", given);
        calls = 0;
    }
    if (++calls < first || calls - first >= count) {
        return 0;
    }
    errno = number;
    return 1;
}

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...)                                 \
    {                                                                          \
        va_list more;                                                          \
        mode_t mode;                                                           \
                                                                               \
        va_start(more, flags);                                                 \
        mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;                     \
        va_end(more);                                                          \
        if (call_fails("open", path)) {                                        \
            return -1;                                                         \
        }                                                                      \
        return ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))(path, flags,      \
                                                             mode);            \
    }

OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *data, size_t bytes)
{
    char link[64], path[4096];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = '\0';
        if (call_fails("read", path)) {
            return -1;
        }
    }
    return ((__typeof__(read) *)dlsym(RTLD_NEXT, "read"))(fd, data, bytes);
}
