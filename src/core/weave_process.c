/* SPDX-License-Identifier: Apache-2.0 */
/* weave_process.c: other processes, as /proc has them */
#include "weave_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
