/* SPDX-License-Identifier: Apache-2.0 */
/* helper.c: waits for a short-lived process that the parent has forked
 *
 * Such a process may have fewer rights than the parent, and run code of the
 * owner of a virtualenv, so it decides neither when the parent goes on nor how
 * much the parent reads: its own end or the deadline does. The end of the pipe
 * says nothing, because any process that it has forked may keep the pipe. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 10    /* between two looks at whether it has ended */
#define KILL_MS 10000 /* within which a killed process is gone */

static apr_int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Leaves the process as a zombie: its number stays its own. */
static int has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0
               ? info.si_pid != 0
               : errno != EINTR;
}

/* Reads what has come. 0: nothing more is to be read. */
static int answer_read(mod_weave_helper_t *helper)
{
    ssize_t got;

    if (helper->len == helper->room)
        return 0;
    got = read(helper->fd, helper->answer + helper->len,
               helper->room - helper->len);
    if (got > 0)
        helper->len += (apr_size_t)got;
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Waits until it has ended or until UNTIL. */
static void end_await(mod_weave_helper_t *helper, apr_int64_t until)
{
    int reading = helper->fd >= 0, ended = 0;

    if (reading)
        fcntl(helper->fd, F_SETFL, O_NONBLOCK);
    while (!ended && now_ms() < until) {
        struct pollfd wait = {reading ? helper->fd : -1, POLLIN, 0};

        poll(&wait, 1, LOOK_MS);
        ended = has_ended(helper->pid);
        if (wait.revents || (ended && reading))
            reading = answer_read(helper);
    }
    helper->is_late = !ended;
}

void mod_weave_helper_wait(mod_weave_helper_t *helper, int timeout_ms)
{
    apr_int64_t until;

    end_await(helper, now_ms() + timeout_ms);
    kill(-helper->pid, SIGKILL); /* once it has a session of its own */
    kill(helper->pid, SIGKILL);
    until = now_ms() + KILL_MS;
    while (waitpid(helper->pid, &helper->status, WNOHANG) == 0 &&
           now_ms() < until)
        poll(NULL, 0, 1);
}
