/* SPDX-License-Identifier: Apache-2.0 */
/* app.c: applications and their generations, from making to end */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "weave_reason.h"
#include "worker.h"

#define DRAINS_MAX 2

super_app_t *super_app_make(uint32_t index, const char *name)
{
    apr_pool_t *pool;
    super_app_t *app;

    apr_pool_create(&pool, super.pool);
    apr_pool_tag(pool, "weaved application");
    app = apr_pcalloc(pool, sizeof(*app));
    app->pool = pool;
    app->index = index;
    app->name = apr_pstrdup(pool, name);
    app->wanted = 1;
    app->next = super.apps;
    super.apps = app;
    return app;
}

super_app_t *super_app_find(uint32_t index)
{
    super_app_t *app = super.apps;

    while (app && (!app->wanted || app->index != index))
        app = app->next;
    return app;
}

void super_app_free_unused(super_app_t *app)
{
    super_app_t **at = &super.apps;

    if (app->wanted || app->generations)
        return;
    while (*at && *at != app)
        at = &(*at)->next;
    if (*at)
        *at = app->next;
    super_timer_cancel(&app->retry);
    super_timer_cancel(&app->poll);
    free(app->last_error);
    apr_pool_destroy(app->pool);
}

void super_app_error_set(super_app_t *app, const char *text, uint32_t number)
{
    free(app->last_error);
    app->last_error = text ? strdup(text) : NULL;
    app->failed_number = number;
}

const char *super_app_reason(const char *text, const weave_spec_t *spec,
                             apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_ini_t *ini;

    if (!spec) /* adopted: httpd has sent no spec yet */
        return "not told: the sync.ini is not known yet";
    if (weave_ini_parse(&ini, spec->ini_text, strlen(spec->ini_text), spec->ini,
                        problems, pool) != APR_SUCCESS)
        return "not told: the sync.ini cannot be read again";
    return weave_reason_mask(text, ini, weave_spec_env(spec, pool), pool);
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
    super_timer_cancel(&generation->crashes.pause);
    super_timer_cancel(&generation->recycles.pause);
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
    unsigned all = 0;

    for (worker = generation->workers; worker; worker = worker->next) {
        super_load_t load = super_worker_load(worker);

        all += load.running + load.queued;
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

/* How long workers get to leave when httpd is gone. */
#define QUIT_US (3 * SUPER_SECOND)

static super_timer_t quit_timer;

void super_app_workers_each(super_app_t *app,
                            void (*fn)(super_worker_t *worker))
{
    super_generation_t *generation;
    super_worker_t *worker;

    for (generation = app->generations; generation;
         generation = generation->next)
        for (worker = generation->workers; worker; worker = worker->next)
            fn(worker);
}

static void workers_kill(void *data)
{
    super_app_t *app;

    (void)data;
    for (app = super.apps; app; app = app->next)
        super_app_workers_each(app, super_worker_kill);
    /* a process that SIGKILL does not end hangs in the kernel */
    super_timer_set(&quit_timer, SUPER_SECOND, (super_timer_fn *)super_loop_end,
                    NULL);
}

void super_end_begin(void)
{
    super_app_t *app;

    if (super.ending)
        return;
    super.ending = 1;
    for (app = super.apps; app; app = app->next) {
        super_timer_cancel(&app->retry);
        super_timer_cancel(&app->poll);
        super_app_workers_each(app, super_worker_quit);
    }
    super_timer_set(&quit_timer, QUIT_US, workers_kill, NULL);
    if (!super.workers)
        super_loop_end();
}
