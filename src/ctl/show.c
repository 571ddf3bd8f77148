/* SPDX-License-Identifier: Apache-2.0 */
/* show.c: maintenance, for people and for programs */
#include "view.h"

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

const char *ctl_terms(const ctl_t *ctl, const char *ini,
                      const weave_maintenance_t *word)
{
    const char *end = " until it is taken back", *retry = "";

    if (word->until_us)
        end = apr_psprintf(
            ctl->pool, " until %s (%s)", ctl_clock(word->until_us, ctl->pool),
            ctl_duration(apr_time_sec(word->until_us - word->since_us),
                         ctl->pool));
    if (word->retry_after_s)
        retry =
            apr_psprintf(ctl->pool, ", Retry-After %u s", word->retry_after_s);
    return apr_pstrcat(ctl->pool, "for ", ctl_whose(ini), end, retry, NULL);
}

const char *ctl_since(const ctl_t *ctl, const weave_maintenance_t *word)
{
    return apr_psprintf(ctl->pool, "%s since %s%s%s",
                        weave_maintenance_mode_name(word->mode),
                        ctl_clock(word->since_us, ctl->pool),
                        *word->by ? " by " : "", word->by);
}

const char *ctl_now(const ctl_t *ctl, const ctl_word_t *word)
{
    const weave_maintenance_t *said = &word->said;
    const char *now = weave_maintenance_mode_name(word->mode);

    if (word->mode != said->mode)
        now = apr_pstrcat(ctl->pool, now, ", after a ",
                          weave_maintenance_mode_name(said->mode), NULL);
    if (said->since_us)
        now = apr_pstrcat(ctl->pool, now, " since ",
                          ctl_clock(said->since_us, ctl->pool), NULL);
    return *said->by ? apr_pstrcat(ctl->pool, now, " by ", said->by, NULL)
                     : now;
}

const char *ctl_left(const ctl_t *ctl, const weave_maintenance_t *word)
{
    if (!word->until_us)
        return " until it is taken back";
    return apr_psprintf(
        ctl->pool, " until %s (%s left)", ctl_clock(word->until_us, ctl->pool),
        ctl_duration(apr_time_sec(word->until_us - apr_time_now()), ctl->pool));
}

static const char *server_of(const ctl_t *ctl, const ctl_word_t *word)
{
    if (!*word->server || !strncmp(word->scope, "<VirtualHost", 12))
        return "";
    return apr_pstrcat(ctl->pool, ", for ", word->server, NULL);
}

const char *ctl_origin(const ctl_t *ctl, const ctl_word_t *word)
{
    const char *mode = weave_maintenance_mode_name(word->said.mode);
    char *said = apr_pstrdup(ctl->pool, mode);

    if (!strcmp(word->from, "weavectl"))
        return word->all ? "weavectl, for all applications" : "weavectl";
    if (!strchr(word->from, '.')) /* directives are written with a capital */
        *said = (char)toupper((unsigned char)*said);
    return apr_psprintf(ctl->pool, "%s%s%s at %s%s", word->from,
                        strchr(word->from, '.') ? " = " : " ", said,
                        word->where, server_of(ctl, word));
}

/* ---- for people ---- */

