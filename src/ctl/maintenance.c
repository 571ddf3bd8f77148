/* SPDX-License-Identifier: Apache-2.0 */
/* maintenance.c: weavectl maintenance
 *
 * The file first, then every httpd that runs: what could not be kept is not
 * said, and what is said outlives them. */
#include "view.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "weave_utf8.h"

#define LOCK_MS 10000
/* Children and workers look at the epoch immediately before they call Python;
 * whoever looked just before it moved has called by then. */
#define SETTLE_US 100000

typedef struct {
    ctl_t *ctl;
    const char *ini;     /* NULL: all */
    const char *written; /* as WeaveApp has it, or as it was given */
    const char *dir;
    weave_maintenance_t word;
    int64_t wait_us;
    apr_array_header_t *boards;         /* those that run */
    apr_array_header_t *entries;        /* of the file, as it is to be */
    apr_array_header_t *old;            /* as it was, of what was not over */
    apr_array_header_t *before, *after; /* ctl_app_t */
    const char *why;    /* an httpd runs that could not be told */
    const char *unread; /* what a configuration says is not known: why */
} change_t;

/* ---- the change, with the lock held ---- */

static weave_maintenance_board_t *board_at(const change_t *change, int i)
{
    return APR_ARRAY_IDX(change->boards, i, weave_maintenance_board_t *);
}

static apr_array_header_t *apps_get(change_t *change)
{
    apr_pool_t *pool = change->ctl->pool;
    apr_array_header_t *apps = apr_array_make(pool, 4, sizeof(ctl_app_t));
    int i;

    for (i = 0; i < change->boards->nelts; i++) {
        const char *problem =
            ctl_apps_add(apps, board_at(change, i), change->dir, pool);

        if (problem)
            change->unread = problem;
    }
    return ctl_apps_order(apps, pool);
}

/* Is there something to be taken back, whatever has become of the INI? */
static int is_kept(const change_t *change)
{
    apr_array_header_t *entries;
    const char *problem;

    weave_maintenance_read(&entries, &problem, change->dir, change->ctl->pool);
    return change->word.mode == WEAVE_MAINTENANCE_OFF &&
           weave_maintenance_find(entries, change->ini, change->written);
}

/* The state file is JSON, and httpd shows such a path escaped. */
static int is_utf8(const change_t *change)
{
    const char *ini = change->ini;
    const ctl_app_t *app = ctl_app_find(change->before, ini);

    return weave_utf8_is_text(ini, ini + strlen(ini)) &&
           (!app || app->place >= WEAVE_ROSTER_APPS ||
            !strcmp(app->ini, app->board->ini[app->place]));
}

/* An INI that nobody has is a slip. */
static int ini_check(const change_t *change)
{
    const char *list = "", *wrong;
    int i;

    if (change->ini && !is_utf8(change))
        return ctl_say("%s: this path is no UTF-8, so nothing can be said for "
                       "it alone: without INI it is for all",
                       change->ini);
    if (!change->ini || ctl_app_find(change->before, change->ini) ||
        is_kept(change))
        return CTL_DONE;
    wrong = ctl_ini_wrong(change->ini, change->ctl->pool);
    if (wrong)
        return ctl_say("%s", wrong);
    if (strlen(change->ini) >= WEAVE_MAINTENANCE_PATH)
        return ctl_say("%s: this is too long", change->ini);
    if (!change->before->nelts || change->why || change->unread)
        return CTL_DONE;
    for (i = 0; i < change->before->nelts; i++)
        list =
            apr_pstrcat(change->ctl->pool, list, i ? ", " : "",
                        APR_ARRAY_IDX(change->before, i, ctl_app_t).ini, NULL);
    return ctl_say("no httpd that runs with %s has an application of %s; those "
                   "there are: %s",
                   change->dir, change->ini, list);
}

/* Has an httpd something else for another application than the file? Then
 * what is said here for one would change that of another. */
static int drift_check(const change_t *change)
{
    int i;

    for (i = 0; i < change->before->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->before, i, ctl_app_t);

        if (ctl_same(weave_maintenance_find(change->entries, NULL, NULL),
                     app->board, WEAVE_MAINTENANCE_ALL) &&
            (!strcmp(app->ini, change->ini) ||
             ctl_same(weave_maintenance_find(change->entries, app->ini,
                                             app->written),
                      app->board, 1 + app->place)))
            continue;
        return ctl_say(
            "%s/" WEAVE_MAINTENANCE_FILE " says something else than "
            "httpd %u goes by: `apachectl graceful` has it take what "
            "is there, `weavectl maintenance %s` for all "
            "applications replaces it",
            change->dir, app->board->pid, change->ctl->mode);
    }
    return CTL_DONE;
}

