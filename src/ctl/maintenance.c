/* SPDX-License-Identifier: Apache-2.0 */
/* maintenance.c: weavectl maintenance
 *
 * The file first, then every httpd that runs: what could not be kept is not
 * said, and what is said outlives them. */
#include "change.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "commands.h"
#include "folder.h"
#include "say.h"
#include "setting.h"
#include "weave_utf8.h"

#define LOCK_MS 10000
/* Children ask immediately before they send a request to a worker, or call
 * Python: what was asked for just before the change is there by then, and
 * --wait sees it. */
#define SETTLE_US 100000

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

/* Is ENTRY for what is meant? */
int change_is_meant(const weave_maintenance_entry_t *entry, const void *data)
{
    const change_t *change = data;
    const ctl_app_t *app;

    if (!entry->ini || !change->ini)
        return entry->ini == change->ini;
    app = ctl_app_of(change->before, entry);
    if (app)
        return !strcmp(app->ini, change->ini);
    /* nobody's whom an httpd knows */
    return weave_names_have(change->names, entry->ini) ||
           !strcmp(entry->ini, change->ini) ||
           (entry->real && !strcmp(entry->real, change->ini));
}

/* Is there something to be taken back, whatever has become of the INI? */
static int is_kept(const change_t *change)
{
    apr_array_header_t *entries;
    const char *problem;
    int all;

    if (change->word.mode != WEAVE_MAINTENANCE_OFF)
        return 0;
    weave_maintenance_read(&entries, &problem, change->dir, change->ctl->pool);
    all = entries->nelts;
    weave_maintenance_drop(entries, change_is_meant, change);
    return entries->nelts < all;
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

    if (change->ini && strchr(change->ctl->ini_named, '\n'))
        return ctl_say("%s: there is a line feed in it", change->ini);
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

/* What APP went by has ended: what else the file says of it, it takes now. */
static int is_over(const ctl_app_t *app)
{
    weave_maintenance_t word = {0};

    if (app->place < WEAVE_ROSTER_APPS)
        weave_maintenance_row_get(&word, app->board, 1 + app->place);
    return word.mode != WEAVE_MAINTENANCE_OFF && word.until_us &&
           word.until_us <= apr_time_now();
}

/* Has an httpd something else for another application than the file? Then
 * what is said here for one would change that of another. */
static int drift_check(const change_t *change)
{
    int i;

    for (i = 0; i < change->before->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->before, i, ctl_app_t);

        if (ctl_same(change->entries, app->board, WEAVE_MAINTENANCE_ALL) &&
            ((change->ini && !strcmp(app->ini, change->ini)) || is_over(app) ||
             ctl_same(change->entries, app->board, 1 + app->place)))
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

/* WORD is for INI (NULL: for all) from now on. By each of NAMES that the state
 * file can have: whichever leads to another one later, what was said holds
 * there, too. */
static void said(change_t *change, const char *names, const char *ini,
                 const weave_maintenance_t *word)
{
    apr_array_header_t *entries = change->entries;
    const char *end;
    int kept = 0;

    for (; ini && (end = strchr(names, '\n')) != NULL; names = end + 1) {
        if (!weave_utf8_is_text(names, end))
            continue;
        weave_maintenance_set_real(
            entries,
            apr_pstrmemdup(entries->pool, names, (apr_size_t)(end - names)),
            ini, word);
        kept = 1;
    }
    if (!kept)
        weave_maintenance_set_real(entries, ini, ini, word);
}

/* APP NULL: of all. */
static void recover_row(change_t *change, const weave_maintenance_board_t *from,
                        uint32_t row, const ctl_app_t *app)
{
    weave_maintenance_t word;

    weave_maintenance_row_get(&word, from, row);
    if (weave_maintenance_mode_at(&word, apr_time_now(), 0) !=
            WEAVE_MAINTENANCE_OFF &&
        strcmp(word.by, WEAVE_MAINTENANCE_BY_NOBODY) != 0)
        said(change, app ? app->names : NULL, app ? app->ini : NULL, &word);
}

/* What is lost with the file, httpds that run still know. */
static void recover(change_t *change)
{
    int i;

    for (i = 0; i < change->boards->nelts; i++)
        recover_row(change, board_at(change, i), WEAVE_MAINTENANCE_ALL, NULL);
    for (i = 0; i < change->before->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->before, i, ctl_app_t);

        if (app->place < WEAVE_ROSTER_APPS)
            recover_row(change, app->board, 1 + app->place, app);
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

/* Which application is meant, and what all httpds that have it call it. */
static void settle(change_t *change)
{
    ctl_t *ctl = change->ctl;
    int i;

    if (!ctl->ini_given)
        return;
    ctl_ini_settle(ctl, change->before);
    change->ini = ctl->ini;
    change->names = "";
    for (i = 0; i < change->before->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->before, i, ctl_app_t);

        if (!strcmp(app->ini, change->ini))
            change->names =
                apr_pstrcat(ctl->pool, change->names, app->names, NULL);
    }
    if (!*change->names)
        change->names = apr_pstrcat(ctl->pool, ctl->ini_named, "\n", NULL);
}

/* The file is written, and all boards are. */
static int keep_and_publish(change_t *change)
{
    const char *problem = weave_maintenance_write(change->entries, change->dir,
                                                  change->ctl->pool);
    int i;

    if (problem)
        return ctl_say("%s; nothing has changed", problem);
    for (i = 0; i < change->boards->nelts; i++)
        weave_maintenance_publish(board_at(change, i), change->entries);
    return CTL_DONE;
}

static void boards_get(change_t *change)
{
    change->boards = weave_maintenance_boards(
        &change->why, change->dir, WEAVE_MAINTENANCE_TELL, change->ctl->pool);
    change->before = apps_get(change);
    settle(change);
}

static int change_locked(change_t *change)
{
    boards_get(change);
    if (ini_check(change) != CTL_DONE || file_read(change) != CTL_DONE)
        return CTL_FAILED;
    if (change->ini)
        weave_maintenance_drop(change->entries, change_is_meant, change);
    said(change, change->names, change->ini, &change->word);
    weave_maintenance_expire(change->entries, apr_time_now());
    if (keep_and_publish(change) != CTL_DONE)
        return CTL_FAILED;
    change->after = apps_get(change);
    return CTL_DONE;
}

/* The file as it is now, which nobody may have changed past the httpds. */
static int hold_read(change_t *change)
{
    const char *problem = NULL;

    if (weave_maintenance_read(&change->entries, &problem, change->dir,
                               change->ctl->pool) !=
        WEAVE_MAINTENANCE_FILE_READ)
        return ctl_say("--wait: children of before the last graceful may go by "
                       "something else: %s",
                       problem
                           ? problem
                           : apr_pstrcat(change->ctl->pool, change->dir,
                                         "/" WEAVE_MAINTENANCE_FILE " has gone",
                                         NULL));
    return drift_check(change);
}

/* The drain of CHANGE, where nobody has said anything else since, is on. */
static int hold_locked(change_t *change)
{
    apr_time_t now = apr_time_now();
    int i, found = 0;

    boards_get(change);
    if (hold_read(change) != CTL_DONE)
        return CTL_FAILED;
    for (i = 0; i < change->entries->nelts; i++) {
        weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(change->entries, i, weave_maintenance_entry_t);

        if (entry->setting.mode != WEAVE_MAINTENANCE_DRAINING ||
            entry->setting.since_us != change->word.since_us ||
            !change_is_meant(entry, change))
            continue;
        entry->setting.mode = WEAVE_MAINTENANCE_ON;
        entry->setting.since_us = now;
        found = 1;
    }
    return found ? keep_and_publish(change) : CTL_DONE;
}

/* ---- all of it ---- */

static int locked(change_t *change, int (*work)(change_t *))
{
    sigset_t signals, mask;
    int lock, rc;
    const char *problem = weave_maintenance_lock(&lock, change->dir, 0, LOCK_MS,
                                                 change->ctl->pool);

    if (problem)
        return ctl_say("%s", problem);
    /* Ctrl-C must not leave a row half written */
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGTSTP);
    sigprocmask(SIG_BLOCK, &signals, &mask);
    rc = work(change);
    weave_maintenance_unlock(lock);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (rc == CTL_DONE && change->word.mode != WEAVE_MAINTENANCE_OFF &&
        change->boards->nelts)
        apr_sleep(SETTLE_US);
    return rc;
}

int change_hold(change_t *change)
{
    return locked(change, hold_locked);
}

static int wait_report(change_t *change)
{
    fflush(stdout);
    /* said already: nothing runs, and nothing will */
    if (!change->boards->nelts && change->word.mode == WEAVE_MAINTENANCE_ON)
        return CTL_DONE;
    return change_wait(change);
}

static int change_make(change_t *change)
{
    const ctl_t *ctl = change->ctl;
    const char *problem = ctl_state_dir(&change->dir, ctl);
    int rc;

    if (!problem)
        problem = ctl_dir_check(change->dir, 1, ctl->pool);
    if (problem)
        return ctl_say("%s", problem);
    rc = locked(change, change_locked);
    if (rc == CTL_DONE)
        rc = change_report(change);
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
    rc = ctl_setting_read(&change.word, &change.wait_us, ctl);
    return rc == CTL_DONE ? change_make(&change) : rc;
}
