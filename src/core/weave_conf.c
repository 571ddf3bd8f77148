/* SPDX-License-Identifier: Apache-2.0 */
/* weave_conf.c: sets, merges and returns the values of a configuration */
#include "weave_conf_private.h"

#include <apr_file_info.h>
#include <apr_strings.h>

#include <string.h>

#include "weave_file.h"

/* --- paths and defaults ------------------------------------------------- */

static const char *path_resolve(const weave_conf_t *conf, const char *dir,
                                const char *path)
{
    char *absolute;
    apr_size_t bytes;

    if (!*path || !dir || strstr(path, "://") ||
        apr_filepath_merge(&absolute, dir, path, 0, conf->pool))
        return path;
    bytes = strlen(absolute);
    if (bytes > 1 && absolute[bytes - 1] == '/')
        absolute[bytes - 1] = '\0'; /* so that equal paths compare equal */
    return absolute;
}

static void setting_path_resolve(weave_conf_t *conf, weave_key_e key,
                                 const char *base)
{
    conf_setting_t *setting = &conf->settings[key];
    const char *dir = base                  ? base
                      : setting->source.dir ? setting->source.dir
                                            : conf->dir;
    const apr_array_header_t *from = setting->written.list;
    int i;

    setting->value.str = path_resolve(conf, dir, setting->written.str);
    if (!from)
        return;
    setting->value.list =
        apr_array_make(conf->pool, from->nelts, sizeof(const char *));
    for (i = 0; i < from->nelts; i++) {
        APR_ARRAY_PUSH(setting->value.list, const char *) =
            path_resolve(conf, dir, APR_ARRAY_IDX(from, i, const char *));
    }
}

void conf_resolve(weave_conf_t *conf)
{
    const conf_setting_t *global = &conf->retry_after;
    conf_setting_t *retry_after =
        &conf->settings[WEAVE_MAINTENANCE_RETRY_AFTER];
    const char *virtualenv;
    int i;

    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        weave_type_e type = weave_key_get(i)->type;

        if (conf->settings[i].source.file &&
            (type == WEAVE_TYPE_PATH || type == WEAVE_TYPE_PATHS))
            setting_path_resolve(conf, i, NULL);
    }
    virtualenv = conf->settings[WEAVE_WSGI_VIRTUALENV].value.str;
    if (*virtualenv)
        setting_path_resolve(conf, WEAVE_WSGI_SCRIPT, virtualenv);
    if (global->source.file && !retry_after->source.file)
        retry_after->value = global->value;
}

weave_conf_t *weave_conf_make(apr_pool_t *pool)
{
    weave_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    int i;

    conf->pool = pool;
    conf->path = "";
    conf->heartbeat = "/__heartbeat__";
    conf->files = apr_array_make(pool, 1, sizeof(weave_ini_file_t));
    conf->environ = apr_table_make(pool, 4);
    conf->env = apr_table_make(pool, 4);
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        weave_key_default(&conf->settings[i].value, weave_key_get(i), pool);
        conf->settings[i].written = conf->settings[i].value;
    }
    return conf;
}

/* --- setting ------------------------------------------------------------ */

static apr_table_entry_t *member_find(const apr_table_t *table,
                                      const char *name)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    int i;

    for (i = 0; i < rows->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(rows, i, apr_table_entry_t).key, name))
            return &APR_ARRAY_IDX(rows, i, apr_table_entry_t);
    return NULL;
}

const char *weave_conf_member(const apr_table_t *table, const char *name)
{
    const apr_table_entry_t *row = member_find(table, name);

    return row ? row->val : NULL;
}

static void member_set(apr_table_t *table, const char *name, const char *value)
{
    apr_table_entry_t *row = member_find(table, name);

    if (row)
        row->val = (char *)value;
    else
        apr_table_addn(table, name, value);
}

const char *conf_assign(weave_conf_t *conf, const weave_key_t *key,
                        const char *member, const apr_array_header_t *items,
                        const conf_source_t *source)
{
    conf_setting_t *setting = &conf->settings[key->key];
    weave_key_value_t value;
    const char *wrong = member ? weave_key_member_check(key, member) : NULL;

    if (!wrong)
        wrong = weave_key_parse(&value, key, items, conf->pool);
    if (wrong)
        return wrong;
    if (member) {
        member_set(key->key == WEAVE_WSGI_ENVIRON ? conf->environ : conf->env,
                   apr_pstrdup(conf->pool, member), value.str);
    }
    else {
        setting->value = setting->written = value;
    }
    setting->source.file = apr_pstrdup(conf->pool, source->file);
    setting->source.dir = apr_pstrdup(conf->pool, source->dir);
    setting->source.line = source->line;
    return NULL;
}

static const char *unknown_key_text(const char *name, apr_pool_t *pool)
{
    const weave_key_t *nearest = weave_key_nearest(name);

    if (!nearest)
        return apr_psprintf(pool, "%s is no key of the module", name);
    return apr_psprintf(pool, "%s is no key of the module; is it %s%s?", name,
                        nearest->full,
                        nearest->type == WEAVE_TYPE_PREFIX ? "NAME" : "");
}

