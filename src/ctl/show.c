/* SPDX-License-Identifier: Apache-2.0 */
/* show.c: prints the maintenance that is in force, for people and programs */
#include "show.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "say.h"

/* ---- parts of sentences ---- */

const char *ctl_whose(const char *ini)
{
    return ini ? ini : "all applications";
}

const char *ctl_since(const weave_maintenance_t *raw, uint32_t mode,
                      apr_pool_t *pool)
{
    const char *text = weave_maintenance_mode_name(mode);

    if (mode != raw->mode)
        text = apr_pstrcat(pool, text, ", after a ",
                           weave_maintenance_mode_name(raw->mode), NULL);
    if (raw->since_us)
        text = apr_pstrcat(pool, text, " since ",
                           ctl_clock(raw->since_us, pool), NULL);
    return *raw->by ? apr_pstrcat(pool, text, " by ", raw->by, NULL) : text;
}

/* HOW says what the duration SECONDS is. */
static const char *end_text(const weave_maintenance_t *raw, int64_t seconds,
                            const char *how, apr_pool_t *pool)
{
    return !raw->until_us ? " until it is taken back"
                          : apr_psprintf(pool, " until %s (%s%s)",
                                         ctl_clock(raw->until_us, pool),
                                         ctl_duration(seconds, pool), how);
}

const char *ctl_left(const weave_maintenance_t *raw, apr_pool_t *pool)
{
    return end_text(raw, apr_time_sec(raw->until_us - apr_time_now()), " left",
                    pool);
}

const char *ctl_terms(const char *ini, const weave_maintenance_t *raw,
                      apr_pool_t *pool)
{
    const char *retry = "";

    if (raw->retry_after_s)
        retry = apr_psprintf(pool, ", Retry-After %u s", raw->retry_after_s);
    return apr_pstrcat(
        pool, "for ", ctl_whose(ini),
        end_text(raw, apr_time_sec(raw->until_us - raw->since_us), "", pool),
        retry, NULL);
}

const char *ctl_origin(const ctl_setting_t *setting, apr_pool_t *pool)
{
    char *mode =
        apr_pstrdup(pool, weave_maintenance_mode_name(setting->raw.mode));
    int is_key = strchr(setting->from, '.') != NULL;
    const char *server = "";

    if (!strcmp(setting->from, "weavectl"))
        return setting->all ? "weavectl, for all applications" : "weavectl";
    if (!is_key) /* directives are written with a capital */
        *mode = (char)toupper((unsigned char)*mode);
    if (*setting->server && strncmp(setting->scope, "<VirtualHost", 12) != 0)
        server = apr_pstrcat(pool, ", for ", setting->server, NULL);
    return apr_pstrcat(pool, setting->from, is_key ? " = " : " ", mode, " at ",
                       setting->where, server, NULL);
}

/* ---- for people ---- */

/* BEFORE is the beginning of the line, with its blanks. */
static void setting_show(const char *before, const ctl_setting_t *setting,
                         apr_pool_t *pool)
{
    const weave_maintenance_t *raw = &setting->raw;
    int indent = (int)strspn(before, " ") + 2;

    ctl_line("%s%s (%s)", before, ctl_since(raw, setting->mode, pool),
             ctl_origin(setting, pool));
    if (setting->mode == WEAVE_MAINTENANCE_DRAINING && setting->on_us)
        ctl_line("%*sbecomes on at %s", indent, "",
                 ctl_clock(setting->on_us, pool));
    if (raw->until_us)
        ctl_line("%*s%s", indent, "", ctl_left(raw, pool) + 1);
    if (raw->retry_after_s)
        ctl_line("%*sRetry-After %u s", indent, "", raw->retry_after_s);
    if (*raw->message)
        ctl_line("%*smessage: %s", indent, "", raw->message);
}

static const struct kind_t {
    weave_refused_e kind;
    const char *key, *text;
} kinds[] = {
    {WEAVE_REFUSED_MAINTENANCE, "maintenance", "maintenance"},
    {WEAVE_REFUSED_DOWN, "down", "nothing runs"},
    {WEAVE_REFUSED_QUEUE, "queue", "queue full"},
    {WEAVE_REFUSED_LATE, "late", "too long in the queue"},
    {WEAVE_REFUSED_RESOURCES, "resources", "body not spooled"},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))
_Static_assert(KINDS == WEAVE_REFUSED_KINDS, "each has a name");

/* Returns what children have counted for APP; NULL: it is not known. */
static const weave_counters_row_t *row_get(const ctl_view_t *view,
                                           const ctl_app_t *app)
{
    return view->httpd.counters && app->slot >= 0
               ? &view->httpd.counters->rows[app->slot]
               : NULL;
}

static void counters_show(const ctl_view_t *view, const ctl_app_t *app,
                          apr_pool_t *pool)
{
    const weave_counters_row_t *row = row_get(view, app);
    const char *between = " ";
    size_t i;

    if (!row)
        return;
    ctl_put("  refused with 503:");
    for (i = 0; i < KINDS; i++) {
        uint64_t count = row->refused[kinds[i].kind];

        if (count) {
            ctl_put("%s%" APR_UINT64_T_FMT " (%s)", between, count,
                    kinds[i].text);
            between = ", ";
        }
    }
    puts(*between == ' ' ? " none" : "");
    ctl_line("  answers with backoff: %" APR_UINT64_T_FMT
             " (maintenance), %" APR_UINT64_T_FMT " (load%s%s)",
             row->backoff, row->backoff_load, row->load_us ? ", last " : "",
             row->load_us ? ctl_clock(row->load_us, pool) : "");
}

/* Returns the mode of an application for which nothing is set; NULL: not known,
 * since the state file has gone. */
