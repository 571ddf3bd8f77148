/* SPDX-License-Identifier: Apache-2.0 */
/* generation.c: a generation, from its making to its end */
#include "generation.h"

#include "app.h"
#include "worker.h"

#define DRAINS_MAX 2

super_generation_t *super_generation_make(
    super_app_t *app, uint32_t number, super_generation_e state,
    const super_worker_events_t *worker_events)
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
    generation->worker_events = worker_events;
    generation->started_us = weave_clock_us();
    generation->next = app->generations;
    app->generations = generation;
    return generation;
}

void super_generation_spec_set(super_generation_t *generation,
                               const char *resolved_text)
{
    super_worker_t *worker;

    /* a damaged text leaves the spec as it is: NULL in a new generation */
    weave_spec_parse(&generation->spec, resolved_text, generation->pool);
    for (worker = generation->workers; worker; worker = worker->next)
        if (!worker->python && generation->spec)
            worker->python = generation->spec->version;
}

int super_generation_size(const super_generation_t *generation)
{
    return (int)weave_spec_int(generation->spec, WEAVE_WORKERS_PROCESSES);
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

    super_log(generation->app, WEAVE_LINE_DEBUG,
              "generation %u of %s is abandoned", generation->number,
              generation->app->name);
    generation->state = SUPER_DRAINING;
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
    super_log(generation->app, WEAVE_LINE_ERROR,
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

    super_log(generation->app, WEAVE_LINE_DEBUG, "generation %u of %s drains",
              generation->number, generation->app->name);
    generation->state = SUPER_DRAINING;
    for (worker = generation->workers; worker; worker = worker->next)
        if (worker->state == SUPER_READY)
            super_worker_drain(worker);
        else if (worker->state < SUPER_READY)
            super_worker_kill(worker);
    drains_limit(generation->app);
    super_generation_free_unused(generation);
}
