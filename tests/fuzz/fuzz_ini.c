/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a sync.ini: reading, asking for what was read, and every entry
 * as a key of the module. With -DFUZZ_REPLAY a program that reads the files
 * (and the files of the folders) that are named, for compilers without
 * libFuzzer and for `make check`.
 */

#include <apr_general.h>
#include <apr_strings.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weave_ini.h"
#include "weave_keys.h"
#include "weave_utf8.h"

static apr_pool_t *root;

static void check_text(const char *text)
{
    assert(text && weave_utf8_is_text(text, text + strlen(text)));
}

static const apr_array_header_t *items_of(const weave_ini_value_t *value,
                                          apr_pool_t *pool)
{
    apr_array_header_t *items = apr_array_make(pool, 1, sizeof(char *));
    int i;

    if (value->type != WEAVE_INI_LIST) {
        APR_ARRAY_PUSH(items, const char *) = value->text;
        return items;
    }
    assert(value->items->nelts > 1);
    for (i = 0; i < value->items->nelts; i++) {
        APR_ARRAY_PUSH(items, const char *) =
            APR_ARRAY_IDX(value->items, i, weave_ini_value_t).text;
    }
    return items;
}

static void check_value(const weave_ini_entry_t *entry, const weave_key_t *key,
                        apr_pool_t *pool)
{
    const apr_array_header_t *items = items_of(&entry->value, pool);
    weave_key_value_t value;
    const char *wrong;
    int i;

    for (i = 0; i < items->nelts; i++) {
        check_text(APR_ARRAY_IDX(items, i, const char *));
    }
    wrong = weave_key_parse(&value, key, items, pool);
    if (wrong) {
        check_text(wrong);
        return;
    }
    assert(value.str);
    if (key->max) {
        assert(value.num >= key->min && value.num <= key->max);
    }
}

static void check_entry(const weave_ini_t *ini, const weave_ini_entry_t *entry,
                        apr_pool_t *pool)
{
    const char *member = NULL;
    const char *name = apr_pstrcat(pool, entry->section, ".", entry->key, NULL);
    const weave_key_t *key = weave_key_find(name, &member);

    check_text(entry->section);
    check_text(entry->key);
    check_text(entry->raw);
    assert(entry->line >= 1 && entry->line <= WEAVE_INI_MAX_LINES);
    assert(!strcmp(weave_ini_key_fold(entry->key, pool), entry->key));
    assert(weave_ini_get(ini, entry->section, entry->key) == entry);
    if (!key) {
        key = weave_key_nearest(name);
        weave_key_section_nearest(entry->section);
    }
    else if (member) {
        weave_key_member_check(key, member);
    }
    if (key) {
        check_value(entry, key, pool);
    }
}

static void check_section(const weave_ini_t *ini, const char *name,
                          apr_pool_t *pool)
{
    const apr_array_header_t *entries = weave_ini_entries(ini, name);
    int i;

    assert(entries);
    for (i = 0; i < entries->nelts; i++) {
        check_entry(ini, APR_ARRAY_IDX(entries, i, weave_ini_entry_t *), pool);
    }
}

static void check_problems(const apr_array_header_t *problems,
                           apr_status_t status, apr_pool_t *pool)
{
    int i;

    assert(!status == !weave_problems_count(problems, WEAVE_PROBLEM_ERROR));
    for (i = 0; i < problems->nelts; i++) {
        const char *p = weave_problem_text(
            APR_ARRAY_IDX(problems, i, weave_problem_t *), pool);

        check_text(p);
        for (; *p; p++) {
            assert((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&root, NULL);
    setenv("SET", "a ${SET} %(here)s", 1);
    setenv("BAD", "\xff", 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes)
{
    apr_pool_t *pool;
    apr_array_header_t *problems;
    const apr_array_header_t *names;
    weave_ini_t *ini = NULL;
    apr_status_t status;
    int i;

    apr_pool_create(&pool, root);
    problems = weave_problems_make(pool);
    status = weave_ini_parse(&ini, (const char *)data, data_bytes,
                             "/folder/sync.ini", problems, pool);
    assert(ini);
    check_problems(problems, status, pool);
    check_section(ini, WEAVE_INI_DEFAULT, pool);
    names = weave_ini_sections(ini);
    for (i = 0; i < names->nelts; i++) {
        check_section(ini, APR_ARRAY_IDX(names, i, const char *), pool);
    }
    apr_pool_destroy(pool);
    return 0;
}

#ifdef FUZZ_REPLAY
#include "replay.h"
#endif
