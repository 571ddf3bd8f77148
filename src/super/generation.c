/* SPDX-License-Identifier: Apache-2.0 */
/* generation.c: the workers of one make, from their start to their drain */
#include "super.h"

#include <apr_strings.h>

#define DRAINS_MAX 2
#define PAUSE_LEAST_US (SUPER_SECOND / 10)
/* without another for so long (beyond the pause), the next is the first */
#define CALM_US (10 * SUPER_SECOND)

super_generation_t *super_generation_make(super_app_t *app, uint32_t number,
                                          super_generation_e state)
{
    apr_pool_t *pool;
    super_generation_t *generation;

    apr_pool_create(&pool, app->pool);
    apr_pool_tag(pool, "weaved generation");
    generation = apr_pcalloc(pool, sizeof(*generation));
    generation->pool = pool;
    generation->app = app;
    generation->number = number;
    generation->state = state;
    generation->started_us = weave_clock_us();
    generation->next = app->generations;
    app->generations = generation;
    return generation;
}

void super_generation_spec_set(super_generation_t *generation,
                               const char *resolved_text)
{
    super_worker_t *worker;

    /* its own text, a moment ago: it can be read again */
    if (weave_spec_parse(&generation->spec, resolved_text, generation->pool))
        generation->spec = NULL;
    for (worker = generation->workers; worker; worker = worker->next)
        if (!worker->python && generation->spec)
            worker->python = generation->spec->version;
}

void super_generation_start(super_app_t *app, const char *resolved_text,
                            uint64_t identity)
{
    uint32_t number = atomic_fetch_add(&super.roster->generations, 1) + 1;
    super_generation_t *generation;
    const char *problem = NULL;
    int i;

    if (app->coming) {
        super_log(app, 6, "generation %u of %s is given up for a newer one",
                  app->coming->number, app->name);
        generation = app->coming;
        app->coming = NULL;
        super_generation_abandon(generation);
    }
    generation = super_generation_make(app, number, SUPER_COMING);
    generation->identity = identity;
    super_generation_spec_set(generation, resolved_text);
    app->coming = generation;
    super_log(app, 6, "generation %u of %s starts", number, app->name);
    for (i = 0; i < generation->spec->processes && !problem; i++)
        problem = super_worker_start(generation);
    if (problem)
        super_app_came_not(app, generation, problem);
}

/* ---- its end ---- */

void super_generation_free_unused(super_generation_t *generation)
{
    super_app_t *app = generation->app;
    super_generation_t **at = &app->generations;

    if (generation->workers ||
        (generation->state != SUPER_DRAINING && !super.ending))
        return;
    while (*at && *at != generation)
        at = &(*at)->next;
    if (*at)
        *at = generation->next;
    super_timer_cancel(&generation->fill_pause);
    super_timer_cancel(&generation->recycle_pause);
    apr_pool_destroy(generation->pool);
    super_app_free_unused(app);
}

void super_generation_abandon(super_generation_t *generation)
{
    super_worker_t *worker;

    generation->state = SUPER_DRAINING;
    super_timer_cancel(&generation->fill_pause);
    super_timer_cancel(&generation->recycle_pause);
    for (worker = generation->workers; worker; worker = worker->next)
        super_worker_kill(worker);
    super_generation_free_unused(generation);
}

static void drain_cut(super_generation_t *generation)
{
    super_worker_t *worker;
    unsigned running, queued, all = 0;

    for (worker = generation->workers; worker; worker = worker->next) {
        super_worker_load_get(worker, &running, &queued);
        all += running + queued;
        if (worker->state == SUPER_LEAVING)
            super_worker_kill(worker);
    }
    super_log(generation->app, 3,
              "WEAVE0077: generation %u of %s is killed, with %u requests: two"
              " newer ones drain already",
              generation->number, generation->app->name, all);
}

