/* SPDX-License-Identifier: Apache-2.0 */
/* process.h: what all files of weave-worker know of its process, and its start
 *
 * Threads: Python's main thread (application.c), spec->threads executors
 * (executor.c) and one control thread (control.c), which never enters Python.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "weave_board.h"
#include "weave_clock.h"
#include "weave_engine.h"
#include "weave_line.h"
#include "weave_secret.h"
#include "weave_spec.h"

#define STOP_US 3000000 /* how long Python may take to end */

/* Logs a line in the manner of printf() where the server logs at debug. */
#define PROCESS_DEBUG(...)                                                     \
    do {                                                                       \
        if (worker.spec->log_level >= WEAVE_LOG_DEBUG)                         \
            weave_line_say(WEAVE_LOG_DEBUG, __VA_ARGS__);                      \
    } while (0)

typedef struct connection_t connection_t;
typedef struct executor_t executor_t;

typedef struct worker_t {
    const weave_spec_t *spec;
    const weave_engine_t *engine;
    weave_board_t *board;
    uint32_t generation;
    long pid;              /* also in processes that the application forks */
    weave_secret_t secret; /* of the application; each client must show it */
    long starter_uid;      /* besides root, the only user who may supervise */
    int stack_signal;
    int listen_fd, lifeline_fd, board_fd, readonly_fd;
    int log_fd;   /* reading end of the pipe that 1 and 2 write to */
    int say_fd;   /* writing end of it that never waits */
    int epoll_fd; /* all idle connections, shared by the executors */
    int wake_fd;  /* in that set: wakes one executor, for the queue */
    int events_fd, events_wake_fd; /* events.c */
    int stop_fd; /* readable: Python's main thread is to end */
    executor_t *executors;
    atomic_int ready;    /* 1: the application is loaded */
    atomic_int draining; /* 1: no connection is kept */
    int forked; /* 1: this is a process that the application has forked */
    /* each request changes it: beside what others only read it would slow them
     * down */
    _Alignas(64) atomic_int idle; /* how many executors wait for an event */
    atomic_int saturated; /* 1: none is idle; the control thread reads */
} worker_t;
extern worker_t worker;

/* Logs that the application has closed descriptors of the worker, and ends the
 * process: their numbers may be other files now. Any thread. */
void process_descriptors_lost(void) __attribute__((noreturn));

/* Blocks no signal in the calling thread, which runs the application: programs
 * that it starts inherit the mask, and subprocess (vfork) calls no atfork
 * handler. The kernel still prefers the main thread. */
void process_signals_unblock(void);

/* Starts a detached thread that blocks all signals but faults. STACK_BYTES 0:
 * the default. Returns 0 or an errno. */
int process_thread_start(void *(*function)(void *), void *data,
                         size_t stack_bytes, const char *name);

/* application.c: Python's main thread calls these */
/* Loads the engine of SPEC into worker.engine. Returns NULL, or what is wrong.
 */
const char *application_engine_load(const weave_spec_t *spec, apr_pool_t *pool);
/* Starts Python, imports the application and starts the executors; tells weaved
 * what has failed, and ends the process then. */
void application_start(apr_pool_t *pool);
/* Runs the application's signal handlers until the worker is to end. It drains
 * when one of them raises SystemExit, as after SIGTERM. */
void application_wait(void);

/* memory.c */
/* Bounds what malloc() keeps of memory that was freed. By itself it takes the
 * size of a block that was freed for one that is needed often (up to 32 MiB,
 * mallopt(3)), and keeps so much for each thread. Threads that hold the GIL do
 * not need a heap each. Who says in the environment what it is to do has the
 * last word. Called before Python starts. */
void memory_bound(void);
/* Gives back what the start has needed and nothing else does: free blocks of
 * malloc(), and pages of libpython such as its relocations, which are half as
 * large as its code. What is read again comes from the file again. Called when
 * the application is loaded: from now on malloc() keeps blocks for requests. */
void memory_settle(void);

/* ini.c */
/* Returns the path at which the application reads its sync.ini: that of the
 * file while it says what this worker was started with. */
const char *ini_path(const weave_spec_t *spec, apr_pool_t *pool);

/* fork.c */
/* Handles SIGTERM, and ignores what no worker dies of. */
void signals_start(void);
/* From now on a process that the application forks lets go what is ours. */
void fork_prepare(void);

/* title.c */
/* Sets what ps shows. */
void title_set(int argc, char **argv, const char *name);

/* probe.c */
/* Runs `weave-worker --probe` (weave_control.h). Does not return. */
int probe_run(int argc, char **argv, apr_pool_t *pool);

#endif
