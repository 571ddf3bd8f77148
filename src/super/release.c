/* SPDX-License-Identifier: Apache-2.0 */
/* release.c: which generation an application gets, and when */
#include "app.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "worker.h"

#define RETRY_MOST_US (60 * SUPER_SECOND)

static void disk_poll(void *data);
static void retry_due(void *data);

static super_generation_t *generation_newest(const super_app_t *app)
{
    return app->coming ? app->coming : app->serving;
}

/* ---- failures ---- */

static int is_reloaded_by_touch(const super_app_t *app)
{
    return weave_spec_int(app->spec, WEAVE_RELEASE_RELOAD) ==
           WEAVE_RELOAD_TOUCH;
}

static void poll_begin(super_app_t *app)
{
    if (app->spec && (is_reloaded_by_touch(app) || app->retry.link) &&
        !super.ending)
        super_timer_set(&app->poll, SUPER_SECOND, disk_poll, app);
}

/* Tries again after 1, 2, 4 ... 60 s, unless a generation serves. */
static void retry_begin(super_app_t *app)
{
    int64_t pause = RETRY_MOST_US;

    if (app->serving) {
        super_log(app, WEAVE_LINE_NOTICE,
                  "WEAVE0081: generation %u of %s goes on serving",
                  app->serving->number, app->name);
        return;
    }
    weave_roster_app_set(super.roster, app->index, WEAVE_APP_FAILED, 0);
    if (app->failures < 6)
        pause = SUPER_SECOND << app->failures;
    app->failures++;
    super_log(app, WEAVE_LINE_INFO, "%s: the next try is in %.0f s", app->name,
              (double)pause / 1e6);
    super_timer_set(&app->retry, pause, retry_due, app);
    poll_begin(app);
}

static void generation_failed(super_generation_t *generation, const char *why)
{
    super_app_t *app = generation->app;

    why = super_app_reason(why, generation->spec, generation->pool);
    app->coming = NULL;
    app->failed_identity = generation->identity;
    super_app_error_set(app, why, generation->number);
    super_log(app, WEAVE_LINE_ERROR,
              "WEAVE0080: generation %u of %s does not come up: %s",
              generation->number, app->name, why);
    super_generation_abandon(generation);
    retry_begin(app);
}

/* ---- success ---- */

static void serving_log(const super_app_t *app,
                        const super_generation_t *generation)
{
    const super_worker_t *worker;
    const char *python = "?";
    char pids[400] = "";
    size_t len = 0;

    for (worker = generation->workers; worker; worker = worker->next) {
        python = worker->python;
        if (len < sizeof(pids) - 16)
            len += (size_t)snprintf(pids + len, sizeof(pids) - len, " %ld",
                                    (long)worker->pid);
    }
    super_log(app, WEAVE_LINE_NOTICE,
              "WEAVE0082: generation %u of %s serves: Python %s, after %.1f s,"
              " pid%s",
              generation->number, app->name, python,
              (double)(weave_clock_us() - generation->started_us) / 1e6, pids);
}

/* Gives GENERATION all new requests. A weaved that dies in between must not
 * leave the identity of one generation beside the number of another. */
static void generation_publish(const super_app_t *app,
                               super_generation_t *generation)
{
    weave_roster_app_t *shown = &super.roster->apps[app->index];
    super_worker_t *worker;

    generation->state = SUPER_SERVING;
    for (worker = generation->workers; worker; worker = worker->next) {
        worker->state = SUPER_READY;
        worker->ready_us = weave_clock_us();
        super_worker_publish(worker, WEAVE_WORKER_READY);
    }
    shown->identity[0] = shown->identity[1] = 0;
    atomic_thread_fence(memory_order_seq_cst);
    weave_roster_app_set(super.roster, app->index, WEAVE_APP_SERVING,
                         generation->number);
    atomic_thread_fence(memory_order_seq_cst);
    shown->identity[0] = (uint32_t)generation->identity;
    shown->identity[1] = (uint32_t)(generation->identity >> 32);
}

static void generation_came_up(super_generation_t *generation)
{
    super_app_t *app = generation->app;
    super_generation_t *old = app->serving;

    super_timer_cancel(&app->retry);
    app->coming = NULL;
    app->serving = generation;
    app->failures = 0;
    app->failed_identity = 0;
    super_app_error_set(app, NULL, 0);
    generation_publish(app, generation);
    serving_log(app, generation);
    if (old)
        super_generation_drain(old);
    poll_begin(app);
}

static const super_generation_events_t generation_events = {generation_came_up,
                                                            generation_failed};

/* ---- what is wanted ---- */

