/* SPDX-License-Identifier: Apache-2.0 */
/* weave_process.c: other processes, as /proc has them */
#include "weave_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define DESCRIPTORS_MOST 4096 /* of a process; the lowest come first */

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

/* Adds those of the process of FOLDER. 0: it may not be looked into. */
static int memory_of(apr_array_header_t *paths, const char *folder,
                     const char *want)
{
    DIR *fds = opendir(folder);
    const struct dirent *entry;
    int left = DESCRIPTORS_MOST;
    char what[128];

    if (!fds)
        return errno != EACCES && errno != EPERM;
    while (left-- && (entry = readdir(fds)) != NULL) {
        ssize_t len =
            readlinkat(dirfd(fds), entry->d_name, what, sizeof(what) - 1);

        what[len > 0 ? len : 0] = '\0';
        if (strcmp(what, want) != 0)
            continue;
        APR_ARRAY_PUSH(paths, const char *) =
            apr_pstrcat(paths->pool, folder, "/", entry->d_name, NULL);
    }
    closedir(fds);
    return 1;
}

apr_array_header_t *weave_process_memory(int *blind, const char *name,
                                         apr_pool_t *pool)
{
    apr_array_header_t *paths = apr_array_make(pool, 8, sizeof(const char *));
    const char *want = apr_pstrcat(pool, "/memfd:", name, " (deleted)", NULL);
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    char folder[64];

    *blind = !proc;
    while (proc && (entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);

        if (pid <= 0)
            continue;
        snprintf(folder, sizeof(folder), "/proc/%ld/fd", pid);
        if (!memory_of(paths, folder, want))
            *blind = 1;
    }
    if (proc)
        closedir(proc);
    return paths;
}

/* All memory of memfd_create is on one device, and no file is. */
static int is_memory(const struct stat *status)
{
    int fd = memfd_create("weave", MFD_CLOEXEC);
    struct stat own;
    int is = fd >= 0 && fstat(fd, &own) == 0 && own.st_dev == status->st_dev &&
             S_ISREG(status->st_mode);

    if (fd >= 0)
        close(fd);
    return is;
}

int weave_process_open(const char *path, const char *name, uid_t owner,
                       uid_t other, int writable)
{
    char self[64], what[128], want[128];
    int found = open(path, O_PATH | O_CLOEXEC), fd = -1, error = ENOENT;
    struct stat status;
    ssize_t len;

    if (found < 0)
        return -1;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
    snprintf(want, sizeof(want), "/memfd:%s (deleted)", name);
    len = readlink(self, what, sizeof(what) - 1);
    what[len > 0 ? len : 0] = '\0';
    if (fstat(found, &status) == 0 && is_memory(&status) &&
        (status.st_uid == owner || status.st_uid == other) &&
        strcmp(what, want) == 0) {
        fd = open(self, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                            O_NONBLOCK | O_NOCTTY);
        error = fd < 0 ? errno : 0;
    }
    close(found);
    errno = error;
    return fd;
}
