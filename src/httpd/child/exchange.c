/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.c: how a request stands: its client, and the head of its answer */
#include "exchange.h"

#include <apr_portable.h>

const weave_engine_t *mod_weave_engine;

int mod_weave_is_aborted(const conn_rec *c)
{
    return c->aborted || (c->master && c->master->aborted);
}

int mod_weave_conn_fd(conn_rec *c)
{
    apr_os_sock_t fd = -1;
    apr_socket_t *socket;

    /* a stream of HTTP/2 has no socket of its own */
    if (c->master)
        return -1;
    socket = ap_get_conn_socket(c);
    return socket && apr_os_sock_get(&fd, socket) == APR_SUCCESS ? fd : -1;
}

int mod_weave_client_fd(const request_rec *r)
{
    return mod_weave_conn_fd(r->connection);
}

const request_rec *mod_weave_request_top(const request_rec *r)
{
    while (r->main)
        r = r->main;
    return r;
}

const char *mod_weave_request_id(const request_rec *r)
{
    request_rec *top = (request_rec *)mod_weave_request_top(r);

    if (!top->log_id)
        ap_run_generate_log_id(top->connection, top, &top->log_id);
    return top->log_id;
}

int mod_weave_head_is_out(const request_rec *r)
{
    return mod_weave_request_top(r)->sent_bodyct;
}
