/* SPDX-License-Identifier: Apache-2.0 */
/* backend_pool.c: the workers of each application, as one child sees them
 *
 * The list follows the roster: it is made anew whenever the application's
 * event has moved. What is in it lives in malloc'ed memory, because threads
 * come and go with it: one lock for each application guards it all, and is
 * never held over a system call that can block. */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_fd.h"
#include <http_main.h>

#include "weave_handshake.h"

#define WELCOME_MS 5000
#define WELCOME_LEAST_MS 1000 /* also for who has waited long enough */
/* a socket takes a request with a body of 256 KiB before its worker reads */
#define REQUEST_BYTES (272 * 1024)
#define WAKE_MS 100 /* how often a waiting thread looks up from its socket */

typedef struct backend_pool_t backend_pool_t;

struct backend_worker_t {
    backend_pool_t *pool;
    backend_worker_t *next;
    weave_roster_worker_t entry; /* as the roster had it */
    apr_uint32_t slot;           /* in the roster */
    weave_board_t *board; /* read-only; NULL until the first connection */
    backend_conn_t *idle;
    unsigned busy; /* connections in use */
    int listed;    /* 0: not in the list any more; goes with the last of them */
    atomic_int logged; /* that it cannot be connected to */
};

struct backend_pool_t {
    pthread_mutex_t lock;
    backend_worker_t *workers;
    apr_uint32_t event; /* that the list was made for */
    int filled;
};

static backend_pool_t pools[WEAVE_ROSTER_APPS];

void mod_weave_backend_start(apr_pool_t *pchild, server_rec *s)
{
    int i;

    (void)pchild;
    (void)s;
    for (i = 0; i < WEAVE_ROSTER_APPS; i++)
        pthread_mutex_init(&pools[i].lock, NULL);
}

/* ---- the list ---- */

static void worker_free(backend_worker_t *worker)
{
    if (worker->board)
        weave_board_unmap(worker->board);
    free(worker);
}

static void conns_close(backend_worker_t *worker)
{
    backend_conn_t *conn, *next;

    for (conn = worker->idle; conn; conn = next) {
        next = conn->next;
        close(conn->fd);
        free(conn);
    }
    worker->idle = NULL;
}

static void worker_unlist(backend_worker_t *worker)
{
    worker->listed = 0;
    conns_close(worker);
    if (!worker->busy)
        worker_free(worker);
}

/* Returns the worker at SLOT as it was before, taken out of LIST; or a new one.
 */
static backend_worker_t *worker_get(backend_worker_t **list,
                                    backend_pool_t *pool, apr_uint32_t slot,
                                    const weave_roster_worker_t *entry)
{
    backend_worker_t *worker;

    for (; *list; list = &(*list)->next) {
        worker = *list;
        if (worker->slot == slot && worker->entry.pid == entry->pid &&
            !strcmp(worker->entry.socket, entry->socket)) {
            *list = worker->next;
            return worker;
        }
    }
    worker = calloc(1, sizeof(*worker));
    if (worker) {
        worker->pool = pool;
        worker->slot = slot;
        worker->entry = *entry;
        worker->listed = 1;
    }
    return worker;
}

static void pool_fill(backend_pool_t *pool, const weave_roster_t *roster,
                      apr_uint32_t app)
{
    apr_uint32_t generation = atomic_load(&roster->apps[app].generation), i;
    backend_worker_t *old = pool->workers, *next;

    pool->workers = NULL;
    for (i = 0; i < WEAVE_ROSTER_WORKERS; i++) {
        weave_roster_worker_t entry;
        backend_worker_t *worker;

        if (atomic_load_explicit(&roster->workers[i].state,
                                 memory_order_relaxed) != WEAVE_WORKER_READY)
            continue;
        weave_roster_worker_get(&entry, roster, i);
        if (atomic_load(&entry.state) != WEAVE_WORKER_READY ||
            entry.app != app || entry.generation != generation)
            continue;
        worker = worker_get(&old, pool, i, &entry);
        if (!worker)
            continue;
        worker->next = pool->workers;
        pool->workers = worker;
    }
    for (; old; old = next) {
        next = old->next;
        worker_unlist(old);
    }
}

static void pool_refresh(backend_pool_t *pool, apr_uint32_t app)
{
    const weave_roster_t *roster = mod_weave_roster();
    apr_uint32_t event = atomic_load(&roster->apps[app].event);

    if (pool->filled && pool->event == event)
        return;
    /* what comes after this look raises the event again */
    pool->event = event;
    pool->filled = 1;
    pool_fill(pool, roster, app);
}

/* ---- choosing ---- */

/* Returns how many requests WORKER has. What its board says covers all
 * children, but only what the worker has seen. */
