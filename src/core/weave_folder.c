/* SPDX-License-Identifier: Apache-2.0 */
/* weave_folder.c: checks who can exchange a folder, or one above it */
#include "weave_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define LINKS_MOST 40 /* as the kernel follows */
#define OTHERS (S_IWGRP | S_IWOTH)

typedef struct {
    apr_pool_t *pool;
    const char *path;    /* of the last step, for messages */
    uid_t also;          /* is trusted too */
    mode_t make;         /* of the last folder; 0: do not make it */
    int is_file;         /* 1: the last step is a file */
    int at;              /* the folder reached: a descriptor, O_PATH */
    const char *name;    /* its path, without links; "": the root */
    struct stat status;  /* its status */
    const char *rest;    /* the steps that are left */
    int links;           /* followed so far */
    int made;            /* 1: the last folder was made */
    const char *problem; /* set with EPERM */
} walk_t;

/* ---- texts ---- */

static int is_plain(const char *path)
{
    const char *at = path;

    while (apr_isalnum(*at) || (*at && strchr("/._-+,:@%=", *at)))
        at++;
    return !*at && *path && *path != '-';
}

const char *weave_shell_quote(const char *path, apr_pool_t *pool)
{
    char *quoted, *to;

    if (is_plain(path))
        return path;
    to = quoted = apr_palloc(pool, 5 * strlen(path) + 3);
    *to++ = '\'';
    for (; *path; path++) {
        /* not by a backslash, which logs double */
        if (*path == '\'')
            to = apr_cpystrn(to, "'\"'\"'", 6);
        else
            *to++ = *path;
    }
    *to++ = '\'';
    *to = '\0';
    return quoted;
}

/* ---- who is trusted ---- */

static int is_trusted(const walk_t *walk, uid_t user)
{
    return user == 0 || user == geteuid() || user == walk->also;
}

const char *weave_folder_user(uid_t uid, apr_pool_t *pool)
{
    const struct passwd *user = getpwuid(uid);

    return user ? apr_pstrdup(pool, user->pw_name)
                : apr_psprintf(pool, "user %ld", (long)uid);
}

static const char *trusted_text(const walk_t *walk)
{
    const char *text = "root";

    if (geteuid() != 0)
        text = apr_pstrcat(walk->pool, text, " or ",
                           weave_folder_user(geteuid(), walk->pool), NULL);
    if (walk->also != 0 && walk->also != geteuid())
        text = apr_pstrcat(walk->pool, text, " or ",
                           weave_folder_user(walk->also, walk->pool), NULL);
    return text;
}

/* Returns another cure for a folder of USER on the way to an application's
 * files: the application could run as that user. */
static const char *user_cure(const walk_t *walk, uid_t user)
{
    const struct passwd *entry =
        walk->also != geteuid() ? getpwuid(user) : NULL;

    if (!entry)
        return "";
    return apr_psprintf(walk->pool,
                        "let the application run as that user (`user = %s` in"
                        " [workers]), or ",
                        entry->pw_name);
}

/* Is it the group of the user's name, without another member? */
static int is_own_group(gid_t gid, uid_t uid)
{
    const struct passwd *user = getpwuid(uid);
    const struct group *group =
        user && user->pw_gid == gid ? getgrgid(gid) : NULL;
    int i;

    if (!group || strcmp(group->gr_name, user->pw_name) != 0)
        return 0;
    for (i = 0; group->gr_mem[i]; i++)
        if (strcmp(group->gr_mem[i], user->pw_name) != 0)
            return 0;
    return 1;
}

/* Returns 1 when there is an access control list: then the group's bits of the
 * mode hold for everybody in the list. */
static int has_access_list(int fd)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

static int is_trusted_group(const walk_t *walk, gid_t gid)
{
    return is_own_group(gid, 0) || is_own_group(gid, geteuid()) ||
           is_own_group(gid, walk->also);
}

static int is_writable(const walk_t *walk, int fd, const struct stat *status)
{
    if (!(status->st_mode & OTHERS) || (status->st_mode & S_ISVTX))
        return 0;
    return (status->st_mode & S_IWOTH) || has_access_list(fd) ||
           !is_trusted_group(walk, status->st_gid);
}

/* ---- one step ---- */

static const char *walk_name(const walk_t *walk)
{
    return *walk->name ? walk->name : "/";
}

static const char *way_text(const walk_t *walk)
{
    if (!strcmp(walk_name(walk), walk->path))
        return "";
    return apr_psprintf(walk->pool, ", which leads to %s,", walk->path);
}

