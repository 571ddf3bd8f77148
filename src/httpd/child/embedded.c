/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.c: Python inside an httpd child
 *
 * One thread of ours is Python's main thread: it makes the interpreter,
 * imports the application (again, when that fails), and at the end runs what
 * Python runs at its end. Requests call the engine on httpd's own threads.
 *
 * A prefork child is told to stop by a signal handler that destroys pchild,
 * whatever was interrupted. So what runs there is pipes and poll(), no lock,
 * no memory, nothing of Python. */
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_thread_proc.h>

#include "weave_host.h"
#include "weave_reason.h"

#define RETRY_FIRST_S 1
#define RETRY_MOST_S 60
#define STOP_MS 3000 /* httpd kills a child about 10 s after it asks it */
#define INTERRUPTED_MS 1000 /* where Python may not answer at all */

typedef enum { STARTING, READY, FAILED } state_e;

static struct {
    server_rec *server;
    apr_pool_t *pool; /* Python's main thread's own */
    mod_weave_app_t *app;
    /* only this process has these: see reader.c */
    const weave_conf_t *conf;
    const apr_table_t *environ;
    weave_app_t spec;
    const weave_host_t *host;
    atomic_int state; /* state_e */
    atomic_int begun; /* 1: there is Python's main thread */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pid_t pid;      /* of the child */
    int stop_fd[2]; /* anything to read: stop */
    int done_fd[2]; /* end of file: stopped */
} embedded;

static void state_set(state_e state)
{
    pthread_mutex_lock(&embedded.lock);
    atomic_store(&embedded.state, state);
    pthread_cond_broadcast(&embedded.changed);
    pthread_mutex_unlock(&embedded.lock);
}

/* ---- Python's main thread ---- */

/* Returns 1 when the child is to stop, 0 after TIMEOUT_MS (-1: never). */
static int stop_wait(int timeout_ms)
{
    struct pollfd fd = {embedded.stop_fd[0], POLLIN, 0};
    int rc;

    do
        rc = poll(&fd, 1, timeout_ms);
    while (rc < 0 && errno == EINTR);
    return rc > 0;
}

static void script_stat(struct stat *status)
{
    if (!embedded.spec.script || stat(embedded.spec.script, status) != 0)
        memset(status, 0, sizeof(*status));
}

static int is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec && a->st_ino == b->st_ino &&
           a->st_size == b->st_size;
}

/* Waits until another attempt makes sense. Returns 1 where the child is to stop
 * instead. */
static int retry_wait(int pause_s, const struct stat *tried)
{
    struct stat now;
    int second;

    for (second = 0; second < pause_s; second++) {
        if (stop_wait(1000))
            return 1;
        script_stat(&now);
        if (!is_unchanged(tried, &now))
            return 0;
    }
    return 0;
}

/* Tells weavectl why the application cannot be imported; NULL: it can. */
static void failure_tell(const char *why)
{
    apr_array_header_t *problems;
    weave_ini_t *ini = NULL;
    apr_pool_t *pool;

    apr_pool_create(&pool, embedded.pool);
    problems = weave_problems_make(pool);
    if (why && weave_ini_read(&ini, embedded.app->ini_now, problems, pool) !=
                   APR_SUCCESS)
        why = "its sync.ini cannot be read again";
    else if (why)
        why = weave_reason_mask(why, ini, NULL, pool);
    weave_counters_fail(mod_weave_counters, mod_weave_counters_child, why);
    apr_pool_destroy(pool);
}

static int application_load(void)
{
    int pause_s = RETRY_FIRST_S;
    const char *failed;
    struct stat tried;

    for (;;) {
        script_stat(&tried);
        failed = mod_weave_engine->load();
        mod_weave_host_leave_fork();
        failure_tell(failed);
        if (!failed) {
            state_set(READY);
            ap_log_error(APLOG_MARK, APLOG_INFO, 0, embedded.server,
                         "the application of %s is ready, in Python %s",
                         embedded.app->ini, mod_weave_engine->python);
            return 0;
        }
        state_set(FAILED);
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, embedded.server,
                     "WEAVE0020: the application of %s cannot be imported (the"
                     " lines above say why): clients get 503; the next"
                     " attempt comes when %s changes or in %d s",
                     embedded.app->ini,
                     embedded.spec.script ? embedded.spec.script : "nothing",
                     pause_s);
        if (retry_wait(pause_s, &tried))
            return -1;
        pause_s = pause_s * 2 < RETRY_MOST_S ? pause_s * 2 : RETRY_MOST_S;
    }
}

/* Loads libpython and the engine, for good, and starts Python. Returns NULL, or
 * what is wrong. */
