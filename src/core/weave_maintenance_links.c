/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance_links.c: the boards of the httpds that run
 *
 * Memory has no name that others could open: each httpd leaves a link to its
 * descriptor where weavectl looks. Where that leads nowhere, because the parent
 * was killed and its children serve on, or is not there, the processes are
 * looked through for one that has it. */
#include "weave_maintenance_board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_folder.h"
#include "weave_process.h"

#define LINK_PREFIX "httpd-"

const char *weave_maintenance_link_name(long pid, apr_pool_t *pool)
{
    return apr_psprintf(pool, LINK_PREFIX "%ld", pid);
}

const char *weave_maintenance_link(const char *dir, const char *name, int fd,
                                   apr_pool_t *pool)
{
    const char *fresh = apr_pstrcat(pool, name, ".new", NULL), *problem = NULL;
    const char *to = apr_psprintf(pool, "/proc/%ld/fd/%d", (long)getpid(), fd);
    weave_folder_t folder;

    if (weave_folder_open(&folder, &problem, dir, geteuid(), 0, pool) !=
        APR_SUCCESS)
        return problem;
    unlinkat(folder.fd, fresh, 0);
    if (symlinkat(to, folder.fd, fresh) < 0 ||
        renameat(folder.fd, fresh, folder.fd, name) < 0)
        problem = apr_psprintf(pool, "%s/%s cannot be made: %s", dir, name,
                               strerror(errno));
    close(folder.fd);
    return problem;
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

static int is_other_version(int fd)
{
    weave_memory_t head;

    return pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           head.magic == WEAVE_MAINTENANCE_MAGIC &&
           (head.version != WEAVE_MAINTENANCE_BOARD_VERSION ||
            head.bytes != sizeof(weave_maintenance_board_t));
}

/* NULL, and *why where an httpd may run with what FD has. */
static weave_maintenance_board_t *board_take(const char **why, int fd, long pid,
                                             const char *path, int writable,
                                             apr_pool_t *pool)
{
    weave_maintenance_board_t *board;
    apr_status_t rv;

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

static weave_maintenance_board_t *board_keep(weave_maintenance_board_t *board,
                                             apr_pool_t *pool)
{
    if (board)
        apr_pool_cleanup_register(pool, board, board_forget,
                                  apr_pool_cleanup_null);
    return board;
}

weave_maintenance_board_t *weave_maintenance_open(const char **why,
                                                  const char *path,
                                                  int writable,
                                                  apr_pool_t *pool)
{
    weave_maintenance_board_t *board;
    char to[64];
    long pid = link_read(to, sizeof(to), path);
    struct stat link;
    int fd = -1, error = ENOENT;

    *why = NULL;
    if (pid && lstat(path, &link) == 0) {
        /* what has this pid now may be something else */
        fd = weave_process_open(to, WEAVE_MAINTENANCE_MEMORY, link.st_uid,
                                link.st_uid, writable);
        error = errno;
    }
    if (fd < 0) {
        if (error != ENOENT && !weave_process_is_gone(pid, NULL))
            *why = apr_psprintf(pool, "%s: %s", path, strerror(error));
        return NULL;
    }
    board = board_take(why, fd, pid, path, writable, pool);
    close(fd);
    return board_keep(board, pool);
}

int weave_maintenance_is_same_folder(const char *a, const char *b)
{
    struct stat one, other;

    if (stat(a, &one) < 0 || stat(b, &other) < 0)
        return -1;
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* ---- processes that have one ---- */

/* Has the process of PATH its WeaveStateDir in DIR? It may have mounts of its
 * own: another folder of the same name is that of another httpd. */
static int is_with(const weave_maintenance_board_t *board, const char *path,
                   const char *dir, apr_pool_t *pool)
{
    long pid;

    return sscanf(path, "/proc/%ld/", &pid) == 1 &&
           weave_maintenance_is_same_folder(
               dir, apr_psprintf(pool, "/proc/%ld/root%.*s", pid,
                                 WEAVE_MAINTENANCE_PATH, board->state_dir)) ==
               1;
}

/* The board at PATH of /proc, of an httpd with DIR, or NULL. Only one of root
 * or of the owner of DIR: anybody can make memory of that name. */
static weave_maintenance_board_t *board_at(const char *path, const char *dir,
                                           int writable, apr_pool_t *pool)
{
    weave_maintenance_board_t *board = NULL;
    struct stat folder;
    int fd;

    if (stat(dir, &folder) < 0)
        return NULL;
    fd = weave_process_open(path, WEAVE_MAINTENANCE_MEMORY, folder.st_uid, 0,
                            writable);
    if (fd < 0)
        return NULL;
    if (weave_maintenance_board_map(&board, fd, writable) != APR_SUCCESS)
        board = NULL;
    close(fd);
    if (board && !is_with(board, path, dir, pool)) {
        weave_maintenance_board_unmap(board);
        board = NULL;
    }
    return board;
}

static int has_board(const apr_array_header_t *boards, uint32_t pid)
{
    int i;

    for (i = 0; i < boards->nelts; i++)
        if (APR_ARRAY_IDX(boards, i, weave_maintenance_board_t *)->pid == pid)
            return 1;
    return 0;
}

/* Adds what processes have open of httpds with DIR, and no link leads to. 0:
 * there may be others, this process may not look into all of them. */
static int boards_seek(apr_array_header_t *boards, const char *dir,
                       int writable)
{
    int i, blind;
    const apr_array_header_t *paths =
        weave_process_memory(&blind, WEAVE_MAINTENANCE_MEMORY, boards->pool);
    struct stat status;

    for (i = 0; i < paths->nelts; i++) {
        weave_maintenance_board_t *board = board_at(
            APR_ARRAY_IDX(paths, i, const char *), dir, writable, boards->pool);

        if (board && !has_board(boards, board->pid))
            APR_ARRAY_PUSH(boards, weave_maintenance_board_t *) =
                board_keep(board, boards->pool);
        else if (board)
            weave_maintenance_board_unmap(board);
    }
    /* an httpd that root has not started runs as one user, all of it */
    return !blind || (geteuid() != 0 && stat(dir, &status) == 0 &&
                      status.st_uid == geteuid());
}

apr_array_header_t *weave_maintenance_holders(
    const weave_maintenance_board_t *board, apr_pool_t *pool)
{
    apr_array_header_t *holders = apr_array_make(pool, 8, sizeof(long));
    int i, blind;
    const apr_array_header_t *paths =
        weave_process_memory(&blind, WEAVE_MAINTENANCE_MEMORY, pool);
    long pid, last = 0;

    for (i = 0; i < paths->nelts; i++) {
        const char *path = APR_ARRAY_IDX(paths, i, const char *);
        weave_maintenance_board_t *its =
            board_at(path, board->state_dir, 0, pool);

        if (its && its->pid == board->pid &&
            sscanf(path, "/proc/%ld/", &pid) == 1 && pid != last)
            APR_ARRAY_PUSH(holders, long) = last = pid;
        if (its)
            weave_maintenance_board_unmap(its);
    }
    return holders;
}

/* ---- all of them ---- */

/* What only has such a name is not ours. */
static int is_link(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

/* Adds the board that the link PATH leads to. 0: it leads nowhere. */
static int board_add(apr_array_header_t *boards, const char **why,
                     const char *path, const char *dir, int writable)
{
    const char *wrong;
    weave_maintenance_board_t *board =
        weave_maintenance_open(&wrong, path, writable, boards->pool);

    /* a link may have been copied */
    if (board && weave_maintenance_is_same_folder(dir, board->state_dir) == 0)
        *why = apr_psprintf(boards->pool,
                            "%s leads to an httpd that has its WeaveStateDir"
                            " in %s",
                            path, board->state_dir);
    else if (board)
        APR_ARRAY_PUSH(boards, weave_maintenance_board_t *) = board;
    else if (wrong)
        *why = wrong;
    return board || wrong;
}

/* The first of LINKS that leads to none of BOARDS, or NULL. */
static const char *link_open(const apr_array_header_t *links,
                             const apr_array_header_t *boards)
{
    char to[64];
    int i;

    for (i = 0; i < links->nelts; i++) {
        const char *path = APR_ARRAY_IDX(links, i, const char *);

        if (is_link(path) &&
            !has_board(boards, (uint32_t)link_read(to, sizeof(to), path)))
            return path;
    }
    return NULL;
}

/* Those of LINKS that lead nowhere: their httpds have gone, with all of their
 * processes, when SURE; otherwise *why. */
static void links_settle(apr_array_header_t *links, const char **why,
                         const apr_array_header_t *boards, int sure,
                         int writable)
{
    const char *path;

    while ((path = link_open(links, boards)) != NULL) {
        if (!sure)
            *why = apr_psprintf(links->pool, "%s: %s", path, strerror(EACCES));
        if (!sure || !writable || unlink(path) < 0)
            return;
    }
}

apr_array_header_t *weave_maintenance_boards(const char **why, const char *dir,
                                             weave_maintenance_use_e use,
                                             apr_pool_t *pool)
{
    apr_array_header_t *boards = apr_array_make(pool, 2, sizeof(void *));
    apr_array_header_t *dangling = apr_array_make(pool, 1, sizeof(char *));
    int writable = use != WEAVE_MAINTENANCE_LOOK, sure = 1;
    DIR *folder;
    const struct dirent *entry;
    weave_folder_t way;

    *why = NULL;
    if (weave_folder_open(&way, why, dir, geteuid(), 0, pool) == EPERM)
        return boards;
    if (!*why)
        close(way.fd);
    *why = NULL;
    folder = opendir(dir);
    if (!folder && errno != ENOENT && errno != ENOTDIR)
        *why =
            apr_psprintf(pool, "%s cannot be read: %s", dir, strerror(errno));
    while (folder && (entry = readdir(folder)) != NULL) {
        const char *path = apr_pstrcat(pool, dir, "/", entry->d_name, NULL);

        if (!strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX)) &&
            !board_add(boards, why, path, dir, writable))
            APR_ARRAY_PUSH(dangling, const char *) = path;
    }
    if (folder)
        closedir(folder);
    if (dangling->nelts || use == WEAVE_MAINTENANCE_TELL ||
        (use == WEAVE_MAINTENANCE_LOOK && !boards->nelts))
        sure = boards_seek(boards, dir, writable);
    links_settle(dangling, why, boards, sure, writable);
    return boards;
}
