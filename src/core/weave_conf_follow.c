/* SPDX-License-Identifier: Apache-2.0 */
/* weave_conf_follow.c: the paths of a configuration, with their links followed
 */
#include "weave_conf_private.h"

#include <apr_strings.h>

static const weave_key_e paths[] = {WEAVE_WSGI_PYTHON_PATH, WEAVE_WORKERS_HOME,
                                    WEAVE_WSGI_VIRTUALENV, WEAVE_WSGI_SCRIPT};
#define PATHS (sizeof(paths) / sizeof(*paths))
#define PATHS_ALWAYS 2 /* the others are code */

static void value_follow(weave_key_value_t *value, const weave_link_t *as_if,
                         apr_pool_t *pool)
{
    const apr_array_header_t *from = value->list;
    int i;

    value->str = weave_link_follow(value->str, as_if, pool);
    if (!from)
        return;
    value->list = apr_array_make(pool, from->nelts, sizeof(const char *));
    for (i = 0; i < from->nelts; i++)
        APR_ARRAY_PUSH(value->list, const char *) = weave_link_follow(
            APR_ARRAY_IDX(from, i, const char *), as_if, pool);
}

static void links_collect(apr_array_header_t *links,
                          const weave_key_value_t *value,
                          const weave_link_t *as_if)
{
    int i;

    weave_link_collect(links, value->str, as_if);
    for (i = 0; value->list && i < value->list->nelts; i++)
        weave_link_collect(links, APR_ARRAY_IDX(value->list, i, const char *),
                           as_if);
}

static apr_table_t *members_follow(const apr_table_t *members,
                                   const apr_array_header_t *links,
                                   apr_pool_t *pool)
{
    const apr_array_header_t *rows = apr_table_elts(members);
    apr_table_t *table = apr_table_make(pool, rows->nelts);
    int i;

    for (i = 0; i < rows->nelts; i++) {
        const apr_table_entry_t *row =
            &APR_ARRAY_IDX(rows, i, apr_table_entry_t);

        apr_table_addn(table, row->key,
                       weave_link_replace(links, row->val, pool));
    }
    return table;
}

weave_conf_t *weave_conf_follow(const weave_conf_t *conf,
                                const weave_link_t *as_if, int code,
                                apr_pool_t *pool)
{
    weave_conf_t *copy = apr_pmemdup(pool, conf, sizeof(*conf));
    apr_array_header_t *links = apr_array_make(pool, 4, sizeof(weave_link_t));
    size_t i;

    copy->pool = pool;
    for (i = 0; i < PATHS; i++)
        links_collect(links, &conf->settings[paths[i]].value, as_if);
    for (i = 0; i < (code ? PATHS : PATHS_ALWAYS); i++)
        value_follow(&copy->settings[paths[i]].value, as_if, pool);
    copy->environ = members_follow(conf->environ, links, pool);
    copy->env = members_follow(conf->env, links, pool);
    return copy;
}
