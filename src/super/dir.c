/* SPDX-License-Identifier: Apache-2.0 */
/* dir.c: the runtime directory: ours alone, with a lock and a socket */
#include "control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "weave_folder.h"

/* "/w-4294967295-65535.sock" */
#define NAME_MAX_BYTES 25
#define LOCK_WAIT_US (6 * SUPER_SECOND)
#define POLL_US (5 * SUPER_SECOND)

static int dir = -1; /* the folder: everything in it is done through this */
static int lock = -1;
static int ours; /* 1: a weaved has made it, so it may change the group */
static struct stat socket_seen;
static super_timer_t poll_timer;

static const char *path_join(const char *name, apr_pool_t *pool)
{
    return apr_pstrcat(pool, super.dir, "/", name, NULL);
}

/* ---- the directory ---- */

/* Checks the owner, by which weavectl and httpd's children know who has started
 * weaved. */
static const char *owner_check(const struct stat *status, apr_pool_t *pool)
{
    if (status->st_uid == geteuid())
        return weave_folder_check_status(super.dir, status, pool);
    return apr_psprintf(pool,
                        "%s belongs to %s: it must belong to the user that"
                        " starts httpd (%s): name another folder",
                        super.dir, weave_folder_user(status->st_uid, pool),
                        weave_folder_user(geteuid(), pool));
}

static const char *dir_check(apr_pool_t *pool)
{
    weave_folder_t folder;
    const char *problem;
    apr_status_t rv;

    if (strlen(super.dir) + NAME_MAX_BYTES >=
        sizeof(((struct sockaddr_un *)0)->sun_path))
        return apr_psprintf(
            pool,
            "WEAVE0060: WeaveRuntimeDir %s is too long for the name of a UNIX"
            " socket: %d characters are allowed",
            super.dir, WEAVE_SOCKET_PATH - 1 - NAME_MAX_BYTES);
    rv = weave_folder_open(&folder, &problem, super.dir, geteuid(), 0710, pool);
    if (rv == APR_SUCCESS) {
        problem = owner_check(&folder.status, pool);
        if (!problem) {
            if (dir >= 0)
                close(dir);
            dir = folder.fd;
            ours |= folder.made;
            return NULL;
        }
        close(folder.fd);
        rv = EPERM;
    }
    if (rv == EPERM)
        return apr_psprintf(pool, "WEAVE0063: WeaveRuntimeDir: %s", problem);
    if (rv == ENOTDIR)
        return apr_psprintf(
            pool, "WEAVE0062: WeaveRuntimeDir %s is not a folder", super.dir);
    return apr_psprintf(pool,
                        "WEAVE0061: WeaveRuntimeDir %s cannot be made: %s",
                        super.dir, strerror(rv));
}

/* Lets httpd's children enter the folder, or logs once that they cannot. */
static void group_check(void)
{
    const gid_t gid = (gid_t)super.socket_gid;
    struct stat status;
    int before = super.dir_closed;

    super.dir_closed = 0;
    if (geteuid() != 0 || super.socket_gid < 0 || fstat(dir, &status) < 0 ||
        (status.st_mode & S_IXOTH) ||
        (status.st_gid == gid && (status.st_mode & S_IXGRP)))
        return;
    if (ours && fchownat(dir, "", (uid_t)-1, gid, AT_EMPTY_PATH) == 0 &&
        fchmodat(dir, ".", (status.st_mode & 07777) | S_IXGRP, 0) == 0)
        return;
    super.dir_closed = 1;
    if (before)
        return;
    super_log(NULL, WEAVE_LINE_ERROR,
              "WEAVE0064: httpd's children cannot enter %s, where the sockets"
              " of the workers are: `chgrp %ld %s && chmod g+x %s`",
              super.dir, super.socket_gid, super.dir, super.dir);
}

void super_dir_group_set(long gid)
{
    super.socket_gid = gid;
    super.dir_closed = 0;
    group_check();
}

/* ---- the lock ---- */

/* Tells whether the lock file is still the one that is open: somebody may have
 * removed it meanwhile. */
