/* SPDX-License-Identifier: Apache-2.0 */
/* join.h: says HELLO to a worker that another weaved has started */
#ifndef SUPER_JOIN_H
#define SUPER_JOIN_H

#include "super.h"
#include "weave_frame.h"

/* One of these functions is called, once. */
typedef struct super_join_events_t {
    /* FD, which the function takes, is the control channel now. The worker's
     * board is mapped. */
    void (*joined)(super_worker_t *worker, const weave_welcome_t *welcome,
                   int fd);
    void (*failed)(super_worker_t *worker, const char *why);
} super_join_events_t;

/* Begins. No event comes where WORKER drains already and does not listen any
 * more. */
void super_join_start(super_worker_t *worker,
                      const super_join_events_t *events);
/* Ends it in any state. Tells nothing. */
void super_join_end(super_worker_t *worker);

#endif
