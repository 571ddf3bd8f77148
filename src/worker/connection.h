/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h: connections of clients, and which thread owns each
 *
 * A connection has one owner at a time: the thread that has set its `state` to
 * BUSY reads from it, answers and closes it. The queue and the pump own
 * connections as a thread does. Only its output is shared, under its lock. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "process.h"

/* The owner of a connection. */
enum {
    CONNECTION_FREE,
    CONNECTION_IDLE,
    CONNECTION_BUSY,  /* a thread, or the pump */
    CONNECTION_AGAIN, /* the same, and there was another event */
    CONNECTION_QUEUED /* the queue: another thread may take it out */
};

/* Bytes that have arrived and are not used yet. */
typedef struct input_t {
    char *data;
    size_t at, len, room;
    int borrowed; /* `data` is the scratch buffer of its owner */
    int drained;  /* nothing was left when it was read last */
    /* a read that does not fill the buffer means that nothing is left: the end
     * of the stream would raise another event */
    int short_is_empty;
    int eof;
    int passed; /* a descriptor that came, or -1 */
} input_t;

/* A part of an answer that waits for its reader. */
typedef struct chunk_t {
    struct chunk_t *next;
    const char *data; /* NULL: in the spool file, at `at` */
    size_t len;
    int64_t at;
    void *owner; /* the engine's, released when it is sent */
    int pass;    /* goes with the first byte; -1: none */
} chunk_t;

struct connection_t {
    _Atomic int state;
    _Atomic uint32_t epoch; /* counts the connections in this slot */
    int fd;
    uint32_t slot;
    int shut;    /* our receiving side is shut down: it drains */
    int hung_up; /* the peer is gone */
    input_t in;
    connection_t *next_queued; /* under the lock of the queue */
    connection_t *next_retry;  /* only the control thread's */
    int retries;               /* the same; 1: it is in that list */
    /* output: under `lock` */
    pthread_mutex_t lock;
    /* number of the request that is to stop waiting for the reader: set
     * without the lock, which that request may hold */
    _Atomic uint32_t abandon;
    uint32_t cut; /* number of the request that did, and when */
    int64_t cut_us;
    int broken;       /* nothing can be sent any more */
    int pumped;       /* owned by the pump until `first` is NULL */
    int armed;        /* in the control thread's epoll set */
    uint32_t current; /* number of the request in Python, 0: none */
    int head_left;    /* the head of its answer has left */
    int ended;        /* the last byte of its answer was given */
    chunk_t *first, *last;
    size_t memory; /* bytes of the chunks that are not in the file */
    int spool_fd;  /* -1: none */
    int64_t spool_end;
    int spool_failed;
};

/* Returns a new connection for FD, owned by the caller; NULL when there are too
 * many. The control thread. */
connection_t *connection_open(int fd);
/* Closes a connection and drops what was not sent. WHY is for the log, at
 * debug. Only its owner calls this. */
void connection_close(connection_t *connection, const char *why);
/* Logs that the client broke the rules of the wire, then closes. */
void connection_refuse(connection_t *connection);
connection_t *connection_at(uint32_t slot);
/* Returns the number of slots that were ever used: all are below it. */
uint32_t connection_slots(void);
/* Claims a connection that has an event, also out of the queue. Returns 1 when
 * the caller owns it now, 0 when its owner knows that there is more. */
int connection_claim(connection_t *connection);
/* Gives the connection up. Returns 1 when it is idle now, 0 when there was an
 * event: the caller still owns it and looks again. */
int connection_release(connection_t *connection);
/* Tells the client that this connection takes no further request: shuts its
 * receiving side. Only its owner calls this. */
void connection_shut(connection_t *connection);

#endif
