/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h: one worker, from its start to its end
 *
 * What happens to it is told through worker->events. */
#ifndef SUPER_WORKER_H
#define SUPER_WORKER_H

#include "super.h"
#include "weave_handshake.h"

/* worker.c */

/* Starts a worker of GENERATION. Returns NULL, or why it cannot be started (in
 * the generation's pool). */
const char *super_worker_start(super_generation_t *generation);
/* Makes one of a process that runs already, in SLOT of the roster. Takes
 * PIDFD. */
super_worker_t *super_worker_adopt(super_generation_t *generation, int slot,
                                   const weave_roster_worker_t *entry,
                                   int pidfd);
/* Makes FD, which it takes, the control channel of WORKER. */
apr_status_t super_worker_connect(super_worker_t *worker, int fd);
/* Publishes its state in the roster; WEAVE_WORKER_FREE gives its slot up. */
void super_worker_publish(super_worker_t *worker, uint32_t state);
/* Frees everything of it but its process. */
void super_worker_free(super_worker_t *worker);
typedef struct super_load_t {
    unsigned running, queued;
} super_load_t;
/* Reads the requests that it has from its board, bounded. */
super_load_t super_worker_load(const super_worker_t *worker);

/* leave.c */

/* Tells it to finish its requests, in the time that one may take, and leave. */
void super_worker_drain(super_worker_t *worker);
/* Sets the time that its drain may take, if it drains and has none: that of an
 * adopted one comes with what httpd wants. */
void super_worker_drain_limit_set(super_worker_t *worker);
/* Kills it. Its end is awaited as any other, but not logged. */
void super_worker_kill(super_worker_t *worker);
/* Tells it to leave at once. */
void super_worker_quit(super_worker_t *worker);

/* client.c: a connection of weaved to the socket of a worker */

/* Learns that the WELCOME or bytes behind it have come (APR_SUCCESS), or that
 * the connection is of no use any more: RV as of weave_welcome_receive. It ends
 * the connection then. */
typedef void super_client_fn(super_worker_t *worker, apr_status_t rv);

struct super_client_t {
    int fd;
    super_watch_t watch;
    super_timer_t limit;
    const char *out; /* what is left to be sent */
    size_t out_left;
    weave_welcome_part_t part;
    weave_welcome_t welcome; /* its pid is 0 until it has come */
    super_client_fn *fn;
    void *data; /* for FN */
};

/* Makes worker->client: connects with FLAGS of weave_socket_connect, and sends
 * BYTES of OUT, which the caller keeps. */
apr_status_t super_client_start(super_worker_t *worker, int flags,
                                const void *out, size_t bytes,
                                super_client_fn *fn);
/* Ends it in any state. */
void super_client_end(super_worker_t *worker);

/* warmup.c: asks WORKER for the release.warmup of its generation, and tells its
 * events `ready` or `failed` in the end. */
void super_warmup_start(super_worker_t *worker);

/* relay.c */

/* The pipe of a worker's standard output and error. */
typedef struct super_pipe_t {
    int read_fd;  /* for the worker to keep */
    int write_fd; /* its standard output and error */
    int say_fd;   /* the same, without waiting */
} super_pipe_t;

apr_status_t super_relay_pipe_make(super_pipe_t *made);
void super_relay_pipe_close(const super_pipe_t *made);
/* Begins to read READ_FD, an end of the pipe of WORKER, which stays the
 * caller's. */
apr_status_t super_relay_start(super_worker_t *worker, int read_fd);
/* Passes on what has arrived, up to a bound, before something is logged about
 * WORKER. */
void super_relay_flush(super_worker_t *worker);
/* The worker is gone: passes on what others still write there. */
void super_relay_end(super_worker_t *worker);

/* exec.c */

/* All that a worker is started with beside its spec. */
typedef struct super_exec_t {
    int listen_fd, control_fd, board_fd;
    super_pipe_t log;
} super_exec_t;

/* Starts the process of WORKER. Sets its `pid` and `report_fd`, the end of a
 * pipe through which the process tells what goes wrong before exec; when that
 * went well, it tells nothing and the pipe ends. */
apr_status_t super_exec_worker(super_worker_t *worker,
                               const super_exec_t *exec);

/* process.c */

/* Returns the time at which PID was born, in the kernel's own unit, which with
 * the pid names a process for ever. 0: there is no such process. */
uint64_t super_process_birth(pid_t pid);
/* Returns how long ago BIRTH was, in microseconds. */
int64_t super_process_age(uint64_t birth);
/* Returns the bytes of memory that PID has; 0: not known. */
uint64_t super_process_rss(pid_t pid);
/* Tells people how a process has ended; STATUS as waitpid() sets it, -1: not
 * known. */
const char *super_process_end(int status, apr_pool_t *pool);

/* pidfd_open(2) and pidfd_send_signal(2), which old C libraries lack. */
int super_pidfd_open(pid_t pid);
int super_pidfd_kill(int pidfd, int number);

#endif
