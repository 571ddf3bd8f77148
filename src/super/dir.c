/* SPDX-License-Identifier: Apache-2.0 */
/* dir.c: the runtime directory: ours alone, with a lock and a socket */
#include "super.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

/* "/w-4294967295-65535.sock" */
#define NAME_MAX_BYTES 25
#define LOCK_WAIT_US (6 * SUPER_SECOND)
#define LOOK_US (5 * SUPER_SECOND)

static int lock = -1;
static int ours; /* 1: made by a weaved, so its group is ours to choose */
static struct stat socket_seen;
static super_timer_t look;

static const char *place(const char *name, apr_pool_t *pool)
{
    return apr_pstrcat(pool, super.dir, "/", name, NULL);
}

/* ---- the directory ---- */

static const char *dir_check(apr_pool_t *pool)
{
    struct stat status;

    if (strlen(super.dir) + NAME_MAX_BYTES >=
        sizeof(((struct sockaddr_un *)0)->sun_path))
        return apr_psprintf(
            pool,
            "WEAVE0060: WeaveRuntimeDir %s is too long for the name of a UNIX"
            " socket: %d characters are allowed",
            super.dir, WEAVE_SOCKET_PATH - 1 - NAME_MAX_BYTES);
    if (mkdir(super.dir, 0710) == 0)
        ours = 1;
    else if (errno != EEXIST)
        return apr_psprintf(pool,
                            "WEAVE0061: WeaveRuntimeDir %s cannot be made: %s",
                            super.dir, strerror(errno));
    if (stat(super.dir, &status) < 0 || !S_ISDIR(status.st_mode))
        return apr_psprintf(pool, "WEAVE0062: WeaveRuntimeDir %s is no folder",
                            super.dir);
    if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)))
        return apr_psprintf(
            pool,
            "WEAVE0063: WeaveRuntimeDir %s must belong to the user that starts"
            " httpd (%ld; it is of %ld) and nobody else may write in it (its"
            " mode is %04o): name another folder, or `chmod go-w %s`",
            super.dir, (long)geteuid(), (long)status.st_uid,
            status.st_mode & 07777, super.dir);
    return NULL;
}

void super_dir_group(long gid)
{
    struct stat status;

    super.socket_gid = gid;
    if (geteuid() != 0 || gid < 0 || stat(super.dir, &status) < 0 ||
        (status.st_mode & S_IXOTH) ||
        (status.st_gid == (gid_t)gid && (status.st_mode & S_IXGRP)))
        return;
    if (ours && chown(super.dir, (uid_t)-1, (gid_t)gid) == 0 &&
        chmod(super.dir, (status.st_mode & 07777) | S_IXGRP) == 0)
        return;
    super_say(NULL, 3,
              "WEAVE0064: httpd's children cannot enter %s, where the sockets"
              " of the workers are: `chgrp %ld %s && chmod g+x %s`",
              super.dir, gid, super.dir, super.dir);
}

/* ---- the lock ---- */

