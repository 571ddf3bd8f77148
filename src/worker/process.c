/* SPDX-License-Identifier: Apache-2.0 */
/* process.c: the worker itself, its threads and their signals */
#include "process.h"

#include <signal.h>
#include <unistd.h>

#include "weave_host.h"

worker_t worker;

void process_signals_unblock(void)
{
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

int process_thread_start(void *(*function)(void *), void *data,
                         size_t stack_bytes, const char *name)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t before;
    int rv;

    pthread_attr_init(&attr);
    if (stack_bytes)
        pthread_attr_setstacksize(&attr, stack_bytes);
    weave_host_signals_block(&before);
    rv = pthread_create(&thread, &attr, function, data);
    if (rv == 0) {
        pthread_setname_np(thread, name);
        pthread_detach(thread); /* only now: it may have ended */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rv;
}

void process_descriptors_lost(void)
{
    static atomic_int logged;

    /* the first thread logs it and ends the process */
    while (!worker.forked && atomic_exchange(&logged, 1))
        pause();
    /* the descriptor of the log may be another file now */
    weave_line_output_set(2, worker.pid);
    if (!worker.forked)
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0102: the application has closed descriptors of"
                       " this worker, which ends now: os.closerange() does"
                       " that, and code that makes a daemon of a process");
    _exit(1);
}
