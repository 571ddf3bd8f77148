/* SPDX-License-Identifier: Apache-2.0 */
/* declare.c: what the configuration says about maintenance, for weavectl
 *
 * weavectl says "off" where nothing stands here, so what nobody can say for
 * sure counts as said. What httpd makes of several switches that hold for parts
 * is not done again: each is named with the section it stands in. */
#include "parent.h"

#include <apr_strings.h>

/* A mount of the application in a server that has it. */
typedef struct {
    const server_rec *s;
    const mod_weave_mount_t *mount;
    /* the key of the last <Location> around all of it; NULL: there is none, and
     * mount->mode holds */
    const mod_weave_switch_t *key;
} seat_t;

/* What there is to tell of it: a switch, or several that are one to people,
 * because their line was copied into each virtual host, or included there. */
typedef struct {
    const mod_weave_switch_t *sw;
    apr_time_t since;
    int whole;   /* seats that all of it holds for */
    int servers; /* that say it */
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
static int switch_reach(const mod_weave_switch_t *sw,
                        const mod_weave_mount_t *mount)
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
            switch_reach(sw, seat->mount) == 1 && strlen(sw->path) <= most &&
            (!seat->key || is_after(sw, seat->key)))
            seat->key = sw;
    }
}

/* As switch_reach(), of what holds there. */
static int switch_cover(const mod_weave_switch_t *sw, const seat_t *seat)
{
    if (sw->is_key && !sw->path)
        return sw == seat->mount->mode && !seat->key;
    if (!is_in(sw, seat->s) || is_anothers(sw, seat) ||
        (sw->is_key && seat->key && is_after(seat->key, sw)))
        return 0;
    return switch_reach(sw, seat->mount);
}

/* ---- an application ---- */

static apr_array_header_t *seats_of(int slot, server_rec *main_server,
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

            if (seat.mount->slot != slot)
                continue;
            key_find(&seat, all);
            APR_ARRAY_PUSH(seats, seat_t) = seat;
        }
    }
    return seats;
}

static const char *server_of(const mod_weave_switch_t *sw, apr_pool_t *pool)
{
    const server_rec *s = sw->s;

    if (!s->is_virtual || !s->server_hostname)
        return "";
    return s->port ? apr_psprintf(pool, "%s:%u", s->server_hostname, s->port)
                   : s->server_hostname;
}

/* "": all of the application. */
static const char *scope_of(const entry_t *entry, int seats, apr_pool_t *pool)
{
    const mod_weave_switch_t *sw = entry->sw;
    const char *server;

    if (entry->whole == seats)
        return "";
    if (sw->path)
        return apr_psprintf(pool, "<%s %s>", sw->section, sw->path);
    server = server_of(sw, pool);
    return apr_psprintf(pool, "<VirtualHost %s>", *server ? server : "*");
}

/* ---- what there is to tell ---- */

static entry_t *entry_of(apr_array_header_t *entries,
                         const mod_weave_switch_t *sw)
{
    entry_t *entry;
    int i;

    for (i = 0; i < entries->nelts; i++) {
        const mod_weave_switch_t *other;

        entry = &APR_ARRAY_IDX(entries, i, entry_t);
        other = entry->sw;
        if (other->setting.mode == sw->setting.mode &&
            other->is_key == sw->is_key && !strcmp(other->where, sw->where) &&
            !strcmp(other->path ? other->path : "", sw->path ? sw->path : ""))
            return entry;
    }
    entry = apr_array_push(entries);
    *entry = (entry_t){.sw = sw};
    return entry;
}

/* Adds what SW says of the application with SEATS. Where several are one, all
 * hold only since the last of them does. */
