/* SPDX-License-Identifier: Apache-2.0 */
/* helper.c: waits for a short-lived process that the parent has forked
 *
 * Such a process may have fewer rights than the parent, and run code of the
 * owner of a virtualenv, so it decides neither when the parent goes on nor how
 * much the parent reads: its own end or the deadline does. The end of the pipe
 * says nothing, because any process that it has forked may keep the pipe. */
#include "mod_weave.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>
#include <unixd.h>

#include "weave_exec.h"

#define TRY_MS 10000 /* for a look at one path */
#define LOOK_MS 10   /* between two looks at whether it has ended */
#define KILL_US INT64_C(10000000) /* within which a killed process is gone */

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* Leaves the process as a zombie: its number stays its own. */
static int has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0
               ? info.si_pid != 0
               : errno != EINTR;
}

/* Returns 1 where no more is read: what is behind that would only keep it
 * waiting. */
static int is_full(const mod_weave_helper_t *helper)
{
    return helper->fd >= 0 && helper->len == helper->room;
}

/* Reads what has come. 0: nothing more is to be read. */
static int answer_read(mod_weave_helper_t *helper)
{
    ssize_t got = read(helper->fd, helper->answer + helper->len,
                       helper->room - helper->len);

    if (got > 0)
        helper->len += (apr_size_t)got;
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Waits until it has ended, or its answer is full, or until UNTIL. PIDFD can be
 * read when it has ended, -1: this kernel has none. */
static void end_await(mod_weave_helper_t *helper, int pidfd, int64_t until)
{
    int reading = helper->fd >= 0, ended = 0;

    while (!ended && !is_full(helper) && weave_clock_us() < until) {
        struct pollfd waits[] = {{pidfd, POLLIN, 0},
                                 {reading ? helper->fd : -1, POLLIN, 0}};
        int64_t left_ms = (until - weave_clock_us()) / 1000 + 1;

        poll(waits, 2, pidfd < 0 ? LOOK_MS : left_ms < 0 ? 0 : (int)left_ms);
        ended = has_ended(helper->pid);
        if (reading && (ended || waits[1].revents))
            reading = answer_read(helper);
    }
    helper->is_late = !ended && !is_full(helper);
}

void mod_weave_helper_wait(mod_weave_helper_t *helper, int timeout_ms)
{
    int pidfd = (int)syscall(SYS_pidfd_open, helper->pid, 0);
    int64_t until = weave_clock_us() + timeout_ms * INT64_C(1000);

    if (helper->fd >= 0)
        fcntl(helper->fd, F_SETFL, O_NONBLOCK);
    end_await(helper, pidfd, until);
    if (pidfd >= 0)
        close(pidfd);
    kill(-helper->pid, SIGKILL); /* once it has a session of its own */
    kill(helper->pid, SIGKILL);
    until = weave_clock_us() + KILL_US;
    while (waitpid(helper->pid, &helper->status, WNOHANG) == 0 &&
           weave_clock_us() < until)
        poll(NULL, 0, 1);
}

const char *mod_weave_helper_end(int status, apr_pool_t *pool)
{
    return WIFSIGNALED(status)
               ? apr_psprintf(pool, "ended with signal %d (%s)",
                              WTERMSIG(status), strsignal(WTERMSIG(status)))
               : apr_psprintf(pool, "ended with exit status %d",
                              WEXITSTATUS(status));
}

/* Another process of that user could stop the one that looks, so its time is
 * short. */
int mod_weave_child_tries(mod_weave_look_fn *look, const char *path,
                          apr_pool_t *pool)
{
    mod_weave_helper_t helper = {.fd = -1};

    helper.pid = geteuid() == 0 ? fork() : -1;
    if (helper.pid == 0) {
        if (weave_exec_user(ap_unixd_config.user_name, ap_unixd_config.user_id,
                            ap_unixd_config.group_id))
            _exit(EPERM);
        _exit(look(path, pool) & 255);
    }
    if (helper.pid < 0)
        return look(path, pool);
    mod_weave_helper_wait(&helper, TRY_MS);
    if (helper.is_late)
        return ETIMEDOUT;
    return WIFEXITED(helper.status) ? WEXITSTATUS(helper.status) : EACCES;
}
