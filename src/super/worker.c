/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c: one worker, from its socket to its end */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "control.h"
#include "weave_report.h"

/* How long a worker that has closed its channel may take to end. */
#define CLOSED_US (2 * SUPER_SECOND)

static super_worker_t *worker_make(super_generation_t *generation)
{
    super_worker_t *worker, **last = &generation->workers;
    apr_pool_t *pool;

    apr_pool_create(&pool, generation->pool);
    apr_pool_tag(pool, "weaved worker");
    worker = apr_pcalloc(pool, sizeof(*worker));
    worker->pool = pool;
    worker->generation = generation;
    worker->events = generation->worker_events;
    worker->slot = worker->pidfd = worker->report_fd = -1;
    worker->channel.closed = 1;
    worker->started_us = weave_clock_us();
    super.workers++;
    while (*last)
        last = &(*last)->next;
    *last = worker;
    return worker;
}

void super_worker_free(super_worker_t *worker)
{
    super_worker_t **at = &worker->generation->workers;

    while (*at && *at != worker)
        at = &(*at)->next;
    if (*at)
        *at = worker->next;
    super_client_end(worker);
    super_relay_end(worker);
    super_channel_close(&worker->channel);
    super_watch_cancel(&worker->exit);
    super_watch_cancel(&worker->report);
    super_timer_cancel(&worker->limit);
    super_timer_cancel(&worker->grace);
    if (worker->pidfd >= 0)
        close(worker->pidfd);
    if (worker->report_fd >= 0)
        close(worker->report_fd);
    if (worker->board)
        weave_board_unmap(worker->board);
    if (worker->socket)
        super_dir_unlink(worker->socket);
    super_worker_publish(worker, WEAVE_WORKER_FREE);
    if (--super.workers == 0 && super.ending)
        super_loop_end();
    apr_pool_destroy(worker->pool);
}

/* ---- its slot in the roster ---- */

static int slot_find(void)
{
    int i;

    for (i = 0; i < WEAVE_ROSTER_WORKERS; i++)
        if (atomic_load(&super.roster->workers[i].state) == WEAVE_WORKER_FREE)
            return i;
    return -1;
}

void super_worker_publish(super_worker_t *worker, uint32_t state)
{
    weave_roster_worker_t entry = {0};

    if (worker->slot < 0)
        return;
    if (state != WEAVE_WORKER_FREE) {
        atomic_init(&entry.state, state);
        entry.app = worker->generation->app->index;
        entry.generation = worker->generation->number;
        entry.pid = (uint32_t)worker->pid;
        entry.birth[0] = (uint32_t)worker->birth;
        entry.birth[1] = (uint32_t)(worker->birth >> 32);
        apr_cpystrn(entry.socket, worker->socket, sizeof(entry.socket));
    }
    weave_roster_worker_set(super.roster, (uint32_t)worker->slot, &entry);
    if (state == WEAVE_WORKER_FREE)
        worker->slot = -1;
    weave_roster_wake(super.roster, worker->generation->app->index);
}

super_load_t super_worker_load(const super_worker_t *worker)
{
    super_load_t load = {0, 0};

    if (worker->board) {
        load.running = atomic_load(&worker->board->running);
        load.queued = atomic_load(&worker->board->queued);
    }
    if (load.running > WEAVE_BOARD_THREADS)
        load.running = WEAVE_BOARD_THREADS;
    if (load.queued > 1000000)
        load.queued = 1000000;
    return load;
}

/* ---- what it says ---- */

static void worker_misbehaved(super_worker_t *worker, const char *what)
{
    if (worker->state == SUPER_ENDING)
        return;
    super_worker_log(worker, WEAVE_LINE_ERROR, "WEAVE0070: %s; it is killed",
                     what);
    worker->events->failed(worker, what);
}

static void ready_take(super_worker_t *worker, const char *python)
{
    if (!worker->adopted && worker->state != SUPER_STARTING) {
        worker_misbehaved(worker, "says twice that it is ready");
        return;
    }
    worker->python =
        apr_psprintf(worker->pool, "%.40s", *python ? python : "?");
    if (!worker->adopted) /* an adopted one has served already */
        worker->events->ready(worker);
}

/* Takes the log of an adopted worker, which is the pipe that the last weaved
 * made. */
static void log_take(super_worker_t *worker, int read_fd)
{
    apr_status_t rv = worker->relay || read_fd < 0
                          ? APR_EINVAL
                          : super_relay_start(worker, read_fd);
    char why[120];

    worker->channel.control.passes = WEAVE_PASS_NONE;
    weave_fd_pass_set(worker->channel.control.fd, 0);
    if (rv != APR_SUCCESS)
        worker_misbehaved(worker,
                          apr_psprintf(worker->pool, "hands over no log: %s",
                                       apr_strerror(rv, why, sizeof(why))));
}