/* BEFORE is where the line begins, spaces included. */
static void word_show(const ctl_t *ctl, const char *before,
                      const ctl_word_t *word)
{
    const weave_maintenance_t *said = &word->said;
    int indent = (int)strspn(before, " ") + 2;

    ctl_line("%s%s (%s)", before, ctl_now(ctl, word), ctl_origin(ctl, word));
    if (word->mode == WEAVE_MAINTENANCE_DRAINING && word->on_us)
        ctl_line("%*sbecomes on at %s", indent, "",
                 ctl_clock(word->on_us, ctl->pool));
    if (said->until_us)
        ctl_line("%*s%s", indent, "", ctl_left(ctl, said) + 1);
    if (said->retry_after_s)
        ctl_line("%*sRetry-After %u s", indent, "", said->retry_after_s);
    if (*said->message)
        ctl_line("%*smessage: %s", indent, "", said->message);
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

static void tally_show(const ctl_t *ctl, const ctl_app_t *app)
{
    weave_tally_row_t sum;
    const char *between = " ";
    size_t i;

    if (!app->tally)
        return;
    weave_tally_sum(&sum, app->tally, app->place);
    ctl_put("  refused with 503:");
    for (i = 0; i < KINDS; i++) {
        uint64_t count = sum.refused[kinds[i].kind];

        if (count) {
            ctl_put("%s%" APR_UINT64_T_FMT " (%s)", between, count,
                    kinds[i].text);
            between = ", ";
        }
    }
    puts(*between == ' ' ? " none" : "");
    ctl_line("  answers with backoff: %" APR_UINT64_T_FMT
             " (maintenance), %" APR_UINT64_T_FMT " (load%s%s)",
             sum.backoff, sum.backoff_load, sum.load_us ? ", last " : "",
             sum.load_us ? ctl_clock(sum.load_us, ctl->pool) : "");
}

void ctl_app_show(const ctl_t *ctl, const ctl_app_t *app)
{
    int i;

    if (!app->words->nelts)
        ctl_line("  maintenance: %s", app->truncated ? "not known" : "off");
    for (i = 0; i < app->words->nelts; i++)
        word_show(ctl, i ? "    also set: " : "  maintenance: ",
                  &APR_ARRAY_IDX(app->words, i, ctl_word_t));
    for (i = 0; i < app->scoped->nelts; i++) {
        const ctl_word_t *word = &APR_ARRAY_IDX(app->scoped, i, ctl_word_t);

        word_show(ctl, apr_psprintf(ctl->pool, "    only in %s: ", word->scope),
                  word);
    }
    if (app->embedded && app->running >= 0)
        ctl_line("  requests in Python: %" APR_INT64_T_FMT, app->running);
    tally_show(ctl, app);
}

static int is_shown(const ctl_view_t *view,
                    const weave_maintenance_entry_t *entry)
{
    return entry->ini ? ctl_app_of(view->apps, entry) != NULL
                      : view->boards->nelts > 0;
}

/* For whom what ENTRY says is, when none of those shown. */
static const char *holder(const ctl_view_t *view,
                          const weave_maintenance_entry_t *entry,
                          apr_pool_t *pool)
{
    const ctl_app_t *other = ctl_app_of(view->others, entry);

    if (other)
        return apr_psprintf(pool, "in httpd %u, with %s", other->board->pid,
                            other->board->runtime_dir);
    if (view->unseen)
        return WEAVE_MAINTENANCE_FILE " says";
    return view->boards->nelts ? "when an httpd has it" : "when httpd starts";
}

int ctl_rest_show(const ctl_t *ctl, const ctl_view_t *view)
{
    int i;

    for (i = 0; i < view->entries->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(view->entries, i, weave_maintenance_entry_t);

        if (!is_shown(view, entry) &&
            (!entry->ini || ctl_is_meant(ctl, entry->ini) ||
             !strcmp(entry->ini, ctl->ini_named)))
            ctl_line("%s: maintenance %s, %s", holder(view, entry, ctl->pool),
                     ctl_since(ctl, &entry->setting),
                     ctl_terms(ctl, entry->ini, &entry->setting));
    }
    fflush(stdout);
    for (i = 0; i < view->problems->nelts; i++)
        ctl_say("maintenance: %s",
                APR_ARRAY_IDX(view->problems, i, const char *));
    return view->problems->nelts ? CTL_FAILED : CTL_DONE;
}

static int apps_show(const ctl_t *ctl, const apr_array_header_t *apps)
{
    int i, shown = 0;

    for (i = 0; i < apps->nelts; i++) {
        const ctl_app_t *app = &APR_ARRAY_IDX(apps, i, ctl_app_t);

        if (!ctl_is_meant(ctl, app->ini))
            continue;
        if (shown++)
            puts("");
        ctl_line("%s:", app->ini);
        ctl_app_show(ctl, app);
    }
    return shown;
}

int ctl_maintenance_show(const ctl_t *given)
{
    ctl_t meant = *given, *ctl = &meant;
    ctl_view_t view;
    int shown;

    ctl_view_load(&view, ctl);
    if (view.dir && !view.boards->nelts && !view.problems->nelts)
        ctl_line("no httpd runs with %s", view.dir);
    shown = apps_show(ctl, view.apps);
    if (ctl->ini_given && !shown) /* -d is of another httpd with this folder */
        shown = apps_show(ctl, view.others);
    if (ctl->ini_given && !shown && view.boards->nelts)
        return ctl_say("no httpd that runs with %s has an application of %s",
                       view.dir, ctl->ini);
    return ctl_rest_show(ctl, &view);
}

/* ---- for programs ---- */

static json_t *seconds(int64_t time_us)
{
    return time_us ? json_integer(apr_time_sec(time_us)) : json_null();
}

static json_t *text(const char *string)
{
    return *string ? json_string(string) : json_null();
}

static json_t *word_json(const ctl_word_t *word)
{
    const weave_maintenance_t *said = &word->said;

    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:b}",
        "mode", weave_maintenance_mode_name(word->mode), "said",
        weave_maintenance_mode_name(said->mode), "since",
        seconds(said->since_us), "until", seconds(said->until_us), "on_at",
        seconds(word->on_us), "retry_after",
        said->retry_after_s ? json_integer(said->retry_after_s) : json_null(),
        "message", text(said->message), "by", text(said->by), "from",
        word->from, "where", word->where, "scope", text(word->scope), "server",
        text(word->server), "all", word->all);
}

static json_t *tally_json(const ctl_app_t *app)
{
    weave_tally_row_t sum;
    json_t *refused = json_object();
    size_t i;

    weave_tally_sum(&sum, app->tally, app->place);
    for (i = 0; i < KINDS; i++)
        json_object_set_new(
            refused, kinds[i].key,
            json_integer((json_int_t)sum.refused[kinds[i].kind]));
    return json_pack("{s:o, s:I, s:I, s:o}", "refused", refused, "backoff",
                     (json_int_t)sum.backoff, "backoff_load",
                     (json_int_t)sum.backoff_load, "last_load",
                     seconds(sum.load_us));
}

json_t *ctl_app_json(const ctl_app_t *app)
{
    json_t *object = NULL, *set = json_array(), *part = json_array();
    int i;

    for (i = 0; i < app->words->nelts; i++)
        json_array_append_new(
            set, word_json(&APR_ARRAY_IDX(app->words, i, ctl_word_t)));
    for (i = 0; i < app->scoped->nelts; i++)
        json_array_append_new(
            part, word_json(&APR_ARRAY_IDX(app->scoped, i, ctl_word_t)));
    object = app->words->nelts
                 ? word_json(&APR_ARRAY_IDX(app->words, 0, ctl_word_t))
                 : json_pack("{s:s?}", "mode", app->truncated ? NULL : "off");
    json_object_set_new(object, "truncated", json_boolean(app->truncated));
    json_object_set_new(object, "style",
                        json_string(app->plain ? "plain" : "sync"));
    json_object_set_new(object, "set", set);
    json_object_set_new(object, "parts", part);
    json_object_set(object, "declared",
                    app->declared ? (json_t *)app->declared : json_null());
    json_object_set_new(object, "counters",
                        app->tally ? tally_json(app) : json_null());
    return object;
}
