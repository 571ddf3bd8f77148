/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c: what becomes of a generation when one of its workers is ready, has
 * failed or has died */
#include "app.h"

#include <apr_strings.h>

#include "worker.h"

/* With no worker for longer than this, requests are refused at once. */
#define FAILED_US SUPER_SECOND
#define ALONE_US SUPER_SECOND
#define QUICK_WITHIN_US (60 * SUPER_SECOND)

/* ---- ready ---- */

static int workers_count(const super_generation_t *generation,
                         super_worker_e state)
{
    const super_worker_t *worker;
    int count = 0;

    for (worker = generation->workers; worker; worker = worker->next)
        count += worker->state == state;
    return count;
}

/* Drains one worker that is to be replaced for each successor that serves. */
static void replaced_drain(const super_generation_t *generation)
{
    int spare = workers_count(generation, SUPER_READY) -
                super_generation_size(generation);
    super_worker_t *worker;
    int stuck;

    for (stuck = 1; stuck >= 0; stuck--)
        for (worker = generation->workers; worker && spare > 0;
             worker = worker->next)
            if (worker->state == SUPER_READY && worker->successor_granted &&
                worker->stuck == stuck) {
                super_worker_drain(worker);
                spare--;
            }
}

static void worker_serve(super_worker_t *worker)
{
    super_generation_t *generation = worker->generation;
    super_app_t *app = generation->app;

    worker->state = SUPER_READY;
    worker->ready_us = weave_clock_us();
    super_worker_publish(worker, WEAVE_WORKER_READY);
    if (atomic_load(&super.roster->apps[app->index].state) !=
        WEAVE_APP_SERVING) {
        weave_roster_app_set(super.roster, app->index, WEAVE_APP_SERVING,
                             generation->number);
        if (app->failed_number == generation->number)
            super_app_error_set(app, NULL, 0);
    }
    super_worker_log(worker, WEAVE_LINE_INFO, "serves, after %.1f s",
                     (double)(worker->ready_us - worker->started_us) / 1e6);
    replaced_drain(generation);
}

static void worker_ready(super_worker_t *worker)
{
    super_generation_t *generation = worker->generation;

    if (worker->state == SUPER_ENDING)
        return;
    if (worker->state == SUPER_STARTING && generation->state == SUPER_COMING &&
        *weave_spec_str(generation->spec, WEAVE_RELEASE_WARMUP)) {
        worker->state = SUPER_WARMING;
        super_warmup_start(worker);
        return;
    }
    super_timer_cancel(&worker->limit);
    worker->state = SUPER_WAITING;
    if (generation->state == SUPER_SERVING)
        worker_serve(worker);
    else if (generation->state != SUPER_COMING)
        super_worker_kill(worker);
    else if (workers_count(generation, SUPER_WAITING) ==
             super_generation_size(generation))
        generation->events->came_up(generation);
    else
        super_worker_log(worker, WEAVE_LINE_DEBUG,
                         "waits for the others of generation %u",
                         generation->number);
}

/* ---- failed ---- */

static int64_t worker_lifetime(const super_worker_t *worker)
{
    return worker->ready_us ? weave_clock_us() - worker->ready_us : 0;
}

/* Prepares the replacement of WORKER, which has gone because of WHY. Returns
 * how long that waits: 0 unless the worker was young and AT_ONCE is 0. Where no
 * worker is left and this one never came up, requests are refused at once;
 * where it did, the next one will, and they wait for it. */
static int64_t worker_replace(const super_worker_t *worker, const char *why,
                              int at_once)
{
    super_generation_t *generation = worker->generation;
    super_app_t *app = generation->app;
    int64_t lived_us = worker_lifetime(worker), pause;
    int alone = !workers_count(generation, SUPER_READY);

    if (super.ending || generation->state != SUPER_SERVING)
        return 0;
    /* the successor of a young worker would soon die, too */
    if (lived_us >= SUPER_YOUNG_US || at_once) {
        super_timer_cancel(&generation->crashes.pause);
        return 0;
    }
    pause =
        super_generation_pause(generation, &generation->crashes, 0,
                               alone && lived_us ? ALONE_US : SUPER_PAUSE_US);
    if (pause >= FAILED_US && alone && !lived_us) {
        weave_roster_app_set(super.roster, app->index, WEAVE_APP_FAILED,
                             generation->number);
        /* a newer generation may have failed, too */
        if (app->failed_number <= generation->number)
            super_app_error_set(app, why, generation->number);
    }
    return pause;
}