static int lock_is_there(void)
{
    struct stat held, named;

    return fstat(lock, &held) == 0 &&
           fstatat(dir, WEAVE_CONTROL_LOCK, &named, 0) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static const char *lock_try(const char *path, apr_pool_t *pool)
{
    if (lock >= 0 && !lock_is_there()) {
        close(lock);
        lock = -1;
    }
    if (lock < 0)
        lock = openat(dir, WEAVE_CONTROL_LOCK,
                      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                      0600);
    if (lock < 0)
        return apr_psprintf(pool, "WEAVE0065: %s cannot be made: %s", path,
                            strerror(errno));
    return NULL;
}

static void lock_pid_write(void)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (ftruncate(lock, 0) < 0 || pwrite(lock, text, (size_t)len, 0) < 0)
        super_log(NULL, WEAVE_LINE_INFO,
                  "%s/" WEAVE_CONTROL_LOCK " cannot be written", super.dir);
}

static const char *lock_take(int64_t wait_us, apr_pool_t *pool)
{
    const char *path = path_join(WEAVE_CONTROL_LOCK, pool), *problem;
    int64_t until = weave_clock_us() + wait_us;
    char owner[32] = "";

    ours |= faccessat(dir, WEAVE_CONTROL_LOCK, F_OK, 0) == 0;
    for (;;) {
        problem = lock_try(path, pool);
        if (problem)
            return problem;
        if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
            if (!lock_is_there())
                continue;
            lock_pid_write();
            return NULL;
        }
        if (weave_clock_us() >= until)
            break;
        apr_sleep(100000);
    }
    if (pread(lock, owner, sizeof(owner) - 1, 0) < 0)
        owner[0] = '\0';
    close(lock);
    lock = -1;
    return apr_psprintf(pool,
                        "WEAVE0066: %s is in use by another httpd, whose"
                        " weaved has pid %ld: stop that httpd, or give this"
                        " one a WeaveRuntimeDir of its own",
                        super.dir, strtol(owner, NULL, 10));
}

/* ---- sockets ---- */

/* Returns the name of the socket PATH in the folder. */
static const char *socket_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

void super_dir_unlink(const char *path)
{
    size_t len = strlen(super.dir);

    /* a worker that was adopted may have its socket in another folder */
    if (!strncmp(path, super.dir, len) && path + len + 1 == socket_name(path))
        unlinkat(dir, socket_name(path), 0);
    else
        unlink(path);
}

apr_status_t super_dir_listen(int *fd, const char *path, mode_t mode,
                              int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = socket_name(path);
    apr_status_t rv = APR_SUCCESS;
    mode_t before;
    int made;

    /* in the folder that was checked, whatever its path leads to now */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
             dir, name);
    made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        return errno;
    before = umask(0177);
    if (bind(made, (struct sockaddr *)&address, sizeof(address)) < 0)
        rv = errno;
    umask(before);
    if (rv == APR_SUCCESS && (mode & S_IRGRP) && super.socket_gid >= 0 &&
        (fchownat(dir, name, (uid_t)-1, (gid_t)super.socket_gid,
                  AT_SYMLINK_NOFOLLOW) < 0 ||
         fchmodat(dir, name, mode, 0) < 0))
        rv = errno;
    weave_fd_pass_set(made, 0);
    if (rv == APR_SUCCESS && listen(made, backlog) < 0)
        rv = errno;
    if (rv == APR_SUCCESS)
        *fd = made;
    else
        close(made);
    return rv;
}

static const char *control_listen(apr_pool_t *pool)
{
    const char *path = path_join(WEAVE_CONTROL_SOCKET, pool);
    apr_status_t rv;
    char why[120];
    int fd = -1;

    super_dir_unlink(path);
    rv = super_dir_listen(&fd, path, 0600, 64);
    if (rv == APR_SUCCESS)
        rv = super_control_listen(fd);
    if (rv == APR_SUCCESS &&
        fstatat(dir, WEAVE_CONTROL_SOCKET, &socket_seen, 0) < 0)
        rv = errno;
    if (rv == APR_SUCCESS)
        return NULL;
    return apr_psprintf(pool, "WEAVE0067: %s: %s", path,
                        apr_strerror(rv, why, sizeof(why)));
}

