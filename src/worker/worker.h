/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h: what the files of weave-worker share
 *
 * Threads: Python's main thread (main.c), spec->threads executors (executor.c)
 * and one control thread (control.c), which never enters Python.
 *
 * A connection has one owner at a time: whoever brought its `state` to BUSY
 * reads from it, answers, closes it. The queue and the pump own connections
 * like a thread does. Only its output is shared, under its lock. */
#ifndef WORKER_H
#define WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>

#include <jansson.h>

#include "weave_answer.h"
#include "weave_board.h"
#include "weave_clock.h"
#include "weave_control.h"
#include "weave_engine.h"
#include "weave_frame.h"
#include "weave_report.h"
#include "weave_spec.h"

#define INPUT_BYTES 65536  /* what is asked of a socket at once */
#define INLINE_BYTES 65536 /* a body up to this size goes with its head */
#define STOP_US 3000000    /* what Python gets for its end */

typedef struct connection_t connection_t;
typedef struct executor_t executor_t;

/* --- the process -------------------------------------------------------- */

typedef struct worker_t {
    const weave_spec_t *spec;
    const weave_engine_t *engine;
    weave_board_t *board;
    uint32_t generation;
    long pid; /* not that of processes that the application forks */
    weave_secret_t secret; /* of the application: who connects must have it */
    long starter_uid;      /* who may say SUPERVISOR, beside root */
    int stack_signal;
    int listen_fd, lifeline_fd, board_fd, readonly_fd;
    int log_fd;   /* where others read what is written to 1 and 2 */
    int say_fd;   /* writes there without waiting */
    int epoll_fd; /* all idle connections, shared by the executors */
    int kick_fd;  /* in it: wakes an executor that looks at the queue */
    int stop_fd;  /* can be read: Python's main thread is to finish */
    executor_t *executors;
    atomic_int idle;      /* executors that wait for an event */
    atomic_int ready;     /* the application is loaded */
    atomic_int draining;  /* no connection is kept */
    atomic_int saturated; /* the control thread looks while none is idle */
    int forked; /* 1: this is a process that the application has forked */
} worker_t;
extern worker_t worker;

/* The application has closed what is ours: the numbers are its own files now,
 * or will be. Any thread. */
void worker_descriptors_lost(void) __attribute__((noreturn));
/* In a process that the application has forked: no handler is ours. The mask is
 * that of the thread that forked it. */
void worker_signals_forget(void);
/* For threads that run the application: programs that it starts inherit their
 * mask, and subprocess (vfork) asks no atfork handler. The kernel still prefers
 * the main thread. */
void worker_signals_open(void);
/* A thread that blocks them. 0 or an errno; STACK_BYTES 0: the default. */
int worker_thread_start(void *(*function)(void *), void *data,
                        size_t stack_bytes, const char *name);

/* Loads the engine of SPEC into `engine`. NULL, or what is wrong. */
const char *worker_engine_load(const weave_spec_t *spec, apr_pool_t *pool);

/* --- probe.c ------------------------------------------------------------ */

/* `weave-worker --probe`: see weave_control.h. Returns the exit status. */
int probe_run(int argc, char **argv, apr_pool_t *pool);

/* --- connection.c ------------------------------------------------------- */

/* Who has it. */
enum {
    CONNECTION_FREE,
    CONNECTION_IDLE,
    CONNECTION_BUSY,  /* somebody */
    CONNECTION_AGAIN, /* somebody, and there was another event */
    CONNECTION_QUEUED /* the queue: may be taken out of it */
};

/* What has arrived and is not used yet. */
typedef struct input_t {
    char *data;
    size_t at, len, room;
    int lent;    /* `data` is the scratch buffer of its owner */
    int drained; /* nothing was left when it was read last */
    int hasty;   /* a short read shows that: its end would be another event */
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
    _Atomic uint32_t epoch; /* which connection in this place */
    int fd;
    uint32_t slot;
    int shut;    /* our receiving side is shut down: it drains */
    int hung_up; /* the peer is gone */
    input_t in;
    connection_t *next_queued; /* under the lock of the queue */
    connection_t *next_retry;  /* the control thread's own */
    int retries;               /* as well: it is in that list */
    /* output: under `lock` */
    pthread_mutex_t lock;
    /* number of the request that is to stop waiting for the reader: set
     * without the lock, which that request may hold */
    _Atomic uint32_t abandon;
    uint32_t cut; /* number of the request that did, and when */
    int64_t cut_us;
    int broken;       /* nothing can be sent any more */
    int pumped;       /* owned by the pump until `first` is NULL */
    int armed;        /* known to the control thread's epoll */
    uint32_t current; /* number of the request in Python, 0: none */
    int head_left;    /* of that request */
    int ended;        /* its last byte was given */
    chunk_t *first, *last;
    size_t memory; /* bytes of `first` that are no file's */
    int spool_fd;  /* -1: none */
    int64_t spool_end;
    int spool_failed;
};

