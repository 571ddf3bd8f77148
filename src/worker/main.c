/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: weave-worker: one process, one application, Python's main thread
 *
 * weaved starts it with nothing but descriptors (weave_control.h), an
 * environment and a user that is not root. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "weave_control.h"
#include "weave_dso.h"
#include "weave_line.h"
#include "weave_locale.h"
#include "weave_socket.h"
#include "weave_stack.h"

#define START_MS 60000

worker_t worker;

/* ---- small things ---- */

/* Blocks every signal but faults for the calling thread. */
static void signals_block(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    size_t i;

    sigfillset(&all);
    for (i = 0; i < sizeof(faults) / sizeof(*faults); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

int worker_thread_start(void *(*function)(void *), void *data,
                        size_t stack_bytes, const char *name)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t before;
    int rv;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_bytes)
        pthread_attr_setstacksize(&attr, stack_bytes);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    signals_block();
    rv = pthread_create(&thread, &attr, function, data);
    if (rv == 0)
        pthread_setname_np(thread, name);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rv;
}

/* ---- signals ---- */

static void on_term(int signum)
{
    if (getpid() == worker.pid) {
        control_drain_soon();
        return;
    }
    /* a new process of the application, before worker_signals_forget() */
    signal(signum, SIG_DFL);
    raise(signum); /* comes when this function has returned */
}

static void signals_start(void)
{
    struct sigaction term = {.sa_handler = on_term, .sa_flags = SA_RESTART};

    sigaction(SIGTERM, &term, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit is an error, as in python itself */
    worker_signals_open();
}

void worker_signals_open(void)
{
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

void worker_signals_forget(void)
{
    struct sigaction now;

    /* unless it is the application's */
    if (sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == on_term)
        signal(SIGTERM, SIG_DFL);
}

/* ---- the end ---- */

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
    weave_line_say(WEAVE_LOG_CRITICAL,
                   "WEAVE0100: weave-worker cannot start: %s", what);
    _exit(1);
}

static void fail(const char *error) __attribute__((noreturn));

/* weaved says it in the log. */
static void fail(const char *error)
{
    control_send(weave_report_make(WEAVE_REPORT_FAILED, error));
    _exit(1);
}

void worker_descriptors_lost(void)
{
    static atomic_int said;

    while (!worker.forked && atomic_exchange(&said, 1))
        pause(); /* who came first says it and ends us all */
    weave_line_output_set(2,
                          worker.pid); /* the other may be another file now */
    if (!worker.forked)
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0102: the application has closed descriptors that"
                       " it has not opened, and this worker ends, for they"
                       " were its own: os.closerange() and what makes a daemon"
                       " of a process do that");
    _exit(1);
}

/* One of them for all: what closes them takes a range. */
static void descriptors_check(void)
{
    struct epoll_event none = {0};

    if (epoll_ctl(worker.epoll_fd, EPOLL_CTL_MOD, worker.stop_fd, &none) < 0 &&
        errno != ENOENT)
        worker_descriptors_lost();
}

/* ---- what weaved gives ---- */

static void descriptors_take(void)
{
    int fd;

    for (fd = WEAVE_WORKER_LISTEN_FD; fd < WEAVE_WORKER_FDS; fd++)
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            die("it is started by weaved, not by hand");
    worker.listen_fd = WEAVE_WORKER_LISTEN_FD;
    worker.lifeline_fd = WEAVE_WORKER_LIFELINE_FD;
    worker.board_fd = WEAVE_WORKER_BOARD_FD;
    worker.log_fd = WEAVE_WORKER_LOG_FD;
    worker.say_fd = WEAVE_WORKER_SAY_FD;
    worker.pid = getpid();
    weave_line_output_set(worker.say_fd, worker.pid);
    fcntl(worker.listen_fd, F_SETFL,
          fcntl(worker.listen_fd, F_GETFL) | O_NONBLOCK);
    if (weave_board_map(&worker.board, worker.board_fd, 1) != APR_SUCCESS ||
        weave_memory_reopen(&worker.readonly_fd, worker.board_fd, 0) !=
            APR_SUCCESS)
        die("its scoreboard is of another version of mod_weave, or missing");
}

static void spec_take(const json_t *message, apr_pool_t *pool)
{
    const json_t *spec = json_object_get(message, "spec");
    char *text = spec ? json_dumps(spec, JSON_COMPACT) : NULL;
    const char *problem = "nothing says what to run";
    weave_spec_t *parsed = NULL;

    if (text)
        problem = weave_spec_parse(&parsed, text, pool);
    if (problem)
        die(apr_pstrcat(pool, "its specification: ", problem, NULL));
    if (parsed->threads < 1)
        parsed->threads = 1;
    if (parsed->threads > WEAVE_BOARD_THREADS)
        parsed->threads = WEAVE_BOARD_THREADS;
    worker.spec = parsed;
    worker.generation =
        (uint32_t)json_integer_value(json_object_get(message, "generation"));
    free(text);
}

static void secret_take(const json_t *message)
{
    if (weave_secret_parse(&worker.secret, json_string_value(json_object_get(
                                               message, "secret"))) < 0)
        die("weaved gave no secret");
    if (json_is_true(json_object_get(message, "cores")))
        prctl(PR_SET_DUMPABLE, 1);
}

static void order_take(weave_control_t *channel, apr_pool_t *pool)
{
    json_t *message = NULL;
    const char *op;
    int passed = -1;
    long pid;

    if (weave_socket_peer(channel->fd, &worker.starter_uid, &pid) !=
            APR_SUCCESS ||
        weave_control_receive(channel, &message, &passed, START_MS) !=
            APR_SUCCESS)
        die("weaved gave no order");
    op = json_string_value(json_object_get(message, "op"));
    if (!op || strcmp(op, "start") != 0)
        die("weaved gave another order first");
    secret_take(message);
    spec_take(message, pool);
    json_decref(message);
}