static const char *engine_start(void)
{
    static const weave_virtualenv_t none;
    const mod_weave_app_t *app = embedded.app;
    const weave_virtualenv_t *venv = app->venv ? app->venv : &none;
    const void *engine;
    const char *problem =
        weave_dso_load(&engine, venv->libpython, venv->soname, app->engine,
                       WEAVE_ENGINE_SYMBOL, embedded.pool);

    if (!problem)
        problem = weave_engine_mismatch(engine, app->engine, venv->version);
    if (!problem)
        problem = ((const weave_engine_t *)engine)
                      ->start(&embedded.spec, embedded.host);
    if (!problem)
        mod_weave_engine = engine;
    return problem;
}

static void *APR_THREAD_FUNC python_main(apr_thread_t *thread, void *unused)
{
    const char *problem = engine_start();

    (void)thread;
    (void)unused;
    if (problem) {
        failure_tell(problem);
        state_set(FAILED);
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, embedded.server,
                     "WEAVE0021: Python cannot start: %s", problem);
    }
    else {
        if (application_load() == 0)
            stop_wait(-1);
        mod_weave_engine->finish();
    }
    close(embedded.done_fd[1]);
    for (;;) /* with the GIL, until the process is gone */
        pause();
    return NULL;
}

/* ---- the end of the child ---- */

/* Lets Python's main thread do its last work, for MOST_MS at most. */
static void python_stop(int most_ms)
{
    struct pollfd fd = {embedded.done_fd[0], POLLIN, 0};

    if (!atomic_load(&embedded.begun) || write(embedded.stop_fd[1], "", 1) < 0)
        return;
    while (poll(&fd, 1, most_ms) < 0 && errno == EINTR)
        ;
}

/* Ends a process that the application has forked: TERM came before it could let
 * go of httpd's handler for it, in which we are. */
static void fork_die(void)
{
    sigset_t term;

    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &term, NULL);
    _exit(0);
}

static apr_status_t child_stop(void *unused)
{
    (void)unused;
    if (getpid() != embedded.pid)
        fork_die();
    /* A signal has interrupted Python on this very thread: nothing that
     * takes a lock may follow, and other cleanups do. Python's main thread
     * can work, unless this one holds the GIL. */
    if (mod_weave_engine && mod_weave_engine->is_running()) {
        python_stop(INTERRUPTED_MS);
        _exit(0);
    }
    python_stop(STOP_MS);
    return APR_SUCCESS;
}

static void exit_now(int status, void *unused)
{
    (void)unused;
    _exit(status);
}

/* The last cleanup of pchild; exit() is next. Threads of the application may
 * still be inside C code, so nothing else of what exit() does may run: not the
 * destructors of libraries. Its status tells the parent whether it is sick. */
static apr_status_t child_leave(void *unused)
{
    (void)unused;
    on_exit(exit_now, NULL);
    return APR_SUCCESS;
}

static void *overdue_end(void *unused)
{
    struct timespec pause = {STOP_MS / 1000, 0};

    (void)unused;
    while (nanosleep(&pause, &pause) != 0)
        ;
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, embedded.server,
                 "Python has not come to its end: the child leaves without"
                 " waiting any longer");
    python_stop(STOP_MS);
    _exit(0);
}

/* Sees to it that the child ends. `stop` and `restart` cut the connections and
 * then wait for the threads: a thread that is stuck in Python would keep the
 * child until httpd kills it, and no exit handler would run. */
void mod_weave_embedded_stopping(apr_pool_t *pchild, int graceful)
{
    pthread_t thread;

    (void)pchild;
    /* prefork calls this in a signal handler, and waits for nothing */
    if (graceful || !mod_weave_engine || !embedded.spec.multithread)
        return;
    if (pthread_create(&thread, NULL, overdue_end, NULL) == 0)
        pthread_detach(thread);
}

/* ---- the start of the child ---- */

static void spec_fill(apr_pool_t *pool)
{
    const mod_weave_app_t *app = embedded.app;
    weave_app_t *spec = &embedded.spec;
    int threaded = 0, forked = 0;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &forked);
    spec->python = app->venv ? app->venv->python : NULL;
    spec->script =
        weave_host_text(weave_conf_str(embedded.conf, WEAVE_WSGI_SCRIPT));
    spec->module =
        weave_host_text(weave_conf_str(embedded.conf, WEAVE_WSGI_MODULE));
    spec->callable = weave_conf_str(embedded.conf, WEAVE_WSGI_CALLABLE);
    spec->ini = app->ini_now;
    spec->software = ap_get_server_banner();
    spec->python_path = weave_host_strings(
        weave_conf_list(embedded.conf, WEAVE_WSGI_PYTHON_PATH), pool);
    spec->environ = weave_host_pairs(embedded.environ, pool);
    spec->multithread = threaded != AP_MPMQ_NOT_SUPPORTED;
    spec->multiprocess = forked > 1;
}

/* Sets what the application finds in os.environ. */
static void environment_set(void)
{
    const char *const *env =
        weave_host_pairs(weave_conf_env(embedded.conf), embedded.pool);

    setenv("WEAVE_INI", embedded.app->ini_now, 1);
    for (; *env; env += 2)
        setenv(env[0], env[1], 1);
}

