/* SPDX-License-Identifier: Apache-2.0 */
/* view.c: what is in force for each application of the httpds that run */
#include "view.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "fields.h"
#include "folder.h"

/* The file is written before the boards: who looks in between waits. */
#define DRIFT_TRIES 3
#define DRIFT_US 100000

int ctl_is_meant(const ctl_t *ctl, const char *ini)
{
    return !ctl->ini_given || (ini && !strcmp(ini, ctl->ini));
}

const ctl_app_t *ctl_app_find(const apr_array_header_t *apps, const char *ini)
{
    int i;

    for (i = 0; i < apps->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(apps, i, ctl_app_t).ini, ini))
            return &APR_ARRAY_IDX(apps, i, ctl_app_t);
    return NULL;
}

const ctl_app_t *ctl_app_of(const apr_array_header_t *apps,
                            const weave_maintenance_entry_t *entry)
{
    int i;

    for (i = 0; i < apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(apps, i, ctl_app_t);

        if (app->place < WEAVE_ROSTER_APPS &&
            weave_maintenance_is_for(entry, app->board, app->place))
            return app;
    }
    return NULL;
}

void ctl_ini_settle(ctl_t *ctl, const apr_array_header_t *apps)
{
    int i;

    ctl->ini = ctl->ini_real;
    for (i = 0; ctl->ini_given && i < apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(apps, i, ctl_app_t);

        if (weave_names_have(app->names, ctl->ini_named)) {
            ctl->ini = app->ini;
            return;
        }
    }
}

/* ---- words ---- */

static int is_more(const ctl_word_t *a, const ctl_word_t *b)
{
    return a->mode == b->mode ? weave_maintenance_is_more(&a->said, &b->said)
                              : a->mode > b->mode;
}

static void word_add(apr_array_header_t *words, const ctl_word_t *word)
{
    ctl_word_t *list;
    int i;

    APR_ARRAY_PUSH(words, ctl_word_t) = *word;
    list = (ctl_word_t *)words->elts;
    for (i = words->nelts - 1; i && is_more(word, &list[i - 1]); i--) {
        list[i] = list[i - 1];
        list[i - 1] = *word;
    }
}

/* What APP makes of WORD now, added to WORDS. */
static void word_weigh(apr_array_header_t *words, ctl_word_t *word,
                       const ctl_app_t *app)
{
    const weave_maintenance_t *said = &word->said;

    word->mode = weave_maintenance_mode_at(said, apr_time_now(), app->drain_us);
    word->on_us = weave_maintenance_on_at(said, app->drain_us);
    if (word->mode != WEAVE_MAINTENANCE_OFF)
        word_add(words, word);
}

static int is_nobodys(const weave_maintenance_t *said)
{
    return !strcmp(said->by, WEAVE_MAINTENANCE_BY_NOBODY);
}

static void row_add(ctl_app_t *app, uint32_t row, const char *where)
{
    ctl_word_t word = {.from = "weavectl",
                       .where = where,
                       .scope = "",
                       .server = "",
                       .all = row == WEAVE_MAINTENANCE_ALL};

    weave_maintenance_row_get(&word.said, app->board, row);
    /* httpd says it in both rows */
    if (word.all && is_nobodys(&word.said) && app->words->nelts &&
        is_nobodys(&APR_ARRAY_IDX(app->words, 0, ctl_word_t).said))
        apr_array_clear(app->words);
    word_weigh(app->words, &word, app);
}

static void declared_add(ctl_app_t *app, const json_t *entry)
{
    int mode = weave_maintenance_mode_find(ctl_text(entry, "mode"));
    ctl_word_t word = {.from = ctl_text(entry, "from"),
                       .where = ctl_text(entry, "where"),
                       .scope = ctl_text(entry, "scope"),
                       .server = ctl_text(entry, "server")};

    /* of another version of mod_weave: never taken for less than it may be */
    word.said.mode = mode < 0 ? WEAVE_MAINTENANCE_ON : (uint32_t)mode;
    word.said.since_us = apr_time_from_sec(ctl_int(entry, "since"));
    word_weigh(*word.scope ? app->scoped : app->words, &word, app);
}

uint32_t ctl_app_mode(const ctl_app_t *app)
{
    return app->words->nelts ? APR_ARRAY_IDX(app->words, 0, ctl_word_t).mode
                             : (uint32_t)WEAVE_MAINTENANCE_OFF;
}

