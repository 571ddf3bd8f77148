/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CONF_PRIVATE_H
#define WEAVE_CONF_PRIVATE_H

/** The struct that the files of the configuration share. */

#include "weave_conf.h"

/** Where a value was set. */
typedef struct conf_source_t {
    const char *file; /* NULL: not set */
    const char *dir;  /* relative paths start there; NULL: the ini's */
    int line;
} conf_source_t;

typedef struct conf_setting_t {
    weave_key_value_t value;   /* as getters return it */
    weave_key_value_t written; /* paths as they stand in the file */
    conf_source_t source;
} conf_setting_t;

struct weave_conf_t {
    apr_pool_t *pool;
    const char *path; /* of the ini, absolute; "" */
    const char *dir;  /* the ini's; NULL when there is none */
    const apr_array_header_t *files;
    apr_int64_t hash; /* weave_ini_hash() of them; 0: there are none */
    conf_setting_t settings[WEAVE_KEY_COUNT];
    conf_setting_t retry_after; /* global.retry_after, the application's */
    const char *heartbeat;      /* global.heartbeat_page, its path */
    apr_table_t *environ, *env;
};

/** Sets one key, or the member of a family, to the lines ITEMS. Returns NULL,
 *  or a message to append to the key's name. */
const char *conf_assign(weave_conf_t *conf, const weave_key_t *key,
                        const char *member, const apr_array_header_t *items,
                        const conf_source_t *source);

/** Computes anew the values that depend on several keys: paths and defaults. */
void conf_resolve(weave_conf_t *conf);

#endif
