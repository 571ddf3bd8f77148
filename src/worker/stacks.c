/* SPDX-License-Identifier: Apache-2.0 */
/* stacks.c: writes the stacks of all threads into the log
 *
 * faulthandler writes them, and may have to wait for the reader of the log. So
 * a thread of its own calls it, and not the control thread. */
#include "control.h"

#include <signal.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)
/* the stacks come first: so long the next message waits for them */
#define WAIT_US 2000
#define WAITS 50

static atomic_int running;

static void *stacks_write(void *unused)
{
    sigset_t stacks;

    (void)unused;
    sigemptyset(&stacks);
    sigaddset(&stacks, worker.stack_signal);
    pthread_sigmask(SIG_UNBLOCK, &stacks, NULL);
    pthread_kill(pthread_self(), worker.stack_signal);
    atomic_store(&running, 0);
    return NULL;
}

void stacks_show(void)
{
    int i;

    if (!worker.stack_signal) {
        weave_line_say(WEAVE_LOG_INFO,
                       "Python does not run yet: no stacks to show");
        return;
    }
    if (atomic_exchange(&running, 1))
        return; /* the last ones still wait for their reader */
    if (process_thread_start(stacks_write, NULL, STACK_BYTES, "weave-stacks"))
        atomic_store(&running, 0);
    for (i = 0; i < WAITS && atomic_load(&running); i++)
        usleep(WAIT_US);
}