static void entry_add(apr_array_header_t *entries, const mod_weave_switch_t *sw,
                      const apr_array_header_t *seats)
{
    int i, cover, any = 0, whole = 0;
    entry_t *entry;

    for (i = 0; i < seats->nelts; i++) {
        cover = switch_cover(sw, &APR_ARRAY_IDX(seats, i, seat_t));
        any |= cover;
        whole += cover == 1;
    }
    if (!any)
        return;
    entry = entry_of(entries, sw);
    entry->whole += whole;
    entry->servers++;
    if (sw->setting.since_us > entry->since)
        entry->since = sw->setting.since_us;
}

static json_t *entry_json(const entry_t *entry, int seats, apr_pool_t *pool)
{
    const mod_weave_switch_t *sw = entry->sw;
    const char *server = entry->servers > 1 ? "" : server_of(sw, pool);

    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "mode",
                     weave_maintenance_mode_name(sw->setting.mode), "from",
                     sw->from, "where", weave_control_text(sw->where, pool),
                     "scope",
                     weave_control_text(scope_of(entry, seats, pool), pool),
                     "since", (json_int_t)apr_time_sec(entry->since), "server",
                     weave_control_text(server, pool));
}

/* What ALL say of the application at SLOT. */
static json_t *declared_json(int slot, const apr_array_header_t *all,
                             server_rec *main_server, apr_pool_t *pool)
{
    const apr_array_header_t *seats = seats_of(slot, main_server, all, pool);
    apr_array_header_t *entries = apr_array_make(pool, 4, sizeof(entry_t));
    json_t *list = json_array();
    int i;

    for (i = 0; i < all->nelts; i++) {
        const mod_weave_switch_t *sw =
            APR_ARRAY_IDX(all, i, mod_weave_switch_t *);

        if (sw->setting.mode > WEAVE_MAINTENANCE_OFF)
            entry_add(entries, sw, seats);
    }
    for (i = 0; i < entries->nelts; i++)
        json_array_append_new(list,
                              entry_json(&APR_ARRAY_IDX(entries, i, entry_t),
                                         seats->nelts, pool));
    return list;
}

/* Returns the folder of the virtualenv that children of httpd have, without
 * links; NULL: none, or workers have it. */
static const char *virtualenv_get(const mod_weave_app_t *app, apr_pool_t *pool)
{
    static const char below[] = "/bin/python";
    const char *python = app->embedded && app->venv ? app->venv->python : "";
    size_t len = strlen(python);

    return len > sizeof(below)
               ? apr_pstrmemdup(pool, python, len + 1 - sizeof(below))
               : NULL;
}

static json_t *app_json(const mod_weave_app_t *app, json_t *declared,
                        apr_pool_t *pool)
{
    const weave_conf_t *conf = app->conf ? app->conf : weave_conf_make(pool);
    apr_int64_t drain = weave_conf_int(conf, WEAVE_MAINTENANCE_DRAIN);

    return json_pack("{s:o, s:i, s:I, s:o, s:b, s:o, s:b, s:s, s:I, s:o}",
                     "ini", weave_control_text(app->ini, pool), "slot",
                     app->slot, "stamp", (json_int_t)app->stamp, "problem",
                     weave_control_text(app->problem, pool), "embedded",
                     app->embedded, "virtualenv",
                     weave_control_text(virtualenv_get(app, pool), pool),
                     "failed", !app->conf, "style",
                     weave_conf_str(conf, WEAVE_MAINTENANCE_STYLE), "drain_s",
                     (json_int_t)apr_time_sec(drain), "declared", declared);
}

json_t *mod_weave_declare(const apr_array_header_t *apps,
                          server_rec *main_server, apr_pool_t *pool)
{
    const apr_array_header_t *all =
        mod_weave_switches(main_server->process->pconf);
    json_t *list = json_array();
    int i;

    for (i = 0; i < apps->nelts; i++) {
        const mod_weave_app_t *app = APR_ARRAY_IDX(apps, i, mod_weave_app_t *);

        json_array_append_new(
            list,
            app_json(app, declared_json(app->slot, all, main_server, pool),
                     pool));
    }
    return list;
}
