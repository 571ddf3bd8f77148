/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini_dump FILE...: what the ini reader makes of each, one line of JSON each,
 * for ini_differential.t:
 *
 *  {"sections": {NAME: {KEY: {"raw": TEXT, "value": VALUE, "line": N}}},
 *   "problems": [{"kind": WORD, "file": PATH, "line": N, "text": TEXT}]}
 *
 * "sections" is null when FILE could not be read at all.
 */

#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>
#include <jansson.h>

#include "weave_ini.h"

static json_t *scalar_json(const weave_ini_value_t *value)
{
    switch (value->type) {
    case WEAVE_INI_INT:
        return json_integer(value->num);
    case WEAVE_INI_BOOL:
        return json_boolean(value->num);
    default:
        return json_string(value->text);
    }
}

static json_t *value_json(const weave_ini_value_t *value)
{
    json_t *list;
    int i;

    if (value->type != WEAVE_INI_LIST) {
        return scalar_json(value);
    }
    list = json_array();
    for (i = 0; i < value->items->nelts; i++) {
        json_array_append_new(list, scalar_json(&APR_ARRAY_IDX(
                                        value->items, i, weave_ini_value_t)));
    }
    return list;
}

static json_t *section_json(const apr_array_header_t *entries)
{
    json_t *section = json_object();
    int i;

    for (i = 0; i < entries->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(entries, i, weave_ini_entry_t *);

        json_object_set_new(section, entry->key,
                            json_pack("{s:s, s:o, s:i}", "raw", entry->raw,
                                      "value", value_json(&entry->value),
                                      "line", entry->line));
    }
    return section;
}

static json_t *sections_json(const weave_ini_t *ini)
{
    json_t *sections = json_object();
    const apr_array_header_t *names = weave_ini_sections(ini);
    int i;

    json_object_set_new(
        sections, WEAVE_INI_DEFAULT,
        section_json(weave_ini_entries(ini, WEAVE_INI_DEFAULT)));
    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        json_object_set_new(sections, name,
                            section_json(weave_ini_entries(ini, name)));
    }
    return sections;
}

static json_t *problems_json(const apr_array_header_t *problems)
{
    static const char *const kinds[] = {"file",
                                        "encoding",
                                        "parsing",
                                        "missing-section",
                                        "duplicate-section",
                                        "duplicate-option",
                                        "unset",
                                        "extends",
                                        "key",
                                        "value",
                                        "conflict"};
    json_t *list = json_array();
    int i;

    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);

        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:s}", "kind",
                            kinds[problem->kind], "file", problem->file, "line",
                            problem->line, "text", problem->text));
    }
    return list;
}

static void dump(const char *path, apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_ini_t *ini = NULL;
    json_t *json;

    weave_ini_read(&ini, path, problems, pool);
    json = json_pack("{s:o, s:o}", "sections",
                     ini ? sections_json(ini) : json_null(), "problems",
                     problems_json(problems));
    json_dumpf(json, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(json);
}

int main(int argc, const char *const argv[])
{
    apr_pool_t *pool, *each;
    int i;

    apr_app_initialize(&argc, &argv, NULL);
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    apr_pool_create(&each, pool);
    for (i = 1; i < argc; i++) {
        dump(argv[i], each);
        apr_pool_clear(each);
    }
    return 0;
}
