/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c: waits until nothing is in Python any more
 *
 * A request is counted by the child of httpd that has admitted it until its
 * client has the answer. A worker may go on with it where the client has left,
 * so the workers are asked as well, after the children. */
#include "wait.h"

#include <stdio.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "call.h"
#include "fields.h"
#include "say.h"
#include "weave_clock.h"
#include "weave_control.h"

#define POLL_US 200000
/* A request may be between a child, whose client has left, and its worker. */
#define QUIET_POLLS 2

/* What is left, as seen once. */
typedef struct {
    json_int_t requests; /* that children have admitted, or workers have */
    int64_t on_us;       /* a drain goes on until then; 0: none does */
    const char *unseen;  /* why it is not known now, but may be soon */
    const char *problem; /* why it cannot be known, or never ends */
} left_t;

/* Returns what children have admitted for the application that is meant, or for
 * all, also those that httpd has no more. -1: it is not known. */
static int64_t children_sum(const ctl_t *ctl, const ctl_view_t *view)
{
    const ctl_app_t *app = ctl->ini_given ? ctl_app_find(view, ctl->ini) : NULL;
    int64_t admitted, sum = 0;
    uint32_t slot;

    if (app)
        return app->admitted;
    for (slot = 0; slot < WEAVE_ROSTER_APPS; slot++) {
        admitted = weave_counters_admitted(view->httpd.counters, slot);
        if (admitted < 0)
            return -1;
        sum += admitted;
    }
    return sum;
}

static json_int_t workers_sum(const json_t *app)
{
    const json_t *generation, *worker;
    json_int_t sum = 0;
    size_t i, k;

    json_array_foreach(ctl_list(app, "generations"), i, generation)
    {
        json_array_foreach(ctl_list(generation, "workers"), k, worker)
        {
            sum += ctl_int(worker, "running") + ctl_int(worker, "queued");
        }
    }
    return sum;
}

/* Asks what workers run and have waiting. An application that is embedded now
 * may have some that drain. MUST: there are workers, so weaved must answer. */
static void workers_poll(left_t *left, const ctl_t *ctl, int must)
{
    const char *socket =
        apr_pstrcat(ctl->pool, ctl->dir, "/" WEAVE_CONTROL_SOCKET, NULL);
    json_int_t sum = 0;
    const json_t *app;
    json_t *answer;
    size_t i;

    if (!must && access(socket, F_OK) < 0)
        return;
    answer = ctl_call_quietly(ctl, json_pack("{s:s}", "op", "status"),
                              &left->unseen);
    json_array_foreach(
        ctl_list(json_object_get(answer, "status"), "applications"), i, app)
    {
        if (ctl_is_meant(ctl, ctl_text(app, "ini")))
            sum += workers_sum(app);
    }
    json_decref(answer);
    if (sum > left->requests) /* most of these are counted by children, too */
        left->requests = sum;
}

/* Looks whether all that is meant is on. Returns 1 where workers have some. */
static int modes_poll(left_t *left, const ctl_t *ctl, const ctl_view_t *view)
{
    int i, meant = 0, workers = 0;

    for (i = 0; i < view->apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(view->apps, i, ctl_app_t);
        const ctl_setting_t *first = (const ctl_setting_t *)app->set->elts;
        uint32_t mode = ctl_app_mode(app);

        if (!ctl_is_meant(ctl, app->ini))
            continue;
        meant = 1;
        workers = workers || (!app->embedded && !app->failed);
        if (mode == WEAVE_MAINTENANCE_DRAINING && first->on_us)
            left->on_us =
                first->on_us > left->on_us ? first->on_us : left->on_us;
        else if (mode != WEAVE_MAINTENANCE_ON)
            left->problem =
                apr_psprintf(ctl->pool, "%s: it is %s, and not to become on",
                             app->ini, weave_maintenance_mode_name(mode));
    }
    if (!meant && ctl->ini_given)
        left->problem = apr_psprintf(
            ctl->pool, "no httpd has an application of %s any more", ctl->ini);
    return workers;
}

/* Reads everything anew: httpd may have been restarted. */
static void left_poll(left_t *left, const ctl_t *ctl)
{
    ctl_view_t view;
    int workers;

    *left = (left_t){0};
    ctl_view_load(&view, ctl);
    workers = modes_poll(left, ctl, &view);
    if (view.problems->nelts)
        left->problem = APR_ARRAY_IDX(view.problems, 0, const char *);
    else if (!view.httpd.runs)
        left->problem = apr_psprintf(
            ctl->pool,
            "no httpd runs with %s; what was set holds from its next start on",
            ctl->dir);
    if (left->problem)
        return;
    left->requests = children_sum(ctl, &view);
    if (left->requests < 0)
        left->problem = "not all children of httpd count their requests";
    workers_poll(left, ctl, workers);
}

static void progress_show(const ctl_t *ctl, const left_t *left, int64_t until)
{
    if (!isatty(STDERR_FILENO))
        return;
    ctl_progress(
        "%" JSON_INTEGER_FORMAT " in Python%s%s, %s left", left->requests,
        left->on_us ? ", on at " : "",
        left->on_us ? ctl_clock(left->on_us, ctl->pool) : "",
        ctl_duration(apr_time_sec(until - weave_clock_us()), ctl->pool));
}

static int is_done(const left_t *left)
{
    return !left->problem && !left->on_us && !left->unseen && !left->requests;
}

/* Prints how the waiting has ended. Returns an exit status. */
static int end_report(const left_t *left, apr_pool_t *pool)
{
    if (isatty(STDERR_FILENO))
        ctl_progress("%s", "");
    if (left->problem)
        return ctl_say("--wait: %s", left->problem);
    if (left->on_us)
        return ctl_say("--wait: the time is over, and the drain becomes on "
                       "only at %s",
                       ctl_clock(left->on_us, pool));
    if (left->unseen)
        return ctl_say("--wait: the time is over, and nobody knows what is "
                       "still in Python: %s",
                       left->unseen);
    if (left->requests)
        return ctl_say("--wait: the time is over, still in Python: "
                       "%" JSON_INTEGER_FORMAT " (`weavectl status` shows it)",
                       left->requests);
    puts("nothing is in Python any more");
    return CTL_DONE;
}

int ctl_change_wait(ctl_change_t *change, int64_t wait_us)
{
    int64_t until = weave_clock_us() + wait_us;
    int held = change->setting.mode != WEAVE_MAINTENANCE_DRAINING;
    int rc = -1, quiet = 0;
    apr_pool_t *pool;
    left_t left;

    if (apr_pool_create(&pool, change->ctl->pool) != APR_SUCCESS)
        return CTL_FAILED;
    apr_pool_tag(pool, "wait");
    while (rc < 0) {
        ctl_t now = *change->ctl;

        apr_pool_clear(pool);
        now.pool = pool;
        left_poll(&left, &now);
        if (!held && !left.problem && !left.on_us) {
            held = 1;
            if (ctl_change_hold(change) != CTL_DONE)
                rc = CTL_FAILED;
            else
                ctl_change_settle();
            continue;
        }
        quiet = is_done(&left) ? quiet + 1 : 0;
        if (left.problem || quiet == QUIET_POLLS || weave_clock_us() >= until) {
            rc = end_report(&left, pool);
            continue;
        }
        progress_show(&now, &left, until);
        apr_sleep(POLL_US);
    }
    apr_pool_destroy(pool);
    return rc;
}
