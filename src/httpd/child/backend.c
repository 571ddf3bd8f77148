/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c: runs one request in a worker process
 *
 * A request that no worker has begun with is sent once more, whatever its
 * method. One that was begun with is sent once more only where that can do no
 * harm: GET, HEAD and OPTIONS without conditions, of whose answer nothing has
 * left. */
#include "backend.h"

#include <string.h>

#include <apr_strings.h>

#define TRIES_MOST 16   /* of a request that nobody has begun with */
#define REFUSALS_MOST 2 /* full queues, until it is 503 */
#define PAUSE_US 10000  /* while no worker is there */

static int may_repeat(const backend_t *backend)
{
    const request_rec *r = backend->exchange->r;

    return (r->method_number == M_GET || r->method_number == M_OPTIONS) &&
           !backend->exchange->head_sent && !backend->streamed &&
           !apr_table_get(r->headers_in, "If-Match") &&
           !apr_table_get(r->headers_in, "If-Unmodified-Since") &&
           !apr_table_get(r->headers_in, "X-If-Unmodified-Since");
}

static int client_gone(backend_t *backend)
{
    request_rec *r = backend->exchange->r;

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  "the client ended the request early");
    if (!backend->exchange->taken_over)
        r->connection->aborted = 1;
    return mod_weave_finish(backend->exchange, WEAVE_RUN_GONE);
}

/* Ends a request whose answer will not come. Returns the status that the client
 * gets, or cuts the answer. */
static int answer_fail(backend_t *backend)
{
    mod_weave_exchange_t *exchange = backend->exchange;
    request_rec *r = exchange->r;

    apr_table_setn(r->err_headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%" APR_TIME_T_FMT,
                                apr_time_sec(weave_conf_int(
                                    exchange->conf, WEAVE_LIMITS_BACKOFF))));
    return exchange->head_sent ? mod_weave_finish(exchange, WEAVE_RUN_CUT)
                               : HTTP_BAD_GATEWAY;
}

static int worker_lost(backend_t *backend, apr_uint32_t pid)
{
    request_rec *r = backend->exchange->r;

    if (backend->repeated)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "WEAVE0250: a second worker (pid %u) was lost while it"
                      " had this request, which is not sent to a third one:"
                      " %s %s (request %s)",
                      pid, r->method, r->uri, mod_weave_request_id(r));
    else
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "WEAVE0137: the worker (pid %u) was lost while it had"
                      " this request: %s %s (request %s)",
                      pid, r->method, r->uri, mod_weave_request_id(r));
    return answer_fail(backend);
}

/* How often the request was sent and no worker has begun with it. */
typedef struct {
    int unstarted, refused;
} tries_t;

/* Takes the outcome of an attempt. Returns 1 to try again, or 0 and *rc. */
static int outcome_take(backend_t *backend, apr_uint32_t pid, tries_t *tries,
                        int *rc)
{
    switch (backend->end) {
    case BACKEND_DONE:
        backend->exchange->worker_answered = backend->outcome == WEAVE_RUN_DONE;
        *rc = mod_weave_finish(backend->exchange, backend->outcome);
        return 0;
    case BACKEND_GONE:
        *rc = client_gone(backend);
        return 0;
    case BACKEND_UNSTARTED:
        if (++tries->unstarted < TRIES_MOST && !backend->streamed)
            return 1;
        *rc = mod_weave_refuse(backend->exchange, WEAVE_REFUSED_DOWN,
                               "no worker begins with the request");
        return 0;
    case BACKEND_REFUSED:
        if (++tries->refused < REFUSALS_MOST)
            return 1;
        *rc = mod_weave_refuse(backend->exchange, WEAVE_REFUSED_QUEUE,
                               "the queue is full");
        return 0;
    case BACKEND_LATE:
        *rc = mod_weave_refuse(backend->exchange, WEAVE_REFUSED_LATE,
                               "the time in the queue is over");
        return 0;
    case BACKEND_BROKEN:
        *rc = answer_fail(backend);
        return 0;
    case BACKEND_LOST:
        if (backend->exchange->in_problem) { /* it stopped for our client */
            *rc = client_gone(backend);
            return 0;
        }
        if (may_repeat(backend) && !backend->repeated) {
            backend->repeated = 1;
            return 1;
        }
        *rc = worker_lost(backend, pid);
        return 0;
    }
    return 0;
}

static void request_try(backend_t *backend)
{
    backend->cancel_until = 0;
    backend->silent_until = 0;
    backend->reusable = 0;
    backend->flush_due = 0;
    backend->heard = 0;
    if (backend_send(backend) == 0)
        backend_receive(backend);
    backend_conn_release(backend->conn, backend->reusable ? BACKEND_CONN_IDLE
                                        : backend->end == BACKEND_UNSTARTED ||
                                                backend->end == BACKEND_LOST ||
                                                backend->end == BACKEND_BROKEN
                                            ? BACKEND_CONN_DEAD
                                            : BACKEND_CONN_BROKEN);
}

static int request_run(backend_t *backend)
{
    apr_uint32_t avoid = 0;
    tries_t tries = {0};
    int misses = 0, rc = OK;

    for (;;) {
        if (backend_client_has_left(backend))
            return client_gone(backend);
        backend->conn =
            backend_conn_acquire(backend->app, &avoid, backend->queue_until);
        /* The body, and the way to a worker, may have taken a while: this is
         * the last question before the worker has the request. */
        if (mod_weave_maintenance_again(backend->exchange) != OK) {
            if (backend->conn)
                backend_conn_release(backend->conn, BACKEND_CONN_IDLE);
            return OK;
        }
        if (backend->conn) {
            avoid = backend_conn_pid(backend->conn);
            request_try(backend);
            if (!outcome_take(backend, avoid, &tries, &rc))
                return rc;
        }
        else if (weave_clock_us() >= backend->queue_until) {
            return mod_weave_refuse(backend->exchange, WEAVE_REFUSED_DOWN,
                                    "no worker is there");
        }
        else if (misses++) { /* another one may be there at once */
            apr_sleep(PAUSE_US);
        }
    }
}

/* Makes the request that the worker will see. Returns OK, or an HTTP status. */
static int request_prepare(backend_t *backend)
{
    mod_weave_exchange_t *exchange = backend->exchange;
    int rc = mod_weave_body_begin(exchange);

    if (rc == OK && !weave_conf_int(exchange->conf, WEAVE_WSGI_STREAM_INPUT))
        rc = mod_weave_spool(exchange);
    return rc == OK ? backend_encode(backend) : rc;
}

int mod_weave_backend_run(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    backend_t backend;
    int64_t now;
    int rc;

    memset(&backend, 0, offsetof(backend_t, buffer));
    backend.exchange = exchange;
    backend.app = exchange->mount->app;
    backend.client_fd = mod_weave_client_fd(r);
    backend.passed = -1;
    now = weave_clock_us();
    backend.poll_at = now + BACKEND_CLIENT_POLL_US;
    if (backend_pool_wait(backend.app,
                          now + weave_conf_int(backend.app->conf,
                                               WEAVE_LIMITS_STARTUP_TIMEOUT)) !=
        WEAVE_APP_SERVING)
        return mod_weave_refuse(exchange, WEAVE_REFUSED_DOWN,
                                "the application does not run");
    rc = request_prepare(&backend);
    if (rc != OK)
        return mod_weave_body_refuse(exchange, rc);
    backend.queue_until =
        weave_clock_us() +
        weave_conf_int(exchange->conf, WEAVE_LIMITS_QUEUE_TIMEOUT);
    return request_run(&backend);
}
