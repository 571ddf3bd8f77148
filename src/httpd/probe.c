/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c: would this engine load? Asked in a child that has the rights of
 * whom the application runs as, because as root nothing of a virtualenv may be
 * loaded, and no Python may ever be in the parent. */
#include "mod_weave.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <link.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#define ANSWER_BYTES 2048
#define PROBE_SECONDS 20

static int drop_privileges(const mod_weave_app_t *app)
{
    if (geteuid() != 0)
        return 0;
    if (initgroups(app->user, app->gid) != 0 || setgid(app->gid) != 0 ||
        setuid(app->uid) != 0)
        return -1;
    return 0;
}

/* The home folder of a user is often closed to others. Workers are told what
 * the ini says; children read it. */
static const char *check_readable(const mod_weave_app_t *app, apr_pool_t *pool)
{
    const char *worker =
        app->embedded
            ? ""
            : apr_pstrcat(pool, mod_weave_libdir(pool), "/weave-worker", NULL);
    const char *paths[] = {app->embedded ? app->ini : "",
                           weave_conf_str(app->conf, WEAVE_WSGI_SCRIPT),
                           app->venv ? app->venv->python : "", app->engine,
                           worker};
    apr_size_t i;

    for (i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (*paths[i] && access(paths[i], R_OK) != 0)
            return apr_psprintf(pool,
                                "%s cannot be read by the user %s, whom the"
                                " application of %s runs as: %s. Let that user"
                                " read the file and enter the folders above it",
                                paths[i], app->user, app->ini, strerror(errno));
    return NULL;
}

static void probe(const mod_weave_app_t *app, int fd, apr_pool_t *pool)
{
    const weave_engine_t *engine;
    const char *problem =
        apr_pstrcat(pool, "cannot become the user ", app->user, NULL);
    apr_size_t len;

    alarm(PROBE_SECONDS);
    if (drop_privileges(app) == 0) {
        problem = check_readable(app, pool);
        /* beside the Python of another module ours would not load */
        if (!problem && !mod_weave_libpython_loaded(pool))
            problem = mod_weave_engine_load(&engine, app, pool);
    }
    len = problem ? strlen(problem) : 0;
    _exit(len && write(fd, problem, len) < 0);
}

static apr_size_t read_all(int fd, char *text, apr_size_t size)
{
    apr_size_t len = 0;
    ssize_t got;

    while (len < size) {
        got = read(fd, text + len, size - len);
        if (got > 0)
            len += (apr_size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    return len;
}

/* NULL, or how the probe ended before it could answer. */
static const char *end_of(const mod_weave_app_t *app, int status,
                          apr_pool_t *pool)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return apr_psprintf(pool,
                            "loading %s took more than %d s: try again"
                            " when the machine is less busy",
                            app->engine, PROBE_SECONDS);
    if (WIFSIGNALED(status))
        return apr_psprintf(pool,
                            "loading %s ended with signal %d (%s): the file is"
                            " damaged. Install it again with `make install`",
                            app->engine, WTERMSIG(status),
                            strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return apr_psprintf(pool, "loading %s ended with exit status %d",
                            app->engine, WEXITSTATUS(status));
    return NULL;
}

const char *mod_weave_probe(const mod_weave_app_t *app, apr_pool_t *pool)
{
    char answer[ANSWER_BYTES];
    apr_size_t len;
    int fds[2], status = 0;
    pid_t pid;

    if (pipe(fds) != 0)
        return apr_psprintf(pool, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        probe(app, fds[1], pool);
    }
    close(fds[1]);
    len = pid < 0 ? 0 : read_all(fds[0], answer, sizeof(answer));
    close(fds[0]);
    if (pid < 0)
        return apr_psprintf(pool, "fork: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (len)
        return apr_pstrmemdup(pool, answer, len);
    return end_of(app, status, pool);
}

static int is_libpython(struct dl_phdr_info *info, size_t size, void *found)
{
    const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;

    (void)size;
    if (!slash || strncmp(slash, "/libpython", 10) != 0)
        return 0;
    *(const char **)found = info->dlpi_name;
    return 1;
}

const char *mod_weave_libpython_loaded(apr_pool_t *pool)
{
    const char *found = NULL;

    dl_iterate_phdr(is_libpython, &found);
    return found ? apr_pstrdup(pool, found) : NULL;
}