static void worker_failed(super_worker_t *worker, const char *why)
{
    super_generation_t *generation = worker->generation;
    super_worker_e state = worker->state;
    const char *named;
    int64_t pause;

    if (state == SUPER_ENDING)
        return;
    if (generation->state == SUPER_COMING) {
        generation->events->failed(generation,
                                   apr_psprintf(worker->pool, "worker %ld: %s",
                                                (long)worker->pid, why));
        return;
    }
    super_worker_kill(worker);
    if (generation->state != SUPER_SERVING || state == SUPER_LEAVING)
        return;
    why = super_app_reason(why, generation->spec, worker->pool);
    named =
        apr_psprintf(worker->pool, "worker %ld: %s", (long)worker->pid, why);
    pause = worker_replace(worker, named, 0);
    if (state != SUPER_READY)
        super_worker_log(worker, WEAVE_LINE_ERROR,
                         "WEAVE0074: , a replacement, did not come up: %s; the"
                         " next try is in %.1f s",
                         why, (double)pause / 1e6);
    super_generation_fill(generation);
}

/* ---- dead ---- */

/* Returns how many requests WORKER has, as text. */
static const char *load_text(const super_worker_t *worker)
{
    super_load_t load = super_worker_load(worker);

    if (!worker->board)
        return "an unknown number of requests";
    return apr_psprintf(worker->pool, "%u requests that ran and %u that waited",
                        load.running, load.queued);
}

/* Takes one of the successors that APP may have without a pause. Returns 0
 * where it has had all of them in the last minute. */
static int quick_take(super_app_t *app)
{
    int64_t *oldest = &app->quick_us[app->quick_next], now = weave_clock_us();

    if (*oldest && now - *oldest < QUICK_WITHIN_US)
        return 0;
    *oldest = now;
    app->quick_next = (app->quick_next + 1) % SUPER_QUICK_MOST;
    return 1;
}

static void worker_died(super_worker_t *worker, const char *why)
{
    int64_t lived_us = worker_lifetime(worker), pause;
    /* A request that it had begun with may be to blame. Only its own board
     * knows; a lie there changes only the pauses of its own application,
     * SUPER_QUICK_MOST times a minute. */
    int at_once = worker->ready_us && lived_us < SUPER_YOUNG_US &&
                  super_worker_load(worker).running &&
                  quick_take(worker->generation->app);

    worker->state = SUPER_ENDING;
    pause = worker_replace(worker,
                           apr_psprintf(worker->pool, "worker %ld has died: %s",
                                        (long)worker->pid, why),
                           at_once);
    super_worker_log(worker, WEAVE_LINE_ERROR,
                     "WEAVE0075: has died, with %s, after %.1f s: %s; %s",
                     load_text(worker), (double)lived_us / 1e6, why,
                     pause ? apr_psprintf(worker->pool,
                                          "it was young, so its successor"
                                          " starts in %.1f s",
                                          (double)pause / 1e6)
                           : "its successor starts at once");
}

static void drained_ended(const super_worker_t *worker, int status)
{
    if (status == 0 || worker->adopted)
        super_worker_log(
            worker, WEAVE_LINE_INFO, "has left%s",
            worker->adopted ? " (adopted; its exit status is not known)" : "");
    else
        super_worker_log(worker, WEAVE_LINE_ERROR,
                         "WEAVE0076: has died while it finished its requests,"
                         " with %s: %s",
                         load_text(worker),
                         super_process_end(status, worker->pool));
}

static void worker_ended(super_worker_t *worker, int status)
{
    super_generation_t *generation = worker->generation;
    super_generation_t *serving = generation->app->serving;
    const char *why = super_process_end(status, worker->pool);

    if (worker->state == SUPER_READY)
        worker_died(worker, why);
    else if (worker->state == SUPER_LEAVING)
        drained_ended(worker, status);
    else
        worker_failed(
            worker, apr_psprintf(worker->pool,
                                 "it has ended before it was ready: %s", why));
    super_worker_free(worker);
    if (serving) /* it lacks this one, or there is room for a successor */
        super_generation_fill(serving);
    super_generation_free_unused(generation);
}

/* ---- its beginning ---- */

static const super_worker_events_t worker_events = {
    worker_ready, worker_failed, worker_ended, super_worker_recycle};

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
    generation->worker_events = &worker_events;
    generation->started_us = weave_clock_us();
    generation->next = app->generations;
    app->generations = generation;
    return generation;
}

super_generation_t *super_generation_begin(
    super_app_t *app, const super_resolved_t *made,
    const super_generation_events_t *events)
{
    uint32_t number = atomic_fetch_add(&super.roster->generations, 1) + 1;
    super_generation_t *generation =
        super_generation_make(app, number, SUPER_COMING);

    generation->events = events;
    generation->identity = made->identity;
    super_generation_spec_set(generation, made->text);
    super_log(app, WEAVE_LINE_INFO, "generation %u of %s starts", number,
              app->name);
    return generation;
}

void super_generation_launch(super_generation_t *generation)
{
    const char *problem = NULL;
    int i;

    if (!generation->spec)
        problem = "its spec cannot be read again";
    for (i = 0; !problem && i < super_generation_size(generation); i++)
        problem = super_worker_start(generation);
    if (problem)
        generation->events->failed(generation, problem);
}
