/* SPDX-License-Identifier: Apache-2.0 */
/* runtime.c: checks the runtime directory before httpd starts
 *
 * weaved, in whose hands it is from then on, looks again. But a start leaves
 * the terminal before weaved runs, and its exit status is 0 by then. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <mpm_common.h>
#include <unixd.h>

#include "weave_exec.h"
#include "weave_folder.h"

#define LOCK_WAIT_US INT64_C(6000000) /* as weaved waits */
#define LOCK_POLL_US 100000

static int enter_try(const char *path, apr_pool_t *pool)
{
    (void)pool;
    return access(path, X_OK) < 0 ? errno : 0;
}

/* Returns 1 where a weaved has made the folder: it knows it by its lock, and
 * opens it to httpd's children itself. */
static int is_ours(const char *dir, apr_pool_t *pool)
{
    return geteuid() == 0 &&
           access(apr_pstrcat(pool, dir, "/" WEAVE_CONTROL_LOCK, NULL), F_OK) ==
               0;
}

/* Returns the first folder on the way to PATH that children cannot enter, or
 * PATH. */
static const char *closed_find(const char *path, apr_pool_t *pool)
{
    const char *slash = path;

    while ((slash = strchr(slash + 1, '/')) != NULL) {
        const char *above =
            apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));

        if (mod_weave_child_tries(enter_try, above, pool) != 0)
            return above;
    }
    return path;
}

const char *mod_weave_enter_check(const char *dir, const char *effect,
                                  apr_pool_t *pool)
{
    int is_there = access(dir, F_OK) == 0;
    const char *path =
        is_there && !is_ours(dir, pool) ? dir : weave_folder_parent(dir, pool);
    int rv = mod_weave_child_tries(enter_try, path, pool);
    const char *closed = rv ? closed_find(path, pool) : NULL, *word;
    struct stat status;

    if (!closed || stat(closed, &status) < 0)
        return NULL;
    word = weave_shell_quote(closed, pool);
    return apr_psprintf(
        pool,
        "%s: httpd's children run as %s, group %ld, and cannot enter %s (owner"
        " %s, group %ld, mode %04o: %s): they would %s. `chmod o+x %s`, or"
        " `chgrp %ld %s && chmod g+x %s`, or choose another folder",
        dir, weave_folder_user(ap_unixd_config.user_id, pool),
        (long)ap_unixd_config.group_id, closed,
        weave_folder_user(status.st_uid, pool), (long)status.st_gid,
        (unsigned)status.st_mode & 07777, strerror(rv), effect, word,
        (long)ap_unixd_config.group_id, word, word);
}

/* Returns 1 where the weaved that holds the lock FD is that of the httpd that
 * PidFile names. */
static int is_own_weaved(int fd, long *weaved, apr_pool_t *pool)
{
    char text[32] = "";
    long parent = 0;
    pid_t httpd;

    *weaved =
        pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
    return *weaved > 0 && !weave_process_is_gone(*weaved, &parent) &&
           ap_read_pid(pool, ap_pid_fname, &httpd) == APR_SUCCESS &&
           parent == (long)httpd;
}

static const char *lock_check(const char *dir, apr_pool_t *pool)
{
    int64_t until = weave_clock_us() + LOCK_WAIT_US;
    int fd = open(apr_pstrcat(pool, dir, "/" WEAVE_CONTROL_LOCK, NULL),
                  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    const char *problem = NULL;
    long weaved;

    while (fd >= 0 && !problem && flock(fd, LOCK_SH | LOCK_NB) < 0 &&
           !is_own_weaved(fd, &weaved, pool)) {
        if (weave_clock_us() < until)
            apr_sleep(LOCK_POLL_US);
        else
            problem = apr_psprintf(
                pool,
                "WEAVE0260: WeaveRuntimeDir %s is in use by another httpd,"
                " whose weaved has pid %ld: stop that httpd, or give this one a"
                " WeaveRuntimeDir of its own",
                dir, weaved);
    }
    if (fd >= 0)
        close(fd);
    return problem;
}

const char *mod_weave_runtime_check(const char *dir, apr_pool_t *pool)
{
    const char *problem = weave_folder_check_own(dir, pool);

    if (problem)
        return apr_psprintf(pool, "WEAVE0162: WeaveRuntimeDir: %s", problem);
    problem =
        mod_weave_enter_check(dir, "reach no worker, and answer 503", pool);
    return problem
               ? apr_pstrcat(pool, "WEAVE0261: WeaveRuntimeDir ", problem, NULL)
               : lock_check(dir, pool);
}
