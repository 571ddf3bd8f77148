/* SPDX-License-Identifier: Apache-2.0 */
/* declare.c: what the configuration says about maintenance, for weavectl
 *
 * weavectl believes what stands here: it says "off" where nothing does. So
 * what nobody can say for sure counts as said, and what there is no room for is
 * not left out silently. */
#include "switch.h"

#include <stdlib.h>

#include <apr_strings.h>

#include "weave_control.h"
#include "weave_utf8.h"

#define PROBLEM_BYTES 300

/* A mount of the application in a server that has it. */
typedef struct {
    const server_rec *s;
    const mod_weave_mount_t *mount;
    /* the key of the last <Location> around all of it; NULL: there is none, and
     * mount->mode holds */
    const mod_weave_switch_t *key;
} seat_t;

/* An application. */
typedef struct {
    const apr_array_header_t *all; /* mod_weave_switch_t *, strictest first */
    apr_array_header_t *seats;     /* seat_t */
    apr_pool_t *pool;
} view_t;

/* What there is to tell of it: a switch, or several that are one to people. */
typedef struct {
    const mod_weave_switch_t *sw;
    const char *scope;  /* "": all of the application */
    const char *server; /* "": the main one, or several */
    apr_time_t since;
} entry_t;

/* ---- what holds where ---- */

static int is_below(const char *path, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    while (len && prefix[len - 1] == '/')
        len--;
    return strncmp(path, prefix, len) == 0 && (!path[len] || path[len] == '/');
}

static const char *path_of(const mod_weave_mount_t *mount)
{
    return *mount->prefix ? mount->prefix : "/";
}

/* The main server's holds in virtual hosts too. */
static int is_in(const mod_weave_switch_t *sw, const server_rec *s)
{
    return sw->s == s || !sw->s->is_virtual;
}

/* Has its path to do with MOUNT? 0: no; 1: with all of it; 2: with a part, or
 * nobody can say because it is a pattern. */
static int reaches(const mod_weave_switch_t *sw, const mod_weave_mount_t *mount)
{
    if (!sw->path)
        return 1;
    if (sw->is_pattern)
        return 2;
    if (is_below(path_of(mount), sw->path))
        return 1;
    return *sw->path != '/' || is_below(sw->path, mount->prefix) ? 2 : 0;
}

/* Is its path inside a mount that lies below that of SEAT? What is said there
 * is said of that one. */
static int is_anothers(const mod_weave_switch_t *sw, const seat_t *seat)
{
    const apr_array_header_t *mounts =
        mod_weave_server_get((server_rec *)seat->s)->mounts;
    int i;

    if (!sw->path || sw->is_pattern)
        return 0;
    for (i = 0; i < mounts->nelts; i++) {
        const mod_weave_mount_t *other =
            APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *);

        if (other->prefix_len > seat->mount->prefix_len &&
            is_below(other->prefix, seat->mount->prefix) &&
            is_below(sw->path, other->prefix))
            return 1;
    }
    return 0;
}

/* Does httpd merge A after B, for a server that both are in? */
static int is_after(const mod_weave_switch_t *a, const mod_weave_switch_t *b)
{
    return a->s->is_virtual == b->s->is_virtual ? a->number > b->number
                                                : a->s->is_virtual;
}

/* Here nothing is taken for more than it is: /sync/ leaves out /sync. */
static void key_find(seat_t *seat, const apr_array_header_t *all)
{
    apr_size_t most = strlen(path_of(seat->mount));
    int i;

    for (i = 0; i < all->nelts; i++) {
        const mod_weave_switch_t *sw =
            APR_ARRAY_IDX(all, i, mod_weave_switch_t *);

        if (sw->is_key && sw->path && is_in(sw, seat->s) &&
            reaches(sw, seat->mount) == 1 && strlen(sw->path) <= most &&
            (!seat->key || is_after(sw, seat->key)))
            seat->key = sw;
    }
}

/* As reaches(), of what holds there. */
static int covers(const mod_weave_switch_t *sw, const seat_t *seat)
{
    if (sw->is_key && !sw->path)
        return sw == seat->mount->mode && !seat->key;
    if (!is_in(sw, seat->s) || is_anothers(sw, seat) ||
        (sw->is_key && seat->key && is_after(seat->key, sw)))
        return 0;
    return reaches(sw, seat->mount);
}

/* ---- an application ---- */

