/* SPDX-License-Identifier: Apache-2.0 */
/* launch.c: the process of weaved, as the parent starts it
 *
 * It lives longer than a restart, so it gets nothing of this httpd but what
 * is named here: a session of its own, because MPMs signal the process group,
 * default signals, an empty mask and exactly the descriptors it needs. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_portable.h>
#include <apr_strings.h>

#include "weave_exec.h"

#define NOT_EXECUTED '\001' /* behind it: an errno */

typedef struct {
    int from[WEAVE_SUPER_FDS]; /* what becomes descriptor 0, 1, 2, ... */
    char *const *argv;
} plan_t;

/* In the forked process. Only async-signal-safe calls: httpd may have
 * threads. */
static void become_weaved(const plan_t *plan)
{
    int error, ready = plan->from[WEAVE_SUPER_READY_FD];
    char failure[1 + sizeof(error)] = {NOT_EXECUTED};

    weave_exec_signals();
    setsid();
    if (weave_exec_descriptors(plan->from, WEAVE_SUPER_FDS) == 0) {
        ready = WEAVE_SUPER_READY_FD;
        execv(plan->argv[0], plan->argv);
    }
    error = errno;
    memcpy(failure + 1, &error, sizeof(error));
    if (write(ready, failure, sizeof(failure)) < 0)
        _exit(126);
    _exit(127);
}

/* Reads up to SIZE bytes until the other end is closed. 0, or -1: that was not
 * within TIMEOUT_MS. */
static int pipe_read(int fd, char *text, apr_size_t size, apr_size_t *len,
                     int timeout_ms)
{
    int64_t until = weave_clock_us() + timeout_ms * APR_TIME_C(1000);
    struct pollfd wait = {fd, POLLIN, 0};
    ssize_t got = 1;
    int rc;

    for (*len = 0; *len < size && got > 0; *len += (apr_size_t)got) {
        do
            rc = poll(&wait, 1, weave_clock_left_ms(until));
        while (rc < 0 && errno == EINTR);
        got = rc > 0 ? read(fd, text + *len, size - *len) : -1;
        if (got < 0)
            return -1;
    }
    return 0;
}

const char *mod_weave_launch_answer(int ready, int timeout_ms, apr_pool_t *pool)
{
    char text[1024];
    apr_size_t len;
    int error;

    if (pipe_read(ready, text, sizeof(text) - 1, &len, timeout_ms) != 0 && !len)
        return apr_psprintf(pool, "weaved does not get ready within %d s",
                            timeout_ms / 1000);
    if (len > sizeof(error) && *text == NOT_EXECUTED) {
        memcpy(&error, text + 1, sizeof(error));
        return apr_psprintf(pool, "%s/weaved cannot be executed: %s",
                            mod_weave_libdir(pool), strerror(error));
    }
    while (len && text[len - 1] == '\n')
        len--;
    return len ? apr_psprintf(pool, "weaved: %.*s", (int)len, text) : NULL;
}

static int log_fd(const server_rec *s)
{
    apr_os_file_t fd = 2;

    if (s->error_log)
        apr_os_file_get(&fd, s->error_log);
    return fd;
}

const char *mod_weave_launch(mod_weave_launched_t *launched,
                             const server_rec *s,
                             const mod_weave_retained_t *data, apr_pool_t *pool)
{
    const char *program =
        apr_pstrcat(pool, mod_weave_libdir(pool), "/weaved", NULL);
    char *argv[] = {(char *)program, data->runtime_dir, NULL};
    int ready[2] = {-1, -1}, pair[2] = {-1, -1};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), log = log_fd(s);
    int roster = -1; /* which weaved writes, and nobody else */
    int error;
    pid_t child = -1;

    if (null >= 0 &&
        weave_memory_reopen(&roster, data->roster_fd, 1) == APR_SUCCESS &&
        pipe2(ready, O_CLOEXEC) == 0 &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        plan_t plan = {
            {null, log, log, data->lifeline[0], roster, ready[1], pair[1]},
            argv};

        child = fork();
        if (child == 0)
            become_weaved(&plan);
    }
    error = errno;
    close(null);
    close(roster);
    close(ready[1]);
    close(pair[1]);
    if (child < 0) {
        close(ready[0]);
        close(pair[0]);
        return apr_psprintf(pool, "%s cannot be started: %s", program,
                            strerror(error));
    }
    *launched = (mod_weave_launched_t){child, pair[0], ready[0]};
    return NULL;
}
