/* SPDX-License-Identifier: Apache-2.0 */
/* weave_frame.c: the frames between httpd and the workers */
#include "weave_frame.h"

#include <string.h>

_Static_assert(sizeof(weave_hello_t) == 40, "part of the wire");
_Static_assert(sizeof(weave_welcome_t) == 16, "part of the wire");
_Static_assert(sizeof(weave_frame_request_t) == 24, "part of the wire");
_Static_assert(sizeof(weave_frame_var_t) == 12, "part of the wire");
_Static_assert(sizeof(weave_frame_head_t) == 24, "part of the wire");
_Static_assert(sizeof(weave_frame_file_t) == 16, "part of the wire");

/* The least and the greatest payload of each type. */
static const struct {
    uint32_t least, most;
} bounds[WEAVE_FRAME_TYPES] = {
    [WEAVE_FRAME_HELLO] = {sizeof(weave_hello_t), sizeof(weave_hello_t)},
    [WEAVE_FRAME_WELCOME] = {sizeof(weave_welcome_t), sizeof(weave_welcome_t)},
    [WEAVE_FRAME_REQUEST] = {sizeof(weave_frame_request_t), WEAVE_FRAME_MAX},
    [WEAVE_FRAME_BODY] = {sizeof(weave_frame_body_t),
                          sizeof(weave_frame_body_t) + WEAVE_FRAME_DATA_MAX},
    [WEAVE_FRAME_CANCEL] = {0, 0},
    [WEAVE_FRAME_CANCELLED] = {0, 0},
    [WEAVE_FRAME_REFUSED] = {0, 0},
    [WEAVE_FRAME_READ] = {sizeof(weave_frame_read_t),
                          sizeof(weave_frame_read_t)},
    [WEAVE_FRAME_HEAD] = {sizeof(weave_frame_head_t), WEAVE_FRAME_MAX},
    [WEAVE_FRAME_DATA] = {0, WEAVE_FRAME_DATA_MAX},
    [WEAVE_FRAME_FILE] = {sizeof(weave_frame_file_t),
                          sizeof(weave_frame_file_t)},
    [WEAVE_FRAME_END] = {sizeof(weave_frame_end_t), sizeof(weave_frame_end_t)},
    [WEAVE_FRAME_LOG] = {sizeof(weave_frame_log_t),
                         sizeof(weave_frame_log_t) + WEAVE_FRAME_LINE_MAX},
};

weave_frame_status_e weave_frame_decode(weave_frame_t *frame, const char *data,
                                        size_t len)
{
    static const uint32_t magic = WEAVE_FRAME_MAGIC;
    weave_frame_t head;
    size_t seen = len < sizeof(magic) ? len : sizeof(magic);

    /* refuse other data at its first bytes, instead of waiting for more */
    if (memcmp(data, &magic, seen) != 0)
        return WEAVE_FRAME_BAD;
    if (len < sizeof(head))
        return WEAVE_FRAME_MORE;
    memcpy(&head, data, sizeof(head));
    if (head.version != WEAVE_FRAME_VERSION)
        return WEAVE_FRAME_OTHER_VERSION;
    if (head.type < WEAVE_FRAME_HELLO || head.type >= WEAVE_FRAME_TYPES ||
        head.bytes < bounds[head.type].least ||
        head.bytes > bounds[head.type].most)
        return WEAVE_FRAME_BAD;
    *frame = head;
    return WEAVE_FRAME_OK;
}

weave_frame_t weave_frame_make(weave_frame_type_e type, int flags, size_t bytes,
                               uint32_t number)
{
    return (weave_frame_t){WEAVE_FRAME_MAGIC, WEAVE_FRAME_VERSION,
                           (uint8_t)type,     (uint8_t)flags,
                           (uint32_t)bytes,   number};
}

size_t weave_frame_var_size(size_t name_len, size_t value_len)
{
    return sizeof(weave_frame_var_t) + (name_len ? name_len + 1 : 0) +
           value_len + 1;
}

char *weave_frame_var_write(char *to, uint32_t key, const char *name,
                            size_t name_len, const char *value,
                            size_t value_len)
{
    weave_frame_var_t var = {key, name_len ? (uint32_t)name_len + 1 : 0,
                             (uint32_t)value_len};

    memcpy(to, &var, sizeof(var));
    to += sizeof(var);
    if (name_len) {
        memcpy(to, name, name_len);
        to += name_len;
        *to++ = '\0';
    }
    memcpy(to, value, value_len);
    to += value_len;
    *to++ = '\0';
    return to;
}

const void *weave_frame_open(weave_frame_cursor_t *cursor, const char *payload,
                             size_t bytes, size_t fixed)
{
    if (bytes < fixed)
        return NULL;
    cursor->at = payload + fixed;
    cursor->end = payload + bytes;
    return payload;
}

/* Returns a text of LEN bytes before its NUL, or NULL. */
static const char *text_next(weave_frame_cursor_t *cursor, size_t len)
{
    const char *text = cursor->at;

    if (len >= (size_t)(cursor->end - text) || text[len] != '\0' ||
        memchr(text, '\0', len))
        return NULL;
    cursor->at = text + len + 1;
    return text;
}

weave_frame_status_e weave_frame_var_next(weave_frame_cursor_t *cursor,
                                          weave_frame_var_t *var,
                                          const char **name, const char **value)
{
    if ((size_t)(cursor->end - cursor->at) < sizeof(*var))
        return WEAVE_FRAME_BAD;
    memcpy(var, cursor->at, sizeof(*var));
    cursor->at += sizeof(*var);
    *name = NULL;
    if (var->name_bytes) {
        *name = text_next(cursor, var->name_bytes - 1);
        if (!*name)
            return WEAVE_FRAME_BAD;
    }
    *value = text_next(cursor, var->value_bytes);
    return *value ? WEAVE_FRAME_OK : WEAVE_FRAME_BAD;
}

const char *weave_frame_string_next(weave_frame_cursor_t *cursor)
{
    const char *text = cursor->at;
    const char *nul =
        text < cursor->end ? memchr(text, '\0', cursor->end - text) : NULL;

    if (nul)
        cursor->at = nul + 1;
    return nul ? text : NULL;
}
