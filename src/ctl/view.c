/* SPDX-License-Identifier: Apache-2.0 */
/* view.c: the maintenance that is in force for each application of an httpd */
#include "view.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "fields.h"
#include "say.h"

int ctl_is_meant(const ctl_t *ctl, const char *ini)
{
    return !ctl->ini_given || (ini && !strcmp(ini, ctl->ini));
}

const ctl_app_t *ctl_app_find(const ctl_view_t *view, const char *ini)
{
    int i;

    for (i = 0; i < view->apps->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(view->apps, i, ctl_app_t).ini, ini))
            return &APR_ARRAY_IDX(view->apps, i, ctl_app_t);
    return NULL;
}

/* ---- names ---- */

/* Returns the application whose sync.ini is the same file as INI, or NULL. */
static const ctl_app_t *app_find_by_file(const ctl_view_t *view,
                                         const char *ini)
{
    struct stat named, other;
    int i;

    if (stat(ini, &named) < 0)
        return NULL;
    for (i = 0; i < view->apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(view->apps, i, ctl_app_t);

        if (stat(app->ini, &other) == 0 && other.st_dev == named.st_dev &&
            other.st_ino == named.st_ino)
            return app;
    }
    return NULL;
}

int ctl_name_check(const ctl_view_t *view, const ctl_t *ctl)
{
    const ctl_app_t *app = NULL;

    if (ctl->ini_given && !ctl_app_find(view, ctl->ini))
        app = app_find_by_file(view, ctl->ini);
    return app ? ctl_say("%s: httpd has the application of this file by"
                         " another name: say %s",
                         ctl->ini, app->ini)
               : CTL_DONE;
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

static int setting_is_stricter(const ctl_setting_t *a, const ctl_setting_t *b)
{
    return a->mode == b->mode ? weave_maintenance_is_more(&a->raw, &b->raw)
                              : a->mode > b->mode;
}

/* Adds SETTING to APP, the strictest first, unless it is off by now. */
static void setting_add(ctl_app_t *app, ctl_setting_t *setting)
{
    apr_array_header_t *to = *setting->scope ? app->parts : app->set;
    ctl_setting_t *list;
    int i;

    setting->mode =
        weave_maintenance_mode_at(&setting->raw, apr_time_now(), app->drain_us);
    setting->on_us = weave_maintenance_on_at(&setting->raw, app->drain_us);
    if (setting->mode == WEAVE_MAINTENANCE_OFF)
        return;
    APR_ARRAY_PUSH(to, ctl_setting_t) = *setting;
    list = (ctl_setting_t *)to->elts;
    for (i = to->nelts - 1; i && setting_is_stricter(setting, &list[i - 1]);
         i--) {
        list[i] = list[i - 1];
        list[i - 1] = *setting;
    }
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
    app->parts = apr_array_make(pool, 1, sizeof(ctl_setting_t));
    app->unknown = view->damage && view->file == WEAVE_MAINTENANCE_FILE_NONE;
    setting.where = apr_pstrcat(pool, view->httpd.state_dir,
                                "/" WEAVE_MAINTENANCE_FILE, NULL);
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
    return app->set->nelts ? APR_ARRAY_IDX(app->set, 0, ctl_setting_t).mode
                           : (uint32_t)WEAVE_MAINTENANCE_OFF;
}

/* ---- the applications ---- */

/* Returns why children cannot import the embedded application, or NULL. */
static const char *failure_get(const weave_counters_t *counters,
                               apr_pool_t *pool)
{
    const char *text;
    int count = weave_counters_failed(&text, counters, pool);

    return count ? apr_psprintf(pool,
                                "%d child%s of httpd cannot import the"
                                " application: %s",
                                count, count == 1 ? "" : "ren", text)
                 : NULL;
}

static void app_add(ctl_view_t *view, const json_t *object, apr_pool_t *pool)
{
    const weave_counters_t *counters = view->httpd.counters;
    json_int_t slot = ctl_int(object, "slot");
    ctl_app_t app = {
        .ini = ctl_text(object, "ini"),
        .slot = slot < 0 || slot >= WEAVE_ROSTER_APPS ? -1 : (int)slot,
        .embedded = ctl_is_true(object, "embedded"),
        .failed = ctl_is_true(object, "failed"),
        .plain = !strcmp(ctl_text(object, "style"), "plain"),
        .drain_us = apr_time_from_sec(ctl_int(object, "drain_s")),
        .admitted = -1,
        .stamp = ctl_int(object, "stamp"),
        .problem = ctl_text(object, "problem"),
        .declared = ctl_list(object, "declared"),
    };

    if (counters && app.slot >= 0)
        app.admitted = weave_counters_admitted(counters, (uint32_t)app.slot);
    if (counters && app.embedded)
        app.failure = failure_get(counters, pool);
    APR_ARRAY_PUSH(view->apps, ctl_app_t) = app;
}

static void apps_read(ctl_view_t *view, apr_pool_t *pool)
{
    const json_t *list = ctl_list(view->httpd.state, "applications"), *object;
    int embedded;
    size_t i;

    for (embedded = 0; embedded <= 1; embedded++)
        json_array_foreach(list, i, object)
        {
            if (ctl_is_true(object, "embedded") == embedded)
                app_add(view, object, pool);
        }
}

/* ---- everything ---- */

static void problem_add(ctl_view_t *view, const char *problem)
{
    if (problem)
        APR_ARRAY_PUSH(view->problems, const char *) = problem;
}

/* Reads the state file. One that is damaged counts as on. One that has gone
 * counts as httpd knew it, which only httpd can tell. */
static void entries_read(ctl_view_t *view, apr_pool_t *pool)
{
    const weave_counters_t *counters = view->httpd.counters;
    weave_maintenance_t on = {.mode = WEAVE_MAINTENANCE_ON,
                              .by = WEAVE_MAINTENANCE_BY_NOBODY};

    view->file = weave_maintenance_read(&view->entries, NULL, &view->damage,
                                        view->httpd.state_dir, geteuid(), pool);
    if (view->file == WEAVE_MAINTENANCE_FILE_BAD)
        weave_maintenance_set(view->entries, NULL, &on);
    if (view->file == WEAVE_MAINTENANCE_FILE_NONE && counters &&
        atomic_load(&counters->maintenance_seen))
        view->damage = apr_pstrcat(pool, view->httpd.state_dir,
                                   "/" WEAVE_MAINTENANCE_FILE
                                   " has gone, and what it said is not known",
                                   NULL);
    weave_maintenance_expire(view->entries, apr_time_now());
}

void ctl_view_refresh(ctl_view_t *view, const ctl_t *ctl)
{
    int i;

    entries_read(view, ctl->pool);
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
        apps_read(view, ctl->pool);
    ctl_view_refresh(view, ctl);
    problem_add(view, view->damage);
}