static void recover_row(change_t *change, const weave_maintenance_board_t *from,
                        uint32_t row, const char *ini, const char *written)
{
    weave_maintenance_t word;

    weave_maintenance_row_get(&word, from, row);
    if (weave_maintenance_mode_at(&word, apr_time_now(), 0) !=
            WEAVE_MAINTENANCE_OFF &&
        strcmp(word.by, WEAVE_MAINTENANCE_BY_NOBODY) != 0)
        weave_maintenance_set(change->entries, ini, written, &word);
}

/* What is lost with the file, httpds that run still know. */
static void recover(change_t *change)
{
    int i;

    for (i = 0; i < change->boards->nelts; i++)
        recover_row(change, board_at(change, i), WEAVE_MAINTENANCE_ALL, NULL,
                    NULL);
    for (i = 0; i < change->before->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->before, i, ctl_app_t);

        if (app->place < WEAVE_ROSTER_APPS)
            recover_row(change, app->board, 1 + app->place, app->ini,
                        app->written);
    }
    if (change->entries->nelts)
        ctl_note("%s/" WEAVE_MAINTENANCE_FILE " has gone or is damaged: what "
                 "httpds that run go by is written there anew",
                 change->dir);
}

static int file_read(change_t *change)
{
    const char *problem;
    weave_maintenance_file_e found = weave_maintenance_read(
        &change->entries, &problem, change->dir, change->ctl->pool);

    if (change->ini && found == WEAVE_MAINTENANCE_FILE_BAD)
        return ctl_say("%s; what others have is not known. `weavectl "
                       "maintenance %s` for all applications replaces it",
                       problem, change->ctl->mode);
    if (found == WEAVE_MAINTENANCE_FILE_BAD)
        ctl_note("%s: it is replaced", problem);
    if (found != WEAVE_MAINTENANCE_FILE_READ)
        recover(change);
    else if (change->ini && drift_check(change) != CTL_DONE)
        return CTL_FAILED;
    change->old = apr_array_copy(change->ctl->pool, change->entries);
    weave_maintenance_expire(change->old, apr_time_now());
    return CTL_DONE;
}

/* The application that is meant. */
static void whose(change_t *change)
{
    const ctl_app_t *app;

    if (!change->ctl->ini_given)
        return;
    ctl_ini_settle(change->ctl, change->before);
    change->ini = change->ctl->ini;
    app = ctl_app_find(change->before, change->ini);
    change->written =
        app && *app->written ? app->written : change->ctl->ini_named;
}

static int change_locked(change_t *change)
{
    apr_pool_t *pool = change->ctl->pool;
    const char *problem;
    int i;

    change->boards =
        weave_maintenance_boards(&change->why, change->dir, 1, pool);
    change->before = apps_get(change);
    whose(change);
    if (ini_check(change) != CTL_DONE || file_read(change) != CTL_DONE)
        return CTL_FAILED;
    weave_maintenance_set(change->entries, change->ini, change->written,
                          &change->word);
    weave_maintenance_expire(change->entries, apr_time_now());
    problem = weave_maintenance_write(change->entries, change->dir, pool);
    if (problem)
        return ctl_say("%s; nothing has changed", problem);
    for (i = 0; i < change->boards->nelts; i++)
        weave_maintenance_publish(board_at(change, i), change->entries);
    change->after = apps_get(change);
    return CTL_DONE;
}

/* ---- what has come of it ---- */

static void old_show(const change_t *change)
{
    int i, shown = 0;

    for (i = 0; i < change->old->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(change->old, i, weave_maintenance_entry_t);
        int same = entry->ini && change->ini
                       ? weave_maintenance_is_for(entry->ini, change->ini,
                                                  change->written)
                       : entry->ini == change->ini;

        if (!same && (change->ini || change->word.mode))
            continue;
        printf("before: %s, for %s%s\n", ctl_since(change->ctl, &entry->word),
               ctl_whose(entry->ini), ctl_left(change->ctl, &entry->word));
        shown++;
    }
    if (!shown && !change->word.mode)
        puts("before: nothing was set");
}

