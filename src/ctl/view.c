/* SPDX-License-Identifier: Apache-2.0 */
/* view.c: the maintenance that is in force for each application of an httpd */
#include "view.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "say.h"
#include "weave_utf8.h"

int ctl_is_meant(const ctl_t *ctl, const char *ini)
{
    return !ctl->ini || (ini && !strcmp(ini, ctl->ini));
}

const ctl_app_t *ctl_app_find(const ctl_view_t *view, const char *ini)
{
    int i;

    for (i = 0; i < view->apps->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(view->apps, i, ctl_app_t).ini, ini))
            return &APR_ARRAY_IDX(view->apps, i, ctl_app_t);
    return NULL;
}

const ctl_app_t *ctl_app_next(const ctl_view_t *view, const ctl_t *ctl, int *at)
{
    while (*at < view->apps->nelts) {
        const ctl_app_t *app = &APR_ARRAY_IDX(view->apps, (*at)++, ctl_app_t);

        if (ctl_is_meant(ctl, app->ini))
            return app;
    }
    return NULL;
}

/* ---- names ---- */

int ctl_name_check(const ctl_view_t *view, const ctl_t *ctl)
{
    int i;

    if (!ctl->ini || ctl_app_find(view, ctl->ini))
        return CTL_DONE;
    for (i = 0; i < view->apps->nelts; i++) {
        const char *ini = APR_ARRAY_IDX(view->apps, i, ctl_app_t).ini;

        if (ctl_path_is_same(ini, ctl->ini))
            return ctl_say("%s: httpd has the application of this file by"
                           " another name: say %s",
                           ctl->ini, ini);
    }
    return CTL_DONE;
}

int ctl_app_missing(const ctl_view_t *view, const ctl_t *ctl)
{
    const char *list = "";
    int i;

    if (ctl_name_check(view, ctl) != CTL_DONE)
        return CTL_FAILED;
    for (i = 0; i < view->apps->nelts; i++)
        list = apr_pstrcat(ctl->pool, list, i ? ", " : "",
                           APR_ARRAY_IDX(view->apps, i, ctl_app_t).ini, NULL);
    return ctl_say("the httpd that runs with %s has no application of %s; those"
                   " there are: %s",
                   ctl->dir, ctl->ini, *list ? list : "none");
}

/* ---- settings ---- */

/* Says whether A stands before B in ctl_app_t.set. */
static int setting_is_before(const ctl_setting_t *a, const ctl_setting_t *b)
{
    if (!*a->scope != !*b->scope)
        return !*a->scope;
    return a->mode == b->mode ? weave_maintenance_is_more(&a->raw, &b->raw)
                              : a->mode > b->mode;
}

/* Adds SETTING to APP, unless it is off by now. */
static void setting_add(ctl_app_t *app, ctl_setting_t *setting)
{
    ctl_setting_t *list;
    int i;

    setting->mode =
        weave_maintenance_mode_at(&setting->raw, apr_time_now(), app->drain_us);
    setting->on_us = weave_maintenance_on_at(&setting->raw, app->drain_us);
    if (setting->mode == WEAVE_MAINTENANCE_OFF)
        return;
    apr_array_push(app->set);
    list = (ctl_setting_t *)app->set->elts;
    for (i = app->set->nelts - 1; i && setting_is_before(setting, &list[i - 1]);
         i--)
        list[i] = list[i - 1];
    list[i] = *setting;
}

static void declared_add(ctl_app_t *app, const json_t *entry)
{
    int mode = weave_maintenance_mode_find(ctl_text(entry, "mode"));
    ctl_setting_t setting = {.from = ctl_text(entry, "from"),
                             .where = ctl_text(entry, "where"),
                             .scope = ctl_text(entry, "scope"),
                             .server = ctl_text(entry, "server")};

    setting.raw.mode = mode < 0 ? WEAVE_MAINTENANCE_ON : (uint32_t)mode;
    setting.raw.since_us = apr_time_from_sec(ctl_int(entry, "since"));
    setting_add(app, &setting);
}

/* Fills in what is set for APP, now. */
static void app_weigh(ctl_app_t *app, const ctl_view_t *view, apr_pool_t *pool)
{
    ctl_setting_t setting = {.from = "weavectl", .scope = "", .server = ""};
    const weave_maintenance_t *found;
    const json_t *entry;
    size_t k;
    int all;

    app->set = apr_array_make(pool, 4, sizeof(ctl_setting_t));
    /* for JSON, too: a path need not be UTF-8 */
    setting.where =
        weave_utf8_escape_text(apr_pstrcat(pool, view->httpd.state_dir,
                                           "/" WEAVE_MAINTENANCE_FILE, NULL),
                               pool);
    for (all = 0; all <= 1; all++) {
        found = weave_maintenance_find(view->entries, all ? NULL : app->ini);
        if (!found)
            continue;
        setting.raw = *found;
        setting.all = all;
        setting_add(app, &setting);
    }
    json_array_foreach(app->declared, k, entry)
    {
        declared_add(app, entry);
    }
}