static int generation_is_leaving(const super_generation_t *generation)
{
    const super_worker_t *worker = generation->workers;

    while (worker && worker->state != SUPER_LEAVING)
        worker = worker->next;
    return generation->state == SUPER_DRAINING && worker != NULL;
}

static void drains_limit(const super_app_t *app)
{
    super_generation_t *generation;
    int drains = 0;

    for (generation = app->generations; generation;
         generation = generation->next)
        if (generation_is_leaving(generation) && ++drains > DRAINS_MAX)
            drain_cut(generation);
}

void super_generation_drain(super_generation_t *generation)
{
    super_worker_t *worker;

    generation->state = SUPER_DRAINING;
    super_timer_cancel(&generation->fill_pause);
    super_timer_cancel(&generation->recycle_pause);
    for (worker = generation->workers; worker; worker = worker->next)
        if (worker->state == SUPER_READY)
            super_worker_drain(worker);
        else if (worker->state < SUPER_READY)
            super_worker_kill(worker);
    drains_limit(generation->app);
    super_generation_free_unused(generation);
}

/* ---- its strength ---- */

static void fill_pause_over(void *data)
{
    super_generation_fill(data);
}

/* As many in a row as there are workers cost none: one bad request may take
 * each of them along. */
static int64_t pace_pause(const super_pace_t *pace,
                          const super_generation_t *generation)
{
    int64_t pause = PAUSE_LEAST_US;
    int i;

    /* adopted, and httpd has not said yet how many there are to be */
    if (!generation->spec || pace->count <= generation->spec->processes)
        return 0;
    for (i = generation->spec->processes + 1;
         i < pace->count && pause < SUPER_PAUSE_US; i++)
        pause *= 2;
    return pause < SUPER_PAUSE_US ? pause : SUPER_PAUSE_US;
}

int64_t super_pace_count(super_pace_t *pace,
                         const super_generation_t *generation)
{
    int64_t now = weave_clock_us();

    if (now - pace->last_us > pace_pause(pace, generation) + CALM_US)
        pace->count = 0;
    pace->last_us = now;
    pace->count++;
    return pace_pause(pace, generation);
}

int64_t super_generation_pause_begin(super_generation_t *generation,
                                     int64_t most_us)
{
    int64_t pause = super_pace_count(&generation->crash_pace, generation);

    pause = pause < most_us ? pause : most_us;
    if (pause)
        super_timer_set(&generation->fill_pause, pause, fill_pause_over,
                        generation);
    else
        super_timer_cancel(&generation->fill_pause);
    return pause;
}

static int missing_count(const super_generation_t *generation)
{
    const super_worker_t *worker;
    int count = generation->spec->processes;

    for (worker = generation->workers; worker; worker = worker->next)
        count -= worker->state <= SUPER_READY && !worker->successor_granted;
    return count;
}

/* Here another try at once would fail like this one. */
static int64_t retry_pause_begin(super_generation_t *generation)
{
    int64_t pause = super_generation_pause_begin(generation, SUPER_PAUSE_US);

    if (!pause) {
        pause = PAUSE_LEAST_US;
        super_timer_set(&generation->fill_pause, pause, fill_pause_over,
                        generation);
    }
    return pause;
}

/* Perhaps a request that is over its time holds all of Python there: until the
 * successor comes, new ones are for the others, if there are any. */
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

    if (generation->state == SUPER_SERVING)
        stuck_avoid(generation);

    if (super.ending || generation->state != SUPER_SERVING || !generation->spec)
        return;
    super_recycle_grant(generation);
    if (generation->fill_pause.link)
        return;
    for (count = missing_count(generation); count > 0 && !problem; count--)
        problem = super_worker_start(generation);
    if (problem)
        super_log(generation->app, 3,
                  "WEAVE0078: no worker can be started for %s: %s; the next"
                  " try is in %.1f s",
                  generation->app->name, problem,
                  (double)retry_pause_begin(generation) / 1e6);
}
