/* SPDX-License-Identifier: Apache-2.0 */
/* switch.c: maintenance modes that the configuration says
 *
 * Every place that says one is registered, for two reasons: a drain counts
 * from when it was first said, not from the last log rotation; and weavectl
 * tells people what holds, and where it is written. */
#include "mod_weave.h"

#include <stdlib.h>

#include <apr_strings.h>

#include "weave_control.h"

#define REGISTRY "mod_weave_switches"

static const char from_key[] = "maintenance.mode";

/* ---- the registry: of mod_weave_switch_t *, as long as this pconf ---- */

static apr_array_header_t *registry(apr_pool_t *pconf)
{
    void *found = NULL;
    apr_array_header_t *list;

    apr_pool_userdata_get(&found, REGISTRY, pconf);
    if (found)
        return found;
    list = apr_array_make(pconf, 4, sizeof(mod_weave_switch_t *));
    apr_pool_userdata_setn(list, REGISTRY, NULL, pconf);
    return list;
}

static mod_weave_switch_t *add(apr_pool_t *pconf, int mode, const char *from,
                               const char *where, const server_rec *s,
                               const char *path)
{
    mod_weave_switch_t *made = apr_pcalloc(pconf, sizeof(*made));

    made->word.mode = (apr_uint32_t)mode;
    made->from = from;
    made->where = where;
    made->s = s;
    made->path = path;
    APR_ARRAY_PUSH(registry(pconf), mod_weave_switch_t *) = made;
    return made;
}

const mod_weave_switch_t *mod_weave_switch_stricter(const mod_weave_switch_t *a,
                                                    const mod_weave_switch_t *b)
{
    if (!a || !b)
        return a ? a : b;
    return b->word.mode > a->word.mode ? b : a;
}

/* ---- what is written ---- */

static const char *place_of(cmd_parms *cmd)
{
    return apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename,
                        cmd->directive->line_num);
}

/* WeaveMaintenance MODE */
const char *mod_weave_maintenance_set(cmd_parms *cmd, void *dir,
                                      const char *mode)
{
    mod_weave_dir_t *conf = dir;
    const char *problem = ap_check_cmd_context(
        cmd, NOT_IN_LIMIT | NOT_IN_DIRECTORY | NOT_IN_FILES);
    char *name = apr_pstrdup(cmd->pool, mode);
    int number;

    if (problem)
        return problem;
    ap_str_tolower(name);
    number = weave_maintenance_mode_find(name);
    if (number < 0)
        return apr_psprintf(cmd->pool,
                            "WeaveMaintenance: %s is none of Off, Backoff,"
                            " Drain and On",
                            mode);
    /* a snippet that is included must not be undone further down */
    if (number > WEAVE_MAINTENANCE_OFF)
        conf->directive = mod_weave_switch_stricter(
            conf->directive, add(cmd->pool, number, "WeaveMaintenance",
                                 place_of(cmd), cmd->server, cmd->path));
    return NULL;
}

/* An "off" is one too: it stands before that of the file. */
void mod_weave_switch_replace(const mod_weave_switch_t **sw, cmd_parms *cmd,
                              const weave_conf_t *conf)
{
    if (*sw) /* still registered, but nobody goes by it */
        ((mod_weave_switch_t *)*sw)->word.mode = WEAVE_MAINTENANCE_OFF;
    *sw = add(cmd->pool, (int)weave_conf_int(conf, WEAVE_MAINTENANCE_MODE),
              from_key, place_of(cmd), cmd->server, cmd->path);
}

/* ---- in post_config ---- */

/* Lines move and names stay. Two of one place are two. */
static const char *key_of(const mod_weave_switch_t *sw, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s %s %s %s:%u %s", sw->from,
                        weave_maintenance_mode_name(sw->word.mode),
                        sw->s->is_virtual ? "virtual" : "main",
                        sw->s->server_hostname ? sw->s->server_hostname : "",
                        sw->s->port, sw->path ? sw->path : "");
}

/* What was kept of a file that has gone bad has lines of its own. */
static const char *where_of(const mod_weave_mount_t *mount, apr_pool_t *pconf)
{
    const mod_weave_app_t *app = mount->app;
    const char *where =
        weave_conf_where(mount->conf, WEAVE_MAINTENANCE_MODE, pconf);

    if (app && app->ini_now != app->ini &&
        !strncmp(where, app->ini_now, strlen(app->ini_now)))
        return apr_pstrcat(pconf, app->ini, ", as it was before", NULL);
    return where;
}

