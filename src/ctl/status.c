/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: weavectl status: what weaved and httpd say */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "ini.h"
#include "say.h"
#include "show.h"
#include "weave_control.h"
#include "weave_link.h"

#define MIB 1048576.0
#define NOT_UP                                                                 \
    "httpd could not bring it up: WEAVE0014 in its error log, and what "       \
    "stands above it, say why"
#define NOT_UP_FOR "httpd could not bring it up (WEAVE0014): "

/* ---- for people ---- */

static void worker_show(const ctl_t *ctl, const json_t *worker)
{
    ctl_line("    %8" JSON_INTEGER_FORMAT
             "  %-9s %-7s %8s %8" JSON_INTEGER_FORMAT " %7" JSON_INTEGER_FORMAT
             " %10" JSON_INTEGER_FORMAT " %7.1f MiB",
             ctl_int(worker, "pid"), ctl_text(worker, "state"),
             ctl_text(worker, "python"),
             ctl_duration(ctl_int(worker, "uptime_s"), ctl->pool),
             ctl_int(worker, "running"), ctl_int(worker, "queued"),
             ctl_int(worker, "requests"),
             (double)ctl_int(worker, "rss_bytes") / MIB);
}

static void generation_show(const ctl_t *ctl, const json_t *generation)
{
    const json_t *worker, *workers = json_object_get(generation, "workers");
    const char *release = ctl_text(generation, "release");
    size_t i;

    ctl_line("  generation %" JSON_INTEGER_FORMAT ": %s%s%s%s",
             ctl_int(generation, "number"), ctl_text(generation, "state"),
             ctl_is_true(generation, "candidate") ? ", a candidate" : "",
             *release ? ", release " : "", release);
    if (json_array_size(workers))
        puts("    worker    state     Python    uptime  running  queued  "
             " requests      memory");
    json_array_foreach(workers, i, worker)
    {
        worker_show(ctl, worker);
    }
}

/* LOG, unless it is "", has more about what has failed. */
static void app_show(const ctl_t *ctl, const json_t *app, const char *log)
{
    json_int_t failed = ctl_int(app, "failed_generation");
    const char *error = ctl_text(app, "last_error");
    const char *release = ctl_text(app, "release"); /* of an embedded one */
    const json_t *generation;
    size_t i;

    puts("");
    ctl_line("%s: %s%s%s", ctl_text(app, "ini"), ctl_text(app, "state"),
             *release ? ", release " : "", release);
    json_array_foreach(json_object_get(app, "generations"), i, generation)
    {
        generation_show(ctl, generation);
    }
    if (*ctl_text(app, "outdated"))
        ctl_line("  outdated: %s", ctl_text(app, "outdated"));
    if (*error && failed)
        ctl_line("  last error: generation %" JSON_INTEGER_FORMAT
                 " has failed: %s",
                 failed, error);
    else if (*error)
        ctl_line("  last error: %s", error);
    if (*error && *log)
        ctl_line("    more is in %s", log);
}

static int status_show(const ctl_t *ctl, const json_t *status,
                       const ctl_view_t *view)
{
    const json_t *app;
    int shown = 0;
    size_t i;

    if (ctl_int(status, "pid"))
        ctl_line("weaved %s, pid %" JSON_INTEGER_FORMAT ", in %s",
                 ctl_text(status, "version"), ctl_int(status, "pid"),
                 ctl_text(status, "runtime_dir"));
    json_array_foreach(json_object_get(status, "applications"), i, app)
    {
        if (!ctl_is_meant(ctl, ctl_text(app, "ini")))
            continue;
        app_show(ctl, app, ctl_text(status, "error_log"));
        if (i < (size_t)view->apps->nelts) /* as status_complete() has it */
            ctl_app_show(ctl, view, &APR_ARRAY_IDX(view->apps, i, ctl_app_t));
        shown++;
    }
    if (!shown &&
        (ctl_int(status, "pid") || (view->httpd.runs && !view->httpd.unseen))) {
        if (ctl->ini)
            return ctl_app_missing(view, ctl);
        ctl_line("no application: no WeaveApp is in httpd's configuration as "
                 "it was last read");
    }
    ctl_rest_show(ctl, view); /* its problems are no failure of this command */
    return CTL_DONE;
}

/* ---- all that is known, as JSON ---- */

/* Makes an application of which only httpd says something: it is embedded, or
 * weaved cannot be reached. */
static json_t *app_make(const ctl_app_t *app)
{
    return json_pack("{s:I, s:s, s:s, s:i, s:[], s:i, s:n}", "app",
                     (json_int_t)app->slot, "ini", app->ini, "state",
                     app->embedded ? "embedded" : "unknown", "generation", 0,
                     "generations", "failed_generation", 0, "last_error");
}

/* Takes the application INI out of APPS, as weaved has them; NULL: it is not
 * there. */
static json_t *app_take(json_t *apps, const char *ini)
{
    json_t *app;
    size_t i;

    json_array_foreach(apps, i, app)
    {
        if (strcmp(ctl_text(app, "ini"), ini) != 0)
            continue;
        json_incref(app);
        json_array_remove(apps, i);
        return app;
    }
    return NULL;
}

static void error_set(json_t *app, const char *text, apr_pool_t *pool)
{
    json_object_set_new(app, "last_error", weave_control_text(text, pool));
}