/* Somebody may have removed the file that we wait for. */
static int lock_is_there(const char *path)
{
    struct stat held, named;

    return fstat(lock, &held) == 0 && stat(path, &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static const char *lock_try(const char *path, apr_pool_t *pool)
{
    if (lock >= 0 && !lock_is_there(path)) {
        close(lock);
        lock = -1;
    }
    if (lock < 0)
        lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return apr_psprintf(pool, "WEAVE0065: %s cannot be made: %s", path,
                            strerror(errno));
    return NULL;
}

static void lock_sign(void)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (ftruncate(lock, 0) < 0 || pwrite(lock, text, (size_t)len, 0) < 0)
        super_say(NULL, 6, "%s/" WEAVE_CONTROL_LOCK " cannot be written",
                  super.dir);
}

static const char *lock_take(int64_t wait_us, apr_pool_t *pool)
{
    const char *path = place(WEAVE_CONTROL_LOCK, pool), *problem;
    int64_t until = weave_clock_us() + wait_us;
    char owner[32] = "";

    ours |= access(path, F_OK) == 0;
    for (;;) {
        problem = lock_try(path, pool);
        if (problem)
            return problem;
        if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
            if (!lock_is_there(path))
                continue;
            lock_sign();
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

apr_status_t super_dir_listen(int *fd, const char *path, mode_t mode,
                              int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    apr_status_t rv = APR_SUCCESS;
    mode_t before;
    int made;

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0)
        return errno;
    before = umask(0177);
    if (bind(made, (struct sockaddr *)&address, sizeof(address)) < 0)
        rv = errno;
    umask(before);
    if (rv == APR_SUCCESS && (mode & S_IRGRP) && super.socket_gid >= 0 &&
        (chown(path, (uid_t)-1, (gid_t)super.socket_gid) < 0 ||
         chmod(path, mode) < 0))
        rv = errno;
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
    const char *path = place(WEAVE_CONTROL_SOCKET, pool);
    apr_status_t rv;
    char why[120];
    int fd = -1;

    unlink(path);
    rv = super_dir_listen(&fd, path, 0600, 64);
    if (rv == APR_SUCCESS)
        rv = stat(path, &socket_seen) < 0 ? errno : super_ask_listen(fd);
    if (rv == APR_SUCCESS)
        return NULL;
    return apr_psprintf(pool, "WEAVE0067: %s: %s", path,
                        apr_strerror(rv, why, sizeof(why)));
}

/* ---- is it still there? ---- */

static void look_again(void *data)
{
    char path[WEAVE_SOCKET_PATH];
    struct stat status;

    (void)data;
    snprintf(path, sizeof(path), "%s/" WEAVE_CONTROL_SOCKET, super.dir);
    super_timer_set(&look, LOOK_US, look_again, NULL);
    if (super.dir_lost ||
        (stat(path, &status) == 0 && status.st_ino == socket_seen.st_ino &&
         status.st_dev == socket_seen.st_dev))
        return;
    super.dir_lost = 1;
    super_say(NULL, 3,
              "WEAVE0068: somebody has removed or replaced %s: new connections"
              " to the workers and weavectl have no way in. `apachectl"
              " graceful` makes it again and starts new workers",
              path);
}

/* ---- all of it ---- */

/* Sockets of workers that are no more. */
static void sweep(apr_pool_t *pool)
{
    DIR *folder = opendir(super.dir);
    const struct dirent *entry;
    uint32_t i;

    if (!folder)
        return;
    while ((entry = readdir(folder)) != NULL) {
        size_t len = strlen(entry->d_name);
        const char *path;

        if (strncmp(entry->d_name, "w-", 2) != 0 || len < 7 ||
            strcmp(entry->d_name + len - 5, ".sock") != 0)
            continue;
        path = place(entry->d_name, pool);
        for (i = 0; i < WEAVE_ROSTER_WORKERS; i++) {
            weave_roster_worker_t worker;

            weave_roster_worker_get(&worker, super.roster, i);
            if (worker.state != WEAVE_WORKER_FREE &&
                !strcmp(worker.socket, path))
                break;
        }
        if (i == WEAVE_ROSTER_WORKERS)
            unlink(path);
    }
    closedir(folder);
}

static const char *dir_open(int64_t wait_us, apr_pool_t *pool)
{
    const char *problem = dir_check(pool);

    if (!problem)
        problem = lock_take(wait_us, pool);
    if (!problem)
        problem = control_listen(pool);
    if (problem)
        return problem;
    sweep(pool);
    super.dir_lost = 0;
    super_timer_set(&look, LOOK_US, look_again, NULL);
    return NULL;
}

const char *super_dir_open(apr_pool_t *pool)
{
    return dir_open(LOCK_WAIT_US, pool);
}

const char *super_dir_reopen(apr_pool_t *pool)
{
    const char *problem;

    super_ask_unlisten();
    problem = dir_open(0, pool);
    if (!problem)
        super_dir_group(super.socket_gid);
    return problem;
}

void super_dir_remove(void)
{
    char path[WEAVE_SOCKET_PATH];

    super_timer_cancel(&look);
    super_ask_unlisten();
    snprintf(path, sizeof(path), "%s/" WEAVE_CONTROL_SOCKET, super.dir);
    if (!super.dir_lost)
        unlink(path);
    snprintf(path, sizeof(path), "%s/" WEAVE_CONTROL_LOCK, super.dir);
    if (lock >= 0 && lock_is_there(path))
        unlink(path);
}
