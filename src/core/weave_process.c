/* SPDX-License-Identifier: Apache-2.0 */
/* weave_process.c: other processes, as /proc has them */
#include "weave_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

char weave_process_state(long pid, long *parent)
{
    char path[64], text[512], state;
    const char *rest;
    ssize_t got = -1;
    long its = 0;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    if (got <= 0)
        return errno == ENOENT || errno == ESRCH ? 0 : '?';
    text[got] = '\0';
    rest = strrchr(text, ')'); /* behind its name, which may hold anything */
    if (!rest || sscanf(rest + 1, " %c %ld", &state, &its) != 2)
        return '?';
    if (parent)
        *parent = its;
    return state;
}

int weave_process_is_gone(long pid)
{
    char state = weave_process_state(pid, NULL);

    return !state || state == 'Z' || state == 'X';
}

/* Adds those of the process of FOLDER. */
static void memory_of(apr_array_header_t *paths, const char *folder,
                      const char *want)
{
    DIR *fds = opendir(folder);
    const struct dirent *entry;
    char what[128];

    while (fds && (entry = readdir(fds)) != NULL) {
        ssize_t len =
            readlinkat(dirfd(fds), entry->d_name, what, sizeof(what) - 1);

        what[len > 0 ? len : 0] = '\0';
        if (strcmp(what, want) != 0)
            continue;
        APR_ARRAY_PUSH(paths, const char *) =
            apr_pstrcat(paths->pool, folder, "/", entry->d_name, NULL);
    }
    if (fds)
        closedir(fds);
}

apr_array_header_t *weave_process_memory(const char *name, apr_pool_t *pool)
{
    apr_array_header_t *paths = apr_array_make(pool, 8, sizeof(const char *));
    const char *want = apr_pstrcat(pool, "/memfd:", name, " (deleted)", NULL);
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    char folder[64];

    while (proc && (entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);

        if (pid <= 0)
            continue;
        snprintf(folder, sizeof(folder), "/proc/%ld/fd", pid);
        memory_of(paths, folder, want);
    }
    if (proc)
        closedir(proc);
    return paths;
}