/* Checks the folder that the walk has reached. */
static apr_status_t step_check(walk_t *walk)
{
    const struct stat *status = &walk->status;
    const char *name = walk_name(walk);

    if (fstat(walk->at, &walk->status) < 0)
        return errno;
    if (!is_trusted(walk, status->st_uid)) {
        walk->problem = apr_psprintf(
            walk->pool,
            "%s%s belongs to %s (mode %04o), who could exchange what is in it."
            " It must belong to %s: %schoose another folder, or `chown root"
            " %s`",
            name, way_text(walk), weave_folder_user(status->st_uid, walk->pool),
            status->st_mode & 07777, trusted_text(walk),
            user_cure(walk, status->st_uid),
            weave_shell_quote(name, walk->pool));
        return EPERM;
    }
    if (is_writable(walk, walk->at, status)) {
        walk->problem = apr_psprintf(
            walk->pool,
            "%s%s can be written by others (mode %04o, owner %s, group %ld):"
            " `chmod go-w %s`, or choose another folder",
            name, way_text(walk), status->st_mode & 07777,
            weave_folder_user(status->st_uid, walk->pool), (long)status->st_gid,
            weave_shell_quote(name, walk->pool));
        return EPERM;
    }
    return APR_SUCCESS;
}

/* Goes to the folder FD, which the walk owns from now on. */
static apr_status_t folder_enter(walk_t *walk, int fd, const char *name)
{
    close(walk->at);
    walk->at = fd;
    walk->name = name;
    return step_check(walk);
}

static apr_status_t root_enter(walk_t *walk)
{
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? errno : folder_enter(walk, fd, "");
}

static apr_status_t link_check(walk_t *walk, const struct stat *status,
                               const char *name)
{
    int is_common =
        (walk->status.st_mode & S_ISVTX) && (walk->status.st_mode & OTHERS);

    if (status->st_uid == 0 || status->st_uid == geteuid() ||
        (!walk->is_file && (!is_common || status->st_uid == walk->also)))
        return APR_SUCCESS;
    walk->problem = apr_psprintf(
        walk->pool,
        "%s, a link on the way to %s, belongs to %s, who can change"
        " where it leads: `chown -h root %s`, or name the path it leads to",
        name, walk->path, weave_folder_user(status->st_uid, walk->pool),
        weave_shell_quote(name, walk->pool));
    return EPERM;
}

static apr_status_t link_follow(walk_t *walk, int fd, const struct stat *status,
                                const char *name)
{
    char to[PATH_MAX];
    apr_status_t rv = link_check(walk, status, name);
    ssize_t len = rv == APR_SUCCESS ? readlinkat(fd, "", to, sizeof(to)) : 0;

    if (rv == APR_SUCCESS && len < 0)
        rv = errno;
    else if (rv == APR_SUCCESS &&
             (len == sizeof(to) || ++walk->links > LINKS_MOST))
        rv = ELOOP;
    close(fd);
    if (rv != APR_SUCCESS)
        return rv;
    to[len] = '\0';
    walk->rest = apr_pstrcat(walk->pool, to, "/", walk->rest, NULL);
    return *to == '/' ? root_enter(walk) : APR_SUCCESS;
}

static const char *name_above(const walk_t *walk)
{
    const char *slash = strrchr(walk->name, '/');

    return slash ? apr_pstrmemdup(walk->pool, walk->name,
                                  (apr_size_t)(slash - walk->name))
                 : "";
}

/* Returns 1 when steps are left. */
static int is_way_left(const walk_t *walk)
{
    return walk->rest[strspn(walk->rest, "/")] != '\0';
}

