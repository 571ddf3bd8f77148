/* SPDX-License-Identifier: Apache-2.0 */
/* process.c: processes, as the kernel tells of them */
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#define SYS_pidfd_send_signal 424
#endif

int super_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
}

int super_pidfd_kill(int pidfd, int number)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

/* Reads the first line of /proc/PID/NAME. Returns 0 where there is none. */
static int proc_line_read(char *line, size_t room, pid_t pid, const char *name)
{
    char path[64];
    FILE *file;
    int read;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    file = fopen(path, "re");
    if (!file)
        return 0;
    read = fgets(line, (int)room, file) != NULL;
    fclose(file);
    return read;
}

/* proc(5): it is field 22 of stat. The second one, in brackets, may hold
 * anything. */
uint64_t super_process_birth(pid_t pid)
{
    char line[1024];
    const char *at;
    int field;

    if (!proc_line_read(line, sizeof(line), pid, "stat"))
        return 0;
    at = strrchr(line, ')');
    for (field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

int64_t super_process_age(uint64_t birth)
{
    struct timespec now;
    int64_t born = (int64_t)(birth / (uint64_t)sysconf(_SC_CLK_TCK));

    clock_gettime(CLOCK_BOOTTIME, &now);
    return born > now.tv_sec ? 0 : (now.tv_sec - born) * INT64_C(1000000);
}

uint64_t super_process_rss(pid_t pid)
{
    char line[256], *at;

    if (!proc_line_read(line, sizeof(line), pid, "statm"))
        return 0;
    at = strchr(line, ' ');
    return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static const struct {
    int number;
    const char *text;
} signals[] = {
    {SIGKILL, "killed (SIGKILL): by somebody, or by the kernel for lack of"
              " memory"},
    {SIGSEGV, "SIGSEGV: a bug in C code of the application or its packages"},
    {SIGBUS, "SIGBUS: a bug in C code, or a full disk under a mapped file"},
    {SIGABRT, "SIGABRT: C code has called abort()"},
    {SIGFPE, "SIGFPE: a bug in C code"},
    {SIGILL, "SIGILL: C code that is made for another processor"},
    {SIGTERM, "SIGTERM, sent by another process"},
    {SIGINT, "SIGINT, sent by another process"},
    {SIGHUP, "SIGHUP, sent by another process"},
    {SIGQUIT, "SIGQUIT, sent by another process"},
    {SIGPIPE, "SIGPIPE"},
    {SIGALRM, "SIGALRM"},
    {SIGUSR1, "SIGUSR1"},
    {SIGUSR2, "SIGUSR2"},
    {SIGSYS, "SIGSYS: a system call that is not allowed here"},
    {SIGXCPU, "SIGXCPU: a limit on processor time"},
    {SIGXFSZ, "SIGXFSZ: a limit on the size of files"},
    {SIGTRAP, "SIGTRAP"},
};

const char *super_process_end(int status, apr_pool_t *pool)
{
    size_t i;

    if (status < 0)
        return "adopted; its exit status is not known";
    if (WIFEXITED(status))
        return apr_psprintf(pool, "exit status %d", WEXITSTATUS(status));
    for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        if (WTERMSIG(status) == signals[i].number)
            return signals[i].text;
    return apr_psprintf(pool, "signal %d", WTERMSIG(status));
}
