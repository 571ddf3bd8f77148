/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c: until nothing is in Python any more */
#include "change.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "call.h"
#include "fields.h"
#include "say.h"
#include "weave_clock.h"
#include "weave_control.h"

#define LOOK_US 200000

/* What is left of it, as seen once. */
typedef struct {
    json_int_t requests; /* in Python, or in a queue before it */
    int64_t on_us;       /* a drain goes on until then; 0: none does */
    int meant;           /* an httpd has an application that is meant */
    int gone;            /* no httpd runs */
    const char *unseen;  /* weaved does not answer now: there may be another */
    const char *problem; /* nobody can know, or there is nothing to wait for */
} left_t;

static json_int_t requests_of(const json_t *app)
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

/* Is what weaved has of INI meant? That may be the release of before, under a
 * name of now; where BOARD has forgotten whose it was, it may be. */
static int is_meant(const ctl_t *ctl, const weave_maintenance_board_t *board,
                    const apr_array_header_t *apps, const char *ini)
{
    const ctl_app_t *app = ctl_app_find(apps, ctl->ini);
    uint32_t place;

    if (!app || ctl_is_meant(ctl, ini))
        return 1;
    for (place = 0; place < WEAVE_ROSTER_APPS; place++)
        if (!strcmp(board->ini[place], ini))
            return weave_names_share(board->names[place], app->names);
    return 1;
}

/* Where BOARD's httpd runs no weaved, its folder may be that of another. */
static int is_its_folder(const ctl_t *ctl,
                         const weave_maintenance_board_t *board)
{
    const char *why;
    const weave_maintenance_board_t *its = weave_maintenance_open(
        &why,
        apr_pstrcat(ctl->pool, board->runtime_dir,
                    "/" WEAVE_MAINTENANCE_RUNTIME_LINK, NULL),
        0, ctl->pool);

    return its && its->pid == board->pid;
}

/* What workers have. MUST: there are some, so not to know is a problem. */
static void workers_look(left_t *left, const ctl_t *ctl,
                         const weave_maintenance_board_t *board,
                         const apr_array_header_t *apps, int must)
{
    const char *problem = NULL;
    ctl_t theirs = *ctl;
    const json_t *app;
    json_t *answer;
    size_t i;

    if (!must && !is_its_folder(ctl, board))
        return;
    theirs.dir = board->runtime_dir;
    answer =
        ctl_call_quietly(&theirs, json_pack("{s:s}", "op", "status"), &problem);
    if (problem)
        left->unseen = problem;
    json_array_foreach(
        ctl_list(json_object_get(answer, "status"), "applications"), i, app)
    {
        if (is_meant(ctl, board, apps, ctl_text(app, "ini")))
            left->requests += requests_of(app);
    }
    json_decref(answer);
}

/* What httpd's own children have, which is all of one application. */
static void children_look(left_t *left, const ctl_t *ctl,
                          const weave_maintenance_board_t *board)
{
    const weave_tally_t *tally = weave_tally_open(board, ctl->pool);
    int64_t running = tally ? weave_tally_running(tally, board->pid) : -1;

    if (running < 0)
        left->problem = apr_psprintf(ctl->pool,
                                     "not all children of httpd %u count what "
                                     "is in Python",
                                     board->pid);
    else
        left->requests += running;
}

static void app_look(left_t *left, const ctl_t *ctl, const ctl_app_t *app)
{
    const ctl_word_t *word = &APR_ARRAY_IDX(app->words, 0, ctl_word_t);
    uint32_t mode = ctl_app_mode(app);

    if (mode == WEAVE_MAINTENANCE_DRAINING && word->on_us)
        left->on_us = word->on_us > left->on_us ? word->on_us : left->on_us;
    else if (mode != WEAVE_MAINTENANCE_ON)
        left->problem =
            apr_psprintf(ctl->pool, "%s: it is %s, and not to become on",
                         app->ini, weave_maintenance_mode_name(mode));
}

/* What is in force first, then what runs: nothing begins any more where that is
 * on. What runs need not be what is configured: the release of before, or
 * another workers.mode. */