/* Makes a condition that is waited for by the clock that nobody can set. */
static apr_status_t changed_init(void)
{
    pthread_condattr_t attr;
    int rc = pthread_mutex_init(&embedded.lock, NULL);

    if (rc == 0)
        rc = pthread_condattr_init(&attr);
    if (rc != 0)
        return rc;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&embedded.changed, &attr);
    pthread_condattr_destroy(&attr);
    return rc;
}

/* Takes over what only this child may know. 0, or -1 after logging why not. */
static int conf_take(void)
{
    mod_weave_app_t *app = embedded.app;
    weave_conf_t *conf = NULL;
    apr_size_t bytes;
    const char *text =
        mod_weave_hidden_copy(&bytes, app->private_fd, embedded.pool);

    if (!text) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, embedded.server,
                     "WEAVE0182: the configuration of %s cannot be taken over"
                     " from httpd's parent: %s",
                     app->ini, strerror(errno));
        return -1;
    }
    close(app->private_fd);
    app->private_fd = -1;
    weave_conf_parse(&conf, text, app->ini_real,
                     weave_problems_make(embedded.pool), embedded.pool);
    embedded.environ = weave_conf_environ(conf);
    /* again: WeaveSet may say what is no UTF-8, which no text can have */
    embedded.conf =
        app->set ? weave_conf_merge(embedded.pool, conf, app->set) : conf;
    return 0;
}

static apr_status_t embedded_prepare(apr_pool_t *pchild)
{
    apr_status_t rv;

    if (pipe2(embedded.stop_fd, O_CLOEXEC) != 0 ||
        pipe2(embedded.done_fd, O_CLOEXEC) != 0)
        return errno;
    rv = changed_init();
    if (rv == APR_SUCCESS) {
        apr_pool_cleanup_register(pchild, NULL, child_leave,
                                  apr_pool_cleanup_null);
        apr_pool_pre_cleanup_register(pchild, NULL, child_stop);
        spec_fill(embedded.pool);
        environment_set();
    }
    return rv;
}

static void start_fail(apr_status_t rv)
{
    atomic_store(&embedded.begun, 0);
    atomic_store(&embedded.state, FAILED);
    ap_log_error(APLOG_MARK, APLOG_ERR, rv, embedded.server,
                 "WEAVE0022: no thread can be made for Python");
}

void mod_weave_embedded_start(apr_pool_t *pchild, server_rec *main_server)
{
    apr_status_t rv;

    embedded.app = mod_weave_apps.embedded;
    embedded.server = main_server;
    embedded.pid = getpid();
    if (!embedded.app)
        return;
    weave_stack_prepare();
    /* no other one: it would change what httpd's own strcasecmp() does */
    if (weave_locale_set(NULL) < 0)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server,
                     "WEAVE0233: this machine has no locale C.UTF-8:"
                     " C libraries of the application convert nothing but"
                     " ASCII. Install it, and restart httpd");
    embedded.host = mod_weave_host_start(embedded.app->ini_now);
    apr_pool_create(&embedded.pool, NULL);
    apr_pool_tag(embedded.pool, "weave_embedded");
    if (conf_take() < 0) {
        atomic_store(&embedded.state, FAILED);
        return;
    }
    rv = embedded_prepare(pchild);
    if (rv != APR_SUCCESS)
        start_fail(rv);
}

/* Starts Python behind child_init of all modules: from here on, what is opened
 * may be the application's. */
void mod_weave_embedded_python(apr_pool_t *pchild, server_rec *main_server)
{
    apr_thread_t *thread;
    sigset_t before;
    apr_status_t rv;

    (void)pchild;
    (void)main_server;
    if (!embedded.app || atomic_load(&embedded.state) == FAILED)
        return;
    mod_weave_fork_prepare(embedded.pool);
    /* httpd's signals are for httpd's threads; a fault is one's own */
    weave_host_signals_block(&before);
    atomic_store(&embedded.begun, 1);
    rv = apr_thread_create(&thread, NULL, python_main, NULL, embedded.pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != APR_SUCCESS)
        start_fail(rv);
}

const weave_engine_t *mod_weave_embedded_ready(void)
{
    int64_t until_us;
    struct timespec until;
    int rc = 0;

    if (!embedded.app)
        return NULL;
    if (atomic_load(&embedded.state) == READY)
        return mod_weave_engine;
    if (atomic_load(&embedded.state) == FAILED)
        return NULL;
    until_us = weave_clock_us() +
               weave_conf_int(embedded.app->conf, WEAVE_LIMITS_STARTUP_TIMEOUT);
    until = (struct timespec){until_us / 1000000, until_us % 1000000 * 1000};
    pthread_mutex_lock(&embedded.lock);
    while (atomic_load(&embedded.state) == STARTING && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&embedded.changed, &embedded.lock, &until);
    pthread_mutex_unlock(&embedded.lock);
    return atomic_load(&embedded.state) == READY ? mod_weave_engine : NULL;
}
