/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance_links.c: the boards of the httpds that run
 *
 * Memory has no name that others could open: each httpd leaves a link to its
 * descriptor where weavectl looks. */
#include "weave_maintenance_board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define LINK_PREFIX "httpd-"

const char *weave_maintenance_link_name(long pid, apr_pool_t *pool)
{
    return apr_psprintf(pool, LINK_PREFIX "%ld", pid);
}

const char *weave_maintenance_link(const char *dir, const char *name, int fd,
                                   apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir, "/", name, NULL);
    const char *fresh = apr_pstrcat(pool, path, ".new", NULL);
    const char *to = apr_psprintf(pool, "/proc/%ld/fd/%d", (long)getpid(), fd);

    unlink(fresh);
    if (symlink(to, fresh) == 0 && rename(fresh, path) == 0)
        return NULL;
    return apr_psprintf(pool, "%s cannot be made: %s", path, strerror(errno));
}

static apr_status_t board_forget(void *board)
{
    weave_maintenance_board_unmap(board);
    return APR_SUCCESS;
}

/* Where the link PATH leads to, and whose descriptor that is; 0: nobody's. */
static long link_read(char *to, size_t room, const char *path)
{
    ssize_t len = readlink(path, to, room - 1);
    int fd, end = 0;
    long pid;

    to[len > 0 ? len : 0] = '\0';
    if (sscanf(to, "/proc/%ld/fd/%d%n", &pid, &fd, &end) != 2 || to[end])
        return 0;
    return pid;
}

/* What has this pid now may be something else, and what that has open may be
 * anything: nobody opens it without need. 0, or errno; ENOENT: it is none. */
static int board_look(const char *to)
{
    char what[64] = "";

    if (readlink(to, what, sizeof(what) - 1) < 0)
        return errno;
    return strncmp(what, "/memfd:" WEAVE_MAINTENANCE_MEMORY,
                   sizeof("/memfd:" WEAVE_MAINTENANCE_MEMORY) - 1) != 0
               ? ENOENT
               : 0;
}

/* Is what FD has from whoever has made the link PATH? A pid that was root's may
 * be anybody's by now. */
static int is_owners(int fd, const char *path)
{
    struct stat link, status;

    return lstat(path, &link) == 0 && fstat(fd, &status) == 0 &&
           link.st_uid == status.st_uid;
}

static int is_other_version(int fd)
{
    weave_memory_t head;

    return pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           head.magic == WEAVE_MAINTENANCE_MAGIC &&
           (head.version != WEAVE_BOARD_VERSION ||
            head.bytes != sizeof(weave_maintenance_board_t));
}

/* NULL, and *why where an httpd may run with what FD has. */
static weave_maintenance_board_t *board_take(const char **why, int fd, long pid,
                                             const char *path, int writable,
                                             apr_pool_t *pool)
{
    weave_maintenance_board_t *board;
    apr_status_t rv;

    if (!is_owners(fd, path))
        return NULL;
    rv = weave_maintenance_board_map(&board, fd, writable);
    if (rv == APR_EMISMATCH && is_other_version(fd))
        *why = apr_psprintf(pool,
                            "%s: httpd %ld runs with another version of"
                            " mod_weave: stop it and start it again",
                            path, pid);
    else if (rv != APR_SUCCESS && rv != APR_EMISMATCH)
        *why = apr_psprintf(pool, "%s: %s", path, strerror(rv));
    if (rv != APR_SUCCESS)
        return NULL;
    if (board->pid == (uint32_t)pid)
        return board;
    weave_maintenance_board_unmap(board);
    return NULL;
}

weave_maintenance_board_t *weave_maintenance_open(const char **why,
                                                  const char *path,
                                                  int writable,
                                                  apr_pool_t *pool)
{
    weave_maintenance_board_t *board;
    char to[64];
    long pid = link_read(to, sizeof(to), path);
    int error = pid ? board_look(to) : ENOENT, fd = -1;

    *why = NULL;
    if (!error) {
        fd = open(to, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
        error = fd < 0 ? errno : 0;
    }
    if (error) {
        if (error != ENOENT)
            *why = apr_psprintf(pool, "%s: %s", path, strerror(error));
        return NULL;
    }
    board = board_take(why, fd, pid, path, writable, pool);
    close(fd);
    if (board)
        apr_pool_cleanup_register(pool, board, board_forget,
                                  apr_pool_cleanup_null);
    return board;
}

/* A link may have been copied. What cannot be looked at is believed. */
static int is_elsewhere(const weave_maintenance_board_t *board, const char *dir)
{
    struct stat one, other;

    return stat(dir, &one) == 0 && stat(board->state_dir, &other) == 0 &&
           (one.st_dev != other.st_dev || one.st_ino != other.st_ino);
}

/* What only has such a name is not ours. */
static int is_link(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

apr_array_header_t *weave_maintenance_boards(const char **why, const char *dir,
                                             int writable, apr_pool_t *pool)
{
    apr_array_header_t *boards = apr_array_make(pool, 2, sizeof(void *));
    DIR *folder = opendir(dir);
    const struct dirent *entry;

    *why = NULL;
    if (!folder && errno != ENOENT && errno != ENOTDIR)
        *why =
            apr_psprintf(pool, "%s cannot be read: %s", dir, strerror(errno));
    while (folder && (entry = readdir(folder)) != NULL) {
        const char *path, *wrong;
        weave_maintenance_board_t *board;

        if (strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) != 0)
            continue;
        path = apr_pstrcat(pool, dir, "/", entry->d_name, NULL);
        board = weave_maintenance_open(&wrong, path, writable, pool);
        if (board && is_elsewhere(board, dir))
            *why = apr_psprintf(pool,
                                "%s leads to an httpd that has its"
                                " WeaveStateDir in %s",
                                path, board->state_dir);
        else if (board)
            APR_ARRAY_PUSH(boards, weave_maintenance_board_t *) = board;
        else if (wrong)
            *why = wrong;
        else if (writable && is_link(path))
            unlink(path);
    }
    if (folder)
        closedir(folder);
    return boards;
}