static unsigned worker_load(const backend_worker_t *worker)
{
    unsigned told = worker->board ? atomic_load(&worker->board->running) +
                                        atomic_load(&worker->board->queued)
                                  : 0;

    return told > worker->busy ? told : worker->busy;
}

static backend_worker_t *worker_choose(backend_pool_t *pool, apr_uint32_t avoid)
{
    backend_worker_t *worker, *best = NULL;
    unsigned least = 0;

    for (worker = pool->workers; worker; worker = worker->next) {
        unsigned load = worker_load(worker);

        if (worker->entry.pid == avoid && pool->workers->next)
            continue;
        if (!best || load < least) {
            best = worker;
            least = load;
        }
    }
    return best;
}

/* ---- connecting ---- */

static int conn_connect(const char *path)
{
    struct timeval wake = {0, WAKE_MS * 1000};
    int fd = -1;
    /* a full backlog is EAGAIN here, not a wait */
    apr_status_t rv = weave_socket_connect(
        &fd, path, mod_weave_retained_get()->starter, WEAVE_SOCKET_NONBLOCK);

    if (rv == APR_SUCCESS)
        weave_socket_room_set(fd, REQUEST_BYTES);
    if (rv == APR_SUCCESS &&
        (fcntl(fd, F_SETFL, 0) < 0 ||
         setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wake, sizeof(wake)) < 0)) {
        rv = errno;
        close(fd);
    }
    errno = rv;
    return rv == APR_SUCCESS ? fd : -1;
}

static apr_status_t welcome_read(weave_welcome_t *welcome,
                                 weave_welcome_part_t *part, int fd,
                                 int64_t until)
{
    apr_status_t rv;

    do {
        rv = weave_welcome_receive(welcome, part, fd, 0);
    } while (APR_STATUS_IS_EAGAIN(rv) && weave_clock_us() < until);
    return APR_STATUS_IS_EAGAIN(rv) ? ETIMEDOUT
           : rv == APR_EOF          ? ECONNRESET
                                    : rv;
}

static apr_status_t welcome_take(backend_conn_t *conn, weave_board_t **board,
                                 int fd, const weave_welcome_t *welcome)
{
    if (welcome->slot == WEAVE_SLOT_NONE)
        return EUSERS; /* the worker says it */
    if (fd < 0 || welcome->slot >= WEAVE_BOARD_SLOTS ||
        weave_board_map(board, fd, 0) != APR_SUCCESS)
        return EBADMSG;
    conn->slot = welcome->slot;
    return APR_SUCCESS;
}

/* Lets both sides say who they are. 0, or -1 and errno. */
static int hello_exchange(backend_conn_t *conn, weave_board_t **board,
                          const weave_secret_t *secret, int64_t until)
{
    weave_hello_frame_t say = weave_hello_make(WEAVE_ROLE_CLIENT, secret);
    weave_welcome_part_t part = WEAVE_WELCOME_NOTHING;
    weave_welcome_t welcome;
    apr_status_t rv;

    if (send(conn->fd, &say, sizeof(say), MSG_NOSIGNAL) != (ssize_t)sizeof(say))
        return -1;
    rv = welcome_read(&welcome, &part, conn->fd, until);
    if (rv == APR_SUCCESS)
        rv = welcome_take(conn, board, part.board_fd, &welcome);
    weave_welcome_drop(&part);
    errno = rv;
    return rv == APR_SUCCESS ? 0 : -1;
}

/* Logs why a worker cannot be reached, once by each child; one that is just
 * leaving is expected. */
static void connect_failure_log(backend_worker_t *worker, int error)
{
    static const struct {
        int error;
        const char *text;
    } words[] = {
        {EAGAIN, "too many connections wait there already"},
        {EPERM, "another user than the one who started httpd listens there"},
        {ETIMEDOUT, "it says nothing"},
        {EBADMSG, "what it says is no WELCOME"},
    };
    const char *why = strerror(error);
    apr_size_t i;

    for (i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (words[i].error == error)
            why = words[i].text;
    if (error == ECONNREFUSED || error == ECONNRESET || error == EPIPE ||
        error == ENOENT || error == EUSERS ||
        atomic_exchange(&worker->logged, 1))
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ap_server_conf,
                     "cannot connect to the worker at %s: %s",
                     worker->entry.socket, why);
    else if (error == EPROTO)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                     "WEAVE0134: the workers at %s are of another version of"
                     " mod_weave: stop httpd and start it again",
                     worker->entry.socket);
    else
        ap_log_error(
            APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
            "WEAVE0138: cannot connect to the worker (pid %u) at %s: %s",
            worker->entry.pid, worker->entry.socket, why);
}

