/* SPDX-License-Identifier: Apache-2.0 */
/* launch.c: the process of weaved, as the parent starts it
 *
 * It lives longer than a restart, so it gets nothing of this httpd but what
 * is named here: a session of its own, because MPMs signal the process group,
 * default signals, an empty mask and exactly the descriptors it needs. */
#include "mod_weave.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_portable.h>
#include <apr_strings.h>

#include "launch.h"
#include "weave_control.h"
#include "weave_exec.h"

#define READY_MS 10000 /* it may wait for an owner that is just stopping */

typedef struct {
    /* what becomes descriptor 0, 1, 2, ...; errno goes to the last one when it
     * cannot be executed */
    int from[WEAVE_SUPER_FDS + 1];
    char *const *argv;
} plan_t;

/* In the forked process. Only async-signal-safe calls: httpd may have
 * threads. */
static void become(const plan_t *plan)
{
    int error, report = WEAVE_SUPER_FDS;

    weave_exec_signals();
    setsid();
    if (weave_exec_descriptors(plan->from, WEAVE_SUPER_FDS + 1) == 0) {
        fcntl(report, F_SETFD, FD_CLOEXEC);
        execv(plan->argv[0], plan->argv);
    }
    else {
        report = plan->from[WEAVE_SUPER_FDS];
    }
    error = errno;
    if (write(report, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

/* Reads up to SIZE bytes, until the other end is closed. 0 in time, or -1. */
static int read_until_closed(int fd, char *text, apr_size_t size,
                             apr_size_t *len, int timeout_ms)
{
    int64_t until = weave_clock_us() + timeout_ms * APR_TIME_C(1000);

    *len = 0;
    for (;;) {
        struct pollfd wait = {fd, POLLIN, 0};
        int64_t left = until - weave_clock_us();
        ssize_t got;

        if (left <= 0 || *len == size)
            return *len == size ? 0 : -1;
        if (poll(&wait, 1, (int)(left / 1000) + 1) <= 0)
            continue;
        got = read(fd, text + *len, size - *len);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0)
            *len += (apr_size_t)got;
    }
}

/* What the new process says, or NULL: it takes requests. */
static const char *answer(int ready, int report, apr_pool_t *pool)
{
    char text[1024];
    apr_size_t len;
    int error;

    if (read_until_closed(report, (char *)&error, sizeof(error), &len,
                          READY_MS) == 0 &&
        len == sizeof(error))
        return apr_psprintf(pool, "cannot be executed: %s", strerror(error));
    if (read_until_closed(ready, text, sizeof(text) - 1, &len, READY_MS) != 0)
        return apr_psprintf(pool, "does not get ready within %d s",
                            READY_MS / 1000);
    while (len && text[len - 1] == '\n')
        len--;
    return len ? apr_pstrmemdup(pool, text, len) : NULL;
}

static int log_fd(const server_rec *s)
{
    apr_os_file_t fd = 2;

    if (s->error_log)
        apr_os_file_get(&fd, s->error_log);
    return fd;
}

const char *mod_weave_launch(pid_t *pid, int *control, const server_rec *s,
                             const mod_weave_retained_t *data, apr_pool_t *pool)
{
    const char *program =
        apr_pstrcat(pool, mod_weave_libdir(pool), "/weaved", NULL);
    char *argv[] = {(char *)program, data->runtime_dir, NULL};
    int ready[2] = {-1, -1}, report[2] = {-1, -1}, pair[2] = {-1, -1};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), log = log_fd(s);
    int roster = -1; /* which weaved writes, and nobody else */
    const char *problem = NULL;
    pid_t child = -1;

    if (null >= 0 &&
        weave_memory_reopen(&roster, data->roster_fd, 1) == APR_SUCCESS &&
        pipe2(ready, O_CLOEXEC) == 0 && pipe2(report, O_CLOEXEC) == 0 &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        plan_t plan = {{null, log, log, data->lifeline[0], roster, ready[1],
                        pair[1], data->maintenance_fd, report[1]},
                       argv};

        child = fork();
        if (child == 0)
            become(&plan);
    }
    if (child < 0)
        problem = apr_psprintf(pool, "cannot be started: %s", strerror(errno));
    close(null);
    close(roster);
    close(ready[1]);
    close(report[1]);
    close(pair[1]);
    if (!problem)
        problem = answer(ready[0], report[0], pool);
    close(ready[0]);
    close(report[0]);
    if (problem) {
        close(pair[0]);
        if (child > 0) {
            kill(child, SIGKILL);
            apr_proc_wait(&(apr_proc_t){.pid = child}, NULL, NULL, APR_WAIT);
        }
        return apr_psprintf(pool, "%s %s", program, problem);
    }
    *pid = child;
    *control = pair[0];
    return NULL;
}
