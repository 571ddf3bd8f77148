/* SPDX-License-Identifier: Apache-2.0 */
/* weave_exec.c: prepares a forked process for exec */
#include "weave_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <apr_strings.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define DESCRIPTORS_MOST 65536

void weave_exec_signals(void)
{
    sigset_t none;
    int number;

    for (number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void descriptors_close(int first)
{
    int fd;

    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    for (fd = first; fd < DESCRIPTORS_MOST; fd++)
        close(fd);
}

/* Copies them to greater numbers first, because the numbers overlap. */
int weave_exec_descriptors(const int *from, int count)
{
    int parked[WEAVE_EXEC_DESCRIPTORS];
    int i;

    if (count > WEAVE_EXEC_DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    for (i = 0; i < count; i++) {
        parked[i] = fcntl(from[i], F_DUPFD_CLOEXEC, count);
        if (parked[i] < 0)
            return -1;
    }
    for (i = 0; i < count; i++)
        if (dup2(parked[i], i) < 0)
            return -1;
    descriptors_close(count);
    return 0;
}

/* Returns 1 when all ids of the process are those of this user and group. */
static int is_user(uid_t uid, gid_t gid)
{
    uid_t real, effective, saved;
    gid_t group, effective_group, saved_group;

    return getresuid(&real, &effective, &saved) == 0 &&
           getresgid(&group, &effective_group, &saved_group) == 0 &&
           real == uid && effective == uid && saved == uid && group == gid &&
           effective_group == gid && saved_group == gid;
}

const char *weave_exec_user(const char *name, uid_t uid, gid_t gid)
{
    if (geteuid() != 0)
        return NULL;
    errno = 0;
    if (uid == 0)
        return "it would run as root";
    if (*name ? initgroups(name, gid) : setgroups(0, NULL))
        return "its groups cannot be set";
    if (setgid(gid) < 0)
        return "its group cannot be set";
    if (setuid(uid) < 0)
        return "its user cannot be set";
    if (!is_user(uid, gid) || setuid(0) == 0)
        return "it keeps the rights of root";
    errno = 0;
    /* another process of this user must not read the copy of our memory before
     * exec replaces it, whatever fs.suid_dumpable is */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return "its memory cannot be protected";
    return NULL;
}

void weave_exec_fail(int fd, const char *step, int error)
{
    const char *parts[] = {step, error ? ": " : "",
                           error ? strerror(error) : ""};
    struct iovec text[3];
    int i;

    for (i = 0; i < 3; i++)
        text[i] = (struct iovec){(char *)parts[i], strlen(parts[i])};
    _exit(writev(fd, text, 3) < 0 ? 126 : 127);
}

void weave_exec_variable_add(apr_array_header_t *list, const char *name,
                             const char *value)
{
    if (value)
        APR_ARRAY_PUSH(list, const char *) =
            apr_pstrcat(list->pool, name, "=", value, NULL);
}

void weave_exec_sanitizers_add(apr_array_header_t *list)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    static const char *const names[] = {"ASAN_OPTIONS", "LSAN_OPTIONS",
                                        "TSAN_OPTIONS", "UBSAN_OPTIONS"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(*names); i++)
        weave_exec_variable_add(list, names[i], getenv(names[i]));
#else
    (void)list;
#endif
}

int weave_process_is_gone(long pid, long *parent)
{
    char path[64], text[512], state;
    const char *rest;
    ssize_t got;
    long its;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0) /* it has ended just now */
        return 1;
    text[got] = '\0';
    rest = strrchr(text, ')'); /* behind its name, which may hold anything */
    if (!rest || sscanf(rest + 1, " %c %ld", &state, &its) != 2)
        return 0;
    if (parent)
        *parent = its;
    return state == 'Z' || state == 'X';
}
