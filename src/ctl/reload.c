/* SPDX-License-Identifier: Apache-2.0 */
/* reload.c: weavectl reload
 *
 * weaved answers before the new generation is ready. weavectl then looks at the
 * status of weaved until that serves or has failed. */

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "call.h"
#include "commands.h"
#include "config.h"
#include "fields.h"
#include "outdated.h"
#include "say.h"
#include "weave_clock.h"

#define POLL_US 100000
#define TAKEN_US INT64_C(10000000) /* for httpd to restart, after a signal */
#define WAIT_MOST APR_TIME_C(3600000000) /* startup_timeout ends it before */

/* Says whether APP, as weaved has it, is to be reloaded. One that drains is not
 * in the configuration any more. */
static int app_is_meant(const ctl_t *ctl, const json_t *app)
{
    if (!strcmp(ctl_text(app, "state"), "draining"))
        return 0;
    return ctl_is_meant(ctl, ctl_text(app, "ini"));
}

static json_t *status_get(const ctl_t *ctl)
{
    json_t *answer = ctl_call(ctl, json_pack("{s:s}", "op", "status"));
    json_t *status = json_incref(json_object_get(answer, "status"));

    json_decref(answer);
    return status;
}

/* Returns the number of the newest generation of APP, in whatever
 * state. */
static json_int_t generation_newest(const json_t *app)
{
    const json_t *generation;
    json_int_t number = 0;
    size_t i;

    json_array_foreach(ctl_list(app, "generations"), i, generation)
    {
        if (ctl_int(generation, "number") > number)
            number = ctl_int(generation, "number");
    }
    return number;
}

static const json_t *app_find_again(const json_t *apps, const json_t *app)
{
    const json_t *other;
    size_t i;

    json_array_foreach(apps, i, other)
    {
        if (!strcmp(ctl_text(other, "ini"), ctl_text(app, "ini")) &&
            strcmp(ctl_text(other, "state"), "draining") != 0)
            return other;
    }
    return NULL;
}

/* Says what has become of the reload since BEFORE: 1: a newer generation
 * serves; -1: it has failed; 0: it still starts. */
static int reload_outcome(const json_t *before, const json_t *now)
{
    if (ctl_int(now, "generation") > generation_newest(before))
        return 1;
    /* the attempt is over, and nothing newer has come of it */
    if (generation_newest(now) <= generation_newest(before) &&
        *ctl_text(now, "last_error"))
        return -1;
    return 0;
}

/* Prints the outcome RC, which is not 0. LOG is the error log, or "":
 * weaved does not know where that is. Returns an exit status. */
static int outcome_print(const json_t *now, int rc, const char *log)
{
    if (rc > 0) {
        ctl_line("%s: generation %" JSON_INTEGER_FORMAT " serves",
                 ctl_text(now, "ini"), ctl_int(now, "generation"));
        return CTL_DONE;
    }
    ctl_say("%s: the new generation has failed%s: %s", ctl_text(now, "ini"),
            ctl_int(now, "generation") ? ", the one before goes on" : "",
            ctl_text(now, "last_error"));
    if (*log)
        ctl_say("more is in %s", log);
    return CTL_FAILED;
}

static int app_wait(const ctl_t *ctl, const json_t *before)
{
    int64_t until = weave_clock_us() + WAIT_MOST;

    while (weave_clock_us() < until) {
        json_t *status = status_get(ctl);
        const json_t *now =
            app_find_again(ctl_list(status, "applications"), before);
        int rc = now ? reload_outcome(before, now) : -1;

        if (!status)
            return CTL_FAILED;
        if (!now)
            rc = ctl_say("%s: httpd does not run it any more",
                         ctl_text(before, "ini"));
        else if (rc)
            rc = outcome_print(now, rc, ctl_text(status, "error_log"));
        else
            rc = -1;
        json_decref(status);
        if (rc >= 0)
            return rc;
        apr_sleep(POLL_US);
    }
    return ctl_say("%s: no answer in an hour", ctl_text(before, "ini"));
}

static int apps_wait(const ctl_t *ctl, const json_t *before)
{
    const json_t *app;
    int rc = CTL_DONE;
    size_t i;

    json_array_foreach(ctl_list(before, "applications"), i, app)
    {
        if (app_is_meant(ctl, app) && app_wait(ctl, app) != CTL_DONE)
            rc = CTL_FAILED;
    }
    return rc;
}

/* Refuses a sync.ini that httpd would refuse as it is now. weaved itself looks
 * at the script, the virtualenv and the like. */
