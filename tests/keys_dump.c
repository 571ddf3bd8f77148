/* SPDX-License-Identifier: Apache-2.0 */
/* keys_dump: the key table as JSON, for the documentation in docs/keys. */

#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>
#include <jansson.h>

#include "weave_keys.h"

static const char *type_name(weave_type_e type)
{
    static const char *const names[] = {
        "string",        "dotted name",
        "URL path",      "sentence",
        "path",          "integer",
        "octal",         "boolean",
        "duration",      "size",
        "percent",       "choice",
        "list of paths", "list of addresses",
        "list of names", "string for each name"};

    return names[type];
}

static const char *level_name(weave_level_e level)
{
    static const char *const names[] = {"request", "child", "process",
                                        "weavectl"};

    return names[level];
}

static json_t *key_json(const weave_key_t *key, apr_pool_t *pool)
{
    int family = key->type == WEAVE_TYPE_PREFIX;

    return json_pack("{s:s+, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "name",
                     key->full, family ? "NAME" : "", "section", key->section,
                     "type", type_name(key->type), "unit", key->unit, "default",
                     key->shown ? key->shown : key->fallback, "allowed",
                     weave_key_allowed(key, pool), "level",
                     level_name(key->level), "embedded", key->embedded, "help",
                     key->help);
}

int main(int argc, const char *const argv[])
{
    apr_pool_t *pool;
    json_t *list = json_array();
    int i;

    apr_app_initialize(&argc, &argv, NULL);
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        json_array_append_new(list, key_json(weave_key_get(i), pool));
    }
    json_dumpf(list, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(list);
    return 0;
}