uint32_t ctl_app_mode(const ctl_app_t *app)
{
    const ctl_setting_t *first = (const ctl_setting_t *)app->set->elts;

    return app->set->nelts && !*first->scope ? first->mode
                                             : (uint32_t)WEAVE_MAINTENANCE_OFF;
}

/* ---- the applications ---- */

static void app_add(ctl_view_t *view, const json_t *object)
{
    const weave_counters_t *counters = view->httpd.counters;
    json_int_t slot = ctl_int(object, "slot");
    ctl_app_t app = {
        .ini = ctl_text(object, "ini"),
        .slot = slot < 0 || slot >= WEAVE_ROSTER_APPS ? -1 : (int)slot,
        .embedded = ctl_is_true(object, "embedded"),
        .virtualenv = ctl_text(object, "virtualenv"),
        .failed = ctl_is_true(object, "failed"),
        .plain = !strcmp(ctl_text(object, "style"), "plain"),
        .drain_us = apr_time_from_sec(ctl_int(object, "drain_s")),
        .admitted = -1,
        .stamp = ctl_int(object, "stamp"),
        .problem = ctl_text(object, "problem"),
        .declared = json_object_get(object, "declared"),
    };

    if (counters && app.slot >= 0)
        app.admitted = weave_counters_admitted(counters, (uint32_t)app.slot);
    APR_ARRAY_PUSH(view->apps, ctl_app_t) = app;
}

static void apps_read(ctl_view_t *view)
{
    const json_t *list = json_object_get(view->httpd.state, "applications");
    const json_t *object;
    int embedded;
    size_t i;

    for (embedded = 0; embedded <= 1; embedded++)
        json_array_foreach(list, i, object)
        {
            if (ctl_is_true(object, "embedded") == embedded)
                app_add(view, object);
        }
}

/* ---- everything ---- */

static void problem_add(ctl_view_t *view, const char *problem)
{
    if (problem)
        APR_ARRAY_PUSH(view->problems, const char *) = problem;
}

/* Says whether a process of httpd has ever read a state file. The counters of
 * VIEW are a copy, from before a look at the file: httpd may have read it since
 * then. */
static int file_was_seen(const ctl_view_t *view, const ctl_t *ctl)
{
    weave_counters_t *counters = NULL;

    if (view->httpd.counters)
        weave_counters_read(&counters, ctl->dir, ctl->pool);
    return counters && atomic_load(&counters->maintenance_seen);
}

/* A file that is damaged counts as on. One that has gone counts as httpd knew
 * it, which only httpd can tell. */
void ctl_view_refresh(ctl_view_t *view, const ctl_t *ctl)
{
    weave_maintenance_t on = {.mode = WEAVE_MAINTENANCE_ON,
                              .by = WEAVE_MAINTENANCE_BY_NOBODY};
    int i;

    view->file =
        weave_maintenance_read(&view->entries, NULL, &view->damage,
                               view->httpd.state_dir, geteuid(), ctl->pool);
    if (view->file == WEAVE_MAINTENANCE_FILE_BAD)
        weave_maintenance_set(view->entries, NULL, &on);
    if (view->file == WEAVE_MAINTENANCE_FILE_NONE && file_was_seen(view, ctl))
        view->damage = apr_pstrcat(ctl->pool, view->httpd.state_dir,
                                   "/" WEAVE_MAINTENANCE_FILE
                                   " has gone, and what it said is not known",
                                   NULL);
    weave_maintenance_expire(view->entries, apr_time_now());
    for (i = 0; i < view->apps->nelts; i++)
        app_weigh(&APR_ARRAY_IDX(view->apps, i, ctl_app_t), view, ctl->pool);
}

void ctl_view_load(ctl_view_t *view, const ctl_t *ctl)
{
    struct stat status;

    memset(view, 0, sizeof(*view));
    view->problems = apr_array_make(ctl->pool, 1, sizeof(const char *));
    view->apps = apr_array_make(ctl->pool, 4, sizeof(ctl_app_t));
    view->entries =
        apr_array_make(ctl->pool, 1, sizeof(weave_maintenance_entry_t));
    view->unusable = ctl_httpd_find(&view->httpd, ctl);
    if (view->httpd.state_dir && stat(view->httpd.state_dir, &status) < 0 &&
        errno == ENOENT)
        view->unusable = apr_psprintf(ctl->pool,
                                      "%s is not there: httpd makes it at its"
                                      " start. If yours has another"
                                      " WeaveStateDir, name it with -s",
                                      view->httpd.state_dir);
    problem_add(view, view->unusable);
    if (view->httpd.unseen && !view->unusable)
        problem_add(view, apr_pstrcat(ctl->pool,
                                      "an httpd that may run could not be"
                                      " looked at: ",
                                      view->httpd.unseen, NULL));
    if (!view->httpd.state_dir)
        return;
    if (view->httpd.runs) /* one that was killed leaves its files */
        apps_read(view);
    ctl_view_refresh(view, ctl);
    problem_add(view, view->damage);
}
