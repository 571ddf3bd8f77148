/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_CLIENT_H
#define MOD_WEAVE_CLIENT_H

/* One request on its way through a worker: client.c decides which worker and
 * how often, client_send.c and client_receive.c do one attempt. Everything is
 * of the thread that handles the request. */

#include "exchange.h"
#include "backend_pool.h"
#include "weave_answer.h"
#include "weave_frame.h"

#define CLIENT_BUFFER 16384
#define CLIENT_LOOK_US 100000 /* between looks at the client */

/* How an attempt ended. */
typedef enum {
    CLIENT_DONE,      /* `outcome` says how */
    CLIENT_UNSTARTED, /* nobody has begun with it: any worker may have it */
    CLIENT_REFUSED,   /* the same, and this worker's queue is full */
    CLIENT_LATE,      /* the same, and its time in the queue is over */
    CLIENT_LOST,      /* it had begun, and the worker is no more */
    CLIENT_BROKEN,    /* the worker breaks the rules of the wire; logged */
    CLIENT_GONE       /* the client has left */
} client_end_e;

typedef struct client_t {
    mod_weave_exchange_t *exchange;
    const mod_weave_app_t *app;
    char *frame; /* the REQUEST but for a body */
    apr_size_t frame_len;
    mod_weave_link_t *link;
    int client_fd;   /* to see whether the client is still there; -1: HTTP/2 */
    int64_t look_at; /* when to look next */
    int streamed;    /* 1: some of the body has gone to a worker for good */
    int repeated;    /* 1: it is the second time that it was begun with */
    int heard;       /* 1: the worker has said something of it */
    int64_t queue_until;
    int64_t silent_until; /* a worker that says nothing until then hangs */
    int64_t cancel_until; /* CANCEL was sent and is waited for; 0: not */
    client_end_e end;
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
    struct client_block_t *block; /* of a streamed body, or NULL */
    char buffer[CLIENT_BUFFER];
} client_t;

/* Has the worker begun with it? The board alone does not know for ever: its
 * place there is another connection's some time after this one has closed. */
int client_has_started(const client_t *client);

/* Does the worker ask for the body with READ? */
int client_is_streamed(const client_t *client);

/* backend_send.c: OK, or the HTTP status of a request that is too large. */
int client_encode(client_t *client);
/* Sends the REQUEST over client->link. 0, or -1 and client->end. */
int client_send(client_t *client);
/* Sends bytes of a frame that is not large. 0, or -1 and client->end. */
int client_send_small(client_t *client, const void *data, apr_size_t len);
/* Has the client left? Then client->end says so. Not before `look_at`: it is a
 * system call in HTTP/1. */
int client_has_left(client_t *client);
/* 0: it is over, as when waiting, although the worker sends a little now and
 * then; and client->end says so. */
int client_is_in_time(client_t *client);
/* Waits for the worker, EVENTS of poll(), looking at the client and the clock
 * meanwhile. 1: it can go on; 0: it cannot, and client->end says why. */
int client_wait(client_t *client, short events);

/* backend_receive.c: takes the answer and hands it on; sets client->end. */
void client_receive(client_t *client);

/* backend_head.c: *HEAD of the strings behind FIXED, which stay where they are.
 * 0; or -1 where it is none, or one that httpd would choke on. */
int client_head_decode(weave_head_t *head, const weave_frame_head_t *fixed,
                       const char *strings, apr_pool_t *pool);

#endif
