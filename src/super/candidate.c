/* SPDX-License-Identifier: Apache-2.0 */
/* candidate.c: a generation that is tried before its release is there
 *
 * weavectl asks for it, with a link and what that is to lead to. It comes up
 * beside the one that serves, and is held then, until the link has been moved
 * and release.c takes it. It ends with the connection that has asked. */
#include "app.h"

#include <string.h>

#include <apr_strings.h>

#include "control.h"
#include "worker.h"

/* Ends the candidate of APP, if it has one; its holder is told nothing. */
static void candidate_end(super_app_t *app)
{
    super_candidate_t *candidate = &app->candidate;
    super_generation_t *generation = candidate->generation;

    super_caller_release(candidate->holder);
    *candidate = (super_candidate_t){0};
    super_generation_abandon(generation);
}

static json_t *refusal_make(const char *why, apr_pool_t *pool)
{
    return json_pack("{s:b, s:o}", "ok", 0, "error",
                     weave_control_text(why, pool));
}

/* Tells the holder what has become of the candidate of APP, unless it has been
 * told before that it is proven. */
static void candidate_answer(const super_app_t *app, json_t *answer)
{
    if (app->candidate.generation->proven)
        json_decref(answer);
    else
        super_caller_answer(app->candidate.holder, answer);
}

static void candidate_failed(super_generation_t *generation, const char *why)
{
    super_app_t *app = generation->app;

    why = super_app_reason(why, generation->spec, generation->pool);
    super_app_error_set(app, why, generation->number);
    super_log(app, WEAVE_LINE_ERROR,
              "WEAVE0221: generation %u of %s, a candidate, is of no use: %s",
              generation->number, app->name, why);
    candidate_answer(app, refusal_make(why, generation->pool));
    candidate_end(app);
}

void super_candidate_drop(super_app_t *app, const char *why)
{
    super_generation_t *generation = app->candidate.generation;

    if (!generation)
        return;
    super_log(app, WEAVE_LINE_NOTICE,
              "WEAVE0222: generation %u of %s, a candidate, is dropped: %s",
              generation->number, app->name, why);
    candidate_answer(app, refusal_make(why, generation->pool));
    candidate_end(app);
}

static void holder_gone(void *data)
{
    /* when weaved ends, its workers have been told to leave */
    if (!super.ending)
        super_candidate_drop(data, "the program that asked for it has ended or"
                                   " has closed its connection");
}

static json_t *proof_make(const super_generation_t *generation)
{
    int64_t took_us = weave_clock_us() - generation->started_us;

    return json_pack("{s:b, s:I, s:b, s:I, s:i, s:I}", "ok", 1, "generation",
                     (json_int_t)generation->number, "proven",
                     generation->proven, "ms", (json_int_t)(took_us / 1000),
                     "warmup_status", generation->warmup_status, "warmup_ms",
                     (json_int_t)(generation->warmup_us / 1000));
}

static void candidate_proven(super_generation_t *generation)
{
    super_app_t *app = generation->app;

    super_log(app, WEAVE_LINE_INFO,
              "generation %u of %s, a candidate, has come up",
              generation->number, app->name);
    generation->proven = 1;
    super_caller_answer(app->candidate.holder, proof_make(generation));
}

static const super_generation_events_t candidate_events = {candidate_proven,
                                                           candidate_failed};

/* Returns NULL, or why LINK may not count as moved. */
static const char *link_check(const weave_link_t *link, apr_pool_t *pool)
{
    const char *slash = strrchr(link->path, '/');
    const char *folder =
        apr_pstrmemdup(pool, link->path, (apr_size_t)(slash - link->path));
    const char *home = weave_link_follow(*folder ? folder : "/", NULL, pool);
    const char *release = weave_link_follow(link->leads_to, NULL, pool);
    size_t len = strlen(home);

    if (!slash[1])
        return "the path of the link ends with a slash";
    if (len > 1 && !strncmp(release, home, len) && release[len] == '/')
        return NULL;
    return apr_psprintf(pool,
                        "%s is not below %s, the folder of the link %s: a"
                        " release is installed there",
                        release, home, link->path);
}

const char *super_candidate_start(super_app_t *app, const weave_link_t *link,
                                  super_caller_t *holder, apr_pool_t *pool)
{
    super_candidate_t *candidate = &app->candidate;
    super_resolved_t made;
    const char *problem;

    if (candidate->generation)
        return apr_psprintf(pool,
                            "generation %u of %s is a candidate already:"
                            " another weavectl is at work; try again when that"
                            " has ended",
                            candidate->generation->number, app->name);
    problem = link_check(link, pool);
    if (problem)
        return problem;
    if (super_caller_hold(holder, holder_gone, app) < 0)
        return "this connection has a candidate already";
    problem = super_app_resolve(&made, app, link, pool);
    if (problem) {
        super_caller_release(holder);
        super_app_error_set(app, problem, 0);
        super_log(app, WEAVE_LINE_ERROR,
                  "WEAVE0223: no candidate of %s can start: %s", app->name,
                  problem);
        return problem;
    }
    candidate->generation =
        super_generation_begin(app, &made, &candidate_events);
    candidate->holder = holder;
    candidate->link.path = apr_pstrdup(candidate->generation->pool, link->path);
    candidate->link.leads_to =
        apr_pstrdup(candidate->generation->pool, link->leads_to);
    super_generation_launch(candidate->generation);
    return NULL;
}

void super_candidate_review(super_app_t *app, apr_pool_t *pool)
{
    const super_candidate_t *candidate = &app->candidate;
    super_resolved_t made;
    const char *problem;

    if (!candidate->generation)
        return;
    problem = super_app_resolve(&made, app, &candidate->link, pool);
    if (problem)
        super_candidate_drop(app, problem);
    else if (made.identity != candidate->generation->identity)
        super_candidate_drop(app, "httpd wants another configuration of the"
                                  " application by now");
}

super_generation_t *super_candidate_take(super_app_t *app, uint64_t identity)
{
    super_generation_t *generation = app->candidate.generation;

    if (!generation || generation->identity != identity)
        return NULL;
    candidate_answer(app, proof_make(generation));
    super_caller_release(app->candidate.holder);
    app->candidate = (super_candidate_t){0};
    return generation;
}
