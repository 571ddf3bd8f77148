/* SPDX-License-Identifier: Apache-2.0 */
/* keepalive.c: waits a moment for the next request of a busy connection
 *
 * The event MPM hands a connection back to its listener after each answer, and
 * the listener hands it to some thread when the next request comes: two threads
 * wake, and the first of them often waits for a lock at once. A proxy or a load
 * generator sends its next request sooner than these threads have woken. Where
 * the last request of a connection came so soon, the thread that has answered
 * it waits for the next one. It waits in the read by which httpd looks for
 * pipelined requests: by then the answer is sent and logged. httpd treats the
 * next request as a pipelined one. */
#include "exchange.h"

#include <poll.h>

#define WAIT_US 1000    /* for a request; and how soon the last one had come */
#define REQUEST_US 5000 /* after a longer request, waiting saves too little */
#define STINT_US 20000  /* of requests in a row: others may need the thread */
/* 1/4 of the child's threads stay free: where none is, the event MPM accepts no
 * connection, and closes idle ones */
#define SPARE_SHARE 4

/* A connection of a client, in the memory of that connection. */
typedef struct {
    int64_t begun_us;    /* the request at hand */
    int64_t answered_us; /* the end of the last answer; 0: none */
    int64_t stint_us;    /* the first of the requests in a row; 0: none */
    int is_quick;        /* 1: the request at hand came soon after that */
    int is_due;          /* 1: the next look for a request may wait */
    int has_filter;
} keepalive_t;

static ap_filter_rec_t *filter;
static int threads;       /* of this child; 0: nothing waits here */
static atomic_int inside; /* those in our handler, or waiting here */

void mod_weave_keepalive_start(apr_pool_t *pchild, server_rec *s)
{
    int is_async = 0;

    (void)pchild;
    (void)s;
    /* the threads of other MPMs wait in any case */
    if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &is_async) != APR_SUCCESS || !is_async ||
        ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS)
        threads = 0;
}

/* Sends what is left of the answer, as the MPM does, and waits for no client.
 * Returns 1 where all of it is out. */
static int answer_is_out(conn_rec *c)
{
    ap_filter_t *last = c->output_filters;

    while (last->next)
        last = last->next;
    return last->frec->filter_func.out_func(last, NULL) == APR_SUCCESS &&
           !c->data_in_output_filters;
}

static int socket_wait(conn_rec *c)
{
    struct pollfd client = {mod_weave_conn_fd(c), POLLIN, 0};
    struct timespec most = {0, WAIT_US * 1000L};
    int spare = threads - (atomic_fetch_add(&inside, 1) + 1), rc = 0;

    if (client.fd >= 0 && spare * SPARE_SHARE >= threads)
        rc = ppoll(&client, 1, &most, NULL);
    atomic_fetch_sub(&inside, 1);
    return rc > 0;
}

static apr_status_t request_await(ap_filter_t *f, apr_bucket_brigade *in,
                                  ap_input_mode_t mode, apr_read_type_e block,
                                  apr_off_t bytes)
{
    keepalive_t *keep = f->ctx;
    int is_due = keep->is_due;
    apr_status_t rv = ap_get_brigade(f->next, in, mode, block, bytes);

    if (!is_due || mode != AP_MODE_SPECULATIVE || block != APR_NONBLOCK_READ)
        return rv;
    keep->is_due = 0;
    if (rv == APR_SUCCESS ? !APR_BRIGADE_EMPTY(in) : !APR_STATUS_IS_EAGAIN(rv))
        return rv;
    if (!answer_is_out(f->c))
        return rv;
    if (!socket_wait(f->c)) {
        keep->stint_us = 0;
        return rv;
    }
    return ap_get_brigade(f->next, in, mode, block, bytes);
}

void mod_weave_keepalive_init(void)
{
    filter = ap_register_input_filter("WEAVE_KEEPALIVE", request_await, NULL,
                                      AP_FTYPE_CONNECTION);
}

/* Returns what is known of the connection of R, or NULL: nothing waits there. A
 * stream of HTTP/2 is no connection. */
static keepalive_t *keepalive_get(const request_rec *r)
{
    conn_rec *c = r->connection;
    keepalive_t *keep;

    if (!threads || r->main || c->master)
        return NULL;
    keep = ap_get_module_config(c->conn_config, &weave_module);
    if (!keep) {
        keep = apr_pcalloc(c->pool, sizeof(*keep));
        ap_set_module_config(c->conn_config, &weave_module, keep);
    }
    return keep;
}

void mod_weave_keepalive_begin(const request_rec *r)
{
    keepalive_t *keep = keepalive_get(r);

    atomic_fetch_add(&inside, 1);
    if (!keep)
        return;
    keep->is_due = 0;
    keep->begun_us = weave_clock_us();
    keep->is_quick =
        keep->answered_us && keep->begun_us - keep->answered_us <= WAIT_US;
}

void mod_weave_keepalive_end(const request_rec *r, int may_wait)
{
    conn_rec *c = r->connection;
    keepalive_t *keep = keepalive_get(r);

    atomic_fetch_sub(&inside, 1);
    if (!keep)
        return;
    keep->answered_us = weave_clock_us();
    if (!keep->stint_us)
        keep->stint_us = keep->begun_us;
    if (!may_wait || !keep->is_quick || c->keepalive != AP_CONN_KEEPALIVE ||
        keep->answered_us - keep->begun_us > REQUEST_US ||
        keep->answered_us - keep->stint_us > STINT_US) {
        keep->stint_us = 0;
        return;
    }
    if (!keep->has_filter)
        ap_add_input_filter_handle(filter, keep, NULL, c);
    keep->has_filter = 1;
    keep->is_due = 1;
}