const char *weave_conf_set(weave_conf_t *conf, const char *key,
                           const char *value, int location, const char *file,
                           int line, apr_pool_t *pool)
{
    conf_source_t source = {.file = file, .line = line};
    apr_array_header_t *items = apr_array_make(pool, 1, sizeof(char *));
    const char *member, *wrong;
    char *state, *rest = apr_pstrdup(pool, value), *item;
    const weave_key_t *row = weave_key_find(key, &member);

    if (!row)
        return unknown_key_text(key, pool);
    if (row->level == WEAVE_LEVEL_WEAVECTL) {
        return apr_psprintf(pool,
                            "%s is for weavectl, which does not read"
                            " httpd.conf: set it in the sync.ini",
                            key);
    }
    if (location && row->level != WEAVE_LEVEL_REQUEST) {
        return apr_psprintf(
            pool,
            "%s cannot stand in a <Location>: one value of it holds for the"
            " whole application",
            key);
    }
    for (item = apr_strtok(rest, "\r\n", &state); item;
         item = apr_strtok(NULL, "\r\n", &state))
        APR_ARRAY_PUSH(items, const char *) = item;
    if (items->nelts == 0)
        APR_ARRAY_PUSH(items, const char *) = "";
    wrong = conf_assign(conf, row, member, items, &source);
    if (wrong)
        return apr_psprintf(pool, "%s %s", key, wrong);
    conf_resolve(conf);
    return NULL;
}

static apr_table_t *members_merge(apr_pool_t *pool, const apr_table_t *base,
                                  const apr_table_t *over)
{
    apr_table_t *merged = apr_table_copy(pool, base);
    const apr_array_header_t *rows = apr_table_elts(over);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        member_set(merged, row->key, row->val);
    }
    return merged;
}

weave_conf_t *weave_conf_merge(apr_pool_t *pool, const weave_conf_t *base,
                               const weave_conf_t *over)
{
    weave_conf_t *merged = apr_pmemdup(pool, base, sizeof(*base));
    int i;

    merged->pool = pool;
    for (i = 0; i < WEAVE_KEY_COUNT; i++)
        if (over->settings[i].source.file)
            merged->settings[i] = over->settings[i];
    if (over->dir) {
        merged->path = over->path;
        merged->dir = over->dir;
        merged->files = over->files;
        merged->retry_after = over->retry_after;
        merged->heartbeat = over->heartbeat;
    }
    merged->environ = members_merge(pool, base->environ, over->environ);
    merged->env = members_merge(pool, base->env, over->env);
    conf_resolve(merged);
    return merged;
}

/* --- getters ------------------------------------------------------------ */

int weave_conf_is_set(const weave_conf_t *conf, weave_key_e key)
{
    return conf->settings[key].source.file != NULL;
}

apr_int64_t weave_conf_int(const weave_conf_t *conf, weave_key_e key)
{
    return conf->settings[key].value.num;
}

const char *weave_conf_str(const weave_conf_t *conf, weave_key_e key)
{
    return conf->settings[key].value.str;
}

const apr_array_header_t *weave_conf_list(const weave_conf_t *conf,
                                          weave_key_e key)
{
    return conf->settings[key].value.list;
}

const apr_table_t *weave_conf_environ(const weave_conf_t *conf)
{
    return conf->environ;
}

const apr_table_t *weave_conf_env(const weave_conf_t *conf)
{
    return conf->env;
}

static int lists_same(const apr_array_header_t *one,
                      const apr_array_header_t *other)
{
    int i, same = one->nelts == other->nelts;

    for (i = 0; same && i < one->nelts; i++) {
        same = !strcmp(APR_ARRAY_IDX(one, i, const char *),
                       APR_ARRAY_IDX(other, i, const char *));
    }
    return same;
}

/* Returns 1 when both tables have the same rows. Each name is in a table once,
 * so it is enough to count the rows that both have. */
static int members_same(const apr_table_t *one, const apr_table_t *other)
{
    const apr_array_header_t *rows = apr_table_elts(one);
    int i, found = 0;

    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);
        const char *its = weave_conf_member(other, row->key);

        found += its && !strcmp(row->val, its);
    }
    return found == rows->nelts && found == apr_table_elts(other)->nelts;
}

int weave_conf_is_same(const weave_conf_t *one, const weave_conf_t *other,
                       weave_key_e key)
{
    const weave_key_value_t *a = &one->settings[key].value;
    const weave_key_value_t *b = &other->settings[key].value;

    if (key == WEAVE_WSGI_ENVIRON)
        return members_same(one->environ, other->environ);
    if (key == WEAVE_WORKERS_ENV)
        return members_same(one->env, other->env);
    return a->num == b->num && !strcmp(a->str, b->str) &&
           (!a->list || lists_same(a->list, b->list));
}

const char *weave_conf_source(const weave_conf_t *conf, weave_key_e key,
                              apr_pool_t *pool)
{
    const conf_setting_t *setting = &conf->settings[key];

    if (key == WEAVE_MAINTENANCE_RETRY_AFTER && !setting->source.file)
        setting = &conf->retry_after;
    return setting->source.file
               ? apr_psprintf(pool, "%s:%d", setting->source.file,
                              setting->source.line)
               : "default";
}

apr_int64_t weave_conf_hash(const weave_conf_t *conf)
{
    return conf->hash;
}

apr_int64_t weave_conf_stamp(const weave_conf_t *conf)
{
    apr_uint64_t stamp = 0;
    int i;

    for (i = 0; i < conf->files->nelts; i++) {
        const weave_ini_file_t *file =
            &APR_ARRAY_IDX(conf->files, i, weave_ini_file_t);

        stamp = (stamp ^ weave_file_stamp(&file->status)) *
                APR_UINT64_C(1099511628211);
    }
    return conf->files->nelts ? (apr_int64_t)(stamp >> 1 | 1) : 0;
}

const apr_array_header_t *weave_conf_files(const weave_conf_t *conf)
{
    return conf->files;
}

const char *weave_conf_heartbeat(const weave_conf_t *conf)
{
    return conf->heartbeat;
}