static void worker_message(void *data, json_t *message, int pass)
{
    super_worker_t *worker = data;
    weave_report_t report;

    super_relay_flush(worker); /* its lines explain what follows */
    if (weave_report_read(&report, message) < 0) {
        worker_misbehaved(worker, "has sent a line that is no control message");
        return;
    }
    super_worker_log(worker, WEAVE_LINE_DEBUG, "reports \"%s\"",
                     json_string_value(json_object_get(message, "op")));
    if (report.kind == WEAVE_REPORT_READY)
        ready_take(worker, report.text);
    else if (report.kind == WEAVE_REPORT_LOG)
        log_take(worker, pass);
    else if (report.kind != WEAVE_REPORT_FAILED)
        worker->events->recycle(worker, report.text,
                                report.kind == WEAVE_REPORT_STUCK);
    else
        worker->events->failed(
            worker, apr_pstrdup(worker->pool,
                                *report.text ? report.text
                                             : "the worker gives no reason"));
}

static void closed_timed_out(void *data)
{
    worker_misbehaved(data, "has closed its control channel");
}

static void worker_closed(void *data, const char *why)
{
    super_worker_t *worker = data;

    if (why)
        worker_misbehaved(worker, why);
    else if (worker->state != SUPER_ENDING && worker->state != SUPER_LEAVING) {
        super_worker_log(worker, WEAVE_LINE_DEBUG,
                         "has closed its control channel");
        super_timer_set(&worker->grace, CLOSED_US, closed_timed_out, worker);
    }
}

apr_status_t super_worker_connect(super_worker_t *worker, int fd)
{
    return super_channel_open(
        &worker->channel, fd,
        (super_bounds_t){WEAVE_REPORT_LINE_MAX, WEAVE_REPORTS_MAX,
                         worker->adopted ? WEAVE_PASS_PLAIN : WEAVE_PASS_NONE},
        worker_message, worker_closed, worker);
}

/* Reads what the child says when something fails before exec. When exec
 * succeeds, the pipe ends. */
static void report_event(void *data, uint32_t events)
{
    super_worker_t *worker = data;
    char text[1024];
    ssize_t got = read(worker->report_fd, text, sizeof(text));

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    super_watch_cancel(&worker->report);
    close(worker->report_fd);
    worker->report_fd = -1;
    if (got > 0)
        worker->events->failed(
            worker, apr_pstrmemdup(worker->pool, text, (apr_size_t)got));
}

/* ---- its end ---- */

static void worker_exited(void *data, uint32_t events)
{
    super_worker_t *worker = data;
    int status = -1;

    (void)events;
    if (!worker->adopted && waitpid(worker->pid, &status, WNOHANG) == 0)
        return;
    super_watch_cancel(&worker->exit);
    if (worker->report_fd >= 0)
        report_event(worker, EPOLLIN);
    super_channel_read(&worker->channel);
    super_relay_flush(worker); /* its last lines come before ours */
    worker->events->ended(worker, status);
}

/* ---- its start ---- */

static void start_timed_out(void *data)
{
    super_worker_t *worker = data;
    const weave_spec_t *spec = worker->generation->spec;

    worker->events->failed(
        worker,
        apr_psprintf(worker->pool, "%s within limits.startup_timeout (%ld s)",
                     worker->state == SUPER_WARMING
                         ? "release.warmup was not answered"
                         : "the application was not imported",
                     (long)(weave_spec_int(spec, WEAVE_LIMITS_STARTUP_TIMEOUT) /
                            SUPER_SECOND)));
}

static apr_status_t socket_listen(int *fd, super_worker_t *worker)
{
    super_generation_t *generation = worker->generation;
    apr_status_t rv = APR_EGENERAL;
    int tries;

    for (tries = 0; tries < WEAVE_ROSTER_WORKERS; tries++) {
        const char *path =
            apr_psprintf(worker->pool, "%s/w-%u-%u.sock", super.dir,
                         generation->number, ++generation->sockets & 0xffff);

        rv = super_dir_listen(fd, path, 0660, 1024);
        if (rv == APR_SUCCESS)
            worker->socket = path;
        /* sockets of adopted workers have such names, too */
        if (!APR_STATUS_IS_EEXIST(rv) && rv != EADDRINUSE)
            break;
    }
    return rv;
}

static apr_status_t start_send(super_worker_t *worker)
{
    super_generation_t *generation = worker->generation;
    const char *text = weave_spec_format(generation->spec, worker->pool);
    char secret[WEAVE_SECRET_TEXT];
    json_t *spec = text ? json_loads(text, 0, NULL) : NULL;
    json_t *message;
    apr_status_t rv;

    weave_secret_format(secret, &generation->app->secret);
    message = json_pack("{s:s, s:s, s:b, s:o, s:I}", "op", "start", "secret",
                        secret, "cores", super.cores, "spec", spec,
                        "generation", (json_int_t)generation->number);
    rv = message ? super_channel_send(&worker->channel, message) : APR_ENOMEM;

    json_decref(message);
    return rv;
}

