/* SPDX-License-Identifier: Apache-2.0 */
/* application.c: Python's main thread, from the import of the application to
 * its end */
#include "control.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <apr_strings.h>

#include "executor.h"
#include "weave_host.h"

/* Shows the stacks of all threads. No program uses it: libraries count from
 * SIGRTMIN. */
#define STACK_SIGNAL (SIGRTMAX - 1)

/* Reports ERROR to weaved, which logs it, and ends this worker. */
static __attribute__((noreturn)) void failure_report(const char *error)
{
    channel_report(WEAVE_REPORT_FAILED, error, -1);
    _exit(1);
}

/* Ends this worker when the application has closed its descriptors. One is
 * checked for all: programs close a whole range of them. */
static void descriptors_check(void)
{
    struct epoll_event none = {0};

    if (epoll_ctl(worker.epoll_fd, EPOLL_CTL_MOD, worker.stop_fd, &none) < 0 &&
        errno != ENOENT)
        process_descriptors_lost();
}

static const weave_app_t *app_make(const weave_spec_t *spec, apr_pool_t *pool)
{
    weave_app_t *app = apr_pcalloc(pool, sizeof(*app));

    app->python = weave_host_text(spec->python);
    app->script = weave_host_text(spec->script);
    app->module = weave_host_text(weave_spec_str(spec, WEAVE_WSGI_MODULE));
    app->callable = weave_spec_str(spec, WEAVE_WSGI_CALLABLE);
    app->ini = ini_path(spec, pool);
    app->software = spec->software;
    app->python_path = weave_host_strings(
        weave_conf_list(spec->conf, WEAVE_WSGI_PYTHON_PATH), pool);
    app->environ = weave_host_pairs(weave_conf_environ(spec->conf), pool);
    app->multithread = weave_spec_int(spec, WEAVE_WORKERS_THREADS) > 1;
    app->multiprocess = weave_spec_int(spec, WEAVE_WORKERS_PROCESSES) > 1;
    app->own_signals = 1;
    return app;
}

const char *application_engine_load(const weave_spec_t *spec, apr_pool_t *pool)
{
    const char *path = weave_host_text(spec->engine);
    const void *found = NULL;
    const char *problem;

    if (!path)
        path = weave_spec_engine(spec->libdir, spec->version, pool);
    problem = weave_dso_load(&found, spec->libpython, spec->soname, path,
                             WEAVE_ENGINE_SYMBOL, pool);
    if (!problem)
        problem = weave_engine_mismatch(found, path, spec->version);
    if (!problem)
        worker.engine = found;
    return problem;
}

/* Makes the stack of Python's main thread large enough. Called before Python,
 * and before any thread that runs it. */
static void stack_prepare(void)
{
    size_t bytes = weave_stack_prepare();

    if (bytes < WEAVE_STACK_BYTES)
        weave_line_say(WEAVE_LOG_NOTICE,
                       "WEAVE0211: the hard limit of the stack is %zu KiB: a"
                       " deep recursion while the application is imported ends"
                       " the worker instead of being a RecursionError",
                       bytes >> 10);
}

void application_start(apr_pool_t *pool)
{
    const weave_app_t *app = app_make(worker.spec, pool);
    const char *problem;

    stack_prepare();
    setenv("WEAVE_INI", app->ini, 1);
    problem = application_engine_load(worker.spec, pool);
    if (!problem)
        problem = worker.engine->start(app, &worker_host);
    if (problem)
        failure_report(problem);
    if (worker.engine->stacks_on(STACK_SIGNAL, stacks_open()) == 0)
        worker.stack_signal = STACK_SIGNAL;
    problem = worker.engine->load();
    if (worker.forked)
        _exit(0);
    descriptors_check();
    if (problem)
        failure_report(apr_pstrcat(
            pool, "the application cannot be imported: ", problem, NULL));
    memory_settle();
    if (executors_start() != 0)
        failure_report("there is no memory for its threads");
    atomic_store(&worker.ready, 1);
    events_wake(); /* from now on requests have deadlines */
    channel_report(WEAVE_REPORT_READY, worker.engine->python, -1);
}

void application_wait(void)
{
    uint64_t count;

    for (;;) {
        worker.engine->wait(worker.stop_fd);
        if (worker.forked)
            return;
        descriptors_check();
        if (read(worker.stop_fd, &count, sizeof(count)) > 0)
            return;
        control_drain_request();
    }
}
