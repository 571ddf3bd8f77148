/* SPDX-License-Identifier: Apache-2.0 */
/* body.c: the request body on its way to the engine */
#include "exchange.h"

#include <errno.h>
#include <unistd.h>

#include <apr_buckets.h>
#include <mod_core.h>

#define PEEK_BYTES 65536 /* a body up to this size is read ahead */
#define BLOCK 65536
#define LINGER APR_TIME_C(30000000)      /* as httpd does for connections */
#define DISCARDED "weave-body-discarded" /* a note of the stream */

static weave_io_e problem_kind(mod_weave_exchange_t *exchange, apr_status_t rv)
{
    switch (ap_map_http_request_error(rv, HTTP_BAD_REQUEST)) {
    case AP_FILTER_ERROR:
        exchange->taken_over = 1;
        exchange->cut = exchange->head_was_out;
        return WEAVE_IO_GONE;
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return WEAVE_IO_TOO_LARGE;
    case HTTP_REQUEST_TIME_OUT:
        return WEAVE_IO_TIMEOUT;
    default:
        break;
    }
    /* httpd calls a connection that ends early an incomplete body */
    if (exchange->r->connection->aborted || APR_STATUS_IS_EOF(rv) ||
        APR_STATUS_IS_INCOMPLETE(rv) || APR_STATUS_IS_ECONNRESET(rv) ||
        APR_STATUS_IS_ECONNABORTED(rv) || APR_STATUS_IS_EPIPE(rv))
        return WEAVE_IO_GONE;
    return WEAVE_IO_BAD;
}

static weave_io_e problem_note(mod_weave_exchange_t *exchange, apr_status_t rv)
{
    if (!exchange->in_problem)
        exchange->in_problem = problem_kind(exchange, rv);
    return exchange->in_problem;
}

/* Moves up to *SIZE bytes out of the brigade. *SIZE is then how many; 0: the
 * brigade is empty. */
static apr_status_t brigade_take(mod_weave_exchange_t *exchange, char *buffer,
                                 apr_size_t *size)
{
    apr_size_t room = *size, len;
    apr_bucket *bucket;
    const char *data;
    apr_status_t rv;

    *size = 0;
    while (!exchange->in_ended && !APR_BRIGADE_EMPTY(exchange->in)) {
        bucket = APR_BRIGADE_FIRST(exchange->in);
        /* the end is seen with the last byte, not one call later */
        if (APR_BUCKET_IS_EOS(bucket)) {
            exchange->in_ended = 1;
        }
        else if (!room) {
            break;
        }
        else if (!APR_BUCKET_IS_METADATA(bucket)) {
            rv = apr_bucket_read(bucket, &data, &len, APR_BLOCK_READ);
            if (rv != APR_SUCCESS)
                return rv;
            if (len > room) {
                apr_bucket_split(bucket, room);
                len = room;
            }
            memcpy(buffer + *size, data, len);
            *size += len;
            room -= len;
        }
        apr_bucket_delete(bucket);
    }
    return APR_SUCCESS;
}

/* Reads more of the body into the brigade. httpd itself answers a body that is
 * broken: where our head is out, it ends what we have begun, and eos_sent is
 * all that tells us. */
static apr_status_t brigade_fill(mod_weave_exchange_t *exchange,
                                 apr_read_type_e block, apr_size_t size)
{
    request_rec *r = exchange->r;
    int was_ended = r->eos_sent;
    apr_status_t rv;

    if (!exchange->in)
        exchange->in = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    exchange->head_was_out = mod_weave_head_is_out(r);
    rv = ap_get_brigade(r->input_filters, exchange->in, AP_MODE_READBYTES,
                        block, (apr_off_t)size);
    if (rv == APR_SUCCESS && !was_ended && r->eos_sent)
        return AP_FILTER_ERROR;
    return rv;
}

/* Reads what was spooled into a file. */
static ssize_t spool_read(mod_weave_spool_t *spool, char *buffer, size_t size)
{
    apr_off_t left = spool->file_bytes - spool->read_at;
    ssize_t got = 0;

    if (left <= 0)
        return 0;
    if ((apr_off_t)size > left)
        size = (size_t)left;
    do
        got = pread(spool->fd, buffer, size, spool->read_at);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return WEAVE_IO_GONE;
    spool->read_at += got;
    return got;
}

ssize_t mod_weave_body_read(void *host, char *buffer, size_t size)
{
    mod_weave_exchange_t *exchange = host;
    apr_size_t got = size;
    apr_status_t rv = APR_SUCCESS;

    if (exchange->in_problem)
        return exchange->in_problem;
    if (exchange->spool.fd >= 0)
        return spool_read(&exchange->spool, buffer, size);
    for (;;) {
        if (exchange->in) {
            got = size;
            rv = brigade_take(exchange, buffer, &got);
            if (rv != APR_SUCCESS)
                return problem_note(exchange, rv);
            if (got || exchange->in_ended)
                return (ssize_t)got;
        }
        rv = brigade_fill(exchange, APR_BLOCK_READ, size);
        if (rv != APR_SUCCESS)
            return problem_note(exchange, rv);
    }
}

