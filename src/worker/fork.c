/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c: what a process that the application forks must let go
 *
 * With a descriptor of ours open there, nobody would see this process die. It
 * has one thread only, and locks may be held for ever: nothing is locked. */
#include "worker.h"

#include <signal.h>
#include <unistd.h>

#include "weave_line.h"

static void in_child(void)
{
    uint32_t slots = connection_slots(), i;

    worker.forked = 1;
    for (i = 0; i < slots; i++)
        if (connection_at(i)->fd >= 0)
            close(connection_at(i)->fd);
    handshake_fork_child();
    control_fork_child();
    if (worker.listen_fd >= 0)
        close(worker.listen_fd);
    close(worker.lifeline_fd);
    close(worker.board_fd);
    close(worker.readonly_fd);
    close(worker.log_fd);
    close(worker.say_fd);
    weave_line_output_set(2, worker.pid);
    close(worker.epoll_fd);
    close(worker.kick_fd);
    close(worker.stop_fd);
    worker_signals_forget();
}

void fork_prepare(void)
{
    pthread_atfork(NULL, NULL, in_child);
}