static apr_array_header_t *seats_of(int place, server_rec *main_server,
                                    const apr_array_header_t *all,
                                    apr_pool_t *pool)
{
    apr_array_header_t *seats = apr_array_make(pool, 4, sizeof(seat_t));
    server_rec *s;
    int i;

    for (s = main_server; s; s = s->next) {
        const apr_array_header_t *mounts = mod_weave_server_get(s)->mounts;

        for (i = 0; i < mounts->nelts; i++) {
            seat_t seat = {s, APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *),
                           NULL};

            if (seat.mount->place != place)
                continue;
            key_find(&seat, all);
            APR_ARRAY_PUSH(seats, seat_t) = seat;
        }
    }
    return seats;
}

static apr_uint32_t floor_at(const view_t *view, const seat_t *seat)
{
    int i;

    for (i = 0; i < view->all->nelts; i++) {
        const mod_weave_switch_t *sw =
            APR_ARRAY_IDX(view->all, i, mod_weave_switch_t *);

        if (covers(sw, seat) == 1)
            return sw->word.mode;
    }
    return WEAVE_MAINTENANCE_OFF;
}

/* The mode that holds for all of the application, whichever switches say it. */
static apr_uint32_t floor_of(const view_t *view)
{
    apr_uint32_t floor = WEAVE_MAINTENANCE_ON, mode;
    int i;

    for (i = 0; i < view->seats->nelts && floor; i++) {
        mode = floor_at(view, &APR_ARRAY_IDX(view->seats, i, seat_t));
        floor = mode < floor ? mode : floor;
    }
    return floor;
}

static const char *server_of(const mod_weave_switch_t *sw, apr_pool_t *pool)
{
    const server_rec *s = sw->s;

    if (!s->is_virtual || !s->server_hostname)
        return "";
    return s->port ? apr_psprintf(pool, "%s:%u", s->server_hostname, s->port)
                   : s->server_hostname;
}

/* "": all of the application; NULL: nothing of it. */
static const char *scope_of(const mod_weave_switch_t *sw, const view_t *view,
                            apr_uint32_t floor)
{
    int i, seats[3] = {0}; /* as covers() says */
    const char *server;

    for (i = 0; i < view->seats->nelts; i++)
        seats[covers(sw, &APR_ARRAY_IDX(view->seats, i, seat_t))]++;
    if (!seats[1] && !seats[2])
        return NULL;
    if (seats[1] && ((!seats[2] && !seats[0]) || sw->word.mode <= floor))
        return "";
    if (sw->path)
        return apr_psprintf(view->pool, "<%s %s>", sw->section, sw->path);
    server = server_of(sw, view->pool);
    return apr_psprintf(view->pool, "<VirtualHost %s>", *server ? server : "*");
}

/* ---- what there is to tell ---- */

/* What is copied into each virtual host, or included there, is one to people
 * where it holds for all. */
static entry_t *entry_find(const apr_array_header_t *entries,
                           const mod_weave_switch_t *sw)
{
    int i;

    for (i = 0; i < entries->nelts; i++) {
        entry_t *entry = &APR_ARRAY_IDX(entries, i, entry_t);
        const mod_weave_switch_t *other = entry->sw;

        if (!*entry->scope && other->word.mode == sw->word.mode &&
            other->is_key == sw->is_key && !strcmp(other->where, sw->where) &&
            !strcmp(other->path ? other->path : "", sw->path ? sw->path : ""))
            return entry;
    }
    return NULL;
}

/* Of several, all hold only since the last of them does. */
static void entry_join(entry_t *entry, const mod_weave_switch_t *sw)
{
    if (sw->s != entry->sw->s)
        entry->server = "";
    if (sw->word.since_us > entry->since)
        entry->since = sw->word.since_us;
}

/* Of entry_t, the strictest first. */
static apr_array_header_t *entries_of(const view_t *view)
{
    apr_array_header_t *entries =
        apr_array_make(view->pool, 4, sizeof(entry_t));
    apr_uint32_t floor = floor_of(view);
    int i;

    for (i = 0; i < view->all->nelts; i++) {
        const mod_weave_switch_t *sw =
            APR_ARRAY_IDX(view->all, i, mod_weave_switch_t *);
        const char *scope = sw->word.mode > WEAVE_MAINTENANCE_OFF
                                ? scope_of(sw, view, floor)
                                : NULL;
        entry_t *same = scope && !*scope ? entry_find(entries, sw) : NULL;

        if (same)
            entry_join(same, sw);
        else if (scope)
            APR_ARRAY_PUSH(entries, entry_t) = (entry_t){
                sw, scope, server_of(sw, view->pool), sw->word.since_us};
    }
    return entries;
}

