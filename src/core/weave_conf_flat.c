/* SPDX-License-Identifier: Apache-2.0 */
/* weave_conf_flat.c: writes a sync.ini, or the module's keys, as one text:
 * `extends`, `%(here)s` and `${NAME}` are resolved, the module's paths are
 * absolute, and values are in quotes where they would be read differently. */

#include <string.h>

#include <apr_strings.h>

#include "weave_conf.h"

typedef struct {
    apr_pool_t *pool;
    apr_array_header_t *parts; /* of const char * */
    const weave_conf_t *conf;
    apr_array_header_t *sources;    /* of the lines so far; or NULL */
    const weave_ini_entry_t *entry; /* the entry of the next line, or NULL */
} flat_t;

static void flat_add(flat_t *flat, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void flat_add(flat_t *flat, const char *format, ...)
{
    const char *text, *end;
    va_list args;

    va_start(args, format);
    text = apr_pvsprintf(flat->pool, format, args);
    va_end(args);
    APR_ARRAY_PUSH(flat->parts, const char *) = text;
    if (!flat->sources)
        return;
    for (end = strchr(text, '\n'); end; end = strchr(end + 1, '\n'))
        APR_ARRAY_PUSH(flat->sources, const weave_ini_entry_t *) = flat->entry;
}

/* Adds a value. A string is in quotes, so that it is taken literally. */
static void flat_value_add(flat_t *flat, const weave_ini_value_t *value)
{
    int i;

    if (value->type != WEAVE_INI_LIST) {
        flat_add(flat, value->type == WEAVE_INI_STRING ? "\"%s\"\n" : "%s\n",
                 value->text);
        return;
    }
    flat_add(flat, "\n");
    for (i = 0; i < value->items->nelts; i++) {
        flat_add(flat, "    ");
        flat_value_add(flat,
                       &APR_ARRAY_IDX(value->items, i, weave_ini_value_t));
    }
}

/* Adds what KEY says in the end: paths are absolute, and all text is taken
 * literally. */
static void flat_key_value_add(flat_t *flat, const weave_key_t *key)
{
    const apr_array_header_t *list = weave_conf_list(flat->conf, key->key);
    apr_int64_t number = weave_conf_int(flat->conf, key->key);
    int i;

    if (list) {
        flat_add(flat, "\n");
        for (i = 0; i < list->nelts; i++)
            flat_add(flat, "    \"%s\"\n",
                     APR_ARRAY_IDX(list, i, const char *));
    }
    else if (key->type == WEAVE_TYPE_BOOL)
        flat_add(flat, "%s\n", number ? "true" : "false");
    else if (number >= 0 && key->type != WEAVE_TYPE_CHOICE)
        flat_add(flat, "%s\n", weave_key_number_text(key, number, flat->pool));
    else
        flat_add(flat, "\"%s\"\n", weave_conf_str(flat->conf, key->key));
}

/* Adds the value of a key that holds paths: made absolute in the folder of the
 * file. Returns 0 for other keys. */
static int flat_path_add(flat_t *flat, const weave_ini_entry_t *entry)
{
    const char *name =
        apr_pstrcat(flat->pool, entry->section, ".", entry->key, NULL);
    const weave_key_t *key = weave_key_find(name, NULL);

    if (!key || (key->type != WEAVE_TYPE_PATH && key->type != WEAVE_TYPE_PATHS))
        return 0;
    flat_key_value_add(flat, key);
    return 1;
}

static void flat_section_add(flat_t *flat, const weave_ini_t *ini,
                             const char *section)
{
    const apr_array_header_t *entries = weave_ini_entries(ini, section);
    int i;

    flat->entry = NULL;
    flat_add(flat, "[%s]\n", section);
    for (i = 0; entries && i < entries->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(entries, i, weave_ini_entry_t *);

        if (!strcmp(entry->section, WEAVE_INI_DEFAULT) &&
            !strcmp(entry->key, "extends"))
            continue;
        flat->entry = entry;
        flat_add(flat, "%s = ", entry->key);
        if (!flat_path_add(flat, entry))
            flat_value_add(flat, &entry->value);
    }
}

const char *weave_conf_flatten(const char *path, const weave_conf_t *file,
                               apr_array_header_t *sources, apr_pool_t *pool)
{
    flat_t flat = {.pool = pool,
                   .parts = apr_array_make(pool, 64, sizeof(char *)),
                   .conf = file,
                   .sources = sources};
    apr_array_header_t *problems = weave_problems_make(pool);
    const apr_array_header_t *sections;
    weave_ini_t *ini;
    int i;

    if (weave_ini_read(&ini, path, problems, pool) != APR_SUCCESS)
        return NULL;
    flat_section_add(&flat, ini, WEAVE_INI_DEFAULT);
    sections = weave_ini_sections(ini);
    for (i = 0; i < sections->nelts; i++)
        flat_section_add(&flat, ini, APR_ARRAY_IDX(sections, i, const char *));
    return apr_array_pstrcat(pool, flat.parts, 0);
}

/* Does nothing where MEMBERS is NULL. */
static void flat_members_add(flat_t *flat, const weave_key_t *key,
                             const apr_table_t *members)
{
    const apr_array_header_t *rows = members ? apr_table_elts(members) : NULL;
    int i;

    for (i = 0; rows && i < rows->nelts; i++)
        flat_add(flat, "%s%s = \"%s\"\n", key->name,
                 APR_ARRAY_IDX(rows, i, apr_table_entry_t).key,
                 APR_ARRAY_IDX(rows, i, apr_table_entry_t).val);
}

static int is_chosen(const weave_key_t *key, weave_conf_part_e part)
{
    int is_number =
        key->type >= WEAVE_TYPE_INT && key->type <= WEAVE_TYPE_CHOICE;

    if (part == WEAVE_CONF_ALL)
        return 1;
    if (key->level == WEAVE_LEVEL_WEAVECTL)
        return 0;
    if (part == WEAVE_CONF_PUBLIC)
        return key->level != WEAVE_LEVEL_PROCESS || is_number;
    /* a change of what httpd alone goes by needs no new process */
    return key->level != WEAVE_LEVEL_REQUEST &&
           strcmp(key->section, "maintenance") != 0;
}

const char *weave_conf_text(const weave_conf_t *conf, weave_conf_part_e part,
                            const apr_table_t *environ, apr_pool_t *pool)
{
    flat_t flat = {.pool = pool,
                   .parts = apr_array_make(pool, 64, sizeof(char *)),
                   .conf = conf};
    const weave_conf_t *defaults = weave_conf_make(pool);
    int is_public = part == WEAVE_CONF_PUBLIC;
    const char *section = "";
    int i;

    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);

        /* the table has all keys of a section together */
        if (strcmp(section, key->section) != 0)
            flat_add(&flat, "[%s]\n", key->section);
        section = key->section;
        if (i == WEAVE_WSGI_ENVIRON)
            flat_members_add(&flat, key, is_public ? NULL : environ);
        else if (i == WEAVE_WORKERS_ENV)
            flat_members_add(&flat, key,
                             is_public ? NULL : weave_conf_env(conf));
        else if (!weave_conf_is_same(conf, defaults, i) &&
                 is_chosen(key, part)) {
            flat_add(&flat, "%s = ", key->name);
            flat_key_value_add(&flat, key);
        }
    }
    if (is_public)
        flat_add(&flat, "[global]\nheartbeat_page = \"%s\"\n",
                 weave_conf_heartbeat(conf));
    return apr_array_pstrcat(pool, flat.parts, 0);
}