static backend_conn_t *conn_make(backend_worker_t *worker,
                                 weave_board_t **board, int64_t until)
{
    backend_conn_t *conn = calloc(1, sizeof(*conn));
    const weave_secret_t *secret =
        &mod_weave_retained_get()->apps[worker->pool - pools].secret;

    if (!conn)
        return NULL;
    conn->fd = conn_connect(worker->entry.socket);
    if (conn->fd >= 0 && hello_exchange(conn, board, secret, until) == 0)
        return conn;
    connect_failure_log(worker, errno);
    if (conn->fd >= 0)
        close(conn->fd);
    free(conn);
    return NULL;
}

/* Returns until when a worker may take for its WELCOME, where its request waits
 * until UNTIL. */
static int64_t welcome_until(int64_t until)
{
    int64_t now = weave_clock_us();
    int64_t least = now + WELCOME_LEAST_MS * APR_TIME_C(1000);
    int64_t most = now + WELCOME_MS * APR_TIME_C(1000);

    return until < least ? least : until > most ? most : until;
}

/* ---- what a request uses ---- */

static void worker_leave(backend_worker_t *worker)
{
    if (--worker->busy == 0 && !worker->listed)
        worker_free(worker);
}

backend_conn_t *backend_conn_acquire(const mod_weave_app_t *app,
                                     apr_uint32_t *avoid, int64_t until)
{
    backend_pool_t *pool = &pools[app->slot];
    weave_board_t *board = NULL;
    backend_worker_t *worker;
    backend_conn_t *conn = NULL;

    pthread_mutex_lock(&pool->lock);
    pool_refresh(pool, (apr_uint32_t)app->slot);
    worker = worker_choose(pool, *avoid);
    if (worker) {
        worker->busy++;
        conn = worker->idle;
        if (conn)
            worker->idle = conn->next;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!worker || conn)
        return conn;
    conn = conn_make(worker, &board, welcome_until(until));
    pthread_mutex_lock(&pool->lock);
    if (board && !worker->board) {
        worker->board = board;
        board = NULL;
    }
    if (conn) {
        conn->worker = worker;
    }
    else {
        *avoid = worker->entry.pid;
        worker_leave(worker);
    }
    pthread_mutex_unlock(&pool->lock);
    if (board)
        weave_board_unmap(board);
    return conn;
}

void backend_conn_release(backend_conn_t *conn, int state)
{
    backend_worker_t *worker = conn->worker;
    backend_pool_t *pool = worker->pool;

    pthread_mutex_lock(&pool->lock);
    if (!worker->listed && state == BACKEND_CONN_IDLE)
        state = BACKEND_CONN_BROKEN;
    if (state == BACKEND_CONN_DEAD)
        conns_close(worker);
    if (state == BACKEND_CONN_IDLE) {
        conn->next = worker->idle;
        worker->idle = conn;
    }
    worker_leave(worker);
    pthread_mutex_unlock(&pool->lock);
    if (state != BACKEND_CONN_IDLE) {
        close(conn->fd);
        free(conn);
    }
}

int backend_conn_has_started(const backend_conn_t *conn)
{
    return atomic_load(&conn->worker->board->started[conn->slot]) ==
           conn->number;
}

apr_uint32_t backend_conn_pid(const backend_conn_t *conn)
{
    return conn->worker->entry.pid;
}

apr_uint32_t backend_pool_wait(const mod_weave_app_t *app, int64_t until)
{
    const weave_roster_t *roster = mod_weave_roster();
    const weave_roster_app_t *row;
    apr_uint32_t event, state;

    if (!roster || app->slot < 0)
        return WEAVE_APP_FAILED;
    row = &roster->apps[app->slot];
    for (;;) {
        int64_t now;

        event = atomic_load(&row->event);
        state = atomic_load(&row->state);
        if (state == WEAVE_APP_SERVING || state == WEAVE_APP_FAILED)
            return state;
        now = weave_clock_us();
        if (now >= until)
            return state;
        weave_roster_wait(roster, (apr_uint32_t)app->slot, event, until - now);
    }
}

double backend_pool_busy(const mod_weave_app_t *app)
{
    unsigned threads =
        (unsigned)weave_conf_int(app->conf, WEAVE_WORKERS_THREADS);
    unsigned busy = 0, slots = 0;
    const backend_worker_t *worker;
    backend_pool_t *pool = &pools[app->slot];

    pthread_mutex_lock(&pool->lock);
    for (worker = pool->workers; worker; worker = worker->next) {
        unsigned load = worker_load(worker);

        busy += load < threads ? load : threads;
        slots += threads;
    }
    pthread_mutex_unlock(&pool->lock);
    return slots ? (double)busy / slots : 0;
}