/* ---- as JSON ---- */

static json_t *entry_json(const entry_t *entry, apr_pool_t *pool)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "mode",
                     weave_maintenance_mode_name(entry->sw->word.mode), "from",
                     entry->sw->from, "where",
                     weave_control_text(entry->sw->where, pool), "scope",
                     weave_control_text(entry->scope, pool), "since",
                     (json_int_t)apr_time_sec(entry->since), "server",
                     weave_control_text(entry->server, pool));
}

/* There is not much room. */
static json_t *problem_json(const char *text, apr_pool_t *pool)
{
    if (text)
        text = apr_pstrmemdup(pool, text, weave_utf8_cut(text, PROBLEM_BYTES));
    return weave_control_text(text, pool);
}

/* With MOST of the ENTRIES. */
static json_t *app_json(const mod_weave_app_t *app,
                        const apr_array_header_t *entries, int most,
                        apr_pool_t *pool)
{
    const weave_conf_t *conf = app->conf ? app->conf : weave_conf_make(pool);
    apr_int64_t drain = weave_conf_int(conf, WEAVE_MAINTENANCE_DRAIN);
    json_t *list = json_array();
    int i;

    for (i = 0; i < entries->nelts && i < most; i++)
        json_array_append_new(
            list, entry_json(&APR_ARRAY_IDX(entries, i, entry_t), pool));
    return json_pack(
        "{s:i, s:o, s:I, s:o, s:b, s:b, s:s, s:I, s:b, s:o}", "app", app->place,
        "ini", weave_control_text(app->ini, pool), "stamp",
        (json_int_t)app->stamp, "problem", problem_json(app->problem, pool),
        "embedded", app->embedded, "failed", !app->conf, "style",
        weave_conf_str(conf, WEAVE_MAINTENANCE_STYLE), "drain_s",
        (json_int_t)apr_time_sec(drain), "truncated", entries->nelts > most,
        "declared", list);
}

/* The whole text, malloc'ed. LISTS: the entries of each application. */
static char *text_make(const apr_array_header_t *apps,
                       const apr_array_header_t *lists, int most,
                       apr_pool_t *pool)
{
    json_t *list = json_array();
    char *text;
    int i;

    for (i = 0; i < apps->nelts; i++)
        json_array_append_new(
            list, app_json(APR_ARRAY_IDX(apps, i, mod_weave_app_t *),
                           APR_ARRAY_IDX(lists, i, apr_array_header_t *), most,
                           pool));
    text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

static int strictest_first(const void *a, const void *b)
{
    const mod_weave_switch_t *x = *(mod_weave_switch_t *const *)a;
    const mod_weave_switch_t *y = *(mod_weave_switch_t *const *)b;

    if (x->word.mode != y->word.mode)
        return x->word.mode > y->word.mode ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Where there is no room for all of it, weavectl gets the strictest of each
 * application and learns that there is more; and nothing at all, which it takes
 * for no answer, where there is none for the names of the applications. The old
 * text stays until the new one is made: somebody may be reading. */
void mod_weave_switches_declare(char *text, apr_size_t room,
                                const apr_array_header_t *apps,
                                server_rec *main_server, apr_pool_t *pool)
{
    apr_pool_t *pconf = main_server->process->pconf;
    apr_array_header_t *all = apr_array_copy(pool, mod_weave_switches(pconf));
    apr_array_header_t *lists =
        apr_array_make(pool, apps->nelts, sizeof(apr_array_header_t *));
    int i, most = all->nelts;
    char *made;

    qsort(all->elts, (size_t)all->nelts, sizeof(mod_weave_switch_t *),
          strictest_first);
    for (i = 0; i < apps->nelts; i++) {
        int place = APR_ARRAY_IDX(apps, i, mod_weave_app_t *)->place;
        view_t view = {all, seats_of(place, main_server, all, pool), pool};

        APR_ARRAY_PUSH(lists, apr_array_header_t *) = entries_of(&view);
    }
    made = text_make(apps, lists, most, pool);
    while (most && (!made || strlen(made) >= room)) {
        free(made);
        most /= 2;
        made = text_make(apps, lists, most, pool);
    }
    apr_cpystrn(text, made && strlen(made) < room ? made : "", room);
    free(made);
}
