/* SPDX-License-Identifier: Apache-2.0 */
/* report.c: what has come of a `weavectl maintenance MODE` */
#include "change.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "folder.h"
#include "say.h"

static void old_show(const change_t *change)
{
    const weave_maintenance_entry_t *last = NULL;
    int i, shown = 0;

    for (i = 0; i < change->old->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(change->old, i, weave_maintenance_entry_t);

        if (!change_is_meant(entry, change) &&
            (change->ini || change->word.mode))
            continue;
        /* by another name */
        if (last && last->ini && entry->ini &&
            last->setting.since_us == entry->setting.since_us)
            continue;
        last = entry;
        ctl_line("before: %s, for %s%s",
                 ctl_since(change->ctl, &entry->setting), ctl_whose(entry->ini),
                 ctl_left(change->ctl, &entry->setting));
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
    ctl_line("in force for %s%s%s: %s%s (%s)", app->ini,
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
        ctl_put(", becomes on after maintenance.drain");
    else if (!differ && on_at(change, first))
        ctl_put(", becomes on at %s",
                ctl_clock(on_at(change, first), change->ctl->pool));
    for (i = 0; differ && i < change->after->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(change->after, i, ctl_app_t);

        if (!ctl_is_meant(change->ctl, app->ini) || !on_at(change, app))
            continue;
        puts("");
        ctl_put("becomes on at %s: %s",
                ctl_clock(on_at(change, app), change->ctl->pool), app->ini);
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

static void orphans_report(const change_t *change)
{
    int i;

    for (i = 0; i < change->boards->nelts; i++) {
        const char *orphans = ctl_orphans(
            APR_ARRAY_IDX(change->boards, i, weave_maintenance_board_t *),
            change->ctl->pool);

        if (orphans)
            ctl_warn("%s; it goes by this from now on", orphans);
    }
}

/* Off for one that no httpd has, with a word for all in the file. */
static int file_report(const change_t *change)
{
    ctl_word_t word = {.scope = "", .all = 1};
    const weave_maintenance_t *all =
        weave_maintenance_find(change->entries, NULL);

    if (change->word.mode || !change->ini || !all || change->after->nelts)
        return CTL_DONE;
    word.said = *all;
    return still_holds(change, change->ini, &word);
}

int change_report(const change_t *change)
{
    const weave_maintenance_t *word = &change->word;
    int rc;

    ctl_put("maintenance: %s %s", weave_maintenance_mode_name(word->mode),
            word->mode ? ctl_terms(change->ctl, change->ini, word)
                       : apr_pstrcat(change->ctl->pool, "for ",
                                     ctl_whose(change->ini), NULL));
    if (word->mode == WEAVE_MAINTENANCE_DRAINING)
        drain_report(change);
    puts("");
    if (*word->message)
        ctl_line("message: %s", word->message);
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
    orphans_report(change);
    return rc;
}