/* Opens STEP below the folder reached, or makes it if it is the last. */
static int step_open(walk_t *walk, const char *step)
{
    int fd = openat(walk->at, step, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 || errno != ENOENT || !walk->make || is_way_left(walk))
        return fd;
    if (mkdirat(walk->at, step, walk->make) == 0) {
        walk->made = 1;
        /* whatever the umask is: others may have to enter it */
        if (fchmodat(walk->at, step, walk->make, 0) < 0)
            return -1;
    }
    else if (errno != EEXIST) {
        return -1;
    }
    return openat(walk->at, step, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static apr_status_t step_take(walk_t *walk, const char *step)
{
    const char *name = apr_pstrcat(walk->pool, walk->name, "/", step, NULL);
    struct stat status;
    int fd;

    if (!strcmp(step, "."))
        return APR_SUCCESS;
    if (!strcmp(step, ".."))
        name = name_above(walk);
    fd = step_open(walk, step);
    if (fd < 0 || fstat(fd, &status) < 0) {
        apr_status_t rv = errno;

        if (fd >= 0)
            close(fd);
        return rv;
    }
    if (S_ISLNK(status.st_mode))
        return link_follow(walk, fd, &status, name);
    if (S_ISDIR(status.st_mode))
        return folder_enter(walk, fd, name);
    close(fd);
    if (!walk->is_file || is_way_left(walk))
        return ENOTDIR;
    walk->status = status;
    return APR_SUCCESS;
}

/* ---- the way ---- */

static apr_status_t walk_steps(walk_t *walk)
{
    apr_status_t rv = root_enter(walk);

    while (rv == APR_SUCCESS) {
        const char *from = walk->rest + strspn(walk->rest, "/");
        apr_size_t len = strcspn(from, "/");

        if (!len)
            break;
        walk->rest = from + len;
        rv = step_take(walk, apr_pstrmemdup(walk->pool, from, len));
    }
    return rv;
}

/* Walks to the end. On success the caller owns walk->at. */
static apr_status_t walk_run(walk_t *walk)
{
    char *absolute;
    apr_status_t rv = APR_SUCCESS;

    walk->at = -1;
    if (*walk->path != '/') {
        rv = apr_filepath_get(&absolute, 0, walk->pool);
        if (rv == APR_SUCCESS)
            walk->path =
                apr_pstrcat(walk->pool, absolute, "/", walk->path, NULL);
    }
    walk->rest = walk->path;
    if (rv == APR_SUCCESS)
        rv = walk_steps(walk);
    if (rv != APR_SUCCESS && walk->at >= 0)
        close(walk->at);
    if (rv == ENOTDIR && !is_way_left(walk))
        walk->problem =
            apr_pstrcat(walk->pool, walk->path, " is no folder", NULL);
    else if (rv != APR_SUCCESS && !walk->problem)
        walk->problem =
            apr_psprintf(walk->pool, "%s cannot be %s: %s", walk->path,
                         walk->make ? "made" : "used", strerror(rv));
    return rv;
}

apr_status_t weave_folder_open(weave_folder_t *folder, const char **problem,
                               const char *path, uid_t also, mode_t make,
                               apr_pool_t *pool)
{
    walk_t walk = {.pool = pool, .path = path, .also = also, .make = make};
    apr_status_t rv = walk_run(&walk);

    if (rv == APR_SUCCESS)
        *folder = (weave_folder_t){walk.at, walk.status, walk.made};
    else
        *problem = walk.problem;
    return rv;
}

const char *weave_folder_check(const char *path, uid_t also, apr_pool_t *pool)
{
    const char *problem = NULL;
    weave_folder_t folder;

    if (weave_folder_open(&folder, &problem, path, also, 0, pool) ==
        APR_SUCCESS)
        close(folder.fd);
    return problem;
}

const char *weave_folder_check_file(const char *path, const struct stat *was,
                                    uid_t also, apr_pool_t *pool)
{
    walk_t walk = {.pool = pool, .path = path, .also = also, .is_file = 1};

    if (walk_run(&walk) != APR_SUCCESS)
        return walk.problem;
    close(walk.at);
    if (walk.status.st_ino == was->st_ino && walk.status.st_dev == was->st_dev)
        return NULL;
    return apr_psprintf(pool,
                        "%s is another file than a moment ago: do not change it"
                        " while httpd reads it, and try again",
                        path);
}

/* ---- folders of this user ---- */

const char *weave_folder_check_status(const char *path,
                                      const struct stat *status,
                                      apr_pool_t *pool)
{
    if (status->st_mode & OTHERS)
        return apr_psprintf(pool,
                            "%s can be written by others (mode %04o):"
                            " `chmod go-w %s`, or choose another folder",
                            path, status->st_mode & 07777,
                            weave_shell_quote(path, pool));
    if (status->st_uid != 0 && status->st_uid != geteuid())
        return apr_psprintf(pool,
                            "%s belongs to %s, but this process is %s: it must"
                            " belong to root or to the user that starts httpd."
                            " Do this as that user, or `chown root: %s`, or"
                            " choose another folder",
                            path, weave_folder_user(status->st_uid, pool),
                            weave_folder_user(geteuid(), pool),
                            weave_shell_quote(path, pool));
    return NULL;
}

const char *weave_folder_parent(const char *path, apr_pool_t *pool)
{
    apr_size_t len = strlen(path);

    while (len && path[len - 1] == '/')
        len--;
    while (len && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    return len ? apr_pstrmemdup(pool, path, len) : *path == '/' ? "/" : ".";
}

const char *weave_folder_check_own(const char *path, apr_pool_t *pool)
{
    const char *problem;
    weave_folder_t folder;
    apr_status_t rv =
        weave_folder_open(&folder, &problem, path, geteuid(), 0, pool);

    if (APR_STATUS_IS_ENOENT(rv))
        return weave_folder_check(weave_folder_parent(path, pool), geteuid(),
                                  pool);
    if (rv != APR_SUCCESS)
        return problem;
    close(folder.fd);
    return weave_folder_check_status(path, &folder.status, pool);
}
