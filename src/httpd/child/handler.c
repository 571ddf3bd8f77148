/* SPDX-License-Identifier: Apache-2.0 */
/* handler.c: one request, from httpd to the engine and back */
#include "exchange.h"

#include <apr_portable.h>

#define VARS_ROOM 96 /* environ entries without another allocation */

/* Embedded: a body of known length is read as it comes, which is the cheapest.
 * A body of unknown length is read to its end first, for the application wants
 * to know the length. Returns OK, or as mod_weave_spool(). */
static int body_prepare(mod_weave_exchange_t *exchange, weave_request_t *in)
{
    const mod_weave_spool_t *spool = &exchange->spool;
    int rc = mod_weave_body_begin(exchange);

    if (rc != OK)
        return rc;
    if (exchange->is_open &&
        !weave_conf_int(exchange->conf, WEAVE_WSGI_STREAM_INPUT)) {
        rc = mod_weave_spool(exchange);
        in->content_length = exchange->length;
        in->body = spool->data;
        in->body_len = spool->len;
        in->body_complete = spool->fd < 0;
    }
    else {
        mod_weave_body_peek(exchange, in);
    }
    return rc;
}

/* Returns as the handler does. */
static int embedded_answer(const weave_engine_t *engine,
                           mod_weave_exchange_t *exchange)
{
    weave_var_t room[VARS_ROOM];
    mod_weave_vars_t vars = {room, 0, VARS_ROOM, exchange->r->pool};
    weave_request_t in = {0};
    int outcome, rc;

    in.host = exchange;
    in.content_length = -1;
    in.head_only = exchange->r->header_only;
    rc = body_prepare(exchange, &in);
    if (rc != OK)
        return mod_weave_body_refuse(exchange, rc);
    if (exchange->taken_over)
        return mod_weave_finish(exchange, WEAVE_RUN_GONE);
    mod_weave_vars_fill(&vars, exchange);
    in.vars = vars.items;
    in.vars_count = vars.count;
    if (mod_weave_maintenance_again(exchange) != OK)
        return OK;
    outcome = engine->run(&in);
    mod_weave_host_leave_fork();
    return mod_weave_finish(exchange, outcome);
}

/* Where httpd is to answer: see mod_weave_body_discard(). */
static int error_of(const mod_weave_exchange_t *exchange, int rc)
{
    if (rc > 0 && !exchange->in_problem) {
        rc = mod_weave_failure(exchange->r, exchange->conf, rc);
        mod_weave_body_discard(exchange->r);
    }
    return rc;
}

static int request_answer(mod_weave_exchange_t *exchange)
{
    const mod_weave_mount_t *mount = exchange->mount;
    const weave_engine_t *engine;

    if (mount->app && !mount->app->embedded)
        return error_of(exchange, mod_weave_backend_run(exchange));
    engine = mount->app ? mod_weave_embedded_ready() : NULL;
    if (!engine)
        return mod_weave_refuse(exchange, WEAVE_REFUSED_DOWN,
                                "the application does not run");
    /* the import took longer than its patience */
    if (mod_weave_is_aborted(exchange->r->connection))
        return mod_weave_finish(exchange, WEAVE_RUN_GONE);
    return error_of(exchange, embedded_answer(engine, exchange));
}

int mod_weave_handler(request_rec *r)
{
    mod_weave_exchange_t exchange = {0};
    int rc;

    if (!r->handler || strcmp(r->handler, MOD_WEAVE_HANDLER) != 0)
        return DECLINED;
    if (mod_weave_mount_is_lost(r))
        return mod_weave_mount_find(r);
    exchange.r = r;
    exchange.mount = mod_weave_mount_of(r);
    if (!exchange.mount)
        return DECLINED;
    exchange.conf = mod_weave_conf_of(r, exchange.mount);
    mod_weave_keepalive_begin(r);
    rc = request_answer(&exchange);
    mod_weave_maintenance_done(&exchange);
    /* embedded, it costs more than it saves with many connections */
    mod_weave_keepalive_end(r, rc == OK && exchange.worker_answered);
    return rc;
}