static const char *unset_text(const ctl_view_t *view)
{
    return view->damage && view->file == WEAVE_MAINTENANCE_FILE_NONE ? NULL
                                                                     : "off";
}

void ctl_app_show(const ctl_t *ctl, const ctl_view_t *view,
                  const ctl_app_t *app)
{
    const ctl_setting_t *settings = (const ctl_setting_t *)app->set->elts;
    const char *before, *unset = unset_text(view);
    int i;

    if (!app->set->nelts || *settings->scope)
        ctl_line("  maintenance: %s", unset ? unset : "not known");
    for (i = 0; i < app->set->nelts; i++) {
        before = i ? "    also set: " : "  maintenance: ";
        if (*settings[i].scope)
            before =
                apr_psprintf(ctl->pool, "    only in %s: ", settings[i].scope);
        setting_show(before, &settings[i], ctl->pool);
    }
    if (app->embedded && app->admitted >= 0)
        ctl_line("  requests in Python: %" APR_INT64_T_FMT, app->admitted);
    counters_show(view, app, ctl->pool);
}

/* Returns when what is set for INI (NULL: all applications) holds, where that
 * is for no application that is shown; otherwise NULL. */
static const char *holder_text(const ctl_view_t *view, const char *ini)
{
    if (view->httpd.unseen)
        return WEAVE_MAINTENANCE_FILE " says";
    if (!view->httpd.runs)
        return "when httpd starts";
    return ini && !ctl_app_find(view, ini) ? "when an httpd has it" : NULL;
}

int ctl_rest_show(const ctl_t *ctl, const ctl_view_t *view)
{
    int i;

    for (i = 0; i < view->entries->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(view->entries, i, weave_maintenance_entry_t);
        const char *holder = holder_text(view, entry->ini);

        if (holder && (!entry->ini || ctl_is_meant(ctl, entry->ini)))
            ctl_line("%s: maintenance %s, %s", holder,
                     ctl_since(&entry->setting, entry->setting.mode, ctl->pool),
                     ctl_terms(entry->ini, &entry->setting, ctl->pool));
    }
    fflush(stdout);
    for (i = 0; i < view->problems->nelts; i++)
        ctl_say("maintenance: %s",
                APR_ARRAY_IDX(view->problems, i, const char *));
    return view->problems->nelts ? CTL_FAILED : CTL_DONE;
}

int ctl_maintenance_show(const ctl_t *ctl)
{
    const ctl_app_t *app;
    ctl_view_t view;
    int i = 0, shown = 0;

    ctl_view_load(&view, ctl);
    if (!view.httpd.runs && !view.problems->nelts)
        ctl_line("no httpd runs with %s", view.httpd.state_dir);
    while ((app = ctl_app_next(&view, ctl, &i)) != NULL) {
        if (shown++)
            puts("");
        ctl_line("%s:", app->ini);
        ctl_app_show(ctl, &view, app);
    }
    if (ctl->ini && !shown && view.httpd.runs && !view.httpd.unseen)
        return ctl_app_missing(&view, ctl);
    return ctl_rest_show(ctl, &view);
}

/* ---- for programs ---- */

static json_t *seconds_json(int64_t time_us)
{
    return time_us ? json_integer(apr_time_sec(time_us)) : json_null();
}

static json_t *text_json(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *setting_json(const ctl_setting_t *setting)
{
    const weave_maintenance_t *raw = &setting->raw;

    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:b}",
        "mode", weave_maintenance_mode_name(setting->mode), "said",
        weave_maintenance_mode_name(raw->mode), "since",
        seconds_json(raw->since_us), "until", seconds_json(raw->until_us),
        "on_at", seconds_json(setting->on_us), "retry_after",
        raw->retry_after_s ? json_integer(raw->retry_after_s) : json_null(),
        "message", text_json(raw->message), "by", text_json(raw->by), "from",
        setting->from, "where", setting->where, "scope",
        text_json(setting->scope), "server", text_json(setting->server), "all",
        setting->all);
}

/* Makes a list of those that are for a part of APP, or of those that are not.
 */
static json_t *settings_json(const ctl_app_t *app, int is_part)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < app->set->nelts; i++) {
        const ctl_setting_t *setting =
            &APR_ARRAY_IDX(app->set, i, ctl_setting_t);

        if (is_part == (*setting->scope != '\0'))
            json_array_append_new(list, setting_json(setting));
    }
    return list;
}

static json_t *counters_json(const ctl_view_t *view, const ctl_app_t *app)
{
    const weave_counters_row_t *row = row_get(view, app);
    json_t *refused;
    size_t i;

    if (!row)
        return json_null();
    refused = json_object();
    for (i = 0; i < KINDS; i++)
        json_object_set_new(
            refused, kinds[i].key,
            json_integer((json_int_t)row->refused[kinds[i].kind]));
    return json_pack("{s:o, s:I, s:I, s:o}", "refused", refused, "backoff",
                     (json_int_t)row->backoff, "backoff_load",
                     (json_int_t)row->backoff_load, "last_load",
                     seconds_json(row->load_us));
}

json_t *ctl_app_json(const ctl_view_t *view, const ctl_app_t *app)
{
    const ctl_setting_t *first = (const ctl_setting_t *)app->set->elts;
    json_t *object = app->set->nelts && !*first->scope
                         ? setting_json(first)
                         : json_pack("{s:s?}", "mode", unset_text(view));

    json_object_set_new(object, "style",
                        json_string(app->plain ? "plain" : "sync"));
    json_object_set_new(object, "set", settings_json(app, 0));
    json_object_set_new(object, "parts", settings_json(app, 1));
    json_object_set(object, "declared",
                    app->declared ? (json_t *)app->declared : json_null());
    json_object_set_new(object, "counters", counters_json(view, app));
    return object;
}
