/* SPDX-License-Identifier: Apache-2.0 */
/* reload.c: weavectl reload
 *
 * weaved answers at once; what becomes of the new generation shows in its
 * status. */
#include "view.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "weave_clock.h"

#define LOOK_US 100000
#define WAIT_MOST APR_TIME_C(3600000000) /* startup_timeout ends it before */

/* An application that is not wanted any more drains only: that takes long. */
static int is_meant(const ctl_t *ctl, const json_t *app)
{
    if (!strcmp(ctl_text(app, "state"), "draining"))
        return 0;
    return !ctl->ini_given || !strcmp(ctl_text(app, "ini"), ctl->ini);
}

static json_t *status_get(const ctl_t *ctl)
{
    json_t *answer = ctl_ask(ctl, json_pack("{s:s}", "op", "status"));
    json_t *status = json_incref(json_object_get(answer, "status"));

    json_decref(answer);
    return status;
}

/* The newest generation there is of APP, whatever its state. */
static json_int_t newest(const json_t *app)
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

static const json_t *same_app(const json_t *apps, const json_t *app)
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

/* 0: not yet; 1: BEFORE's successor serves; -1: it has failed. */
static int outcome(const json_t *before, const json_t *now)
{
    if (ctl_int(now, "generation") > newest(before))
        return 1;
    /* the attempt is over, and nothing newer has come of it */
    if (newest(now) <= newest(before) && *ctl_text(now, "last_error"))
        return -1;
    return 0;
}

/* LOG has more about a failure; "": it is not known where that is. */
static int report(const json_t *now, int rc, const char *log)
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

static int wait_for(const ctl_t *ctl, const json_t *before)
{
    int64_t until = weave_clock_us() + WAIT_MOST;

    while (weave_clock_us() < until) {
        json_t *status = status_get(ctl);
        const json_t *now = same_app(ctl_list(status, "applications"), before);
        int rc = now ? outcome(before, now) : -1;

        if (!status)
            return CTL_FAILED;
        if (!now)
            rc = ctl_say("%s: httpd does not run it any more",
                         ctl_text(before, "ini"));
        else if (rc)
            rc = report(now, rc, ctl_text(status, "error_log"));
        else
            rc = -1;
        json_decref(status);
        if (rc >= 0)
            return rc;
        apr_sleep(LOOK_US);
    }
    return ctl_say("%s: no answer in an hour", ctl_text(before, "ini"));
}

static int wait_all(const ctl_t *ctl, const json_t *before)
{
    const json_t *app;
    int rc = CTL_DONE;
    size_t i;

    json_array_foreach(ctl_list(before, "applications"), i, app)
    {
        if (is_meant(ctl, app) && wait_for(ctl, app) != CTL_DONE)
            rc = CTL_FAILED;
    }
    return rc;
}

/* A link that leads elsewhere by now: weaved has the application that it led to
 * when httpd read its configuration, and its code is not what is meant. */
static int has_moved(const ctl_t *ctl)
{
    return ctl->ini_given && strcmp(ctl->ini, ctl->ini_real) != 0;
}

/* Refuses what configtest refuses, where httpd would not take the sync.ini as
 * it is now. What weaved would start from it, weaved looks at itself. */
static int inis_check(const ctl_t *ctl, const json_t *status)
{
    const json_t *app;
    int rc = CTL_DONE;
    size_t i;

    json_array_foreach(ctl_list(status, "applications"), i, app)
    {
        if (is_meant(ctl, app) &&
            ctl_ini_check(ctl_text(app, "ini"), ctl->pool) != CTL_DONE)
            rc = ctl_say("%s: nothing was reloaded: `apachectl configtest`"
                         " refuses this file",
                         ctl_text(app, "ini"));
    }
    return rc;
}

int ctl_reload(const ctl_t *given)
{
    ctl_t meant = *given, *ctl = &meant;
    json_t *before, *answer = NULL;
    int rc = CTL_FAILED;
    ctl_view_t view;

    ctl_view_load(&view, ctl); /* what it cannot see changes nothing here */
    if (has_moved(ctl))
        return ctl_say("%s leads to %s now, and httpd runs %s until it is told "
                       "to: `apachectl graceful` goes over to it, and loses no "
                       "request",
                       ctl->ini_named, ctl->ini_real, ctl->ini);
    before = status_get(ctl);
    if (before && inis_check(ctl, before) == CTL_DONE)
        answer = ctl_ask(
            ctl, ctl->ini_given
                     ? json_pack("{s:s, s:s}", "op", "reload", "app", ctl->ini)
                     : json_pack("{s:s, s:n}", "op", "reload", "app"));
    if (answer)
        rc = ctl->no_wait ? CTL_DONE : wait_all(ctl, before);
    json_decref(answer);
    json_decref(before);
    return rc;
}
