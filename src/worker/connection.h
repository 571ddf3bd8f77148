/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h: connections of clients, what comes from them, what goes to
 * them, and which thread owns each
 *
 * A connection has one owner at a time: the thread that has set its `state` to
 * BUSY reads from it, answers and closes it. The queue and the pump own
 * connections as a thread does. Only its output is shared, under its lock. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <sys/uio.h>

#include "process.h"
#include "weave_frame.h"

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

/* input.c: from bytes of a socket to whole frames. The owner calls these. */
/* The size of an executor's scratch buffer: a request with a body of 64 KiB
 * fits, and costs one read and no copy. */
#define INPUT_BYTES (65536 + 16384)

typedef enum {
    INPUT_FRAME, /* frame and payload stay until input_skip() */
    INPUT_NOTHING,
    INPUT_END, /* nothing is there, and nothing will come */
    INPUT_BAD  /* it is no frame; logged */
} input_e;

/* Begins to read into SCRATCH (INPUT_BYTES), which is borrowed until
 * input_keep(); NULL: into memory of the connection. SHORT_IS_EMPTY: the event
 * that brought the thread here was not the end of the stream, and there was no
 * other event. */
void input_begin(connection_t *connection, char *scratch, int short_is_empty);
/* Copies what is left out of the scratch buffer. */
void input_keep(connection_t *connection);
/* Finds the next frame, and reads until it is whole or nothing more comes. */
input_e input_next(connection_t *connection, weave_frame_t *frame,
                   const char **payload);
/* Takes FRAME and its payload away. */
void input_skip(connection_t *connection, const weave_frame_t *frame);

/* What follows the first frame: a client has one request at a time, and may
 * only ask for it back. */
typedef enum {
    INPUT_ALONE,     /* nothing, or the beginning of a frame */
    INPUT_CANCELLED, /* a CANCEL of it */
    INPUT_EXCESS     /* something else */
} input_behind_e;
/* Tells what follows FRAME, the first one. */
input_behind_e input_behind(connection_t *connection,
                            const weave_frame_t *frame);

/* Reads once. Returns 1 while the whole REQUEST that is there is still wanted,
 * and nothing follows it. */
int input_is_waiting(connection_t *connection);
/* Reads once without waiting, whatever is known. Returns 1 when bytes came. */
int input_receive(connection_t *connection);
/* Notes whether the peer has hung up, where nothing can be read any more and
 * no CANCEL would come. */
void input_peer_check(connection_t *connection);
/* Waits for exactly LEN bytes. Returns 0, or -1 when the peer is gone. */
int input_receive_exactly(connection_t *connection, char *to, size_t len);
/* Frees what has arrived. */
void input_drop(connection_t *connection);
/* Logs what is wrong with the bytes that a client has sent. */
void input_problem_log(weave_frame_status_e status);

/* output.c: frames to a client */
/* A socket takes so many bytes of an answer at once, which frees its thread. */
#define OUTPUT_BYTES (1 << 20)
#define INLINE_BYTES 65536 /* a body up to this size goes with its head */
#define BATCH_PARTS 64

/* Parts of an answer that leave together. `owner` of a part is released when
 * that part is sent, or dropped; sending does one of both. */
typedef struct batch_t {
    struct iovec parts[BATCH_PARTS];
    void *owners[BATCH_PARTS];
    int count;
    int pass; /* a descriptor for the first byte (borrowed), or -1 */
} batch_t;

/* Sends BATCH, and keeps what a slow reader leaves. PATIENT 1: waits for a
 * reader that makes progress, and while nothing more can be kept; 0: never
 * waits. Returns WEAVE_IO_OK or WEAVE_IO_GONE. With the lock. */
weave_io_e output_send_locked(connection_t *connection, batch_t *batch,
                              int patient);
/* Sends a frame of a few bytes. With the lock. */
weave_io_e output_frame_locked(connection_t *connection,
                               weave_frame_type_e type, uint32_t number,
                               const void *payload, size_t bytes, int patient);
/* Sends a frame without payload that leaves at once. A client that has no room
 * for it does not read: returns WEAVE_IO_GONE. */
weave_io_e output_reply(connection_t *connection, weave_frame_type_e type,
                        uint32_t number);
/* Sends as much of what was kept as there is room for. With the lock. */
void output_pump(connection_t *connection);
/* Drops what was kept: nothing is sent any more. With the lock. */
void output_break(connection_t *connection);

/* spool.c: the file for what a slow reader leaves */
/* Appends LEN bytes to the file of CONNECTION, at its `spool_end` of before.
 * Returns 0; or -1 when the disk is full, or no more is allowed (logged once).
 * With the lock. */
int spool_write(connection_t *connection, const char *data, size_t len);
/* Closes the file. With the lock. */
void spool_close(connection_t *connection);

/* parking.c: around a wait of an executor that is not Python's. Others take
 * requests meanwhile. */
void parking_leave(void);
void parking_return(void);

/* queue.c: requests that wait for an executor. Any thread. */
/* The event of worker.wake_fd in the executors' epoll set. */
#define QUEUE_WAKE UINT64_MAX

/* Appends a connection that has a whole REQUEST in its input. Returns 0 when
 * the queue owns it; 1 when there was another event: the caller looks again;
 * -1 when the queue is full. */
int queue_push(connection_t *connection);
/* Returns the first one, owned by the caller; NULL when there is none, which
 * costs one load. */
connection_t *queue_pop(void);
/* Takes CONNECTION out; ONLY_UNWANTED 1: reads from it, and takes it out when
 * its request is not wanted any more. Returns 1 when the caller owns it now. */
int queue_take(connection_t *connection, int only_unwanted);
uint32_t queue_count(void);
/* Wakes at most one executor that waits for an event; there need be none. */
void queue_executor_wake(void);

#endif
