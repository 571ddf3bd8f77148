/* SPDX-License-Identifier: Apache-2.0 */
/* maintenance.c: weavectl maintenance, and what has come of it */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "change.h"
#include "say.h"
#include "show.h"

static const ctl_app_t *app_next(const ctl_change_t *change, int *at)
{
    return ctl_app_next(&change->view, change->ctl, at);
}

/* ---- the first lines ---- */

static int64_t on_at(const ctl_change_t *change, const ctl_app_t *app)
{
    return weave_maintenance_on_at(&change->setting, app->drain_us);
}

/* Ends the first line with the time at which the drain becomes on; prints a
 * line for each application where they do not agree. */
static void drain_report(const ctl_change_t *change)
{
    apr_pool_t *pool = change->ctl->pool;
    const ctl_app_t *app, *first = NULL;
    int i = 0, differ = 0;

    while ((app = app_next(change, &i)) != NULL) {
        differ = differ || (first && first->drain_us != app->drain_us);
        first = first ? first : app;
    }
    if (!first)
        ctl_put(", becomes on after maintenance.drain");
    else if (!differ && on_at(change, first))
        ctl_put(", becomes on at %s", ctl_clock(on_at(change, first), pool));
    puts("");
    for (i = 0; differ && (app = app_next(change, &i)) != NULL;)
        if (on_at(change, app))
            ctl_line("becomes on at %s: %s",
                     ctl_clock(on_at(change, app), pool), app->ini);
}

static void change_show(const ctl_change_t *change)
{
    const weave_maintenance_t *setting = &change->setting;
    apr_pool_t *pool = change->ctl->pool;

    ctl_put("maintenance: %s %s", weave_maintenance_mode_name(setting->mode),
            setting->mode
                ? ctl_terms(change->ctl->ini, setting, pool)
                : apr_pstrcat(pool, "for ", ctl_whose(change->ctl->ini), NULL));
    if (setting->mode == WEAVE_MAINTENANCE_DRAINING)
        drain_report(change);
    else
        puts("");
    if (*setting->message)
        ctl_line("message: %s", setting->message);
}

static void old_show(const ctl_change_t *change)
{
    int i, shown = 0;

    for (i = 0; i < change->old->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(change->old, i, weave_maintenance_entry_t);
        const weave_maintenance_t *old = &entry->setting;
        int is_meant = change->ctl->ini ? ctl_is_meant(change->ctl, entry->ini)
                                        : !entry->ini || !change->setting.mode;

        if (is_meant && ++shown)
            ctl_line("before: %s, for %s%s",
                     ctl_since(old, old->mode, change->ctl->pool),
                     ctl_whose(entry->ini), ctl_left(old, change->ctl->pool));
    }
    if (!shown && !change->setting.mode)
        puts("before: nothing was set");
}

/* ---- what is in force instead ---- */

/* Returns CTL_FAILED. */
static int holder_say(const ctl_change_t *change, const char *ini,
                      const ctl_setting_t *setting)
{
    apr_pool_t *pool = change->ctl->pool;
    const weave_maintenance_t *raw = &setting->raw;

    if (setting->all)
        return ctl_say("%s: %s, for all applications%s, still holds; "
                       "`weavectl maintenance off` ends it",
                       ini, ctl_since(raw, raw->mode, pool),
                       ctl_left(raw, pool));
    return ctl_say("%s%s%s: %s still holds; remove it and `apachectl graceful`",
                   ini, *setting->scope ? " in " : "", setting->scope,
                   ctl_origin(setting, pool));
}

/* Prints what is in force for APP instead of the change. Off: each switch that
 * is left. Returns an exit status. */
