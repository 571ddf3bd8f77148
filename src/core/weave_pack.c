/* SPDX-License-Identifier: Apache-2.0 */
/* weave_pack.c: packs numbers and texts as bytes, and unpacks them */
#include "weave_pack.h"

#include <string.h>

#include <apr_strings.h>

#define ROOM_FIRST 4096
#define NONE (-1) /* instead of the length of a text that is NULL */

static void bytes_add(weave_pack_t *pack, const void *data, apr_size_t bytes)
{
    if (pack->room - pack->bytes < bytes) {
        char *grown;

        pack->room = 2 * pack->room + bytes + ROOM_FIRST;
        grown = apr_palloc(pack->pool, pack->room);
        if (pack->bytes)
            memcpy(grown, pack->data, pack->bytes);
        pack->data = grown;
    }
    memcpy(pack->data + pack->bytes, data, bytes);
    pack->bytes += bytes;
}

void weave_pack_int(weave_pack_t *pack, apr_int64_t number)
{
    bytes_add(pack, &number, sizeof(number));
}

void weave_pack_text(weave_pack_t *pack, const char *text)
{
    apr_size_t bytes = text ? strlen(text) : 0;

    weave_pack_int(pack, text ? (apr_int64_t)bytes : NONE);
    if (bytes)
        bytes_add(pack, text, bytes);
}

/* Returns the next bytes; NULL when there are fewer. */
static const char *bytes_take(weave_unpack_t *unpack, apr_size_t bytes)
{
    const char *data = unpack->at;

    if (unpack->is_broken || bytes > unpack->left) {
        unpack->is_broken = 1;
        return NULL;
    }
    unpack->at += bytes;
    unpack->left -= bytes;
    return data;
}

apr_int64_t weave_unpack_int(weave_unpack_t *unpack)
{
    apr_int64_t number = 0;
    const char *data = bytes_take(unpack, sizeof(number));

    if (data)
        memcpy(&number, data, sizeof(number));
    return number;
}

const char *weave_unpack_text(weave_unpack_t *unpack)
{
    apr_int64_t bytes = weave_unpack_int(unpack);
    const char *data = NULL;

    if (bytes >= 0 && !unpack->is_broken)
        data = bytes_take(unpack, (apr_size_t)bytes);
    return data ? apr_pstrmemdup(unpack->pool, data, (apr_size_t)bytes) : NULL;
}
