/* SPDX-License-Identifier: Apache-2.0 */
/* switch.c: maintenance modes that the configuration says
 *
 * Every place that says one is registered, for two reasons: a drain counts
 * from when it was first said, not from the last log rotation; and weavectl
 * tells people what holds, and where it is written (declare.c). */
#include "parent.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>

#define REGISTRY "mod_weave_switches"

apr_array_header_t *mod_weave_switches(apr_pool_t *pconf)
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

static mod_weave_switch_t *switch_add(apr_pool_t *pconf, int mode, int is_key,
                                      const char *where, const server_rec *s)
{
    apr_array_header_t *list = mod_weave_switches(pconf);
    mod_weave_switch_t *made = apr_pcalloc(pconf, sizeof(*made));

    made->setting.mode = (apr_uint32_t)mode;
    made->from = is_key ? "maintenance.mode" : "WeaveMaintenance";
    made->is_key = is_key;
    made->where = where;
    made->s = s;
    made->number = list->nelts;
    APR_ARRAY_PUSH(list, mod_weave_switch_t *) = made;
    return made;
}

const mod_weave_switch_t *mod_weave_switch_stricter(const mod_weave_switch_t *a,
                                                    const mod_weave_switch_t *b)
{
    if (!a || !b)
        return a ? a : b;
    return b->setting.mode > a->setting.mode ? b : a;
}

/* httpd tells no module whether the path is a regular expression: that of
 * <LocationMatch "/1\.1/"> looks like any other. */
static void section_find(mod_weave_switch_t *sw, cmd_parms *cmd)
{
    const ap_directive_t *around = cmd->directive->parent;
    const char *args;
    int is_regex = 0;

    while (around && ap_cstr_casecmpn(around->directive, "<Location", 9) != 0)
        around = around->parent;
    if (around) {
        args = around->args;
        is_regex = !ap_cstr_casecmp(around->directive, "<LocationMatch") ||
                   *ap_getword_conf(cmd->temp_pool, &args) == '~';
    }
    sw->path = cmd->path;
    sw->section = is_regex ? "LocationMatch" : "Location";
    sw->is_pattern = is_regex || !around || apr_fnmatch_test(cmd->path);
}

static mod_weave_switch_t *directive_add(cmd_parms *cmd, int mode, int is_key)
{
    mod_weave_switch_t *made =
        switch_add(cmd->pool, mode, is_key,
                   apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename,
                                cmd->directive->line_num),
                   cmd->server);

    if (cmd->path)
        section_find(made, cmd);
    return made;
}

/* WeaveMaintenance MODE */
const char *mod_weave_maintenance_set(cmd_parms *cmd, void *dir,
                                      const char *mode)
{
    mod_weave_dir_t *conf = dir;
    const char *problem =
        ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT & ~NOT_IN_LOCATION);
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
            conf->directive, directive_add(cmd, number, 0));
    return NULL;
}

/* An "off" is one too: it stands before that of the file. */
void mod_weave_switch_replace(const mod_weave_switch_t **sw, cmd_parms *cmd,
                              const weave_conf_t *conf)
{
    if (*sw) /* still registered, but nobody goes by it */
        ((mod_weave_switch_t *)*sw)->setting.mode = WEAVE_MAINTENANCE_OFF;
    *sw = directive_add(cmd, (int)weave_conf_int(conf, WEAVE_MAINTENANCE_MODE),
                        1);
}

/* Lines move and names stay. Two of one place are two. */
static const char *key_of(const mod_weave_switch_t *sw, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s %s %s %s:%u %s", sw->from,
                        weave_maintenance_mode_name(sw->setting.mode),
                        sw->s->is_virtual ? "virtual" : "main",
                        sw->s->server_hostname ? sw->s->server_hostname : "",
                        sw->s->port, sw->path ? sw->path : "");
}

/* What the keys of this configuration have said since when. Its pool outlives
 * this configuration, and this module. */
static apr_hash_t *sinces_make(void)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, NULL);
    apr_pool_tag(pool, "weave_sinces");
    return apr_hash_make(pool);
}

/* Returns since when KEY has been said: now, when the configuration before did
 * not. Adds that to SINCES. */
static apr_time_t since_find(apr_hash_t *sinces, const char *key)
{
    const mod_weave_retained_t *data = mod_weave_retained_get();
    apr_pool_t *pool = apr_hash_pool_get(sinces);
    apr_time_t *since = apr_palloc(pool, sizeof(*since));
    const apr_time_t *before =
        data && data->sinces
            ? apr_hash_get(data->sinces, key, APR_HASH_KEY_STRING)
            : NULL;

    *since = before ? *before : apr_time_now();
    apr_hash_set(sinces, apr_pstrdup(pool, key), APR_HASH_KEY_STRING, since);
    return *since;
}

/* Replaces those of the configuration before. */
static void sinces_keep(apr_hash_t *sinces)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    apr_hash_t *before = data ? data->sinces : sinces;

    if (data)
        data->sinces = sinces;
    if (before)
        apr_pool_destroy(apr_hash_pool_get(before));
}

static const char *where_of(const mod_weave_mount_t *mount, apr_pool_t *pconf)
{
    return mount->set && weave_conf_is_set(mount->set, WEAVE_MAINTENANCE_MODE)
               ? weave_conf_source(mount->set, WEAVE_MAINTENANCE_MODE, pconf)
               : mount->mode_where;
}

/* Modes in files of mounts, and in WeaveSet of the server around them. */
static void mount_modes_add(apr_hash_t *sinces, apr_pool_t *pconf,
                            const server_rec *s)
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

        /* a host without a directive of ours has the very mounts of the main
         * server, which come first: what they say is said there, for all */
        if (mode <= WEAVE_MAINTENANCE_OFF || mount->mode)
            continue;
        sw = switch_add(pconf, (int)mode, 1, where_of(mount, pconf), s);
        sw->setting.since_us = since_find(
            sinces, apr_pstrcat(pconf, key_of(sw, pconf), mount->prefix, " ",
                                mount->ini, NULL));
        mount->mode = sw;
    }
}

void mod_weave_switches_complete(apr_pool_t *pconf, server_rec *main_server)
{
    apr_array_header_t *list = mod_weave_switches(pconf);
    apr_hash_t *sinces = sinces_make();
    const server_rec *s;
    int i;

    for (i = 0; i < list->nelts; i++) {
        mod_weave_switch_t *sw = APR_ARRAY_IDX(list, i, mod_weave_switch_t *);

        sw->setting.since_us = since_find(sinces, key_of(sw, pconf));
    }
    for (s = main_server; s; s = s->next)
        mount_modes_add(sinces, pconf, s);
    sinces_keep(sinces);
}
