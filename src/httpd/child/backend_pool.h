/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_BACKEND_POOL_H
#define MOD_WEAVE_BACKEND_POOL_H

#include "child.h"

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

#endif
