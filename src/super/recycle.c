/* SPDX-License-Identifier: Apache-2.0 */
/* recycle.c: workers that ask for a successor
 *
 * A worker may say what it likes, and may stay when it is told to leave. So
 * weaved decides by what it knows itself: how long that worker has served, and
 * how many of its application's processes have not ended yet. Who waits for its
 * successor goes on serving. */
#include "super.h"

#include "weave_clock.h"

/* So many more processes than it has workers may be about to end in an
 * application: further successors wait. */
#define LEAVING_MORE 4
/* A worker that asks sooner has a limit that is too low. */
#define SERVED_US SUPER_SECOND

static int leaving_count(const super_app_t *app)
{
    const super_generation_t *generation;
    const super_worker_t *worker;
    int count = 0;

    for (generation = app->generations; generation;
         generation = generation->next)
        for (worker = generation->workers; worker; worker = worker->next)
            count +=
                worker->state >= SUPER_LEAVING || worker->successor_granted;
    return count;
}

/* Finds the next worker that waits for its successor, a stuck one first. */
static super_worker_t *recycle_next(const super_generation_t *generation)
{
    super_worker_t *worker, *found = NULL;

    for (worker = generation->workers; worker; worker = worker->next)
        if (worker->state == SUPER_READY && worker->wants_successor &&
            !worker->successor_granted &&
            (!found || (worker->stuck && !found->stuck)))
            found = worker;
    return found;
}

void super_recycle_grant(super_generation_t *generation)
{
    super_app_t *app = generation->app;
    int room = generation->spec->processes + LEAVING_MORE - leaving_count(app);
    super_worker_t *worker = NULL;

    if (generation->recycle_pause.link)
        return;
    for (; (worker = recycle_next(generation)) && room > 0; room--)
        worker->successor_granted = 1;
    if (worker && !app->crowded)
        super_log(app, 4,
                  "WEAVE0170: %d processes of %s are leaving and have not"
                  " ended: workers that want to be replaced go on until one of"
                  " them has",
                  leaving_count(app), app->name);
    app->crowded = worker != NULL;
}

static void recycle_pause_over(void *data)
{
    super_generation_fill(data);
}

/* Begins a pause where a young worker asks: with a max_rss that is too small,
 * each would start the next one. */
static int64_t recycle_pause_begin(super_worker_t *worker, int64_t served_us)
{
    super_generation_t *generation = worker->generation;
    int64_t pause;

    if (served_us >= SUPER_YOUNG_US)
        return 0;
    pause = super_pace_count(&generation->recycle_pace, generation);
    if (pause)
        super_timer_set(&generation->recycle_pause, pause, recycle_pause_over,
                        generation);
    return pause;
}

void super_recycle_request(super_worker_t *worker, const char *why, int stuck)
{
    int64_t served = weave_clock_us() - worker->ready_us, pause;
    const super_app_t *app = worker->generation->app;
    const char *name = super_worker_name(worker, worker->pool);

    if (worker->state != SUPER_READY || worker->stuck ||
        (worker->wants_successor && !stuck))
        return;
    if (!*why)
        why = stuck ? "a request is over its time" : "it does not say why";
    pause = worker->wants_successor ? 0 : recycle_pause_begin(worker, served);
    worker->wants_successor = 1;
    worker->stuck = stuck;
    super_log(app, stuck ? 3 : 6, "%s%s is replaced, successor first: %.500s",
              stuck ? "WEAVE0071: " : "", name, why);
    if (pause >= SUPER_SECOND || served < SERVED_US)
        super_log(app, 4,
                  "WEAVE0079: %s wants to be replaced %.1f s after it began to"
                  " serve (%.500s); its successor starts in %.1f s",
                  name, (double)served / 1e6, why, (double)pause / 1e6);
    super_generation_fill(worker->generation);
}
