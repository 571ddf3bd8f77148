/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_PACK_H
#define WEAVE_PACK_H

/**
 * Packs numbers and texts as bytes, which a process sends to its parent. Both
 * run the same program, so the bytes need no version.
 */

#include <apr_pools.h>

/** Bytes that grow in `pool`. Initialise all but `pool` with 0. */
typedef struct weave_pack_t {
    apr_pool_t *pool;
    char *data;
    apr_size_t bytes, room;
} weave_pack_t;

/** The bytes that were not read yet. Texts are copied into `pool`. */
typedef struct weave_unpack_t {
    apr_pool_t *pool;
    const char *at;
    apr_size_t left;
    int is_broken; /* 1: bytes were missing; all further results are 0 or NULL
                    */
} weave_unpack_t;

/** Appends a number. */
void weave_pack_int(weave_pack_t *pack, apr_int64_t number);
/** Appends TEXT, which may be NULL. */
void weave_pack_text(weave_pack_t *pack, const char *text);

/** Reads the next number, or 0. */
apr_int64_t weave_unpack_int(weave_unpack_t *unpack);
/** Reads the next text, or NULL. */
const char *weave_unpack_text(weave_unpack_t *unpack);

#endif