static void embedded_complete(json_t *app, const ctl_app_t *own,
                              apr_pool_t *pool)
{
    const char *virtualenv = *own->virtualenv ? own->virtualenv : NULL;

    json_object_set_new(app, "running",
                        own->admitted < 0 ? json_null()
                                          : json_integer(own->admitted));
    json_object_set_new(app, "virtualenv",
                        weave_control_text(virtualenv, pool));
    json_object_set_new(
        app, "release",
        weave_control_text(weave_release_name(virtualenv, pool), pool));
}

/* Adds what httpd says. OWN NULL: it does not have the application any more. */
static void app_complete(json_t *app, const ctl_view_t *view,
                         const ctl_app_t *own, apr_pool_t *pool)
{
    int count = 0, embedded = own && own->embedded;
    const char *text;

    if (own && own->failed) {
        json_object_set_new(app, "state", json_string("failed"));
        json_object_set_new(app, "failed_generation", json_integer(0));
        error_set(app,
                  *own->problem
                      ? apr_pstrcat(pool, NOT_UP_FOR, own->problem, NULL)
                      : NOT_UP,
                  pool);
    }
    if (embedded && view->httpd.counters)
        count = weave_counters_failed(&text, view->httpd.counters, pool);
    if (count)
        error_set(app,
                  apr_psprintf(pool,
                               "%d child%s of httpd cannot import the"
                               " application: %s",
                               count, count == 1 ? "" : "ren", text),
                  pool);
    json_object_set_new(app, "outdated",
                        weave_control_text(ctl_outdated(app, own, pool), pool));
    json_object_set_new(app, "embedded", json_boolean(embedded));
    json_object_set_new(app, "httpd_failed", json_boolean(own && own->failed));
    if (embedded)
        embedded_complete(app, own, pool);
    json_object_set_new(app, "maintenance",
                        own ? ctl_app_json(view, own) : json_null());
}

/* Makes what programs are told of the httpd itself; null: none runs. */
static json_t *httpd_json(const ctl_view_t *view, apr_pool_t *pool)
{
    const json_t *state = view->httpd.state;

    if (view->httpd.unseen)
        return json_pack("{s:o}", "problem",
                         weave_control_text(view->httpd.unseen, pool));
    return view->httpd.runs
               ? json_pack("{s:I, s:I, s:I}", "pid", ctl_int(state, "pid"),
                           "uid", ctl_int(state, "uid"), "gid",
                           ctl_int(state, "gid"))
               : json_null();
}

/* Adds what VIEW has to the applications of STATUS. Those of VIEW come first,
 * in its order. */
static void status_complete(json_t *status, const ctl_view_t *view,
                            apr_pool_t *pool)
{
    json_t *known = json_object_get(status, "applications"), *app;
    json_t *apps = json_array(), *problems = json_array();
    size_t k;
    int i;

    for (i = 0; i < view->apps->nelts; i++) {
        const ctl_app_t *own = &APR_ARRAY_IDX(view->apps, i, ctl_app_t);

        app = app_take(known, own->ini);
        if (!app)
            app = app_make(own);
        app_complete(app, view, own, pool);
        json_array_append_new(apps, app);
    }
    json_array_foreach(known, k, app)
    {
        app_complete(app, view, NULL, pool);
        json_array_append(apps, app);
    }
    json_object_set_new(status, "applications", apps);
    for (i = 0; i < view->problems->nelts; i++)
        json_array_append_new(
            problems,
            weave_control_text(APR_ARRAY_IDX(view->problems, i, const char *),
                               pool));
    json_object_set_new(status, "httpd", httpd_json(view, pool));
    json_object_set_new(status, "state_dir",
                        weave_control_text(view->httpd.state_dir, pool));
    json_object_set_new(status, "problems", problems);
}

/* Says whether weaved may have something to say: 0: no; 1: what is left of an
 * application that httpd could not bring up; 2: yes. */
static int has_workers(const ctl_view_t *view)
{
    int i, has = view->apps->nelts ? 0 : 2;

    for (i = 0; i < view->apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(view->apps, i, ctl_app_t);

        if (!app->embedded)
            has |= app->failed ? 1 : 2;
    }
    return has;
}

int ctl_status(const ctl_t *ctl)
{
    const char *problem = NULL;
    json_t *status = NULL;
    ctl_view_t view;
    int rc = CTL_DONE;

    ctl_view_load(&view, ctl);
    if (has_workers(&view))
        status = ctl_status_get(ctl, &problem);
    if (!status)
        status = json_object();
    if (ctl_is_true(status, "runtime_dir_closed"))
        APR_ARRAY_PUSH(view.problems, const char *) = apr_psprintf(
            ctl->pool,
            "%s: httpd's children cannot enter this folder, so they reach no"
            " worker and answer 503: WEAVE0064 in the error log has the cure",
            ctl_text(status, "runtime_dir"));
    status_complete(status, &view, ctl->pool);
    if (ctl->json)
        ctl_json_print(status, JSON_PRESERVE_ORDER);
    else
        rc = status_show(ctl, status, &view);
    fflush(stdout);
    if (problem && has_workers(&view) > 1)
        rc = ctl_say("%s", problem);
    json_decref(status);
    return rc;
}
