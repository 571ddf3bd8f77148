/* SPDX-License-Identifier: Apache-2.0 */
/* spawn.c: the signal mask of programs that an embedded application starts
 *
 * httpd's threads block the signals that its main thread waits for, and a
 * program inherits the mask of the thread that starts it. That thread must not
 * unblock them, not even for a moment: it would handle a signal that the
 * process receives in this moment, and the main thread would not wake up. So
 * the new process sets its own mask, in a handler of fork(). vfork() has no
 * handlers: support.py makes subprocess use fork(). */
#include "engine.h"

#include <signal.h>

typedef struct {
    int is_on; /* this thread starts a program */
    sigset_t mask;
} spawning_t;

static __thread spawning_t spawning;

/* Sets mask and handlers in the new process: httpd's handlers must not run
 * there before exec(). */
static void child_prepare(void)
{
    static const int httpds[] = {SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGWINCH};
    size_t i;

    if (!spawning.is_on)
        return;
    for (i = 0; i < sizeof(httpds) / sizeof(*httpds); i++)
        signal(httpds[i], SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &spawning.mask, NULL);
}

static void mask_set(unsigned long long bits)
{
    int signum;

    sigemptyset(&spawning.mask);
    for (signum = 1; signum < 64; signum++)
        if (bits >> signum & 1)
            sigaddset(&spawning.mask, signum);
}

PyObject *engine_spawn(PyObject *module, PyObject *args)
{
    /* converting an argument may run code that starts another program */
    const spawning_t before = spawning;
    unsigned long long bits;
    PyObject *function, *its_args, *result;

    (void)module;
    if (!PyArg_ParseTuple(args, "KOO!", &bits, &function, &PyTuple_Type,
                          &its_args))
        return NULL;
    mask_set(bits);
    spawning.is_on = 1;
    result = PyObject_CallObject(function, its_args);
    spawning = before;
    return result;
}

int engine_spawn_start(void)
{
    if (engine_app->own_signals)
        return 0;
    return pthread_atfork(NULL, NULL, child_prepare) == 0 ? 0 : -1;
}