/* Frees nothing and touches nothing that is in use; NULL: there are too many.
 * The control thread. */
connection_t *connection_open(int fd);
/* The owner. Drops what was not sent. */
void connection_close(connection_t *connection);
connection_t *connection_at(uint32_t slot);
uint32_t connection_slots(void); /* below which all of them are */
/* 1: the caller owns it now; 0: the owner knows that there is more. Takes it
 * out of the queue where it waits. */
int connection_claim(connection_t *connection);
/* 1: it is idle now; 0: there was an event: look again. */
int connection_release(connection_t *connection);
/* The same for a client that broke the rules of the wire: says so. */
void connection_refuse(connection_t *connection);
/* Lets the client know that it wants no further request. The owner. */
void connection_shut(connection_t *connection);

/* --- input.c ------------------------------------------------------------ */

typedef enum {
    INPUT_FRAME, /* frame and payload are there until input_skip() */
    INPUT_NOTHING,
    INPUT_END, /* nothing, and nothing will come */
    INPUT_BAD  /* logged */
} input_e;

/* The owner starts to read; SCRATCH (INPUT_BYTES) is lent until input_keep.
 * NULL: what arrives is kept with the connection. HASTY: the event that brought
 * it here was not the peer's end, and there was no other one. */
void input_begin(connection_t *connection, char *scratch, int hasty);
void input_keep(connection_t *connection);
input_e input_next(connection_t *connection, weave_frame_t *frame,
                   const char **payload);
void input_skip(connection_t *connection, const weave_frame_t *frame);
/* Tells what is behind FRAME, the first one: a client has one request at a
 * time, and may only ask for it back. */
typedef enum {
    INPUT_ALONE,     /* nothing, or the beginning of a frame */
    INPUT_CANCELLED, /* a CANCEL of it */
    INPUT_EXCESS     /* something else */
} input_behind_e;
input_behind_e input_behind(connection_t *connection,
                            const weave_frame_t *frame);
/* Reads once. Does the whole REQUEST that is there wait on? */
int input_is_waiting(connection_t *connection);
/* One read without waiting, whatever is known. 0: nothing came. */
int input_fill(connection_t *connection);
/* Where nothing can be read any more, no CANCEL comes: is the peer there? */
void input_look_for_peer(connection_t *connection);
/* Waits for exactly LEN bytes. 0, or -1: the peer is gone. */
int input_exactly(connection_t *connection, char *to, size_t len);
void input_drop(connection_t *connection); /* frees all */
/* Says what is wrong with what a client has sent. */
void input_complain(weave_frame_status_e status);

/* --- output.c, spool.c --------------------------------------------------- */

#define BATCH_PARTS 64

/* What leaves in one piece. `owner` of a part is released when that part is
 * sent, or dropped; output_send does one of both. */
typedef struct batch_t {
    struct iovec parts[BATCH_PARTS];
    void *owners[BATCH_PARTS];
    int count;
    int pass; /* a descriptor for the first byte (borrowed), or -1 */
} batch_t;

/* Sends it, waits for a reader who makes progress, and keeps what a slow one
 * leaves. PATIENT 0: waits for nobody. */
weave_io_e output_send(connection_t *connection, batch_t *batch, int patient);
/* The same with the lock of the connection held. */
weave_io_e output_send_locked(connection_t *connection, batch_t *batch,
                              int patient);
/* A frame of a few bytes. */
weave_io_e output_frame(connection_t *connection, weave_frame_type_e type,
                        uint32_t number, const void *payload, size_t bytes);
/* A frame without payload that leaves at once: a client that has no room for it
 * does not read, and is as good as gone. */
weave_io_e output_reply(connection_t *connection, weave_frame_type_e type,
                        uint32_t number);
/* Sends of the list what there is room for. With the lock. */
void output_pump(connection_t *connection);
void output_drop(connection_t *connection); /* with the lock */

/* With the lock. Bytes for the file of CONNECTION: 0, or -1 when there is no
 * room, or no more may be there (said once). Then where they are is
 * `spool_end`, before. */
int spool_write(connection_t *connection, const char *data, size_t len);
void spool_close(connection_t *connection);

/* --- host.c --------------------------------------------------------------- */