static int still_holds(const change_t *change, const char *ini,
                       const ctl_word_t *word)
{
    const ctl_t *ctl = change->ctl;
    const char *part =
        *word->scope ? apr_pstrcat(ctl->pool, " in ", word->scope, NULL) : "";

    if (word->all)
        return ctl_say("%s: %s, for all applications%s, still holds; "
                       "`weavectl maintenance off` ends it",
                       ini, ctl_since(ctl, &word->said),
                       ctl_left(ctl, &word->said));
    return ctl_say("%s%s: %s still holds; remove it and `apachectl graceful`",
                   ini, part, ctl_origin(ctl, word));
}

/* WORD, where it is in force instead of what was said; PART "": for all. */
static void force_report(const change_t *change, const ctl_app_t *app,
                         const ctl_word_t *word)
{
    const ctl_t *ctl = change->ctl;
    int is_said = !strcmp(word->from, "weavectl");

    if (word->said.since_us == change->word.since_us)
        return;
    printf("in force for %s%s%s: %s%s (%s)\n", app->ini,
           *word->scope ? ", only in " : "", word->scope, ctl_now(ctl, word),
           is_said ? ctl_left(ctl, &word->said) : "", ctl_origin(ctl, word));
}

static void app_report(const change_t *change, const ctl_app_t *app)
{
    int i;

    if (app->words->nelts)
        force_report(change, app, &APR_ARRAY_IDX(app->words, 0, ctl_word_t));
    for (i = 0; i < app->scoped->nelts; i++) {
        const ctl_word_t *word = &APR_ARRAY_IDX(app->scoped, i, ctl_word_t);

        if (word->mode > ctl_app_mode(app))
            force_report(change, app, word);
    }
}

static int app_is_off(const change_t *change, const ctl_app_t *app)
{
    int i, rc = CTL_DONE;

    for (i = 0; i < app->words->nelts; i++)
        rc = still_holds(change, app->ini,
                         &APR_ARRAY_IDX(app->words, i, ctl_word_t));
    for (i = 0; i < app->scoped->nelts; i++)
        rc = still_holds(change, app->ini,
                         &APR_ARRAY_IDX(app->scoped, i, ctl_word_t));
    return rc;
}

/* What is not known may hold, instead of or beside what was said. */
static int unknown_report(const change_t *change, const char *problem)
{
    if (problem && !change->word.mode)
        return ctl_say("%s", problem);
    if (problem)
        ctl_note("%s", problem);
    return CTL_DONE;
}

static int apps_report(const change_t *change)
{
    int i, rc = unknown_report(change, change->unread);

    for (i = 0; i < change->after->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->after, i, ctl_app_t);

        if (!ctl_is_meant(change->ctl, app->ini))
            continue;
        if (change->word.mode != WEAVE_MAINTENANCE_OFF)
            app_report(change, app);
        else if (app_is_off(change, app) != CTL_DONE)
            rc = CTL_FAILED;
        if (ctl_app_mode(app) != WEAVE_MAINTENANCE_ON &&
            unknown_report(change, ctl_untold(app, change->ctl->pool)) !=
                CTL_DONE)
            rc = CTL_FAILED;
    }
    return rc;
}

/* Some modes do nothing for clients that know of no Sync. */
static void plain_report(const change_t *change)
{
    int i, mode = (int)change->word.mode;

    if (mode != WEAVE_MAINTENANCE_BACKOFF && mode != WEAVE_MAINTENANCE_DRAINING)
        return;
    for (i = 0; i < change->after->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->after, i, ctl_app_t);

        if (app->plain && ctl_is_meant(change->ctl, app->ini))
            ctl_note("%s has maintenance.style = plain: %s", app->ini,
                     mode == WEAVE_MAINTENANCE_BACKOFF
                         ? "backoff changes nothing there"
                         : "everything is served until the drain is over");
    }
}

static int64_t on_at(const change_t *change, const ctl_app_t *app)
{
    return weave_maintenance_on_at(&change->word, app->drain_us);
}

/* The end of the first line, and a line for each application where they do not
 * agree. */
