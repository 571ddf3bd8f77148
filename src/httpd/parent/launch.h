/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_LAUNCH_H
#define MOD_WEAVE_LAUNCH_H

#include "parent.h"

typedef struct mod_weave_launched_t {
    pid_t pid;
    int control; /* httpd's end of its control channel */
    int ready;   /* closed by weaved when it takes requests; before that it
                    writes there why it cannot */
} mod_weave_launched_t;

/* Starts weaved with DATA's lifeline, roster and folder, and waits for nothing.
 * Returns NULL, or what is wrong, for people. The caller closes the
 * descriptors. */
const char *mod_weave_launch(mod_weave_launched_t *launched,
                             const server_rec *s,
                             const mod_weave_retained_t *data,
                             apr_pool_t *pool);

/* The time that a weaved may need until it takes requests: it may have to wait
 * for another one that is just ending. */
#define MOD_WEAVE_READY_MS 10000

/* Returns why the weaved at the other end of READY does not take requests, for
 * people; or NULL: it does, or it has ended without a word. Waits for that
 * TIMEOUT_MS at most. */
const char *mod_weave_launch_answer(int ready, int timeout_ms,
                                    apr_pool_t *pool);

#endif
