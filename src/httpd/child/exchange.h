/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_EXCHANGE_H
#define MOD_WEAVE_EXCHANGE_H

/* One request, from httpd to the application and back. */

#include "child.h"

/* A request body that was read before the application starts. */
typedef struct mod_weave_spool_t {
    const char *data; /* what is in memory */
    apr_size_t len;
    int fd; /* what is in a file, all of it; -1: none */
    apr_off_t file_bytes;
    apr_off_t read_at; /* embedded: as far as the application has read it */
} mod_weave_spool_t;

/* A request inside the engine; lives on the stack of the handler. */
typedef struct mod_weave_exchange_t {
    request_rec *r;
    const weave_conf_t *conf; /* with the <Location>'s WeaveSet */
    const mod_weave_mount_t *mount;
    /* where it is counted once it is admitted; NULL: it is not */
    _Atomic apr_uint32_t *admitted;
    apr_bucket_brigade *in; /* read, not yet given away */
    apr_bucket_brigade *out;
    /* of the body as the application gets it; -1: not known (yet) */
    apr_off_t length;
    int has_body;            /* 1: the client announces one */
    int is_open;             /* 1: no header says how long it is */
    mod_weave_spool_t spool; /* where it was read first */
    int in_ended;            /* 1: all of it was read */
    weave_io_e in_problem;   /* the first one; there is no reading on */
    int head_sent;
    int worker_answered; /* 1: with the whole answer */
    int taken_over;      /* 1: a filter has failed, or answered in our place */
    int cut; /* 1: by then the head was out, and the end of it is missing */
    int head_was_out; /* when the body was last read from */
} mod_weave_exchange_t;

/* vars.c */
typedef struct mod_weave_vars_t {
    weave_var_t *items;
    apr_size_t count, room;
    apr_pool_t *pool;
} mod_weave_vars_t;
void mod_weave_vars_init(void);
void mod_weave_vars_fill(mod_weave_vars_t *vars,
                         const mod_weave_exchange_t *exchange);

/* body.c */
/* Sets `length`, `has_body` and `is_open`, and nothing is spooled; reads
 * nothing. All filters must be there: in the handler, not before. OK, or the
 * HTTP status of a body that cannot be read. */
int mod_weave_body_begin(mod_weave_exchange_t *exchange);
/* Sets `length` where the body has turned out to have LENGTH bytes. */
void mod_weave_body_counted(mod_weave_exchange_t *exchange, apr_off_t length);
ssize_t mod_weave_body_read(void *host, char *buffer, size_t size);
/* Fills `in` with what of a short body is here already. */
void mod_weave_body_peek(mod_weave_exchange_t *exchange, weave_request_t *in);
/* Before an answer of ours, or an error that httpd is to answer for us: on a
 * stream of HTTP/2 reads what is left of the body. A stream that we end before
 * the client has is reset (RFC 9113 section 8.1), and curl and others report
 * that and not the answer; ap_discard_request_body() does nothing there.
 * Content-Length may have ended the body before the client has ended the
 * stream. After 30 s no other read begins, and one lasts up to the timeout of
 * the stream. On HTTP/1.x, in a subrequest, where the client waits for a 100,
 * and the second time on a stream, it does nothing. */
void mod_weave_body_discard(request_rec *r);

/* answer.c */
/* While hooks are registered. */
void mod_weave_answer_init(void);
void mod_weave_head_send(void *host, const weave_head_t *head);
weave_io_e mod_weave_body_send(void *host, const weave_piece_t *pieces,
                               size_t count, int flags);
weave_io_e mod_weave_file_send(void *host, int fd, int64_t offset,
                               int64_t length);
/* The same with a descriptor that is given away. */
weave_io_e mod_weave_file_give(mod_weave_exchange_t *exchange, int own,
                               int64_t offset, int64_t length, int flags);
/* Ends a request with OUTCOME (weave_run_e). Returns as the handler does. */
int mod_weave_finish(mod_weave_exchange_t *exchange, int outcome);

/* A block of LEN bytes, from apr_bucket_alloc() of the connection: it is given
 * away. */
weave_io_e mod_weave_block_send(mod_weave_exchange_t *exchange, char *block,
                                apr_size_t len, int flags);

/* spool.c: reads a request body before the application starts. A file is
 * bounded by limits.spool_max, all files of the application by
 * limits.spool_total. */
/* Reads all of it, and sets `length`: OK, or the HTTP status that says what is
 * wrong. */
int mod_weave_spool(mod_weave_exchange_t *exchange);
/* In a process that Python has forked: returns 1 where FD is the file of a
 * body, for the caller to close; the number is no body's any more. */
int mod_weave_spool_forget(int fd);

/* backend.c: one request in a worker. Returns as the handler does. */
int mod_weave_backend_run(mod_weave_exchange_t *exchange);

/* maintenance.c */
/* Asks the last time: right before the request goes to a worker, or to Python
 * in this process. OK: it is admitted, counted, and nothing calls it back.
 * DONE: the 503 is out. */
int mod_weave_maintenance_again(mod_weave_exchange_t *exchange);
/* Once the handler is through with it: the request does not count any more. */
void mod_weave_maintenance_done(mod_weave_exchange_t *exchange);
/* Answers 503 where it is not for maintenance that has begun meanwhile. Returns
 * as the handler does. */
int mod_weave_refuse(mod_weave_exchange_t *exchange, weave_refused_e kind,
                     const char *why);
/* Answers a request whose body cannot be had: RC is what mod_weave_spool()
 * or mod_weave_body_begin() says. Returns as the handler does. */
int mod_weave_body_refuse(mod_weave_exchange_t *exchange, int rc);

/* exchange.c */
/* The engine of this child, once it is loaded. */
extern const weave_engine_t *mod_weave_engine;
/* Returns the socket of the client, or -1 with HTTP/2. */
int mod_weave_client_fd(const request_rec *r);
int mod_weave_conn_fd(conn_rec *c);
/* Returns 1 where C is seen to have ended: mod_http2 sets that when the stream
 * is reset, or its connection closed. */
int mod_weave_is_aborted(const conn_rec *c);
/* Returns the request that R is a subrequest of, or R. */
const request_rec *mod_weave_request_top(const request_rec *r);
/* Returns the id that httpd's logs have for the request (%L). httpd makes it
 * when it first logs something of the request. */
const char *mod_weave_request_id(const request_rec *r);
/* Returns 1 where the head of the answer has left for the client; in a
 * subrequest, that of the page around it. */
int mod_weave_head_is_out(const request_rec *r);

#endif
