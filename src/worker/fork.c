/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c: signals of this worker, and processes that the application forks
 *
 * Such a process must close the worker's descriptors, or nobody would notice
 * when the worker dies. It has one thread only, and locks may be held for ever:
 * it takes none. */
#include "control.h"

#include <signal.h>
#include <unistd.h>

static void term_handle(int signum)
{
    if (getpid() == worker.pid) {
        control_drain_request();
        return;
    }
    /* a process that was just forked, before handlers_forget() */
    signal(signum, SIG_DFL);
    raise(signum); /* is delivered when this function has returned */
}

void signals_start(void)
{
    struct sigaction term = {.sa_handler = term_handle, .sa_flags = SA_RESTART};

    sigaction(SIGTERM, &term, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ,
           SIG_IGN); /* exceeding a limit is an error, as in python itself */
    process_signals_unblock();
}

/* Removes the worker's handlers in the new process. The mask of signals is that
 * of the thread that forked it. */
static void handlers_forget(void)
{
    struct sigaction now;

    /* it may be the application's by now */
    if (sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == term_handle)
        signal(SIGTERM, SIG_DFL);
}

static void child_let_go(void)
{
    const int ours[] = {
        worker.listen_fd,   worker.lifeline_fd,   worker.board_fd,
        worker.readonly_fd, worker.log_fd,        worker.say_fd,
        worker.epoll_fd,    worker.wake_fd,       worker.stop_fd,
        worker.events_fd,   worker.events_wake_fd};
    uint32_t slots = connection_slots(), i;
    size_t k;

    worker.forked = 1;
    for (i = 0; i < slots; i++)
        if (connection_at(i)->fd >= 0)
            close(connection_at(i)->fd);
    handshake_fork_close();
    channel_fork_close();
    stacks_fork();
    for (k = 0; k < sizeof(ours) / sizeof(*ours); k++)
        if (ours[k] >= 0)
            close(ours[k]);
    weave_line_output_set(2, worker.pid);
    handlers_forget();
}

void fork_prepare(void)
{
    pthread_atfork(NULL, NULL, child_let_go);
}