static int inis_check(const ctl_t *ctl, const json_t *status)
{
    const json_t *app;
    int rc = CTL_DONE;
    size_t i;

    json_array_foreach(ctl_list(status, "applications"), i, app)
    {
        if (app_is_meant(ctl, app) &&
            ctl_ini_check(ctl_text(app, "ini"), ctl->pool) != CTL_DONE)
            rc = ctl_say("%s: nothing was reloaded: `apachectl configtest`"
                         " refuses this file",
                         ctl_text(app, "ini"));
    }
    return rc;
}

/* Returns the first application whose sync.ini says something that httpd has
 * not told weaved yet; or NULL. */
static const json_t *untaken_find(const ctl_t *ctl, const json_t *status,
                                  apr_pool_t *pool)
{
    const json_t *app;
    size_t i;

    json_array_foreach(ctl_list(status, "applications"), i, app)
    {
        if (app_is_meant(ctl, app) && !ctl_is_taken(app, pool))
            return app;
    }
    return NULL;
}

/* Prints that httpd has not read the sync.ini of APP as it is now. Returns
 * CTL_FAILED. */
static int untaken_print(const json_t *app, apr_pool_t *pool)
{
    const char *moved = ctl_link_moved(app, pool);

    return ctl_say("%s: nothing was reloaded: %s: `apachectl graceful` first",
                   ctl_text(app, "ini"),
                   moved ? moved
                         : "the file has changed since httpd has read it");
}

/* Says why httpd could not take the sync.ini of APP as it is now; or NULL. */
static const char *refusal_find(const ctl_t *ctl, const json_t *app,
                                apr_pool_t *pool)
{
    ctl_t meant = *ctl;
    const ctl_app_t *own;
    ctl_view_t view;

    meant.pool = pool;
    ctl_view_load(&view, &meant);
    own = ctl_app_find(&view, ctl_text(app, "ini"));
    return own ? ctl_refusal(own, pool) : NULL;
}

/* Waits until httpd has told weaved what each sync.ini says now: `apachectl
 * graceful` returns earlier. *status is renewed. Returns an exit status. */
static int taken_wait(json_t **status, const ctl_t *ctl)
{
    int64_t until = weave_clock_us() + TAKEN_US;
    apr_pool_t *pool;
    int rc = -1;

    apr_pool_create(&pool, ctl->pool);
    while (rc < 0) {
        const json_t *app = untaken_find(ctl, *status, pool);
        const char *refusal = app ? refusal_find(ctl, app, pool) : NULL;

        if (!app)
            rc = CTL_DONE;
        else if (refusal)
            rc = ctl_say("%s: nothing was reloaded: %s", ctl_text(app, "ini"),
                         refusal);
        else if (weave_clock_us() >= until)
            rc = untaken_print(app, pool);
        if (rc < 0) {
            apr_sleep(POLL_US);
            json_decref(*status);
            *status = status_get(ctl);
            rc = *status ? rc : CTL_FAILED;
        }
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return rc;
}

/* Returns an embedded application that is meant, if no application in worker
 * processes is; or NULL. */
static const ctl_app_t *embedded_find(const ctl_t *ctl, const ctl_view_t *view)
{
    const ctl_app_t *found = NULL;
    int i;

    for (i = 0; i < view->apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(view->apps, i, ctl_app_t);

        if (!ctl_is_meant(ctl, app->ini))
            continue;
        if (!app->embedded)
            return NULL;
        found = app;
    }
    return found;
}

int ctl_reload(const ctl_t *ctl)
{
    json_t *before, *answer = NULL;
    const ctl_app_t *embedded;
    int rc = CTL_FAILED;
    ctl_view_t view;

    ctl_view_load(&view, ctl); /* its problems do not matter here */
    if (ctl_name_check(&view, ctl) != CTL_DONE)
        return CTL_FAILED;
    embedded = embedded_find(ctl, &view);
    if (embedded)
        return ctl_say("%s: nothing was reloaded: the application runs in "
                       "httpd's own processes, and `apachectl graceful` loads "
                       "its code anew",
                       embedded->ini);
    before = status_get(ctl);
    if (before && inis_check(ctl, before) == CTL_DONE &&
        taken_wait(&before, ctl) == CTL_DONE)
        answer = ctl_call(
            ctl, ctl->ini_given
                     ? json_pack("{s:s, s:s}", "op", "reload", "app", ctl->ini)
                     : json_pack("{s:s, s:n}", "op", "reload", "app"));
    if (answer)
        rc = ctl->no_wait ? CTL_DONE : apps_wait(ctl, before);
    json_decref(answer);
    json_decref(before);
    return rc;
}