/* Returns NULL, or why APP keeps the spec that it has. */
static const char *spec_set(super_app_t *app, const char *text,
                            apr_pool_t *pool)
{
    weave_spec_t *spec;
    const char *problem;
    apr_pool_t *own;

    if (app->text && !strcmp(app->text, text)) {
        super_log(app, WEAVE_LINE_DEBUG, "%s: httpd wants the same as before",
                  app->name);
        return NULL;
    }
    apr_pool_create(&own, app->pool);
    apr_pool_tag(own, "weaved spec");
    problem = weave_spec_parse(&spec, text, own);
    if (problem) {
        problem = apr_pstrdup(pool, problem);
        apr_pool_destroy(own);
        return problem;
    }
    if (app->spec)
        super_log(app, WEAVE_LINE_DEBUG, "%s: httpd wants another %s",
                  app->name, weave_spec_differences(app->spec, spec, pool));
    if (app->spec_pool)
        apr_pool_destroy(app->spec_pool);
    app->spec_pool = own;
    app->spec = spec;
    app->text = apr_pstrdup(own, text);
    if (strcmp(app->name, spec->name) != 0)
        app->name = apr_pstrdup(app->pool, spec->name);
    return NULL;
}

/* Updates what later workers of GENERATION are told. */
static void spec_refresh(super_generation_t *generation,
                         const weave_spec_t *resolved, const char *text)
{
    weave_spec_t *spec = generation->spec;

    if (!spec) {
        super_generation_spec_set(generation, text);
        super_generation_fill(generation);
        return;
    }
    spec->log_level = resolved->log_level;
    spec->ini_hash = resolved->ini_hash;
    if (strcmp(spec->software, resolved->software) != 0)
        spec->software = apr_pstrdup(generation->pool, resolved->software);
}

static const char *resolve_fail(super_app_t *app, const char *problem)
{
    super_app_error_set(app, problem, 0);
    super_log(app, WEAVE_LINE_ERROR,
              "WEAVE0083: no generation of %s can start: %s", app->name,
              problem);
    if (!app->coming)
        retry_begin(app);
    return problem;
}

/* Forgets why an application has failed where what serves is what is wanted,
 * and something else has failed. */
static void error_forget(super_app_t *app, uint64_t wanted)
{
    if (!app->serving || app->serving->identity != wanted ||
        app->failed_identity == wanted ||
        app->failed_number == app->serving->number)
        return;
    app->failed_identity = 0;
    super_app_error_set(app, NULL, 0);
}

static void reason_log(const super_app_t *app, const weave_spec_t *resolved,
                       const char *why, apr_pool_t *pool)
{
    const super_generation_t *now = generation_newest(app);
    const char *differ;

    super_log(app, WEAVE_LINE_INFO, "%s gets a new generation: %s", app->name,
              why);
    if (!now || !now->spec)
        return;
    differ = weave_spec_differences(now->spec, resolved, pool);
    super_log(app, WEAVE_LINE_DEBUG, "%s: generation %u had another %s",
              app->name, now->number, *differ ? differ : "number only");
}

/* Ends a generation that comes up: it is not wanted any more. */
static void coming_give_up(super_app_t *app)
{
    super_generation_t *coming = app->coming;

    if (!coming)
        return;
    app->coming = NULL;
    super_generation_abandon(coming);
}

static void generation_start(super_app_t *app, const super_resolved_t *made)
{
    if (app->coming)
        super_log(app, WEAVE_LINE_INFO,
                  "generation %u of %s is given up for a newer one",
                  app->coming->number, app->name);
    coming_give_up(app);
    app->coming = super_generation_begin(app, made, &generation_events);
    super_generation_launch(app->coming);
}

/* Makes the candidate of APP what comes up, or what serves where it has come up
 * already, if its identity is that of MADE. Returns 0 where it has no such one.
 */
static int candidate_use(super_app_t *app, const super_resolved_t *made)
{
    super_generation_t *taken = super_candidate_take(app, made->identity);

    if (!taken)
        return 0;
    super_log(app, WEAVE_LINE_INFO,
              "%s: its link has been moved to what generation %u is made of",
              app->name, taken->number);
    coming_give_up(app);
    taken->events = &generation_events;
    app->coming = taken;
    spec_refresh(taken, made->spec, made->text);
    if (taken->proven)
        generation_came_up(taken);
    return 1;
}

/* Starts a generation of what is wanted where it is another one than that of
 * now, or in any case (FORCE). WHY is for the log. */
static const char *generation_try(super_app_t *app, int force, const char *why,
                                  apr_pool_t *pool)
{
    super_generation_t *now = generation_newest(app), *coming = app->coming;
    super_resolved_t made;
    const char *problem = super_app_resolve(&made, app, NULL, pool);

    super_timer_cancel(&app->retry);
    app->tried_stamp = super_app_script_stamp(app, pool);
    if (problem)
        return resolve_fail(app, problem);
    if (!force && now && now->identity == made.identity) {
        error_forget(app, made.identity);
        spec_refresh(now, made.spec, made.text);
    }
    else if (!force && coming && app->serving &&
             app->serving->identity == made.identity) {
        super_log(app, WEAVE_LINE_NOTICE,
                  "WEAVE0084: generation %u of %s is given up: httpd wants"
                  " again what serves",
                  coming->number, app->name);
        coming_give_up(app);
        spec_refresh(app->serving, made.spec, made.text);
    }
    else if (force || !candidate_use(app, &made)) {
        reason_log(app, made.spec, why, pool);
        generation_start(app, &made);
    }
    poll_begin(app);
    return NULL;
}

