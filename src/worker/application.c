/* SPDX-License-Identifier: Apache-2.0 */
/* application.c: Python's main thread, from the import of the application to
 * its end */
#include "application.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <apr_strings.h>

#include "channel.h"
#include "control.h"
#include "events.h"
#include "executor.h"
#include "weave_dso.h"
#include "weave_stack.h"

static void failure_report(const char *error) __attribute__((noreturn));

/* Reports ERROR to weaved, which logs it, and ends this worker. */
static void failure_report(const char *error)
{
    channel_send(weave_report_make(WEAVE_REPORT_FAILED, error));
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

static const char *const *strings_copy(const apr_array_header_t *list,
                                       apr_pool_t *pool)
{
    const char **copy =
        apr_pcalloc(pool, ((size_t)list->nelts + 1) * sizeof(*copy));

    if (list->nelts)
        memcpy(copy, list->elts, (size_t)list->nelts * sizeof(*copy));
    return copy;
}

static const char *const *pairs_copy(const apr_table_t *table, apr_pool_t *pool)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    const apr_table_entry_t *row = (const apr_table_entry_t *)rows->elts;
    const char **copy =
        apr_pcalloc(pool, (2 * (size_t)rows->nelts + 1) * sizeof(*copy));
    int i;

    for (i = 0; i < rows->nelts; i++) {
        copy[2 * i] = row[i].key;
        copy[2 * i + 1] = row[i].val;
    }
    return copy;
}

const char *text_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

static const weave_app_t *app_make(const weave_spec_t *spec, apr_pool_t *pool)
{
    weave_app_t *app = apr_pcalloc(pool, sizeof(*app));

    app->python = text_or_null(spec->python);
    app->script = text_or_null(spec->script);
    app->module = text_or_null(spec->module);
    app->callable = spec->callable;
    app->ini = ini_path(spec, pool);
    app->software = spec->software;
    app->python_path = strings_copy(spec->python_path, pool);
    app->environ = pairs_copy(spec->environ, pool);
    app->multithread = spec->threads > 1;
    app->multiprocess = spec->processes > 1;
    app->own_signals = 1;
    return app;
}

const char *application_engine_load(const weave_spec_t *spec, apr_pool_t *pool)
{
    const char *path = text_or_null(spec->engine);
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

/* Has a signal that no program uses (libraries count from SIGRTMIN) show the
 * stacks of all threads. */
static void stacks_start(void)
{
    int signum = SIGRTMAX - 1;

    if (worker.engine->stacks_on(signum) == 0)
        worker.stack_signal = signum;
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
    stacks_start();
    problem = worker.engine->load();
    if (!worker.forked)
        descriptors_check();
    if (problem && !worker.forked)
        failure_report(apr_pstrcat(
            pool, "the application cannot be imported: ", problem, NULL));
    if (worker.forked)
        _exit(0);
    if (executors_start() != 0)
        failure_report("there is no memory for its threads");
    atomic_store(&worker.ready, 1);
    events_wake(); /* from now on requests have deadlines */
    channel_ready_send();
}

static int is_stopped(void)
{
    uint64_t count;

    return worker.forked || read(worker.stop_fd, &count, sizeof(count)) > 0;
}

void application_wait(void)
{
    for (;;) {
        worker.engine->wait(worker.stop_fd);
        if (!worker.forked)
            descriptors_check();
        if (is_stopped())
            return;
        control_drain_request();
    }
}
