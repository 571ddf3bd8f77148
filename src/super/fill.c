/* SPDX-License-Identifier: Apache-2.0 */
/* fill.c: keeps a generation that serves at its number of workers
 *
 * A worker that has died is replaced, after a pause if it was young. A worker
 * that asks for a successor goes on serving until the successor serves, and
 * leaves then. Workers are not trusted: one may ask at any time, and may stay
 * when it is told to leave. So weaved decides by what it knows itself: how long
 * the worker has served, and how many processes of its application have not
 * ended yet. */
#include "app.h"

#include "worker.h"

/* How many more processes than it has workers an application may have that are
 * about to end. Above that, successors wait. */
#define LEAVING_MORE 4
/* A worker that asks within this time has a limit that is too low. */
#define SERVED_US SUPER_SECOND
#define PAUSE_LEAST_US (SUPER_SECOND / 10)
/* after so long without an event (beyond the pause), counting begins again */
#define CALM_US (10 * SUPER_SECOND)

static void pause_over(void *data)
{
    super_generation_fill(data);
}

/* Returns the pause that the events of PACE cost. As many in a row as there are
 * workers cost none: one bad request may kill each of them. */
static int64_t pace_pause(const super_pace_t *pace,
                          const super_generation_t *generation)
{
    int more;

    if (!generation->spec) /* adopted: its number of workers is not known yet */
        return 0;
    more = pace->count - super_generation_size(generation);
    if (more <= 0)
        return 0;
    return more <= 10 ? PAUSE_LEAST_US << (more - 1) : SUPER_PAUSE_US;
}

int64_t super_generation_pause(super_generation_t *generation,
                               super_pace_t *pace, int64_t least_us,
                               int64_t most_us)
{
    int64_t now = weave_clock_us(), pause;

    if (now - pace->last_us > pace_pause(pace, generation) + CALM_US)
        pace->count = 0;
    pace->last_us = now;
    pace->count++;
    pause = pace_pause(pace, generation);
    pause = pause < most_us ? pause : most_us;
    pause = pause > least_us ? pause : least_us;
    if (pause)
        super_timer_set(&pace->pause, pause, pause_over, generation);
    else
        super_timer_cancel(&pace->pause);
    return pause;
}

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

static void recycle_grant(super_generation_t *generation)
{
    super_app_t *app = generation->app;
    int room =
        super_generation_size(generation) + LEAVING_MORE - leaving_count(app);
    super_worker_t *worker = NULL;

    if (generation->recycles.pause.link)
        return;
    for (; (worker = recycle_next(generation)) && room > 0; room--)
        worker->successor_granted = 1;
    if (worker && !app->crowded)
        super_log(app, WEAVE_LINE_WARNING,
                  "WEAVE0170: %d processes of %s were told to leave and have"
                  " not ended: workers that want to be replaced go on"
                  " serving until one has",
                  leaving_count(app), app->name);
    app->crowded = worker != NULL;
}

void super_worker_recycle(super_worker_t *worker, const char *why, int stuck)
{
    int64_t served = weave_clock_us() - worker->ready_us, pause = 0;

    if (worker->state != SUPER_READY || worker->stuck ||
        (worker->wants_successor && !stuck))
        return;
    if (!*why)
        why = stuck ? "a request is over its time" : "it does not say why";
    /* with a max_rss that is too small, each successor would ask for the next
     * one at once */
    if (served < SUPER_YOUNG_US && !worker->wants_successor)
        pause = super_generation_pause(worker->generation,
                                       &worker->generation->recycles, 0,
                                       SUPER_PAUSE_US);
    worker->wants_successor = 1;
    worker->stuck = stuck;
    super_worker_log(worker, stuck ? WEAVE_LINE_ERROR : WEAVE_LINE_INFO,
                     stuck ? "WEAVE0071: is replaced, successor first: %.500s"
                           : "is replaced, successor first: %.500s",
                     why);
    if (pause >= SUPER_SECOND || served < SERVED_US)
        super_worker_log(worker, WEAVE_LINE_WARNING,
                         "WEAVE0079: wants to be replaced %.1f s after it began"
                         " to serve (%.500s); its successor starts in %.1f s",
                         (double)served / 1e6, why, (double)pause / 1e6);
    super_generation_fill(worker->generation);
}

static int missing_count(const super_generation_t *generation)
{
    const super_worker_t *worker;
    int count = super_generation_size(generation);

    for (worker = generation->workers; worker; worker = worker->next)
        count -= worker->state <= SUPER_READY && !worker->successor_granted;
    return count;
}

/* Publishes stuck workers as draining while others serve: a request over its
 * time may hold all of Python there. Without others, they get requests. */
static void stuck_avoid(const super_generation_t *generation)
{
    super_worker_t *worker;
    uint32_t state = WEAVE_WORKER_READY;

    for (worker = generation->workers; worker; worker = worker->next)
        if (worker->state == SUPER_READY && !worker->stuck)
            state = WEAVE_WORKER_DRAINING;
    for (worker = generation->workers; worker; worker = worker->next)
        if (worker->state == SUPER_READY && worker->stuck &&
            worker->slot >= 0 &&
            atomic_load(&super.roster->workers[worker->slot].state) != state)
            super_worker_publish(worker, state);
}

void super_generation_fill(super_generation_t *generation)
{
    const char *problem = NULL;
    int count;

    if (generation->state != SUPER_SERVING)
        return;
    stuck_avoid(generation);
    if (super.ending || !generation->spec)
        return;
    recycle_grant(generation);
    if (generation->crashes.pause.link)
        return;
    count = missing_count(generation);
    if (count > 0)
        super_log(generation->app, WEAVE_LINE_DEBUG,
                  "generation %u of %s lacks %d of its %d workers",
                  generation->number, generation->app->name, count,
                  super_generation_size(generation));
    for (; count > 0 && !problem; count--)
        problem = super_worker_start(generation);
    /* without a pause, the next try would fail like this one */
    if (problem)
        super_log(
            generation->app, WEAVE_LINE_ERROR,
            "WEAVE0078: no worker can be started for %s: %s; the next"
            " try is in %.1f s",
            generation->app->name, problem,
            (double)super_generation_pause(generation, &generation->crashes,
                                           PAUSE_LEAST_US, SUPER_PAUSE_US) /
                1e6);
}
