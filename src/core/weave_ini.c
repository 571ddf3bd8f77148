/* SPDX-License-Identifier: Apache-2.0 */
/* weave_ini.c: the sections and entries of an ini file that was read */
#include "weave_ini_private.h"

#include <apr_strings.h>

#include <string.h>

weave_ini_t *ini_make(apr_array_header_t *problems, apr_pool_t *pool)
{
    weave_ini_t *ini = apr_pcalloc(pool, sizeof(*ini));

    ini->pool = pool;
    ini->by_name = apr_hash_make(pool);
    ini->names = apr_array_make(pool, 8, sizeof(const char *));
    ini->all = apr_array_make(pool, 16, sizeof(weave_ini_entry_t *));
    ini->files = apr_array_make(pool, 1, sizeof(weave_ini_file_t));
    ini->problems = problems;
    ini_section_ensure(ini, WEAVE_INI_DEFAULT);
    return ini;
}

ini_section_t *ini_section_ensure(weave_ini_t *ini, const char *name)
{
    ini_section_t *section =
        apr_hash_get(ini->by_name, name, APR_HASH_KEY_STRING);

    if (section)
        return section;
    section = apr_pcalloc(ini->pool, sizeof(*section));
    section->name = apr_pstrdup(ini->pool, name);
    section->by_key = apr_hash_make(ini->pool);
    section->entries =
        apr_array_make(ini->pool, 8, sizeof(weave_ini_entry_t *));
    apr_hash_set(ini->by_name, section->name, APR_HASH_KEY_STRING, section);
    if (strcmp(name, WEAVE_INI_DEFAULT))
        APR_ARRAY_PUSH(ini->names, const char *) = section->name;
    return section;
}

int ini_entry_add(weave_ini_t *ini, weave_ini_entry_t *entry)
{
    ini_section_t *section = ini_section_ensure(ini, entry->section);

    if (apr_hash_get(section->by_key, entry->key, APR_HASH_KEY_STRING))
        return 0;
    apr_hash_set(section->by_key, entry->key, APR_HASH_KEY_STRING, entry);
    APR_ARRAY_PUSH(section->entries, weave_ini_entry_t *) = entry;
    APR_ARRAY_PUSH(ini->all, weave_ini_entry_t *) = entry;
    return 1;
}

const apr_array_header_t *weave_ini_files(const weave_ini_t *ini)
{
    return ini->files;
}

const apr_array_header_t *weave_ini_sections(const weave_ini_t *ini)
{
    return ini->names;
}

const apr_array_header_t *weave_ini_all(const weave_ini_t *ini)
{
    return ini->all;
}

const apr_array_header_t *weave_ini_entries(const weave_ini_t *ini,
                                            const char *section)
{
    const ini_section_t *found =
        apr_hash_get(ini->by_name, section, APR_HASH_KEY_STRING);

    return found ? found->entries : NULL;
}

const weave_ini_entry_t *weave_ini_get(const weave_ini_t *ini,
                                       const char *section, const char *key)
{
    const ini_section_t *found =
        apr_hash_get(ini->by_name, section, APR_HASH_KEY_STRING);
    const weave_ini_entry_t *entry =
        found ? apr_hash_get(found->by_key, key, APR_HASH_KEY_STRING) : NULL;

    if (found && !entry) {
        found =
            apr_hash_get(ini->by_name, WEAVE_INI_DEFAULT, APR_HASH_KEY_STRING);
        entry = apr_hash_get(found->by_key, key, APR_HASH_KEY_STRING);
    }
    return entry;
}

/* Adds a text with its NUL to a hash (FNV-1a). */
static apr_uint64_t text_hash(apr_uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * APR_UINT64_C(1099511628211);
    while (*text++);
    return hash;
}

apr_int64_t weave_ini_hash(const weave_ini_t *ini)
{
    apr_uint64_t hash = APR_UINT64_C(14695981039346656037);
    int i;

    for (i = 0; i < ini->names->nelts; i++)
        hash = text_hash(hash, APR_ARRAY_IDX(ini->names, i, char *));
    for (i = 0; i < ini->all->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(ini->all, i, weave_ini_entry_t *);

        hash = text_hash(text_hash(hash, entry->section), entry->key);
        hash = text_hash(text_hash(hash, entry->raw),
                         entry->dir); /* the value of %(here)s */
    }
    return (apr_int64_t)(hash >> 1 | 1);
}

const char *weave_ini_key_fold(const char *key, apr_pool_t *pool)
{
    static const char *const families[] = {"environ.", "env."};
    char *folded = apr_pstrdup(pool, key), *p;
    apr_size_t i;

    for (p = folded; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        apr_size_t bytes = strlen(families[i]);

        if (!strncmp(folded, families[i], bytes))
            memcpy(folded + bytes, key + bytes, strlen(key + bytes));
    }
    return folded;
}
