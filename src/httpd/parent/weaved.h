/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_WEAVED_H
#define MOD_WEAVE_WEAVED_H

#include "parent.h"

/* launch.c: its process */
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

/* weaved.c: httpd's parent talks to its weaved on the channel that the two
 * share. Requests are short and sent without waiting: what is long goes as a
 * file without a name. Answers are read when they are there; so a weaved that
 * has stopped holds up nobody, and is noticed. */

/* Takes the descriptors of LAUNCHED, which has just been started. 0, or -1:
 * there is no memory. */
int mod_weave_weaved_open(mod_weave_retained_t *data,
                          const mod_weave_launched_t *launched);
void mod_weave_weaved_close(mod_weave_retained_t *data);

/* Asks for OP, with the descriptor PASS (-1: none). NULL, or why it cannot be
 * asked. */
const char *mod_weave_weaved_ask(mod_weave_retained_t *data, const char *op,
                                 int pass, apr_pool_t *pool);

/* Tells it all that is to run; the same. */
const char *mod_weave_weaved_want(mod_weave_retained_t *data, apr_pool_t *pool);

/* Waits at most TIMEOUT_MS until everything that was asked is answered. NULL,
 * or the first thing that weaved has against it. */
const char *mod_weave_weaved_hear(mod_weave_retained_t *data, int timeout_ms,
                                  apr_pool_t *pool);

/* How long it has answered nothing of what it was asked, in microseconds; 0:
 * everything is answered. */
int64_t mod_weave_weaved_silence(const mod_weave_retained_t *data);

#endif