/* ---- the application ---- */

static const char *const *strings(const apr_array_header_t *list,
                                  apr_pool_t *pool)
{
    const char **copy =
        apr_pcalloc(pool, ((size_t)list->nelts + 1) * sizeof(*copy));

    if (list->nelts)
        memcpy(copy, list->elts, (size_t)list->nelts * sizeof(*copy));
    return copy;
}

static const char *const *pairs(const apr_table_t *table, apr_pool_t *pool)
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

static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

static const weave_app_t *app_make(const weave_spec_t *spec, apr_pool_t *pool)
{
    weave_app_t *app = apr_pcalloc(pool, sizeof(*app));

    app->python = given(spec->python);
    app->script = given(spec->script);
    app->module = given(spec->module);
    app->callable = spec->callable;
    app->ini = ini_path(spec, pool);
    app->software = spec->software;
    app->python_path = strings(spec->python_path, pool);
    app->environ = pairs(spec->environ, pool);
    app->multithread = spec->threads > 1;
    app->multiprocess = spec->processes > 1;
    app->own_signals = 1;
    return app;
}

const char *worker_engine_load(const weave_spec_t *spec, apr_pool_t *pool)
{
    const char *path = given(spec->engine);
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

/* One that no program has a use for: libraries count from SIGRTMIN. */
static void stacks_start(void)
{
    int signum = SIGRTMAX - 1;

    if (worker.engine->stacks_on(signum) == 0)
        worker.stack_signal = signum;
}

/* Before Python, and before any thread that runs it. */
static void stacks_prepare(void)
{
    size_t bytes = weave_stack_prepare();

    if (bytes < WEAVE_STACK_BYTES)
        weave_line_say(WEAVE_LOG_NOTICE,
                       "WEAVE0211: the hard limit of the stack is %zu KiB: a"
                       " deep recursion while the application is imported ends"
                       " the worker instead of being a RecursionError",
                       bytes >> 10);
}

/* Before there is any thread. */
static void locale_set(void)
{
    const char *variable = NULL;
    const char *wanted = weave_locale_wanted(&variable);
    int rc = weave_locale_set(wanted);

    if (wanted && rc < 0)
        weave_line_say(WEAVE_LOG_WARNING,
                       "WEAVE0230: this machine has no locale %s, which %s"
                       " names: C libraries convert text by C.UTF-8 instead."
                       " `locale -a` lists those that it has: correct"
                       " workers.env.%s, or install the locale",
                       wanted, variable, variable);
    if (rc == -2)
        weave_line_say(WEAVE_LOG_WARNING,
                       "WEAVE0232: this machine has no locale C.UTF-8:"
                       " C libraries convert nothing but ASCII. Install it, or"
                       " set workers.env.LANG to one that `locale -a` lists");
}

/* Python's main thread, from its first line to the last. */
static void application_start(apr_pool_t *pool)
{
    const weave_app_t *app = app_make(worker.spec, pool);
    const char *problem;

    stacks_prepare();
    setenv("WEAVE_INI", app->ini, 1);
    problem = worker_engine_load(worker.spec, pool);
    if (!problem)
        problem = worker.engine->start(app, &worker_host);
    if (problem)
        fail(problem);
    stacks_start();
    problem = worker.engine->load();
    if (!worker.forked)
        descriptors_check();
    if (problem && !worker.forked)
        fail(apr_pstrcat(pool, "the application cannot be imported: ", problem,
                         NULL));
    if (worker.forked)
        _exit(0);
    if (executors_start() != 0)
        fail("there is no memory for its threads");
    atomic_store(&worker.ready, 1);
    control_wake(); /* from now on there are times to watch */
    control_say_ready();
}

static int is_stopped(void)
{
    uint64_t count;

    return worker.forked || read(worker.stop_fd, &count, sizeof(count)) > 0;
}

/* As long as the application's handlers want it: one that raises SystemExit
 * gets what SIGTERM gets without it. */
static void application_wait(void)
{
    for (;;) {
        worker.engine->wait(worker.stop_fd);
        if (!worker.forked)
            descriptors_check();
        if (is_stopped())
            return;
        control_drain_soon();
    }
}

int main(int argc, char **argv)
{
    weave_control_t channel = {.fd = WEAVE_WORKER_CONTROL_FD};
    apr_pool_t *pool;

    /* others may run as the same user: they must not read what is here */
    prctl(PR_SET_DUMPABLE, 0);
    if (apr_initialize() != APR_SUCCESS ||
        apr_pool_create(&pool, NULL) != APR_SUCCESS)
        die("no memory");
    apr_pool_tag(pool, "weave_worker");
    if (argc > 1 && !strcmp(argv[1], WEAVE_PROBE_OPTION))
        return probe_run(argc, argv, pool);
    worker.listen_fd = worker.readonly_fd = -1;
    descriptors_take();
    order_take(&channel, pool);
    locale_set();
    title_set(argc, argv, worker.spec->name);
    worker.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker.epoll_fd < 0 || worker.kick_fd < 0 || worker.stop_fd < 0 ||
        control_start(&channel) != 0)
        die(strerror(errno));
    signals_start();
    fork_prepare();
    application_start(pool);
    application_wait();
    if (!worker.forked)
        worker.engine->finish(); /* the control thread sees to its time */
    _exit(0);
}