const char *super_release_want(super_app_t *app, const char *text, int force,
                               apr_pool_t *pool)
{
    const char *problem = spec_set(app, text, pool);

    if (problem)
        return problem;
    super_app_workers_each(app, super_worker_drain_limit_set);
    if (force)
        super_candidate_drop(app, "httpd wants new workers in any case");
    problem = generation_try(app, force, "httpd wants it", pool);
    super_candidate_review(app, pool);
    return problem;
}

super_app_t *super_release_find(const char **problem, const char *name,
                                apr_pool_t *pool)
{
    super_app_t *app = super.apps;

    while (app && !(app->wanted && app->spec && !strcmp(app->name, name)))
        app = app->next;
    *problem = app ? NULL
                   : apr_psprintf(pool,
                                  "%s: httpd has no such application in worker"
                                  " processes: `weavectl status` lists what"
                                  " there is",
                                  name);
    return app;
}

static unsigned requests_count(const super_generation_t *generation)
{
    const super_worker_t *worker = generation ? generation->workers : NULL;
    unsigned all = 0;

    for (; worker; worker = worker->next) {
        super_load_t load = super_worker_load(worker);

        all += load.running + load.queued;
    }
    return all;
}

const char *super_release_switch(super_switched_t *switched, const char *name,
                                 apr_pool_t *pool)
{
    const char *problem;
    super_app_t *app = super_release_find(&problem, name, pool);
    const super_generation_t *candidate;
    super_resolved_t made;

    if (!app)
        return problem;
    problem = super_app_resolve(&made, app, NULL, pool);
    if (problem)
        return problem;
    candidate = app->candidate.generation;
    if (!candidate && app->serving && app->serving->identity == made.identity) {
        /* httpd has asked for it before */
        *switched = (super_switched_t){app->serving->number, 0};
        return NULL;
    }
    if (!candidate)
        return apr_psprintf(pool,
                            "%s has no candidate: it was dropped, and the error"
                            " log says why; `weavectl reload` starts what the"
                            " link leads to",
                            name);
    if (candidate->identity != made.identity)
        return apr_psprintf(pool,
                            "%s: the link does not lead to what generation %u"
                            " is made of, the candidate",
                            name, candidate->number);
    if (!candidate->proven)
        return apr_psprintf(pool, "%s: generation %u is not proven yet", name,
                            candidate->number);
    *switched =
        (super_switched_t){candidate->number, requests_count(app->serving)};
    candidate_use(app, &made);
    return NULL;
}

const char *super_release_reload(const char *name, apr_pool_t *pool)
{
    static const char why[] = "a reload was asked for";
    const char *problem = NULL;
    super_app_t *app;
    int found = 0;

    if (name) {
        app = super_release_find(&problem, name, pool);
        return app ? generation_try(app, 1, why, pool) : problem;
    }
    for (app = super.apps; app; app = app->next)
        if (app->wanted && app->spec) {
            const char *wrong = generation_try(app, 1, why, pool);

            found = 1;
            problem = problem ? problem : wrong;
        }
    return found ? problem : "httpd has no WeaveApp in worker processes";
}

void super_release_remove(super_app_t *app)
{
    super_generation_t *coming = app->coming, *serving = app->serving;

    super_timer_cancel(&app->retry);
    super_timer_cancel(&app->poll);
    super_candidate_drop(app, "httpd does not want its application any more");
    app->coming = app->serving = NULL;
    weave_roster_app_set(super.roster, app->index, WEAVE_APP_NONE, 0);
    if (coming)
        super_generation_abandon(coming);
    if (serving)
        super_generation_drain(serving);
    app->wanted = 0;
    super_app_workers_each(app, super_worker_drain_limit_set);
    super_app_free_unused(app);
}

/* ---- on its own ---- */

static void retry_due(void *data)
{
    super_app_t *app = data;
    apr_pool_t *pool;

    apr_pool_create(&pool, app->pool);
    generation_try(app, 0, "the last one did not come up", pool);
    apr_pool_destroy(pool);
}

/* With release.reload = touch: tells whether what is on disk would be another
 * generation now. One that did not come up is not tried again as it was. */
static int app_has_changed(super_app_t *app, apr_pool_t *pool)
{
    const super_generation_t *now = generation_newest(app);
    super_resolved_t made;

    if (!is_reloaded_by_touch(app) ||
        super_app_resolve(&made, app, NULL, pool) != NULL)
        return 0;
    error_forget(app, made.identity);
    return !(now && now->identity == made.identity) &&
           app->failed_identity != made.identity;
}

static void disk_poll(void *data)
{
    super_app_t *app = data;
    apr_pool_t *pool;

    apr_pool_create(&pool, app->pool);
    if (app_has_changed(app, pool) ||
        (app->retry.link &&
         super_app_script_stamp(app, pool) != app->tried_stamp)) {
        app->failures = 0;
        generation_try(app, 0, "it has changed on disk", pool);
    }
    apr_pool_destroy(pool);
    poll_begin(app);
}