const char *ctl_untold(const ctl_app_t *app, apr_pool_t *pool)
{
    return !app->truncated
               ? NULL
               : apr_psprintf(
                     pool,
                     "%s: httpd %u cannot hand on all that its configuration "
                     "says about maintenance, there is too much of it: more "
                     "may hold than is known here. Look for WeaveMaintenance "
                     "and maintenance.mode there; what many virtual hosts say "
                     "fits when it is said once, around them",
                     app->ini, app->board->pid);
}

/* ---- the applications of an httpd ---- */

static apr_status_t json_clean(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

/* A list of objects that lives as long as POOL, or NULL. */
static const json_t *declared_read(const weave_maintenance_board_t *board,
                                   apr_pool_t *pool)
{
    json_t *list = NULL;
    int tries;

    /* the parent may be writing it: then it is another soon */
    for (tries = 0; !list && tries < DRIFT_TRIES; tries++) {
        if (tries)
            apr_sleep(DRIFT_US);
        list = json_loads(
            apr_pstrndup(pool, board->declared, sizeof(board->declared)), 0,
            NULL);
    }
    if (list)
        apr_pool_cleanup_register(pool, list, json_clean,
                                  apr_pool_cleanup_null);
    return json_is_array(list) ? list : NULL;
}

/* Why children of the httpd PID have no application, or NULL. */
static const char *failure_get(const weave_tally_t *tally, long pid,
                               apr_pool_t *pool)
{
    const char *text;
    int count = weave_tally_failed(&text, tally, pid, pool);

    return count ? apr_psprintf(pool,
                                "%d child%s of httpd cannot import the"
                                " application: %s",
                                count, count == 1 ? "" : "ren", text)
                 : NULL;
}

static void app_add(apr_array_header_t *apps,
                    const weave_maintenance_board_t *board,
                    const weave_tally_t *tally, const json_t *object,
                    const char *dir, apr_pool_t *pool)
{
    json_int_t place = ctl_int(object, "app");
    ctl_app_t app = {
        .board = board,
        .ini = ctl_text(object, "ini"),
        .names = "",
        .place = place < 0 || place >= WEAVE_ROSTER_APPS ? WEAVE_ROSTER_APPS
                                                         : (uint32_t)place,
        .drain_us = apr_time_from_sec(ctl_int(object, "drain_s")),
        .embedded = json_is_true(json_object_get(object, "embedded")),
        .running = -1,
        .failed = json_is_true(json_object_get(object, "failed")),
        .problem = ctl_text(object, "problem"),
        .stamp = ctl_int(object, "stamp"),
        .plain = !strcmp(ctl_text(object, "style"), "plain"),
        .truncated = json_is_true(json_object_get(object, "truncated")),
        .words = apr_array_make(pool, 4, sizeof(ctl_word_t)),
        .scoped = apr_array_make(pool, 1, sizeof(ctl_word_t)),
        .declared = ctl_list(object, "declared"),
        .tally = place < 0 || place >= WEAVE_ROSTER_APPS ? NULL : tally,
    };
    const char *where =
        apr_pstrcat(pool, dir, "/" WEAVE_MAINTENANCE_FILE, NULL);
    const json_t *entry;
    size_t i;

    if (app.place < WEAVE_ROSTER_APPS) {
        app.names = apr_pstrndup(pool, board->names[app.place],
                                 sizeof(board->names[0]));
        row_add(&app, 1 + app.place, where);
    }
    row_add(&app, WEAVE_MAINTENANCE_ALL, where);
    json_array_foreach(app.declared, i, entry)
    {
        declared_add(&app, entry);
    }
    /* after what is in force: nothing begins any more where that is on */
    if (app.embedded && tally) {
        app.running = weave_tally_running(tally, board->pid);
        app.failure = failure_get(tally, board->pid, pool);
    }
    APR_ARRAY_PUSH(apps, ctl_app_t) = app;
}

const char *ctl_apps_add(apr_array_header_t *apps,
                         const weave_maintenance_board_t *board,
                         const char *dir, apr_pool_t *pool)
{
    const json_t *list = declared_read(board, pool), *object;
    const weave_tally_t *tally = weave_tally_open(board, pool);
    size_t i;

    if (!list)
        return apr_psprintf(pool,
                            "what the configuration of httpd %u says cannot "
                            "be read: %s",
                            board->pid,
                            *board->declared
                                ? "it is of another version of mod_weave"
                                : "its applications have names that are too "
                                  "long");
    json_array_foreach(list, i, object)
    {
        app_add(apps, board, tally, object, dir, pool);
    }
    return NULL;
}

/* ---- everything ---- */

int ctl_same(const apr_array_header_t *entries,
             const weave_maintenance_board_t *board, uint32_t row)
{
    weave_maintenance_t has = {0}, file;
    int64_t now = apr_time_now();

    if (row >= WEAVE_MAINTENANCE_ROWS)
        return 1; /* there is no room for it: nobody goes by it */
    weave_maintenance_row_get(&has, board, row);
    weave_maintenance_word_of(&file, entries, board, row, now);
    if (file.mode == WEAVE_MAINTENANCE_OFF ||
        weave_maintenance_mode_at(&has, now, 0) == WEAVE_MAINTENANCE_OFF)
        return file.mode == weave_maintenance_mode_at(&has, now, 0);
    return has.mode == file.mode && has.since_us == file.since_us &&
           has.until_us == file.until_us &&
           has.retry_after_s == file.retry_after_s &&
           !strcmp(has.message, file.message);
}

static void problem_add(ctl_view_t *view, const char *problem)
{
    if (problem)
        APR_ARRAY_PUSH(view->problems, const char *) = problem;
}

/* Where the file and BOARD differ: "all applications", an ini; or NULL. */
static const char *drift_of(const ctl_view_t *view,
                            const weave_maintenance_board_t *board)
{
    int i;

    if (!ctl_same(view->entries, board, WEAVE_MAINTENANCE_ALL))
        return ctl_whose(NULL);
    for (i = 0; i < view->apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(view->apps, i, ctl_app_t);

        if (app->board == board &&
            !ctl_same(view->entries, board, 1 + app->place))
            return app->ini;
    }
    return NULL;
}

static int drifts(const ctl_view_t *view)
{
    int i;

    for (i = 0; i < view->boards->nelts; i++)
        if (drift_of(view, APR_ARRAY_IDX(view->boards, i,
                                         weave_maintenance_board_t *)))
            return 1;
    return 0;
}

static void drift_report(ctl_view_t *view, apr_pool_t *pool)
{
    int i;

    for (i = 0; i < view->boards->nelts; i++) {
        const weave_maintenance_board_t *board =
            APR_ARRAY_IDX(view->boards, i, weave_maintenance_board_t *);
        const char *whose = drift_of(view, board);

        if (!whose)
            continue;
        problem_add(
            view,
            view->file == WEAVE_MAINTENANCE_FILE_NONE
                ? apr_psprintf(pool,
                               "%s/" WEAVE_MAINTENANCE_FILE " has gone; httpd "
                               "%u goes by what is shown here until it is "
                               "stopped: say it again to have it kept",
                               view->dir, board->pid)
                : apr_psprintf(pool,
                               "%s/" WEAVE_MAINTENANCE_FILE " says something "
                               "else about %s than httpd %u, which goes by "
                               "what is shown here until its next start or "
                               "graceful",
                               view->dir, whose, board->pid));
    }
}

/* The httpds that ctl->dir means; all of them when it means none. The
 * others are what is returned. */
static apr_array_header_t *boards_choose(ctl_view_t *view, const ctl_t *ctl)
{
    apr_array_header_t *all = view->boards;
    apr_array_header_t *others = apr_array_make(ctl->pool, 1, sizeof(void *));
    int i;

    view->boards = apr_array_make(ctl->pool, 1, sizeof(void *));
    for (i = 0; i < all->nelts; i++) {
        weave_maintenance_board_t *board =
            APR_ARRAY_IDX(all, i, weave_maintenance_board_t *);

        APR_ARRAY_PUSH(ctl_is_same_folder(ctl->dir, board->runtime_dir)
                           ? view->boards
                           : others,
                       weave_maintenance_board_t *) = board;
    }
    view->matched = view->boards->nelts > 0;
    if (view->matched)
        return others;
    view->boards = all;
    apr_array_clear(others);
    return others;
}

/* Where the default folder means no httpd, and that of WeaveStateDir only one,
 * it is that one's weaved that is meant. */
static void dir_settle(ctl_view_t *view, ctl_t *ctl)
{
    const weave_maintenance_board_t *only;

    if (view->matched || ctl->dir_given || view->boards->nelts != 1)
        return;
    only = APR_ARRAY_IDX(view->boards, 0, weave_maintenance_board_t *);
    ctl->dir =
        apr_pstrndup(ctl->pool, only->runtime_dir, sizeof(only->runtime_dir));
    view->matched = 1;
}

static apr_array_header_t *apps_read(ctl_view_t *view,
                                     const apr_array_header_t *boards,
                                     apr_pool_t *pool)
{
    apr_array_header_t *apps = apr_array_make(pool, 4, sizeof(ctl_app_t));
    int i;

    for (i = 0; i < boards->nelts; i++)
        problem_add(
            view,
            ctl_apps_add(apps,
                         APR_ARRAY_IDX(boards, i, weave_maintenance_board_t *),
                         view->dir, pool));
    for (i = 0; i < apps->nelts; i++)
        problem_add(view, ctl_untold(&APR_ARRAY_IDX(apps, i, ctl_app_t), pool));
    return apps;
}

apr_array_header_t *ctl_apps_order(const apr_array_header_t *apps,
                                   apr_pool_t *pool)
{
    apr_array_header_t *fresh = apr_array_make(pool, 4, sizeof(ctl_app_t));
    int embedded, i;

    for (embedded = 0; embedded <= 1; embedded++)
        for (i = 0; i < apps->nelts; i++)
            if (APR_ARRAY_IDX(apps, i, ctl_app_t).embedded == embedded)
                APR_ARRAY_PUSH(fresh, ctl_app_t) =
                    APR_ARRAY_IDX(apps, i, ctl_app_t);
    return fresh;
}

static void view_read(ctl_view_t *view, const ctl_t *ctl)
{
    const char *problem = NULL, *why = NULL;
    const apr_array_header_t *others;
    int i;

    apr_array_clear(view->problems);
    problem_add(view, ctl_dir_check(view->dir, 0, ctl->pool));
    view->file =
        weave_maintenance_read(&view->entries, &problem, view->dir, ctl->pool);
    view->boards = weave_maintenance_boards(&why, view->dir,
                                            WEAVE_MAINTENANCE_LOOK, ctl->pool);
    others = boards_choose(view, ctl);
    view->apps =
        ctl_apps_order(apps_read(view, view->boards, ctl->pool), ctl->pool);
    view->others = apps_read(view, others, ctl->pool);
    for (i = 0; i < view->boards->nelts; i++)
        problem_add(view,
                    ctl_orphans(APR_ARRAY_IDX(view->boards, i,
                                              weave_maintenance_board_t *),
                                ctl->pool));
    if (view->file == WEAVE_MAINTENANCE_FILE_BAD)
        problem_add(view, problem);
    if (why && !view->unseen)
        view->unseen = ctl_why(why, ctl->pool);
}

/* Where nobody may look into the httpd of the default folder, its file can be
 * read all the same. */
static const char *dir_find(ctl_view_t *view, const ctl_t *ctl)
{
    const char *problem = ctl_state_dir(&view->dir, ctl);

    if (!problem)
        return NULL;
    view->dir = NULL;
    if (ctl->dir_given || ctl->state_dir)
        return problem;
    view->dir = WEAVE_STATE_DIR;
    view->unseen = problem;
    return NULL;
}

void ctl_view_load(ctl_view_t *view, ctl_t *ctl)
{
    const char *problem;
    int tries = 0;

    memset(view, 0, sizeof(*view));
    view->problems = apr_array_make(ctl->pool, 1, sizeof(const char *));
    view->apps = apr_array_make(ctl->pool, 4, sizeof(ctl_app_t));
    view->others = apr_array_make(ctl->pool, 4, sizeof(ctl_app_t));
    view->boards = apr_array_make(ctl->pool, 1, sizeof(void *));
    view->entries =
        apr_array_make(ctl->pool, 1, sizeof(weave_maintenance_entry_t));
    problem = dir_find(view, ctl);
    if (problem) {
        problem_add(view, problem);
        return;
    }
    for (view_read(view, ctl); drifts(view) && ++tries < DRIFT_TRIES;) {
        apr_sleep(DRIFT_US);
        view_read(view, ctl);
    }
    /* a file that cannot be read has been named already */
    if (!view->problems->nelts)
        drift_report(view, ctl->pool);
    if (view->unseen)
        problem_add(view, apr_pstrcat(ctl->pool,
                                      "an httpd that may run could not be "
                                      "looked at: ",
                                      view->unseen, NULL));
    weave_maintenance_expire(view->entries, apr_time_now());
    dir_settle(view, ctl);
    ctl_ini_settle(ctl, view->apps);
    if (!ctl_app_find(view->apps, ctl->ini))
        ctl_ini_settle(ctl, view->others);
}
