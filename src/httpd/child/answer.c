/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c: the engine's answer on its way out through httpd's filters */
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_buckets.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <http_connection.h>

/* ---- bytes of Python's, without a copy ---- */

typedef struct {
    apr_bucket_refcount refcount;
    const char *data;
    void *owner;
} owned_t;

static void owned_destroy(void *data)
{
    owned_t *owned = data;

    if (apr_bucket_shared_destroy(owned)) {
        mod_weave_engine->release(owned->owner);
        apr_bucket_free(owned);
    }
}

static apr_status_t owned_read(apr_bucket *bucket, const char **data,
                               apr_size_t *len, apr_read_type_e block)
{
    owned_t *owned = bucket->data;

    (void)block;
    *data = owned->data + bucket->start;
    *len = bucket->length;
    return APR_SUCCESS;
}

/* The bytes live until they are released: nothing to set aside. */
static const apr_bucket_type_t owned_type = {
    "WEAVE",
    5,
    APR_BUCKET_DATA,
    owned_destroy,
    owned_read,
    apr_bucket_setaside_noop,
    apr_bucket_shared_split,
    apr_bucket_shared_copy,
};

static apr_bucket *owned_create(const weave_piece_t *piece,
                                apr_bucket_alloc_t *list)
{
    apr_bucket *bucket = apr_bucket_alloc(sizeof(*bucket), list);
    owned_t *owned = apr_bucket_alloc(sizeof(*owned), list);

    APR_BUCKET_INIT(bucket);
    bucket->free = apr_bucket_free;
    bucket->list = list;
    owned->data = piece->data;
    owned->owner = piece->owner;
    bucket = apr_bucket_shared_make(bucket, owned, 0, piece->len);
    bucket->type = &owned_type;
    return bucket;
}

/* ---- the head ---- */

/* Tells clients about backoff once, the same in both headers: the larger one of
 * our number and the application's. */
static void backoff_merge(request_rec *r)
{
    static const char *const names[] = {"X-Weave-Backoff", "X-Backoff"};
    const char *ours = apr_table_get(r->err_headers_out, names[0]);
    apr_int64_t most = ours ? apr_atoi64(ours) : 0;
    int i;

    if (!ours)
        return;
    for (i = 0; i < 2; i++) {
        const char *its = apr_table_get(r->headers_out, names[i]);
        apr_int64_t seconds = its ? apr_atoi64(its) : 0;

        most = seconds > most ? seconds : most;
        apr_table_unset(r->headers_out, names[i]);
    }
    for (i = 0; i < 2; i++)
        apr_table_setn(r->err_headers_out, names[i],
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT, most));
}

void mod_weave_head_send(void *host, const weave_head_t *head)
{
    mod_weave_exchange_t *exchange = host;
    request_rec *r = exchange->r;
    const char *arena = apr_pmemdup(r->pool, head->arena, head->arena_len);
    apr_size_t i;

    exchange->head_sent = 1;
    r->status = head->status;
    r->status_line = arena + (head->reason - head->arena);
    for (i = 0; i < head->headers_count; i++) {
        const char *name = arena + (head->headers[i].name - head->arena);
        const char *value = arena + (head->headers[i].value - head->arena);

        if (!ap_cstr_casecmp(name, "Content-Type"))
            ap_set_content_type(r, value);
        else
            apr_table_addn(r->headers_out, name, value);
    }
    backoff_merge(r);
    if (head->content_length >= 0)
        ap_set_content_length(r, head->content_length);
}

/* ---- the body ---- */

static apr_bucket_brigade *brigade_out(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;

    if (!exchange->out)
        exchange->out =
            apr_brigade_create(r->pool, r->connection->bucket_alloc);
    return exchange->out;
}

/* Returns 1 where the answer that is out is a page of httpd's own, when that of
 * the top request had STATUS and LINE before. mod_security has such a page sent
 * (deny in phase 4, SecResponseBodyLimit), and then says that it has failed. A
 * 206 is what httpd makes of our own 200. */
static int is_replaced(const request_rec *r, int status, const char *line)
{
    r = mod_weave_request_top(r);
    return r->status >= 300 && (r->status != status || r->status_line != line);
}

static weave_io_e brigade_pass(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    const char *line = mod_weave_request_top(r)->status_line;
    int was_out = mod_weave_head_is_out(r), taken_over = exchange->taken_over;
    int status = mod_weave_request_top(r)->status;
    apr_status_t rv = APR_EGENERAL;

    /* nothing follows what a filter has answered */
    if (!taken_over)
        rv = ap_pass_brigade(r->output_filters, exchange->out);
    apr_brigade_cleanup(exchange->out);
    if (r->connection->aborted)
        return WEAVE_IO_GONE;
    if (rv == APR_SUCCESS)
        return WEAVE_IO_OK;
    exchange->taken_over = 1;
    /* behind the head no filter can answer: it has failed */
    if (!taken_over)
        exchange->cut =
            was_out || (rv != AP_FILTER_ERROR && mod_weave_head_is_out(r) &&
                        !is_replaced(r, status, line));
    return WEAVE_IO_GONE;
}