/* One request as its executor and the engine see it: weave_request_t.host. */
typedef struct exchange_t {
    connection_t *connection;
    uint32_t number;
    int64_t file_at, file_bytes; /* of a spooled body; file_bytes 0: none */
    int body_ended;
    int body_problem;           /* weave_io_e */
    weave_answer_lines_t lines; /* that went to the client */
    size_t head_len;            /* of `head`: it has not left */
    char *head;
    size_t head_room;
} exchange_t;

extern const weave_host_t worker_host;
/* What the host still owes the client when run() is back. */
weave_io_e exchange_end(exchange_t *exchange, int outcome);

#define KICK UINT64_MAX /* the event of `kick_fd` in the shared epoll set */

/* --- executor.c ----------------------------------------------------------- */

struct executor_t {
    unsigned index;
    _Atomic int64_t since_us; /* weave_clock_us(); 0: idle */
    _Atomic(connection_t *) connection;
    _Atomic uint32_t number; /* stays while `since_us` does, as the rest */
    char *buffer;            /* INPUT_BYTES */
    weave_var_t *vars;
    size_t vars_room;
    weave_request_t request;
    exchange_t exchange;
};

/* APR's or errno's word for why there are none. */
int executors_start(void);
/* At most one wakes; there need be none. */
void executors_kick(void);

/* --- suspect.c ------------------------------------------------------------ */

/* 0 or an errno. */
int suspects_start(void);
/* Waits until no other thread is in between, for a while. Returns 1 where the
 * caller has to leave again. */
int suspect_enter(void);
void suspect_leave(void);

/* --- queue.c -------------------------------------------------------------- */

/* Puts a connection that has a whole REQUEST in its input at the end. 0:
 * done; 1: there was another event, look again; -1: the queue is full. */
int queue_push(connection_t *connection);
/* The first one, owned by the caller; NULL: none. One load when empty. */
connection_t *queue_pop(void);
/* Takes CONNECTION out; 1: the caller owns it. */
int queue_take(connection_t *connection);
/* A connection that waits has an event: is its request still wanted? 1: the
 * caller owns it and is to look at it. */
int queue_look(connection_t *connection);
uint32_t queue_count(void);

/* --- look.c: the control thread as a reader ------------------------------- */

/* Reads what CONNECTION, which the caller owns, has, without running it:
 * requests go to the queue. */
void look_at(connection_t *connection);
/* Takes what waits in the shared epoll set. */
void look_around(void);
/* Shuts down idle connections. */
void look_drain(void);

/* --- handshake.c ---------------------------------------------------------- */

void handshake_start(int epoll_fd);
/* Takes what waits at the listening socket. */
void handshake_accept(void);
void handshake_event(void *data);
/* Closes those that say nothing; when to come back. */
int64_t handshake_tick(int64_t now_us);
/* Takes the last ones, and closes the listening socket. */
void handshake_stop(void);
int handshake_is_done(void); /* none is under way */

/* --- control.c ------------------------------------------------------------ */

/* What the control thread's epoll tells apart; PENDING and PUMP carry more. */
enum {
    EVENT_LISTEN,
    EVENT_CONTROL,
    EVENT_LIFELINE,
    EVENT_WAKE,
    EVENT_PENDING,
    EVENT_PUMP
};
uint64_t control_event(int kind, const void *pointer);

/* CHANNEL, with what has arrived in it, is the control thread's from now on.
 * 0 or an errno. */
int control_start(weave_control_t *channel);
/* Any thread: something has changed. Async-signal-safe. */
void control_wake(void);
/* Any thread. */
void control_send(json_t *message); /* takes the reference */
void control_say_ready(void);
/* WHY lasts as long as the process. */
void control_recycle(weave_report_e kind, const char *why);
/* Drain, then quit. Async-signal-safe. */
void control_drain_soon(void);
/* The control thread: FD is weaved's from now on. */
void control_replace(int fd);
/* Any thread: tells the control thread when CONNECTION can be written. */
void control_arm(connection_t *connection);
void control_disarm(connection_t *connection);
/* The child of a fork closes what is here. */
void control_fork_child(void);
void handshake_fork_child(void);

/* --- timeout.c ------------------------------------------------------------ */

/* Abandons what is over its time; when to come back. */
int64_t timeout_tick(int64_t now_us);
/* max_rss and the board's rss; when to come back. */
int64_t rss_tick(int64_t now_us);

/* --- stacks.c ------------------------------------------------------------- */

/* Writes the stacks of all threads into the log. The control thread. */
void stacks_show(void);

/* --- fork.c, title.c ------------------------------------------------------ */

void fork_prepare(void);
void title_set(int argc, char **argv, const char *name);
/* Where the application finds its sync.ini: the real path while that says
 * what it was started with. */
const char *ini_path(const weave_spec_t *spec, apr_pool_t *pool);

#endif