static void board_look(left_t *left, ctl_t *ctl,
                       const weave_maintenance_board_t *board, const char *dir)
{
    apr_array_header_t *apps = apr_array_make(ctl->pool, 4, sizeof(ctl_app_t));
    int i, meant = 0, workers = 0, others = 0;

    left->problem = ctl_apps_add(apps, board, dir, ctl->pool);
    ctl_ini_settle(ctl, apps);
    for (i = 0; i < apps->nelts && !left->problem; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(apps, i, ctl_app_t);
        int is = ctl_is_meant(ctl, app->ini);

        if (is)
            app_look(left, ctl, app);
        meant = meant || is;
        workers = workers || (is && !app->embedded && !app->failed);
        others = others || (!is && app->embedded);
    }
    if (!meant || left->problem)
        return;
    left->meant = 1;
    workers_look(left, ctl, board, apps, workers);
    if (!others && !left->problem)
        children_look(left, ctl, board);
}

/* All of it anew: httpd may have been restarted. Memory is that of ctl->pool.
 */
static void look(left_t *left, ctl_t *ctl, const char *dir)
{
    const apr_array_header_t *boards;
    int i;

    memset(left, 0, sizeof(*left));
    boards = weave_maintenance_boards(&left->problem, dir,
                                      WEAVE_MAINTENANCE_LOOK, ctl->pool);
    for (i = 0; i < boards->nelts && !left->problem; i++)
        board_look(left, ctl,
                   APR_ARRAY_IDX(boards, i, weave_maintenance_board_t *), dir);
    left->gone = !boards->nelts;
    if (!left->problem && !left->meant && !left->gone)
        left->problem = apr_psprintf(
            ctl->pool, "no httpd has an application of %s any more", ctl->ini);
}

static void progress(const ctl_t *ctl, const left_t *left, int64_t until)
{
    if (!isatty(STDERR_FILENO))
        return;
    ctl_progress(
        "%" JSON_INTEGER_FORMAT " in Python%s%s, %s left", left->requests,
        left->on_us ? ", on at " : "",
        left->on_us ? ctl_clock(left->on_us, ctl->pool) : "",
        ctl_duration(apr_time_sec(until - weave_clock_us()), ctl->pool));
}

/* By the configuration of now. */
static int is_on(const left_t *left)
{
    return !left->problem && !left->on_us && !left->gone;
}

/* -1: not yet; otherwise an exit status, and it is said. */
static int outcome(const ctl_t *ctl, const left_t *left, int64_t until)
{
    int is_over = is_on(left) && !left->unseen && !left->requests;
    int is_late = weave_clock_us() >= until;

    if (!left->problem && !is_over && !is_late) {
        progress(ctl, left, until);
        return -1;
    }
    if (isatty(STDERR_FILENO))
        ctl_progress("%s", "");
    if (left->problem)
        return ctl_say("--wait: %s", left->problem);
    if (left->gone)
        return ctl_say("--wait: no httpd runs; what was said holds from its "
                       "next start on");
    if (is_over)
        puts("nothing is in Python any more");
    else if (left->on_us)
        return ctl_say("--wait: the time is over, and the drain becomes on "
                       "only at %s",
                       ctl_clock(left->on_us, ctl->pool));
    else if (left->unseen)
        return ctl_say("--wait: the time is over, and nobody knows what is "
                       "still in Python: %s",
                       left->unseen);
    else
        return ctl_say("--wait: the time is over, still in Python: "
                       "%" JSON_INTEGER_FORMAT " (`weavectl status` shows it)",
                       left->requests);
    return CTL_DONE;
}

int change_wait(change_t *change)
{
    int64_t until = weave_clock_us() + change->wait_us;
    int rc = -1, held = change->word.mode != WEAVE_MAINTENANCE_DRAINING;
    apr_pool_t *pool;
    left_t left;

    if (apr_pool_create(&pool, change->ctl->pool) != APR_SUCCESS)
        return CTL_FAILED;
    apr_pool_tag(pool, "wait");
    while (rc < 0) {
        ctl_t now = *change->ctl;

        apr_pool_clear(pool);
        now.pool = pool;
        look(&left, &now, change->dir);
        if (!held && is_on(&left)) {
            held = 1;
            rc = change_hold(change) == CTL_DONE ? -1 : CTL_FAILED;
            continue;
        }
        rc = outcome(&now, &left, until);
        if (rc < 0)
            apr_sleep(LOOK_US);
    }
    apr_pool_destroy(pool);
    return rc;
}