static void insert_end(mod_weave_exchange_t *exchange, int flags)
{
    apr_bucket_brigade *out = exchange->out;

    /* httpd reads the rest of a body before it sends a small answer */
    if ((flags & WEAVE_SEND_LAST) && exchange->has_body && !exchange->in_ended)
        flags |= WEAVE_SEND_FLUSH;
    if (flags & WEAVE_SEND_FLUSH)
        APR_BRIGADE_INSERT_TAIL(out,
                                apr_bucket_flush_create(out->bucket_alloc));
    if (flags & WEAVE_SEND_LAST)
        APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(out->bucket_alloc));
}

weave_io_e mod_weave_body_send(void *host, const weave_piece_t *pieces,
                               size_t count, int flags)
{
    mod_weave_exchange_t *exchange = host;
    apr_bucket_alloc_t *list = exchange->r->connection->bucket_alloc;
    apr_bucket_brigade *out = brigade_out(exchange);
    size_t i;

    for (i = 0; i < count; i++) {
        const weave_piece_t *piece = &pieces[i];
        apr_bucket *bucket =
            piece->owner
                ? owned_create(piece, list)
                : apr_bucket_heap_create(piece->data, piece->len, NULL, list);

        APR_BRIGADE_INSERT_TAIL(out, bucket);
    }
    insert_end(exchange, flags);
    return APR_BRIGADE_EMPTY(out) ? WEAVE_IO_OK : brigade_pass(exchange);
}

weave_io_e mod_weave_block_send(mod_weave_exchange_t *exchange, char *block,
                                apr_size_t len, int flags)
{
    apr_bucket_brigade *out = brigade_out(exchange);

    APR_BRIGADE_INSERT_TAIL(
        out,
        apr_bucket_heap_create(block, len, apr_bucket_free, out->bucket_alloc));
    insert_end(exchange, flags);
    return brigade_pass(exchange);
}

static apr_file_t *file_wrap(int own, request_rec *r)
{
    core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    int flags = APR_FOPEN_READ;
    apr_file_t *file = NULL;

    apr_pool_cleanup_register(r->pool, (void *)(intptr_t)own,
                              mod_weave_fd_close, apr_pool_cleanup_null);
    if (core->enable_sendfile == ENABLE_SENDFILE_ON)
        flags |= APR_FOPEN_SENDFILE_ENABLED;
    apr_os_file_put(&file, &own, flags, r->pool);
    return file;
}

weave_io_e mod_weave_file_give(mod_weave_exchange_t *exchange, int own,
                               int64_t offset, int64_t length, int flags)
{
    apr_bucket_brigade *out = brigade_out(exchange);
    request_rec *r = exchange->r;

    if (length > 0)
        /* a file that shrinks must not become a SIGBUS */
        apr_bucket_file_enable_mmap(
            apr_brigade_insert_file(out, file_wrap(own, r), offset, length,
                                    r->pool),
            0);
    else
        close(own);
    insert_end(exchange, flags);
    return brigade_pass(exchange);
}

weave_io_e mod_weave_file_send(void *host, int fd, int64_t offset,
                               int64_t length)
{
    mod_weave_exchange_t *exchange = host;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (own < 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, errno, exchange->r,
                      "WEAVE0030: no descriptor for the file of"
                      " wsgi.file_wrapper");
        return WEAVE_IO_GONE;
    }
    return mod_weave_file_give(exchange, own, offset, length, 0);
}

/* ---- an answer without its end ---- */

static ap_filter_rec_t *sink;

/* Stands behind the filters that change content: nothing gets any further. */
static apr_status_t sink_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    (void)f;
    apr_brigade_cleanup(in);
    return APR_SUCCESS;
}

void mod_weave_answer_init(void)
{
    sink = ap_register_output_filter("WEAVE_SINK", sink_filter, NULL,
                                     (ap_filter_type)(AP_FTYPE_PROTOCOL - 1));
}

/* Lets the filters of an answer whose head is not out come to their end, and
 * drops what they have kept: mod_security would put it into the page of the
 * 502. */
static void filters_drain(request_rec *r)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *out = apr_brigade_create(r->pool, list);
    ap_filter_t *last =
        ap_add_output_filter_handle(sink, NULL, r, r->connection);

    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(list));
    ap_pass_brigade(r->output_filters, out);
    apr_brigade_destroy(out);
    ap_remove_output_filter(last);
    for (; r; r = r->prev)
        r->eos_sent = 0;
}