/* Watches a worker that has been forked, and tells it what to start. */
static apr_status_t worker_follow(super_worker_t *worker, int control_fd)
{
    apr_status_t rv;

    worker->birth = super_process_birth(worker->pid);
    super_worker_publish(worker, WEAVE_WORKER_STARTING);
    worker->pidfd = super_pidfd_open(worker->pid);
    rv = worker->pidfd < 0 ? errno
                           : super_watch_set(&worker->exit, worker->pidfd,
                                             EPOLLIN, worker_exited, worker);
    if (rv == APR_SUCCESS)
        rv = super_watch_set(&worker->report, worker->report_fd, EPOLLIN,
                             report_event, worker);
    if (rv == APR_SUCCESS)
        rv = super_worker_connect(worker, control_fd);
    else
        close(control_fd);
    if (rv == APR_SUCCESS)
        rv = start_send(worker);
    return rv;
}

static apr_status_t worker_launch(super_worker_t *worker, int listen_fd,
                                  int board_fd)
{
    super_exec_t exec = {.listen_fd = listen_fd, .board_fd = board_fd};
    apr_status_t rv;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    weave_fd_pass_set(pair[0], 0);
    exec.control_fd = pair[1];
    rv = super_relay_pipe_make(&exec.log);
    if (rv == APR_SUCCESS)
        rv = super_exec_worker(worker, &exec);
    close(pair[1]);
    if (rv == APR_SUCCESS)
        rv = super_relay_start(worker, exec.log.read_fd);
    super_relay_pipe_close(&exec.log);
    if (rv == APR_SUCCESS)
        rv = worker_follow(worker, pair[0]);
    else
        close(pair[0]);
    if (rv != APR_SUCCESS && worker->pid > 0) { /* it is not watched */
        kill(worker->pid, SIGKILL);
        waitpid(worker->pid, NULL, 0);
    }
    return rv;
}

const char *super_worker_start(super_generation_t *generation)
{
    super_worker_t *worker = worker_make(generation);
    const weave_spec_t *spec = generation->spec;
    int listen_fd = -1, board_fd = -1;
    const char *step = "the roster has no free slot";
    char why[120] = "";
    apr_status_t rv = APR_SUCCESS;

    worker->slot = slot_find();
    if (worker->slot >= 0) {
        step = "its socket cannot be made";
        rv = socket_listen(&listen_fd, worker);
    }
    if (listen_fd >= 0) {
        step = "its shared memory cannot be made";
        rv = weave_board_create(
            &board_fd, &worker->board,
            (uint32_t)weave_spec_int(spec, WEAVE_WORKERS_THREADS));
    }
    if (board_fd >= 0) {
        step = "its process cannot be started";
        rv = worker_launch(worker, listen_fd, board_fd);
    }
    if (listen_fd >= 0) /* only the worker may hold it: a connection to a dead
                           one must fail */
        close(listen_fd);
    if (board_fd >= 0)
        close(board_fd);
    if (worker->pidfd >= 0 && rv == APR_SUCCESS) {
        super_timer_set(&worker->limit,
                        weave_spec_int(spec, WEAVE_LIMITS_STARTUP_TIMEOUT),
                        start_timed_out, worker);
        super_worker_log(worker, WEAVE_LINE_DEBUG,
                         "is started for generation %u, at %s",
                         generation->number, worker->socket);
        return NULL;
    }
    if (rv != APR_SUCCESS)
        apr_strerror(rv, why, sizeof(why));
    super_worker_free(worker);
    return apr_psprintf(generation->pool, "%s%s%s", step, *why ? ": " : "",
                        why);
}

super_worker_t *super_worker_adopt(super_generation_t *generation, int slot,
                                   const weave_roster_worker_t *entry,
                                   int pidfd)
{
    super_worker_t *worker = worker_make(generation);

    worker->adopted = worker->unjoined = 1;
    worker->slot = slot;
    worker->pid = (pid_t)entry->pid;
    worker->birth = entry->birth[0] | (uint64_t)entry->birth[1] << 32;
    worker->socket = apr_pstrdup(worker->pool, entry->socket);
    worker->pidfd = pidfd;
    worker->started_us -= super_process_age(worker->birth);
    worker->ready_us = worker->started_us;
    worker->state = SUPER_READY;
    super_watch_set(&worker->exit, pidfd, EPOLLIN, worker_exited, worker);
    return worker;
}
