/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_POOL_H
#define MOD_WEAVE_POOL_H

#include "mod_weave.h"

/* backend_pool.c: the workers of each application as a child sees them, and its
 * connections to them */
typedef struct mod_weave_worker_t mod_weave_worker_t;
typedef struct mod_weave_link_t {
    int fd;
    apr_uint32_t slot;   /* in the worker's board */
    apr_uint32_t number; /* of the last request */
    mod_weave_worker_t *worker;
    struct mod_weave_link_t *next;
} mod_weave_link_t;
/* Waits until the application answers or cannot: WEAVE_APP_SERVING, or what it
 * is at UNTIL_US (weave_clock_us()). */
apr_uint32_t mod_weave_pool_wait(const mod_weave_app_t *app, int64_t until_us);
/* The share of its workers' threads that have something to do, 0 to 1. */
double mod_weave_pool_busy(const mod_weave_app_t *app);
/* A connection to the ready worker with the fewest requests, other than *AVOID
 * (a pid, 0: none) where there is another one. NULL: none takes it just now;
 * *AVOID is one that should have. Nothing is waited for much longer than
 * UNTIL_US (weave_clock_us()). */
mod_weave_link_t *mod_weave_link_acquire(const mod_weave_app_t *app,
                                         apr_uint32_t *avoid, int64_t until_us);
/* Gives it back. */
enum {
    MOD_WEAVE_LINK_IDLE,   /* for the next request */
    MOD_WEAVE_LINK_BROKEN, /* it is of no use any more */
    MOD_WEAVE_LINK_DEAD    /* nor are others to the same worker */
};
void mod_weave_link_release(mod_weave_link_t *link, int state);
/* Has the worker begun with the last request of the link? */
int mod_weave_link_has_started(const mod_weave_link_t *link);
apr_uint32_t mod_weave_link_pid(const mod_weave_link_t *link);

#endif
