/* SPDX-License-Identifier: Apache-2.0 */
/* proc.c: processes, as the kernel tells of them */
#include "super.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

/* One line of /proc/PID/NAME; 0: there is none. */
static int line_read(char *line, size_t room, pid_t pid, const char *name)
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

/* proc(5): field 22 of stat; the second, in brackets, may hold anything. */
uint64_t super_proc_birth(pid_t pid)
{
    char line[1024];
    const char *at;
    int field;

    if (!line_read(line, sizeof(line), pid, "stat"))
        return 0;
    at = strrchr(line, ')');
    for (field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

int64_t super_proc_age(uint64_t birth)
{
    struct timespec now;
    int64_t born = (int64_t)(birth / (uint64_t)sysconf(_SC_CLK_TCK));

    clock_gettime(CLOCK_BOOTTIME, &now);
    return born > now.tv_sec ? 0 : (now.tv_sec - born) * SUPER_SECOND;
}

uint64_t super_proc_rss(pid_t pid)
{
    char line[256], *at;

    if (!line_read(line, sizeof(line), pid, "statm"))
        return 0;
    at = strchr(line, ' ');
    return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