/* ---- is it still there? ---- */

static int is_our_socket(const struct stat *status)
{
    return status->st_ino == socket_seen.st_ino &&
           status->st_dev == socket_seen.st_dev;
}

/* Tells whether somebody has removed the socket of a worker that serves. */
static int is_socket_missing(void)
{
    const super_app_t *app;
    const super_worker_t *worker;

    for (app = super.apps; app; app = app->next)
        for (worker = app->serving ? app->serving->workers : NULL; worker;
             worker = worker->next)
            if (worker->state == SUPER_READY &&
                access(worker->socket, F_OK) < 0 && errno == ENOENT)
                return 1;
    return 0;
}

int super_dir_is_lost(void)
{
    char path[WEAVE_SOCKET_PATH];
    struct stat status;

    snprintf(path, sizeof(path), "%s/" WEAVE_CONTROL_SOCKET, super.dir);
    if (!super.dir_lost)
        super.dir_lost = stat(path, &status) < 0 || !is_our_socket(&status) ||
                         is_socket_missing();
    return super.dir_lost;
}

static void dir_poll(void *data)
{
    int before = super.dir_lost;

    (void)data;
    super_timer_set(&poll_timer, POLL_US, dir_poll, NULL);
    if (!before)
        group_check();
    if (before || !super_dir_is_lost())
        return;
    super_log(
        NULL, WEAVE_LINE_ERROR,
        "WEAVE0068: somebody has removed or replaced %s, or sockets in it:"
        " new connections to the workers and weavectl have no way in."
        " `apachectl graceful` makes it again and starts new workers",
        super.dir);
}

static int is_in_roster(const char *path)
{
    weave_roster_worker_t worker;
    uint32_t i;

    for (i = 0; i < WEAVE_ROSTER_WORKERS; i++) {
        weave_roster_worker_get(&worker, super.roster, i);
        if (worker.state != WEAVE_WORKER_FREE && !strcmp(worker.socket, path))
            return 1;
    }
    return 0;
}

/* Removes sockets of workers that are not in the roster. */
static void sockets_sweep(apr_pool_t *pool)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    while (folder && (entry = readdir(folder)) != NULL) {
        const char *path = path_join(entry->d_name, pool);

        if (!fnmatch("w-*.sock", entry->d_name, 0) && !is_in_roster(path))
            super_dir_unlink(path);
    }
    if (folder)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
}

const char *super_dir_open(apr_pool_t *pool)
{
    int again = super.dir_lost;
    const char *problem;

    super_control_unlisten();
    problem = dir_check(pool);
    if (!problem)
        problem = lock_take(again ? 0 : LOCK_WAIT_US, pool);
    if (!problem)
        problem = control_listen(pool);
    if (problem)
        return problem;
    sockets_sweep(pool);
    super_log(NULL, WEAVE_LINE_DEBUG, "weaved listens in %s", super.dir);
    super.dir_lost = 0;
    super_timer_set(&poll_timer, POLL_US, dir_poll, NULL);
    if (!again)
        return NULL;
    super_dir_group_set(super.socket_gid);
    super_log(NULL, WEAVE_LINE_NOTICE,
              "WEAVE0262: %s, which somebody had removed or replaced, is there"
              " again: new workers start",
              super.dir);
    return NULL;
}

void super_dir_remove(void)
{
    struct stat status;

    super_timer_cancel(&poll_timer);
    super_control_unlisten();
    if (fstatat(dir, WEAVE_CONTROL_SOCKET, &status, 0) == 0 &&
        is_our_socket(&status))
        unlinkat(dir, WEAVE_CONTROL_SOCKET, 0);
    if (lock >= 0 && lock_is_there())
        unlinkat(dir, WEAVE_CONTROL_LOCK, 0);
}
