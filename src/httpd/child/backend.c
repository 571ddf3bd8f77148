/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c: one request in a worker process
 *
 * What was not begun with is sent once more, whatever its method. What was is
 * sent once more only where that can do no harm: GET, HEAD and OPTIONS without
 * conditions, of whose answer nothing has left. */
#include "backend.h"

#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#define TRIES_MOST 16   /* of a request that nobody has begun with */
#define REFUSALS_MOST 2 /* full queues, until it is 503 */
#define PAUSE_US 10000  /* while no worker is there */

static int may_repeat(const client_t *client)
{
    const request_rec *r = client->exchange->r;

    return (r->method_number == M_GET || r->method_number == M_OPTIONS) &&
           !client->exchange->head_sent && !client->streamed &&
           !apr_table_get(r->headers_in, "If-Match") &&
           !apr_table_get(r->headers_in, "If-Unmodified-Since") &&
           !apr_table_get(r->headers_in, "X-If-Unmodified-Since");
}

/* ---- ends ---- */

static int gone(client_t *client)
{
    request_rec *r = client->exchange->r;

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  "the client ended the request early");
    if (!client->exchange->taken_over)
        r->connection->aborted = 1;
    return mod_weave_finish(client->exchange, WEAVE_RUN_GONE);
}

/* Ends a request whose answer will not come: the status that the client gets,
 * or a cut. */
static int answer_fail(client_t *client)
{
    mod_weave_exchange_t *exchange = client->exchange;
    request_rec *r = exchange->r;

    apr_table_setn(r->err_headers_out, "Retry-After",
                   apr_psprintf(r->pool, "%" APR_TIME_T_FMT,
                                apr_time_sec(weave_conf_int(
                                    exchange->conf, WEAVE_LIMITS_BACKOFF))));
    return exchange->head_sent ? mod_weave_finish(exchange, WEAVE_RUN_CUT)
                               : HTTP_BAD_GATEWAY;
}

static int lost(client_t *client, apr_uint32_t pid)
{
    request_rec *r = client->exchange->r;

    if (client->repeated)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "WEAVE0250: a second worker (pid %u) was lost while it"
                      " had this request, which is not sent to a third one:"
                      " %s %s",
                      pid, r->method, r->uri);
    else
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "WEAVE0137: the worker (pid %u) was lost while it had"
                      " this request: %s %s",
                      pid, r->method, r->uri);
    return answer_fail(client);
}

static int unavailable(client_t *client, weave_refused_e kind, const char *why)
{
    return mod_weave_refuse(client->exchange, kind, why);
}

/* ---- attempts ---- */

/* How often what nobody has begun with was sent for nothing. */
typedef struct {
    int unstarted, refused;
} tries_t;

/* What an attempt leaves to be done: 1 to try again, or 0 and *rc. */
static int again(client_t *client, apr_uint32_t pid, tries_t *tries, int *rc)
{
    switch (client->end) {
    case CLIENT_DONE:
        *rc = mod_weave_finish(client->exchange, client->outcome);
        return 0;
    case CLIENT_GONE:
        *rc = gone(client);
        return 0;
    case CLIENT_UNSTARTED:
        if (++tries->unstarted < TRIES_MOST && !client->streamed)
            return 1;
        *rc = unavailable(client, WEAVE_REFUSED_DOWN,
                          "no worker begins with the request");
        return 0;
    case CLIENT_REFUSED:
        if (++tries->refused < REFUSALS_MOST)
            return 1;
        *rc = unavailable(client, WEAVE_REFUSED_QUEUE, "the queue is full");
        return 0;
    case CLIENT_LATE:
        *rc = unavailable(client, WEAVE_REFUSED_LATE,
                          "the time in the queue is over");
        return 0;
    case CLIENT_BROKEN:
        *rc = answer_fail(client);
        return 0;
    case CLIENT_LOST:
        if (client->exchange->in_problem) { /* it stopped for our client */
            *rc = gone(client);
            return 0;
        }
        if (may_repeat(client) && !client->repeated) {
            client->repeated = 1;
            return 1;
        }
        *rc = lost(client, pid);
        return 0;
    }
    return 0;
}

static void attempt(client_t *client)
{
    client->cancel_until = 0;
    client->silent_until = 0;
    client->reusable = 0;
    client->flush_due = 0;
    client->heard = 0;
    if (client_send(client) == 0)
        client_receive(client);
    mod_weave_link_release(client->link, client->reusable ? MOD_WEAVE_LINK_IDLE
                                         : client->end == CLIENT_UNSTARTED ||
                                                 client->end == CLIENT_LOST ||
                                                 client->end == CLIENT_BROKEN
                                             ? MOD_WEAVE_LINK_DEAD
                                             : MOD_WEAVE_LINK_BROKEN);
}

static int run(client_t *client)
{
    apr_uint32_t avoid = 0;
    tries_t tries = {0};
    int misses = 0, rc = OK;

    for (;;) {
        if (client_has_left(client))
            return gone(client);
        client->link =
            mod_weave_link_acquire(client->app, &avoid, client->queue_until);
        /* The body, and the way to a worker, may have taken a while: this is
         * the last question before the worker has the request. */
        if (mod_weave_maintenance_again(client->exchange) != OK) {
            if (client->link)
                mod_weave_link_release(client->link, MOD_WEAVE_LINK_IDLE);
            return OK;
        }
        if (client->link) {
            avoid = mod_weave_link_pid(client->link);
            attempt(client);
            if (!again(client, avoid, &tries, &rc))
                return rc;
        }
        else if (weave_clock_us() >= client->queue_until) {
            return unavailable(client, WEAVE_REFUSED_DOWN,
                               "no worker is there");
        }
        else if (misses++) { /* another one may be there at once */
            apr_sleep(PAUSE_US);
        }
    }
}

/* The request that the worker will see: OK, or an HTTP status. */
static int prepare(client_t *client)
{
    mod_weave_exchange_t *exchange = client->exchange;
    int rc = mod_weave_body_begin(exchange);

    if (rc == OK && !weave_conf_int(exchange->conf, WEAVE_WSGI_STREAM_INPUT))
        rc = mod_weave_spool(exchange);
    return rc == OK ? client_encode(client) : rc;
}

int mod_weave_client_run(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    client_t client;
    int64_t now;
    int rc;

    memset(&client, 0, offsetof(client_t, buffer));
    client.exchange = exchange;
    client.app = exchange->mount->app;
    client.client_fd = mod_weave_client_fd(r);
    client.passed = -1;
    now = weave_clock_us();
    client.look_at = now + CLIENT_LOOK_US;
    if (mod_weave_pool_wait(
            client.app, now + weave_conf_int(client.app->conf,
                                             WEAVE_LIMITS_STARTUP_TIMEOUT)) !=
        WEAVE_APP_SERVING)
        return unavailable(&client, WEAVE_REFUSED_DOWN,
                           "the application does not run");
    rc = prepare(&client);
    if (rc != OK)
        return mod_weave_body_refuse(exchange, rc);
    client.queue_until =
        weave_clock_us() +
        weave_conf_int(exchange->conf, WEAVE_LIMITS_QUEUE_TIMEOUT);
    return run(&client);
}
