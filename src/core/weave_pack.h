/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_PACK_H
#define WEAVE_PACK_H

/**
 * Numbers and texts as bytes, from a process to one that it was forked from:
 * both have the same program, so there is no version.
 */

#include <apr_pools.h>

/** Bytes that grow in POOL. Zero it, set `pool`. */
typedef struct weave_pack_t {
    apr_pool_t *pool;
    char *data;
    apr_size_t bytes, room;
} weave_pack_t;

/** The part of such bytes that was not read yet. Texts are copied into POOL. */
typedef struct weave_unpack_t {
    apr_pool_t *pool;
    const char *at;
    apr_size_t left;
    int is_broken; /* something was not there; all that follows is 0, NULL */
} weave_unpack_t;

void weave_pack_int(weave_pack_t *pack, apr_int64_t number);
/** TEXT may be NULL. */
void weave_pack_text(weave_pack_t *pack, const char *text);

apr_int64_t weave_unpack_int(weave_unpack_t *unpack);
const char *weave_unpack_text(weave_unpack_t *unpack);

#endif
