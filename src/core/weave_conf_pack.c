/* SPDX-License-Identifier: Apache-2.0 */
/* weave_conf_pack.c: packs a configuration, whole or without what may be a
 * secret */

#include "weave_conf_private.h"

static int is_number(weave_type_e type)
{
    return type == WEAVE_TYPE_INT || type == WEAVE_TYPE_OCTAL ||
           type == WEAVE_TYPE_BOOL || type == WEAVE_TYPE_DURATION ||
           type == WEAVE_TYPE_SIZE || type == WEAVE_TYPE_PERCENT ||
           type == WEAVE_TYPE_CHOICE;
}

/* Returns 1 when children may have the value. A family has no value here, only
 * the place where it was set: its members are in a table. */
static int is_public(const weave_key_t *key)
{
    return key->level != WEAVE_LEVEL_PROCESS || is_number(key->type) ||
           key->type == WEAVE_TYPE_PREFIX;
}

static void setting_pack(weave_pack_t *pack, const conf_setting_t *setting,
                         const weave_key_value_t *value)
{
    int i, count = value->list ? value->list->nelts : -1;

    weave_pack_text(pack, setting->file);
    weave_pack_text(pack, setting->dir);
    weave_pack_int(pack, setting->line);
    weave_pack_int(pack, value->num);
    weave_pack_text(pack, value->str);
    weave_pack_int(pack, count);
    for (i = 0; i < count; i++) {
        weave_pack_text(pack, APR_ARRAY_IDX(value->list, i, const char *));
    }
}

static void setting_unpack(conf_setting_t *setting, weave_unpack_t *unpack)
{
    weave_key_value_t *value = &setting->value;
    apr_int64_t count;

    setting->file = weave_unpack_text(unpack);
    setting->dir = weave_unpack_text(unpack);
    setting->line = (int)weave_unpack_int(unpack);
    value->num = weave_unpack_int(unpack);
    value->str = weave_unpack_text(unpack);
    count = weave_unpack_int(unpack);
    value->list = count < 0
                      ? NULL
                      : apr_array_make(unpack->pool, 4, sizeof(const char *));
    for (; count > 0 && !unpack->is_broken; count--) {
        APR_ARRAY_PUSH(value->list, const char *) = weave_unpack_text(unpack);
    }
    setting->written = *value;
}

void weave_table_pack(weave_pack_t *pack, const apr_table_t *table)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    int i;

    weave_pack_int(pack, rows->nelts);
    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        weave_pack_text(pack, row->key);
        weave_pack_text(pack, row->val);
    }
}

apr_table_t *weave_table_unpack(weave_unpack_t *unpack)
{
    apr_table_t *table = apr_table_make(unpack->pool, 4);
    apr_int64_t count = weave_unpack_int(unpack);

    for (; count > 0; count--) {
        const char *name = weave_unpack_text(unpack);
        const char *value = weave_unpack_text(unpack);

        if (!name || !value) {
            break;
        }
        apr_table_addn(table, name, value);
    }
    return table;
}

void weave_conf_pack(weave_pack_t *pack, const weave_conf_t *conf,
                     int everything)
{
    apr_table_t *none = apr_table_make(pack->pool, 1);
    int i;

    weave_pack_text(pack, conf->path);
    weave_pack_text(pack, conf->dir);
    weave_pack_text(pack, conf->heartbeat);
    setting_pack(pack, &conf->retry_after, &conf->retry_after.value);
    weave_table_pack(pack, everything ? conf->environ : none);
    weave_table_pack(pack, everything ? conf->env : none);
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const conf_setting_t *setting = &conf->settings[i];

        if (setting->file && (everything || is_public(weave_key_get(i)))) {
            weave_pack_int(pack, i);
            setting_pack(pack, setting, &setting->written);
        }
    }
    weave_pack_int(pack, WEAVE_KEY_COUNT);
}

weave_conf_t *weave_conf_unpack(weave_unpack_t *unpack)
{
    weave_conf_t *conf = weave_conf_make(unpack->pool);
    apr_int64_t key;

    conf->path = weave_unpack_text(unpack);
    conf->dir = weave_unpack_text(unpack);
    conf->heartbeat = weave_unpack_text(unpack);
    setting_unpack(&conf->retry_after, unpack);
    conf->environ = weave_table_unpack(unpack);
    conf->env = weave_table_unpack(unpack);
    while ((key = weave_unpack_int(unpack)) >= 0 && key < WEAVE_KEY_COUNT &&
           !unpack->is_broken) {
        setting_unpack(&conf->settings[key], unpack);
    }
    if (unpack->is_broken || key != WEAVE_KEY_COUNT) {
        unpack->is_broken = 1;
        return NULL;
    }
    conf_resolve(conf);
    return conf;
}
