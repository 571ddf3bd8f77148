/* SPDX-License-Identifier: Apache-2.0 */
/* signals.c: runs Python's signal handlers; writes stacks on a signal */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* Python writes to this pipe when a signal with a handler has come. */
static int wake_pipe[2] = {-1, -1};

/* Creates the pipe. Called with the GIL. When it fails, only EINTR tells that a
 * signal has come. */
static void wake_pipe_create(void)
{
    if (wake_pipe[0] < 0 && pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) == 0 &&
        engine_support_call(NULL, "wake_on_signal", "(i)", wake_pipe[1]) < 0)
        PyErr_Clear();
}

/* Runs the handlers of the signals that have come, if any. Returns 1 when one
 * of them has raised SystemExit. */
static int handlers_run(void)
{
    engine_thread_t *thread = engine_gil_take();
    int leave = 0;

    if (!thread)
        return 0;
    wake_pipe_create();
    if (PyErr_CheckSignals() < 0) {
        leave = PyErr_ExceptionMatches(PyExc_SystemExit);
        if (leave)
            PyErr_Clear();
        else
            engine_support_report("WEAVE0090: a signal handler of the"
                                  " application failed",
                                  NULL, 0);
    }
    engine_log_flush(thread);
    engine_gil_give();
    return leave;
}

void engine_signals_wait(int fd)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {-1, POLLIN, 0}};
    char buffer[64];
    int rc;

    /* signals that came before there was a pipe */
    if (handlers_run())
        return;
    fds[1].fd = wake_pipe[0];
    for (;;) {
        rc = poll(fds, 2, -1);
        if (rc < 0 && errno != EINTR)
            return;
        if (rc > 0 && fds[0].revents)
            return;
        while (rc > 0 && read(wake_pipe[0], buffer, sizeof(buffer)) > 0)
            ;
        if (handlers_run())
            return;
    }
}

int engine_stacks_on(int signum, int fd)
{
    engine_thread_t *thread = engine_gil_take();
    int rc = -1;

    if (!thread)
        return rc;
    rc = engine_support_call(NULL, "stacks", "(ii)", signum, fd);
    if (rc < 0)
        engine_support_report("WEAVE0091: the stacks of Python's threads"
                              " cannot be shown",
                              NULL, 0);
    engine_log_flush(thread);
    engine_gil_give();
    return rc;
}
