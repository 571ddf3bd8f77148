/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_BACKEND_H
#define MOD_WEAVE_BACKEND_H

/* One request on its way through a worker: backend.c decides which worker and
 * how often, backend_send.c and backend_receive.c do one attempt. Everything is
 * of the thread that handles the request. */

#include "exchange.h"
#include "weave_answer.h"
#include "weave_frame.h"

/* backend_pool.c: the workers of each application as a child sees them, and its
 * connections to them */
typedef struct backend_worker_t backend_worker_t;
typedef struct backend_conn_t {
    int fd;
    apr_uint32_t slot;   /* in the worker's board */
    apr_uint32_t number; /* of the last request */
    backend_worker_t *worker;
    struct backend_conn_t *next;
} backend_conn_t;
/* Waits until the application answers or cannot: WEAVE_APP_SERVING, or what it
 * is at UNTIL_US (weave_clock_us()). */
apr_uint32_t backend_pool_wait(const mod_weave_app_t *app, int64_t until_us);
/* The share of its workers' threads that have something to do, 0 to 1. */
double backend_pool_busy(const mod_weave_app_t *app);
/* A connection to the ready worker with the fewest requests, other than *AVOID
 * (a pid, 0: none) where there is another one. NULL: none takes it just now;
 * *AVOID is one that should have. Nothing is waited for much longer than
 * UNTIL_US (weave_clock_us()). */
backend_conn_t *backend_conn_acquire(const mod_weave_app_t *app,
                                     apr_uint32_t *avoid, int64_t until_us);
/* Gives it back. */
enum {
    BACKEND_CONN_IDLE,   /* for the next request */
    BACKEND_CONN_BROKEN, /* it is of no use any more */
    BACKEND_CONN_DEAD    /* nor are others to the same worker */
};
void backend_conn_release(backend_conn_t *conn, int state);
/* Returns 1 where the worker has begun with the last request of CONN. */
int backend_conn_has_started(const backend_conn_t *conn);
apr_uint32_t backend_conn_pid(const backend_conn_t *conn);

#define BACKEND_BUFFER 16384
#define BACKEND_CLIENT_POLL_US 100000 /* between looks at the client */

/* How an attempt ended. */
typedef enum {
    BACKEND_DONE,      /* `outcome` says how */
    BACKEND_UNSTARTED, /* nobody has begun with it: any worker may have it */
    BACKEND_REFUSED,   /* the same, and this worker's queue is full */
    BACKEND_LATE,      /* the same, and its time in the queue is over */
    BACKEND_LOST,      /* it had begun, and the worker is no more */
    BACKEND_BROKEN,    /* the worker breaks the rules of the wire; logged */
    BACKEND_GONE       /* the client has left */
} backend_end_e;

typedef struct backend_t {
    mod_weave_exchange_t *exchange;
    const mod_weave_app_t *app;
    char *frame; /* the REQUEST but for a body */
    apr_size_t frame_len;
    backend_conn_t *conn;
    int client_fd;   /* to see whether the client is still there; -1: HTTP/2 */
    int64_t poll_at; /* when to look next */
    int streamed;    /* 1: some of the body has gone to a worker for good */
    int repeated;    /* 1: it is the second time that it was begun with */
    int heard;       /* 1: the worker has said something of it */
    int64_t queue_until;
    int64_t silent_until; /* a worker that says nothing until then hangs */
    int64_t cancel_until; /* CANCEL was sent and is waited for; 0: not */
    backend_end_e end;
    int outcome;           /* weave_run_e */
    int reusable;          /* the connection may carry another request */
    int flush_due;         /* the application had it flushed */
    weave_answer_t answer; /* what of it the worker has sent */
    int passed;            /* a descriptor that has come, or -1 */
    unsigned receipts;     /* how often something came */
    /* bytes of this attempt, and how many there were when `passed` had come */
    apr_uint64_t received, passed_at;
    char *data; /* what has arrived: `buffer`, or something larger */
    apr_size_t at, len, room;
    struct backend_block_t *block; /* of a streamed body, or NULL */
    char buffer[BACKEND_BUFFER];
} backend_t;

/* Returns 1 where the worker has begun with the request. The board alone does
 * not know for ever: its slot there is another connection's some time after
 * this one has closed. */
int backend_has_started(const backend_t *backend);

/* Returns 1 where the worker asks for the body with READ. */
int backend_is_streamed(const backend_t *backend);

/* backend_send.c: makes the frame of the request. Returns OK, or the HTTP
 * status of a request that is too large. */
int backend_encode(backend_t *backend);
/* Sends the REQUEST over backend->conn. 0, or -1 and backend->end. */
int backend_send(backend_t *backend);
/* Sends bytes of a frame that is not large. 0, or -1 and backend->end. */
int backend_send_small(backend_t *backend, const void *data, apr_size_t len);
/* Returns 1 where the client has left; then backend->end says so. Looks only
 * when `poll_at` has come: that is a system call in HTTP/1. */
int backend_client_has_left(backend_t *backend);
/* Returns 0 where the time of the request is over although the worker sends a
 * little now and then; then backend->end says so. */
int backend_is_in_time(backend_t *backend);
/* Waits for EVENTS of poll() from the worker, and watches the client and the
 * clock meanwhile. Returns 1: it can go on; 0: it cannot, and backend->end says
 * why. */
int backend_wait(backend_t *backend, short events);

/* backend_receive.c: takes the answer and hands it on; sets backend->end. */
void backend_receive(backend_t *backend);

/* backend_head.c: makes *HEAD of the strings behind FIXED, which stay where
 * they are. 0; or -1 where it is none, or one that httpd would choke on. */
int backend_head_decode(weave_head_t *head, const weave_frame_head_t *fixed,
                        const char *strings, apr_pool_t *pool);

#endif