static void drain_report(const change_t *change)
{
    const ctl_app_t *first = NULL;
    int i, differ = 0;

    for (i = 0; i < change->after->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->after, i, ctl_app_t);

        if (!ctl_is_meant(change->ctl, app->ini))
            continue;
        differ = differ || (first && first->drain_us != app->drain_us);
        first = first ? first : app;
    }
    if (!first)
        printf(", becomes on after maintenance.drain");
    else if (!differ && on_at(change, first))
        printf(", becomes on at %s",
               ctl_clock(change->ctl->pool, on_at(change, first)));
    for (i = 0; differ && i < change->after->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->after, i, ctl_app_t);

        if (ctl_is_meant(change->ctl, app->ini) && on_at(change, app))
            printf("\nbecomes on at %s: %s",
                   ctl_clock(change->ctl->pool, on_at(change, app)), app->ini);
    }
}

/* Nobody goes by it yet: is this what was meant? */
static void unheard_report(const change_t *change)
{
    ctl_warn("no httpd runs with %s: %san httpd with another WeaveStateDir is "
             "not reached",
             change->dir,
             change->word.mode ? "this holds from its next start on; " : "");
}

/* Off for one that no httpd has, with a word for all in the file. */
static int file_report(const change_t *change)
{
    ctl_word_t word = {.scope = "", .all = 1};
    const weave_maintenance_t *all =
        weave_maintenance_find(change->entries, NULL, NULL);

    if (change->word.mode || !change->ini || !all || change->after->nelts)
        return CTL_DONE;
    word.said = *all;
    return still_holds(change, change->ini, &word);
}

static int report(const change_t *change)
{
    const weave_maintenance_t *word = &change->word;
    int rc;

    printf("maintenance: %s %s", weave_maintenance_mode_name(word->mode),
           word->mode ? ctl_terms(change->ctl, change->ini, word)
                      : apr_pstrcat(change->ctl->pool, "for ",
                                    ctl_whose(change->ini), NULL));
    if (word->mode == WEAVE_MAINTENANCE_DRAINING)
        drain_report(change);
    puts("");
    if (*word->message)
        printf("message: %s\n", word->message);
    old_show(change);
    rc = apps_report(change);
    fflush(stdout);
    plain_report(change);
    if (file_report(change) != CTL_DONE)
        rc = CTL_FAILED;
    if (change->why)
        rc = ctl_say("an httpd that runs was not told, it goes by this from "
                     "its next start or graceful on: %s",
                     ctl_why(change->why, change->ctl->pool));
    else if (!change->boards->nelts)
        unheard_report(change);
    return rc;
}

static int wait_report(const change_t *change)
{
    fflush(stdout);
    if (!change->boards->nelts) /* said already, and nothing else is known */
        return CTL_DONE;
    return ctl_wait(change->ctl, change->wait_us, change->boards, change->dir);
}

static int change_make(change_t *change)
{
    const ctl_t *ctl = change->ctl;
    const char *problem = ctl_state_dir(&change->dir, ctl);
    sigset_t signals, mask;
    int lock = -1, rc;

    if (!problem)
        problem = ctl_dir_check(change->dir, 1, ctl->pool);
    if (!problem)
        problem =
            weave_maintenance_lock(&lock, change->dir, 0, LOCK_MS, ctl->pool);
    if (problem)
        return ctl_say("%s", problem);
    /* Ctrl-C must not leave a row half written */
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGTSTP);
    sigprocmask(SIG_BLOCK, &signals, &mask);
    rc = change_locked(change);
    weave_maintenance_unlock(lock);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (rc != CTL_DONE)
        return rc;
    if (change->word.mode != WEAVE_MAINTENANCE_OFF && change->boards->nelts)
        apr_sleep(SETTLE_US);
    rc = report(change);
    return rc == CTL_DONE && change->wait_us ? wait_report(change) : rc;
}

int ctl_maintenance(const ctl_t *ctl)
{
    ctl_t meant = *ctl;
    change_t change = {.ctl = &meant};
    int rc;

    if (!ctl->mode) {
        if (!ctl->lasts && !ctl->retry_after && !ctl->message && !ctl->wait)
            return ctl_maintenance_show(ctl);
        ctl_say("which mode: one of on, drain, backoff, off");
        return CTL_USAGE;
    }
    rc = ctl_word_read(&change.word, &change.wait_us, ctl);
    return rc == CTL_DONE ? change_make(&change) : rc;
}