static int app_report(const ctl_change_t *change, const ctl_app_t *app)
{
    apr_pool_t *pool = change->ctl->pool;
    int i, is_off = change->setting.mode == WEAVE_MAINTENANCE_OFF;

    for (i = 0; i < app->set->nelts; i++) {
        const ctl_setting_t *setting =
            &APR_ARRAY_IDX(app->set, i, ctl_setting_t);
        const weave_maintenance_t *raw = &setting->raw;

        if (is_off)
            holder_say(change, app->ini, setting);
        else if ((*setting->scope ? setting->mode > ctl_app_mode(app) : !i) &&
                 raw->since_us != change->setting.since_us)
            ctl_line("in force for %s%s%s: %s%s (%s)", app->ini,
                     *setting->scope ? ", only in " : "", setting->scope,
                     ctl_since(raw, setting->mode, pool),
                     *raw->by ? ctl_left(raw, pool) : "",
                     ctl_origin(setting, pool));
    }
    return is_off && i ? CTL_FAILED : CTL_DONE;
}

/* ---- what to know ---- */

/* Warns where a mode does nothing for clients that know of no Sync. */
static void plain_report(const ctl_change_t *change)
{
    int i = 0, is_backoff = change->setting.mode == WEAVE_MAINTENANCE_BACKOFF;
    const ctl_app_t *app;

    if (!is_backoff && change->setting.mode != WEAVE_MAINTENANCE_DRAINING)
        return;
    while ((app = app_next(change, &i)) != NULL)
        if (app->plain)
            ctl_say("notice: %s has maintenance.style = plain: %s", app->ini,
                    is_backoff
                        ? "backoff changes nothing there"
                        : "everything is served until the drain is over");
}

/* Off for one that httpd does not have, while something is set for all. */
static int all_report(const ctl_change_t *change)
{
    ctl_setting_t setting = {.scope = "", .all = 1};
    const weave_maintenance_t *all =
        weave_maintenance_find(change->view.entries, NULL);

    if (change->setting.mode || !change->ctl->ini || !all ||
        ctl_app_find(&change->view, change->ctl->ini))
        return CTL_DONE;
    setting.raw = *all;
    return holder_say(change, change->ctl->ini, &setting);
}

/* Says what is not known: whether an httpd runs, and what its configuration
 * says. Returns an exit status. */
static int httpd_report(const ctl_change_t *change)
{
    const ctl_httpd_t *httpd = &change->view.httpd;
    int is_off = change->setting.mode == WEAVE_MAINTENANCE_OFF;

    if (httpd->unseen && is_off)
        return ctl_say("it is not known whether something else still holds: %s",
                       httpd->unseen);
    if (httpd->unseen)
        ctl_say("notice: what httpd's configuration says is not known: %s",
                httpd->unseen);
    else if (!httpd->runs)
        ctl_say("warning: no httpd %s with %s: %san httpd with another "
                "WeaveStateDir is not reached",
                change->ctl->dir_given ? "runs" : "is known to run",
                httpd->state_dir,
                is_off ? "" : "this holds from its next start on; ");
    return CTL_DONE;
}

/* ---- the command ---- */

/* Returns an exit status. */
static int change_report(const ctl_change_t *change)
{
    int i = 0, failed = 0;
    const ctl_app_t *app;

    change_show(change);
    old_show(change);
    while ((app = app_next(change, &i)) != NULL)
        failed |= app_report(change, app) != CTL_DONE;
    fflush(stdout);
    plain_report(change);
    failed |= all_report(change) != CTL_DONE;
    failed |= httpd_report(change) != CTL_DONE;
    return failed ? CTL_FAILED : CTL_DONE;
}

int ctl_maintenance(const ctl_t *ctl)
{
    ctl_change_t change = {.ctl = ctl};
    int rc;

    if (!ctl->mode &&
        (ctl->lasts || ctl->retry_after || ctl->message || ctl->wait))
        return ctl_refuse("which mode: one of on, drain, backoff, off");
    if (!ctl->mode)
        return ctl_maintenance_show(ctl);
    rc = ctl_change_read(&change);
    if (rc == CTL_DONE)
        rc = ctl_change_make(&change);
    if (rc != CTL_DONE)
        return rc;
    rc = change_report(&change);
    ctl_change_settle();
    return rc == CTL_DONE && change.wait_us ? ctl_change_wait(&change) : rc;
}
