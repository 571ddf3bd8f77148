/* SPDX-License-Identifier: Apache-2.0 */
/* app.h: applications and their generations */
#ifndef SUPER_APP_H
#define SUPER_APP_H

#include "super.h"

/* app.c: applications and generations, from their making to their end */

super_app_t *super_app_make(uint32_t index, const char *name);
/* Returns the application that is wanted at INDEX, or NULL. */
super_app_t *super_app_find(uint32_t index);
/* Frees it when it is not wanted and nothing of it is left. */
void super_app_free_unused(super_app_t *app);
/* Calls FN, which frees none, for each worker of APP. */
void super_app_workers_each(super_app_t *app,
                            void (*fn)(super_worker_t *worker));
/* Stores TEXT as the reason why generation NUMBER has failed; NULL: one
 * serves. */
void super_app_error_set(super_app_t *app, const char *text, uint32_t number);
/* Returns TEXT, by which a worker says why it has failed, without the secrets
 * of the sync.ini that SPEC (may be NULL) holds: see weave_reason_mask(). */
const char *super_app_reason(const char *text, const weave_spec_t *spec,
                             apr_pool_t *pool);

/* Tells a generation what it is made of. */
void super_generation_spec_set(super_generation_t *generation,
                               const char *resolved_text);
/* How many workers it is to have, once it has a spec. */
int super_generation_size(const super_generation_t *generation);
/* Kills its workers: it comes up and is not wanted any more. It may be freed,
 * as by the functions below. */
void super_generation_abandon(super_generation_t *generation);
/* Drains it. At most two drain at once; workers of older ones are killed. */
void super_generation_drain(super_generation_t *generation);
/* Frees it when it has no workers, nor a reason to be. */
void super_generation_free_unused(super_generation_t *generation);
/* Ends weaved: tells all workers to leave. The loop ends with the last one. */
void super_end_begin(void);

/* fill.c: keeps a generation that serves at its number of workers */

/* A worker that has not served longer than this is young. */
#define SUPER_YOUNG_US (10 * SUPER_SECOND)
/* The longest pause. */
#define SUPER_PAUSE_US (60 * SUPER_SECOND)

/* Starts the workers that GENERATION lacks, unless it is in a pause. */
void super_generation_fill(super_generation_t *generation);
/* Something has happened to GENERATION, at its PACE: begins a pause before it
 * is filled again, longer each time, between LEAST_US and MOST_US. Returns it;
 * 0: none. */
int64_t super_generation_pause(super_generation_t *generation,
                               super_pace_t *pace, int64_t least_us,
                               int64_t most_us);
/* An event of workers: wants a successor, which comes when the workers of its
 * application may have one. */
void super_worker_recycle(super_worker_t *worker, const char *why, int stuck);

/* resolve.c: what an application would be made of, as its links lead now */

typedef struct super_resolved_t {
    weave_spec_t *spec;
    const char *text;  /* of `spec` */
    uint64_t identity; /* a hash of what makes a process; never 0 */
} super_resolved_t;

/* Follows the links of what is wanted of APP, as if AS_IF (NULL: none) were
 * moved already, after the checks that configtest has, too. Returns NULL and
 * *made, or a message, all in POOL. */
const char *super_app_resolve(super_resolved_t *made, const super_app_t *app,
                              const weave_link_t *as_if, apr_pool_t *pool);
/* Returns a hash of time and size of the script, as they are now. */
uint64_t super_app_script_stamp(const super_app_t *app, apr_pool_t *pool);

/* serve.c: what becomes of a generation when something happens to its workers
 */

/* Makes a generation of APP that is COMING; EVENTS are told what becomes of it
 * once it is launched. */
super_generation_t *super_generation_begin(
    super_app_t *app, const super_resolved_t *made,
    const super_generation_events_t *events);
/* Starts its workers. */
void super_generation_launch(super_generation_t *generation);
/* Makes one without workers. */
super_generation_t *super_generation_make(super_app_t *app, uint32_t number,
                                          super_generation_e state);

/* candidate.c: a generation that is tried before its release is there */

/* Starts one of what is wanted of APP as if LINK were moved. HOLDER is answered
 * when it has come up or has failed; it is dropped when the connection of
 * HOLDER ends. Returns NULL, or a message, and nothing has changed. */
const char *super_candidate_start(super_app_t *app, const weave_link_t *link,
                                  super_caller_t *holder, apr_pool_t *pool);
/* Drops the candidate of APP, if it has one. WHY is for people. */
void super_candidate_drop(super_app_t *app, const char *why);
/* Drops it where it is not what LINK would make of what is wanted now. */
void super_candidate_review(super_app_t *app, apr_pool_t *pool);
/* Returns the candidate of APP with IDENTITY, which is none any more; NULL:
 * there is none. The caller gives it a state and other events. */
super_generation_t *super_candidate_take(super_app_t *app, uint64_t identity);

/* release.c */

/* httpd wants the spec TEXT. FORCE: starts a new generation in any case.
 * Returns NULL, or a message (in POOL): a TEXT that cannot be read changes
 * nothing. */
const char *super_release_want(super_app_t *app, const char *text, int force,
                               apr_pool_t *pool);
/* Starts a new generation of what is wanted of the application NAME; NULL: of
 * each. Returns NULL, or the first problem, which is logged. */
const char *super_release_reload(const char *name, apr_pool_t *pool);
/* What super_release_switch has done. */
typedef struct super_switched_t {
    uint32_t generation; /* that serves */
    unsigned finishing;  /* requests that the one before has */
} super_switched_t;

/* Follows the links of the application NAME: where they make what its candidate
 * is, that serves from now on. Returns NULL and *switched, or a message (in
 * POOL), and nothing has changed. */
const char *super_release_switch(super_switched_t *switched, const char *name,
                                 apr_pool_t *pool);
/* Returns the application NAME that httpd wants; NULL and *problem: there is
 * none. */
super_app_t *super_release_find(const char **problem, const char *name,
                                apr_pool_t *pool);
/* Drains APP, which httpd wants no more. It may be freed. */
void super_release_remove(super_app_t *app);

/* adopt.c */

/* Takes over what the roster has. */
void super_adopt_roster(void);
/* The SECRET of APP is known: joins those of its workers that are adopted. */
void super_adopt_join(super_app_t *app, const weave_secret_t *secret);

#endif