/* Returns 1 where a filter stands between the body as it was sent, which
 * HTTP_IN gives, and us: mod_deflate inflates, mod_charset_lite recodes, and
 * others may do anything. What the client has announced is not what we get,
 * then. */
static int is_filtered(const request_rec *r)
{
    return !r->input_filters ||
           r->input_filters->frec != ap_http_input_filter_handle;
}

/* Returns how long the body is by the headers, as far as that holds for what we
 * get; -1: they do not say. Where HTTP/2 announces no length, mod_http2 sets
 * Transfer-Encoding, as long as more than the head is to come. */
static apr_off_t length_announced(const request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t length;

    if (apr_table_get(r->headers_in, "Transfer-Encoding"))
        return -1;
    if (!text)
        return 0;
    if (!ap_parse_strict_length(&length, text) || (length && is_filtered(r)))
        return -1;
    return length;
}

/* Returns 1 where the body has a coding that httpd does not undo: "gzip,
 * chunked" passes it, and nobody would tell the application of the gzip. More
 * than one "chunked" is one, as httpd has it. */
static int is_coded(const request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Transfer-Encoding");
    const char *coding;

    while (text && *text) {
        coding = ap_get_token(r->pool, &text, 0);
        if (*coding && ap_cstr_casecmp(coding, "chunked") != 0)
            return 1;
        while (*text == ',' || *text == ';')
            text++;
    }
    return 0;
}

int mod_weave_body_begin(mod_weave_exchange_t *exchange)
{
    exchange->spool.fd = -1;
    exchange->length = length_announced(exchange->r);
    exchange->has_body = exchange->length != 0;
    exchange->is_open = exchange->length < 0;
    /* RFC 9112 section 6.1 */
    return exchange->is_open && is_coded(exchange->r) ? HTTP_NOT_IMPLEMENTED
                                                      : OK;
}

/* LENGTH may be another one than the headers say: the request for the page of
 * an error (ErrorDocument) has those of a body that httpd has refused. */
void mod_weave_body_counted(mod_weave_exchange_t *exchange, apr_off_t length)
{
    if (exchange->length != length)
        exchange->is_open = 1;
    exchange->length = length;
}

/* Reads what has arrived, up to `room` bytes. */
static void body_peek(mod_weave_exchange_t *exchange, char *buffer,
                      apr_size_t room, weave_request_t *in)
{
    apr_size_t got;
    apr_status_t rv;

    while (room && !exchange->in_ended) {
        rv = brigade_fill(exchange, APR_NONBLOCK_READ, room);
        if (APR_STATUS_IS_EAGAIN(rv) ||
            (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(exchange->in)))
            return;
        got = room;
        if (rv == APR_SUCCESS)
            rv = brigade_take(exchange, buffer + in->body_len, &got);
        if (rv != APR_SUCCESS) {
            problem_note(exchange, rv);
            return;
        }
        in->body_len += got;
        room -= got;
    }
}

/* Nothing waits here: an application that answers without reading must not
 * wait for a slow client, nor tell it to continue. */
void mod_weave_body_peek(mod_weave_exchange_t *exchange, weave_request_t *in)
{
    apr_off_t length = exchange->length;
    char *buffer;

    if (!exchange->has_body) {
        in->body_complete = 1;
        return;
    }
    in->content_length = length;
    if (length < 0 || length > PEEK_BYTES || exchange->r->expecting_100)
        return;
    buffer = apr_palloc(exchange->r->pool, (apr_size_t)length);
    in->body = buffer;
    body_peek(exchange, buffer, (apr_size_t)length, in);
    in->body_complete = exchange->in_ended;
    if (in->body_complete)
        mod_weave_body_counted(exchange, (apr_off_t)in->body_len);
}

/* ---- a body that is read and dropped ---- */

/* Reads from the connection's filters: those of the request would answer a body
 * over LimitRequestBody with 413, in the middle. */
void mod_weave_body_discard(request_rec *r)
{
    conn_rec *c = r->connection;
    int64_t until = weave_clock_us() + LINGER;
    apr_bucket_brigade *in;
    int ended = 0;

    if (!c->master || r->main || r->expecting_100 ||
        apr_table_get(c->notes, DISCARDED))
        return;
    apr_table_setn(c->notes, DISCARDED, "1");
    in = apr_brigade_create(r->pool, c->bucket_alloc);
    while (!ended && weave_clock_us() < until &&
           ap_get_brigade(c->input_filters, in, AP_MODE_READBYTES,
                          APR_BLOCK_READ, BLOCK) == APR_SUCCESS &&
           !APR_BRIGADE_EMPTY(in)) {
        ended = APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(in));
        apr_brigade_cleanup(in);
    }
    apr_brigade_destroy(in);
}
