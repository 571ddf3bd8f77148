/* SPDX-License-Identifier: Apache-2.0 */
/* relay.h: passes on to httpd's log what a worker writes */
#ifndef SUPER_RELAY_H
#define SUPER_RELAY_H

#include "super.h"

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

#endif
