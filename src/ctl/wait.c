/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c: waits until nothing is in Python any more
 *
 * A request is counted by the child of httpd that has admitted it until its
 * client has the answer. A worker may go on with it where the client has left,
 * so the workers are asked as well, after the children. */
#include <stdio.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "change.h"
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

/* Returns what children have admitted for all applications, also those that
 * httpd has no more. -1: it is not known. */
static int64_t children_total(const weave_counters_t *counters)
{
    int64_t admitted, sum = 0;
    uint32_t slot;

    for (slot = 0; slot < WEAVE_ROSTER_APPS; slot++) {
        admitted = weave_counters_admitted(counters, slot);
        if (admitted < 0)
            return -1;
        sum += admitted;
    }
    return sum;
}

/* Returns the same for the application that is meant, which httpd has, or for
 * all. */
static int64_t children_sum(const ctl_t *ctl, const ctl_view_t *view)
{
    return ctl->ini ? ctl_app_find(view, ctl->ini)->admitted
                    : children_total(view->httpd.counters);
}

/* Returns what workers run and have waiting. An application that is embedded
 * now may have some that drain. MUST: there are workers, so weaved must
 * answer; otherwise *unseen says why it does not. */
static json_int_t workers_sum(const ctl_t *ctl, int must, const char **unseen)
{
    const json_t *app, *generation, *worker;
    json_int_t sum = 0;
    json_t *status;
    size_t i, k, n;

    if (!must &&
        access(apr_pstrcat(ctl->pool, ctl->dir, "/" WEAVE_CONTROL_SOCKET, NULL),
               F_OK) < 0)
        return 0;
    status = ctl_status_get(ctl, unseen);
    json_array_foreach(json_object_get(status, "applications"), i, app)
    {
        if (!ctl_is_meant(ctl, ctl_text(app, "ini")))
            continue;
        json_array_foreach(json_object_get(app, "generations"), k, generation)
        {
            json_array_foreach(json_object_get(generation, "workers"), n,
                               worker)
            {
                sum += ctl_int(worker, "running") + ctl_int(worker, "queued");
            }
        }
    }
    json_decref(status);
    return sum;
}

/* Looks whether all that is meant is on. Returns 1 where workers have some. */
static int modes_poll(left_t *left, const ctl_t *ctl, const ctl_view_t *view)
{
    const ctl_app_t *app;
    int i = 0, workers = 0;

    while ((app = ctl_app_next(view, ctl, &i)) != NULL) {
        const ctl_setting_t *first = (const ctl_setting_t *)app->set->elts;
        uint32_t mode = ctl_app_mode(app);

        workers = workers || (!app->embedded && !app->failed);
        if (mode == WEAVE_MAINTENANCE_DRAINING && first->on_us)
            left->on_us =
                first->on_us > left->on_us ? first->on_us : left->on_us;
        else if (mode != WEAVE_MAINTENANCE_ON)
            left->problem =
                apr_psprintf(ctl->pool, "%s: it is %s, and not to become on",
                             app->ini, weave_maintenance_mode_name(mode));
    }
    if (ctl->ini && !ctl_app_find(view, ctl->ini))
        left->problem = apr_psprintf(
            ctl->pool, "no httpd has an application of %s any more", ctl->ini);
    return workers;
}

/* Reads everything anew: httpd may have been restarted. */
static void left_poll(left_t *left, const ctl_t *ctl)
{
    json_int_t in_workers;
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
        left->problem = "not all children of httpd count their requests, or"
                        " httpd runs in another container than weavectl";
    in_workers = workers_sum(ctl, workers, &left->unseen);
    if (in_workers > left->requests) /* children count most of these, too */
        left->requests = in_workers;
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

/* No httpd runs, so nothing is in Python; but where its parent was killed, its
 * children go on. Returns an exit status. */
static int orphans_report(const ctl_t *ctl)
{
    weave_counters_t *counters;

    if (weave_counters_read(&counters, ctl->dir, ctl->pool) || !counters ||
        !children_total(counters))
        return CTL_DONE;
    return ctl_say("--wait: the parent of httpd was killed, and its children"
                   " have requests in Python: end them");
}

int ctl_change_wait(ctl_change_t *change)
{
    int64_t until = weave_clock_us() + change->wait_us;
    int held = change->setting.mode != WEAVE_MAINTENANCE_DRAINING, quiet = 0;
    ctl_t now = *change->ctl;
    left_t left;

    if (!change->view.httpd.runs && !change->view.httpd.unseen && held &&
        now.dir_given)
        return orphans_report(&now);
    if (apr_pool_create(&now.pool, change->ctl->pool) != APR_SUCCESS)
        return CTL_FAILED;
    apr_pool_tag(now.pool, "wait");
    for (;;) {
        apr_pool_clear(now.pool);
        left_poll(&left, &now);
        if (!held && !left.problem && !left.on_us) {
            if (ctl_change_hold(change) != CTL_DONE)
                return CTL_FAILED;
            held = 1;
            ctl_change_settle();
            continue;
        }
        quiet = is_done(&left) ? quiet + 1 : 0;
        if (left.problem || quiet == QUIET_POLLS ||
            (!quiet && weave_clock_us() >= until))
            return end_report(&left, now.pool);
        progress_show(&now, &left, until);
        apr_sleep(POLL_US);
    }
}