/* Modes in files of mounts, and in WeaveSet of the server around them. */
static void settle_mounts(apr_pool_t *pconf, const server_rec *s)
{
    const apr_array_header_t *mounts =
        mod_weave_server_get((server_rec *)s)->mounts;
    int i;

    for (i = 0; i < mounts->nelts; i++) {
        mod_weave_mount_t *mount =
            APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *);
        apr_int64_t mode =
            mount->conf ? weave_conf_int(mount->conf, WEAVE_MAINTENANCE_MODE)
                        : WEAVE_MAINTENANCE_OFF;
        mod_weave_switch_t *sw;

        if (mode <= WEAVE_MAINTENANCE_OFF)
            continue;
        sw = add(pconf, (int)mode, from_key, where_of(mount, pconf), s, NULL);
        sw->word.since_us = mod_weave_retained_since(
            apr_pstrcat(pconf, key_of(sw, pconf), mount->prefix, " ",
                        mount->ini, NULL),
            sw->word.mode);
        mount->mode = sw;
    }
}

void mod_weave_switches_settle(apr_pool_t *pconf, server_rec *main_server)
{
    apr_array_header_t *list = registry(pconf);
    const server_rec *s;
    int i;

    for (i = 0; i < list->nelts; i++) {
        mod_weave_switch_t *sw = APR_ARRAY_IDX(list, i, mod_weave_switch_t *);

        sw->word.since_us =
            mod_weave_retained_since(key_of(sw, pconf), sw->word.mode);
    }
    for (s = main_server; s; s = s->next)
        settle_mounts(pconf, s);
    mod_weave_retained_sweep();
}

/* ---- for weavectl ---- */

static int is_below(const char *path, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    while (len && prefix[len - 1] == '/')
        len--;
    return strncmp(path, prefix, len) == 0 && (!path[len] || path[len] == '/');
}

/* Has it to do with MOUNT of S? 0: no; 1: with all of it; 2: with a part, or
 * nobody can say because it is a pattern. */
static int covers(const mod_weave_switch_t *sw, const server_rec *s,
                  const mod_weave_mount_t *mount)
{
    if (sw == mount->mode)
        return 1;
    /* the main server's holds in virtual hosts too */
    if ((sw->s != s && sw->s->is_virtual) ||
        (!sw->path && sw->from == from_key))
        return 0;
    if (!sw->path || is_below(*mount->prefix ? mount->prefix : "/", sw->path))
        return 1;
    return *sw->path != '/' || strpbrk(sw->path, "*?[^$") ||
                   is_below(sw->path, mount->prefix)
               ? 2
               : 0;
}

/* The mounts of one application. */
typedef struct {
    int place;
    server_rec *main_server;
    const apr_array_header_t
        *all; /* of mod_weave_switch_t *, strictest first */
    apr_pool_t *pool;
} view_t;

/* Calls FN for each mount of the application. */
typedef void mount_fn(void *data, const server_rec *s,
                      const mod_weave_mount_t *mount);

static void each_mount(const view_t *view, mount_fn *fn, void *data)
{
    server_rec *s;
    int i;

    for (s = view->main_server; s; s = s->next) {
        const apr_array_header_t *mounts = mod_weave_server_get(s)->mounts;

        for (i = 0; i < mounts->nelts; i++) {
            const mod_weave_mount_t *mount =
                APR_ARRAY_IDX(mounts, i, mod_weave_mount_t *);

            if (mount->place == view->place)
                fn(data, s, mount);
        }
    }
}

typedef struct {
    const mod_weave_switch_t *sw;
    int whole, part, none; /* mounts it covers so */
} reach_t;

static void reach_add(void *data, const server_rec *s,
                      const mod_weave_mount_t *mount)
{
    reach_t *reach = data;
    int how = covers(reach->sw, s, mount);

    reach->whole += how == 1;
    reach->part += how == 2;
    reach->none += how == 0;
}

typedef struct {
    const view_t *view;
    apr_uint32_t mode;
} floor_t;

static void floor_lower(void *data, const server_rec *s,
                        const mod_weave_mount_t *mount)
{
    floor_t *floor = data;
    apr_uint32_t mode = WEAVE_MAINTENANCE_OFF;
    int i;

    for (i = 0; i < floor->view->all->nelts && !mode; i++) {
        const mod_weave_switch_t *sw =
            APR_ARRAY_IDX(floor->view->all, i, mod_weave_switch_t *);

        if (covers(sw, s, mount) == 1)
            mode = sw->word.mode;
    }
    if (mode < floor->mode)
        floor->mode = mode;
}

