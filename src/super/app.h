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

/* serve.c: what becomes of a generation when something happens to its workers
 */

/* Starts a generation of APP, which becomes app->coming; EVENTS are told what
 * becomes of it. */
void super_generation_start(super_app_t *app, const char *resolved_text,
                            uint64_t identity,
                            const super_generation_events_t *events);
/* Makes one without workers. */
super_generation_t *super_generation_make(super_app_t *app, uint32_t number,
                                          super_generation_e state);

/* release.c */

/* httpd wants the spec TEXT. FORCE: starts a new generation in any case.
 * Returns NULL, or a message (in POOL): a TEXT that cannot be read changes
 * nothing. */
const char *super_release_want(super_app_t *app, const char *text, int force,
                               apr_pool_t *pool);
/* Starts a new generation of what is wanted of the application NAME; NULL: of
 * each. Returns NULL, or the first problem, which is logged. */
const char *super_release_reload(const char *name, apr_pool_t *pool);
/* Drains APP, which httpd wants no more. It may be freed. */
void super_release_remove(super_app_t *app);

/* adopt.c */

/* Takes over what the roster has. */
void super_adopt_roster(void);
/* The SECRET of APP is known: joins those of its workers that are adopted. */
void super_adopt_join(super_app_t *app, const weave_secret_t *secret);

#endif
