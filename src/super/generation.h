/* SPDX-License-Identifier: Apache-2.0 */
/* generation.h: generations and their workers */
#ifndef SUPER_GENERATION_H
#define SUPER_GENERATION_H

#include "super.h"

/* generation.c: a generation, from its making to its end */

super_generation_t *super_generation_make(
    super_app_t *app, uint32_t number, super_generation_e state,
    const super_worker_events_t *worker_events);
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

/* fill.c: keeps a generation that serves at its number of workers */

/* A worker that has not served longer than this is young. */
#define SUPER_YOUNG_US (10 * SUPER_SECOND)
/* The longest pause. */
#define SUPER_PAUSE_US (60 * SUPER_SECOND)

/* Starts the workers that GENERATION lacks, unless it is in a pause. */
void super_generation_fill(super_generation_t *generation);
/* A young worker has failed: begins a pause before GENERATION is filled again,
 * longer each time, MOST_US at most. Returns it in microseconds; 0: none. */
int64_t super_generation_pause_begin(super_generation_t *generation,
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
/* Makes one without workers, for those that run already. */
super_generation_t *super_generation_adopt(super_app_t *app, uint32_t number,
                                           super_generation_e state);

#endif