/* The mode that holds for all of the application, whichever switches say it. */
static apr_uint32_t floor_of(const view_t *view)
{
    floor_t floor = {view, WEAVE_MAINTENANCE_ON};

    each_mount(view, floor_lower, &floor);
    return floor.mode;
}

static const char *server_of(const mod_weave_switch_t *sw, apr_pool_t *pool)
{
    const server_rec *s = sw->s;

    if (!s->is_virtual)
        return "";
    return s->port ? apr_psprintf(pool, "%s:%u", s->server_hostname, s->port)
                   : s->server_hostname;
}

/* "": all of the application. */
static const char *scope_of(const mod_weave_switch_t *sw, const reach_t *reach,
                            apr_uint32_t floor, apr_pool_t *pool)
{
    if (reach->whole &&
        ((!reach->part && !reach->none) || sw->word.mode <= floor))
        return "";
    if (sw->path)
        return apr_psprintf(pool, "<Location %s>", sw->path);
    return apr_psprintf(pool, "<VirtualHost %s>",
                        *server_of(sw, pool) ? server_of(sw, pool) : "*");
}

static json_t *switch_json(const mod_weave_switch_t *sw, const char *scope,
                           apr_pool_t *pool)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "mode",
                     weave_maintenance_mode_name(sw->word.mode), "from",
                     sw->from, "where", sw->where, "scope", scope, "since",
                     (json_int_t)apr_time_sec(sw->word.since_us), "server",
                     server_of(sw, pool));
}

static int strictest_first(const void *a, const void *b)
{
    const mod_weave_switch_t *x = *(mod_weave_switch_t *const *)a;
    const mod_weave_switch_t *y = *(mod_weave_switch_t *const *)b;

    return x->word.mode > y->word.mode ? -1 : x->word.mode < y->word.mode;
}

static json_t *list_of(const view_t *view)
{
    apr_uint32_t floor = floor_of(view);
    json_t *list = json_array();
    int i;

    for (i = 0; i < view->all->nelts; i++) {
        reach_t reach = {.sw =
                             APR_ARRAY_IDX(view->all, i, mod_weave_switch_t *)};
        const char *scope;

        each_mount(view, reach_add, &reach);
        scope = scope_of(reach.sw, &reach, floor, view->pool);
        if (reach.sw->word.mode > WEAVE_MAINTENANCE_OFF &&
            (reach.whole || reach.part))
            json_array_append_new(list,
                                  switch_json(reach.sw, scope, view->pool));
    }
    return list;
}

static json_t *app_json(const mod_weave_app_t *app, json_t *declared,
                        apr_pool_t *pool)
{
    const weave_conf_t *conf = app->conf ? app->conf : weave_conf_make(pool);
    apr_int64_t drain = weave_conf_int(conf, WEAVE_MAINTENANCE_DRAIN);

    return json_pack("{s:i, s:s, s:b, s:b, s:s, s:I, s:o}", "app", app->place,
                     "ini", app->ini, "embedded", app->embedded, "failed",
                     !app->conf, "style",
                     weave_conf_str(conf, WEAVE_MAINTENANCE_STYLE), "drain_s",
                     (json_int_t)apr_time_sec(drain), "declared", declared);
}

/* 1: it fits. */
static int put(char *text, apr_size_t room, const json_t *list)
{
    char *made = json_dumps(list, JSON_COMPACT);
    int fits = made && strlen(made) < room;

    if (fits)
        apr_cpystrn(text, made, room);
    free(made);
    return fits;
}

/* Where there is no room for all that is declared, at least weavectl learns of
 * each application. */
void mod_weave_switches_declare(char *text, apr_size_t room,
                                const apr_array_header_t *apps,
                                server_rec *main_server, apr_pool_t *pool)
{
    apr_array_header_t *all =
        apr_array_copy(pool, registry(main_server->process->pconf));
    json_t *full = json_array(), *bare = json_array();
    int i;

    qsort(all->elts, (size_t)all->nelts, sizeof(mod_weave_switch_t *),
          strictest_first);
    *text = '\0';
    for (i = 0; i < apps->nelts; i++) {
        const mod_weave_app_t *app = APR_ARRAY_IDX(apps, i, mod_weave_app_t *);
        view_t view = {app->place, main_server, all, pool};

        json_array_append_new(full, app_json(app, list_of(&view), pool));
        json_array_append_new(bare, app_json(app, json_array(), pool));
    }
    if (!put(text, room, full))
        put(text, room, bare);
    json_decref(full);
    json_decref(bare);
}
