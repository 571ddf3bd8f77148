/* SPDX-License-Identifier: Apache-2.0 */
/* reload.c: weavectl reload
 *
 * weaved answers before the new generation is ready. weavectl then looks at the
 * status of weaved until that serves or has failed. */
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "ini.h"
#include "say.h"
#include "weave_clock.h"

#define POLL_US 100000
#define TAKEN_US INT64_C(10000000) /* for httpd to restart, after a signal */

/* Returns the status of weaved with only those applications that are to be
 * reloaded: one that drains is not in the configuration any more. NULL: weaved
 * does not answer, and why is printed. */
static json_t *meant_get(const ctl_t *ctl)
{
    const char *problem = NULL;
    json_t *status = ctl_status_get(ctl, &problem);
    json_t *apps = json_object_get(status, "applications");
    size_t i = json_array_size(apps);

    if (problem)
        ctl_say("%s", problem);
    while (i-- > 0) {
        const json_t *app = json_array_get(apps, i);

        if (!ctl_is_meant(ctl, ctl_text(app, "ini")) ||
            !strcmp(ctl_text(app, "state"), "draining"))
            json_array_remove(apps, i);
    }
    return status;
}

/* ---- before ---- */

/* Refuses a sync.ini that httpd would refuse as it is now. weaved itself looks
 * at the script, the virtualenv and the like. */
static int inis_check(const json_t *status, apr_pool_t *pool)
{
    const json_t *app;
    int rc = CTL_DONE;
    size_t i;

    json_array_foreach(json_object_get(status, "applications"), i, app)
    {
        if (ctl_ini_check(ctl_text(app, "ini"), pool) != CTL_DONE)
            rc = ctl_say("%s: nothing was reloaded: `apachectl configtest`"
                         " refuses this file",
                         ctl_text(app, "ini"));
    }
    return rc;
}

/* Says why httpd could not take the sync.ini of APP as it is now; or NULL. */
static const char *refusal_find(const ctl_t *ctl, const json_t *app)
{
    const ctl_app_t *own;
    ctl_view_t view;

    ctl_view_load(&view, ctl);
    own = ctl_app_find(&view, ctl_text(app, "ini"));
    return own ? ctl_refusal(own, ctl->pool) : NULL;
}

/* Looks whether httpd has told weaved what each sync.ini says now. Returns an
 * exit status; or -1: not yet, and there is still time. */
static int taken_poll(const ctl_t *ctl, const json_t *status, int is_over)
{
    const json_t *app;
    const char *why;
    size_t i;

    json_array_foreach(json_object_get(status, "applications"), i, app)
    {
        if (ctl_is_taken(app, ctl->pool))
            continue;
        why = refusal_find(ctl, app);
        if (why)
            return ctl_say("%s: nothing was reloaded: %s", ctl_text(app, "ini"),
                           why);
        if (!is_over)
            return -1;
        why = ctl_link_moved(app, ctl->pool);
        return ctl_say("%s: nothing was reloaded: %s: `apachectl graceful`"
                       " first",
                       ctl_text(app, "ini"),
                       why ? why
                           : "the file has changed since httpd has read it");
    }
    return CTL_DONE;
}

/* Waits for that: `apachectl graceful` returns earlier. *status is renewed.
 * Returns an exit status. */
static int taken_wait(json_t **status, const ctl_t *ctl)
{
    int64_t until = weave_clock_us() + TAKEN_US;
    ctl_t now = *ctl;
    int rc;

    apr_pool_create(&now.pool, ctl->pool);
    apr_pool_tag(now.pool, "taken");
    while ((rc = taken_poll(&now, *status, weave_clock_us() >= until)) < 0) {
        apr_sleep(POLL_US);
        apr_pool_clear(now.pool);
        json_decref(*status);
        *status = meant_get(&now);
        if (!*status) {
            rc = CTL_FAILED;
            break;
        }
    }
    apr_pool_destroy(now.pool);
    return rc;
}

/* Returns an embedded application that is meant, if no application in worker
 * processes is; or NULL. */
static const ctl_app_t *embedded_find(const ctl_t *ctl, const ctl_view_t *view)
{
    const ctl_app_t *app, *found = NULL;
    int i = 0;

    while ((app = ctl_app_next(view, ctl, &i)) != NULL) {
        if (!app->embedded)
            return NULL;
        found = app;
    }
    return found;
}

/* ---- after ---- */

/* Returns the number of the newest generation of APP, in whatever state. */
static json_int_t generation_newest(const json_t *app)
{
    const json_t *generation;
    json_int_t number = 0;
    size_t i;

    json_array_foreach(json_object_get(app, "generations"), i, generation)
    {
        if (ctl_int(generation, "number") > number)
            number = ctl_int(generation, "number");
    }
    return number;
}

/* Looks what has become of the reload of BEFORE. Returns an exit status, when
 * that is printed; or -1: it still starts. */
static int app_poll(const ctl_t *ctl, const json_t *before)
{
    const char *ini = ctl_text(before, "ini");
    json_int_t newest = generation_newest(before);
    json_t *status = meant_get(ctl), *app, *now = NULL;
    int rc = -1;
    size_t i;

    json_array_foreach(json_object_get(status, "applications"), i, app)
    {
        if (!strcmp(ctl_text(app, "ini"), ini))
            now = app;
    }
    if (!status) {
        rc = CTL_FAILED;
    }
    else if (!now) {
        rc = ctl_say("%s: httpd does not run it any more", ini);
    }
    else if (ctl_int(now, "generation") > newest) {
        ctl_line("%s: generation %" JSON_INTEGER_FORMAT " serves", ini,
                 ctl_int(now, "generation"));
        rc = CTL_DONE;
    }
    else if (generation_newest(now) <= newest && *ctl_text(now, "last_error")) {
        rc = ctl_say("%s: the new generation has failed%s: %s", ini,
                     ctl_int(now, "generation") ? ", the one before goes on"
                                                : "",
                     ctl_text(now, "last_error"));
        if (*ctl_text(status, "error_log"))
            ctl_say("more is in %s", ctl_text(status, "error_log"));
    }
    else if (generation_newest(now) <= newest) {
        rc = ctl_say("%s: the new generation was given up, for generation"
                     " %" JSON_INTEGER_FORMAT " is what the links lead to",
                     ini, ctl_int(now, "generation"));
    }
    json_decref(status);
    return rc;
}

static int apps_wait(const ctl_t *ctl, const json_t *status)
{
    const json_t *app;
    int rc = CTL_DONE;
    size_t i;

    json_array_foreach(json_object_get(status, "applications"), i, app)
    {
        int outcome;

        /* startup_timeout ends it */
        while ((outcome = app_poll(ctl, app)) < 0)
            apr_sleep(POLL_US);
        if (outcome != CTL_DONE)
            rc = CTL_FAILED;
    }
    return rc;
}

/* ---- the command ---- */

static int reload_ask(const ctl_t *ctl)
{
    const char *problem = NULL;

    json_decref(
        ctl_call(ctl, json_pack("{s:s, s:s?}", "op", "reload", "app", ctl->ini),
                 &problem));
    return problem ? ctl_say("%s", problem) : CTL_DONE;
}

int ctl_reload(const ctl_t *ctl)
{
    const ctl_app_t *embedded;
    json_t *before;
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
    before = meant_get(ctl);
    if (before && inis_check(before, ctl->pool) == CTL_DONE &&
        taken_wait(&before, ctl) == CTL_DONE && reload_ask(ctl) == CTL_DONE)
        rc = ctl->no_wait ? CTL_DONE : apps_wait(ctl, before);
    json_decref(before);
    return rc;
}