/* Passes BUCKET, and a FLUSH: mod_ratelimit, too, lets them through then. */
static apr_status_t bucket_pass(request_rec *r, ap_filter_t *to,
                                apr_bucket *bucket)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *out = apr_brigade_create(r->pool, list);
    apr_status_t rv;

    if (bucket)
        APR_BRIGADE_INSERT_TAIL(out, bucket);
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_flush_create(list));
    rv = ap_pass_brigade(to, out);
    apr_brigade_destroy(out);
    return rv;
}

static apr_status_t error_pass(request_rec *r)
{
    return bucket_pass(r, r->proto_output_filters,
                       ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool,
                                              r->connection->bucket_alloc));
}

/* Returns 1 where the answer has no body, so that nothing of it can be missing.
 * In HTTP/1 the head of such an answer does not count as out. */
static int is_bodiless(const request_rec *r)
{
    return !r->main && (r->header_only || AP_STATUS_IS_HEADER_ONLY(r->status));
}

/* Returns 1 where the head says where the body ends. */
static int is_framed(const request_rec *r)
{
    r = mod_weave_request_top(r);
    return r->chunked || (!r->assbackwards &&
                          apr_table_get(r->headers_out, "Content-Length"));
}

/* Where only the end of the connection ends the body, a FIN would be the end
 * of a good answer: close() is to send a reset. */
static void reset_prepare(const request_rec *r)
{
    struct linger at_once = {1, 0};
    int fd = mod_weave_client_fd(r);

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Drops an answer whose head is not out. */
static void unsent_drop(request_rec *r)
{
    if (r->main) {
        ap_flush_conn(r->connection); /* whole answers of before may wait */
        return;
    }
    mod_weave_body_discard(r);
    filters_drain(r);
}

/* Answers 502 in place of an answer whose head is not out, past all filters
 * that have seen it. Returns OK, or 502 where httpd is to do that. */
static int unsent_replace(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;

    if (r->main || !mod_weave_is_sync(exchange->conf))
        return HTTP_BAD_GATEWAY;
    r->content_encoding = NULL;
    apr_table_clear(r->headers_out);
    r->output_filters = r->proto_output_filters;
    ap_run_insert_error_filter(r);
    return mod_weave_failure(r, exchange->conf, HTTP_BAD_GATEWAY);
}

static void no_cache_set(request_rec *r)
{
    for (; r; r = r->main)
        r->no_cache = 1;
}

/* Ends an answer that lacks its end so that no client takes it for a whole one:
 * 502 where its head is not out yet; otherwise the stream is reset (HTTP/2), or
 * the connection ends without a last chunk, and with a reset where the head
 * does not say how long the body is. Returns what the handler returns.
 *
 * Filters that change content may keep an error to themselves and then end the
 * answer as a good one (mod_sed, mod_security with response bodies). So an
 * answer that has begun never gets an end, and the error goes past them: to
 * the filter that makes the head (ap_http_header_filter; with HTTP/2
 * h2_c2_filter_response_out), which answers 502 where it has not made it yet,
 * and to what would write the last chunk, or resets the stream. A page of
 * mod_include would go on behind a 502, so that is for requests of their own
 * only. */
static int answer_cut(mod_weave_exchange_t *exchange)
{
    request_rec *r = exchange->r;
    conn_rec *c = r->connection;
    int was_out = mod_weave_head_is_out(r);
    /* somebody has ended it: a last chunk may wait for a FLUSH */
    int is_ended = r->eos_sent && !c->master;

    if (was_out && is_bodiless(r))
        return OK;
    no_cache_set(r);
    if (!is_ended) {
        if (!was_out) {
            unsent_drop(r);
            if (unsent_replace(exchange) == OK)
                return OK;
        }
        else if (!r->eos_sent) /* what there was is the client's */
            bucket_pass(r, r->output_filters, NULL);
        if ((was_out || !r->main) && error_pass(r) == AP_FILTER_ERROR)
            return AP_FILTER_ERROR;
    }
    if (is_bodiless(r)) {
        r->output_filters = r->proto_output_filters;
        return OK;
    }
    r->eos_sent = 1; /* or httpd would send it */
    if (!c->master && !is_framed(r))
        reset_prepare(r);
    /* nothing leaves any more: no last chunk, no close_notify */
    c->keepalive = AP_CONN_CLOSE;
    c->aborted = 1;
    return OK;
}

int mod_weave_finish(mod_weave_exchange_t *exchange, int outcome)
{
    conn_rec *c = exchange->r->connection;

    if (exchange->cut)
        return answer_cut(exchange);
    if (exchange->taken_over)
        return AP_FILTER_ERROR;
    if (outcome == WEAVE_RUN_GONE) {
        c->keepalive = AP_CONN_CLOSE;
        if (c->aborted)
            return OK;
        /* the end of its body is missing, but it may still listen */
        outcome = exchange->head_sent ? WEAVE_RUN_CUT : HTTP_BAD_REQUEST;
    }
    if (outcome == WEAVE_RUN_CUT)
        return answer_cut(exchange);
    return outcome > 0 ? outcome : OK;
}
