/* SPDX-License-Identifier: Apache-2.0 */
/* weave_utf8.c: UTF-8, and white space as Python defines it */
#include "weave_utf8.h"

#include <string.h>

static int is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

int weave_utf8_next(const char *p, const char *end, apr_uint32_t *code)
{
    static const apr_uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *u = (const unsigned char *)p;
    apr_uint32_t value;
    int i, bytes = u[0] < 0x80   ? 1
                   : u[0] < 0xc2 ? 0
                   : u[0] < 0xe0 ? 2
                   : u[0] < 0xf0 ? 3
                   : u[0] < 0xf5 ? 4
                                 : 0;

    if (!bytes || end - p < bytes)
        return 0;
    value = bytes == 1 ? u[0] : u[0] & (0x7f >> bytes);
    for (i = 1; i < bytes; i++) {
        if (!is_tail(u[i]))
            return 0;
        value = value << 6 | (u[i] & 0x3f);
    }
    if (value < least[bytes] || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000))
        return 0;
    if (code)
        *code = value;
    return bytes;
}

int weave_utf8_is_text(const char *p, const char *end)
{
    while (p < end) {
        int bytes = *p ? weave_utf8_next(p, end, NULL) : 0;

        if (!bytes)
            return 0;
        p += bytes;
    }
    return 1;
}

int weave_utf8_is_sentence(const char *text)
{
    const char *end = text + strlen(text);
    apr_uint32_t code;
    int bytes;

    for (; text < end; text += bytes) {
        bytes = weave_utf8_next(text, end, &code);
        if (!bytes || code < 0x20 || (code >= 0x7f && code < 0xa0) ||
            code == 0x2028 || code == 0x2029)
            return 0;
    }
    return 1;
}

apr_size_t weave_utf8_escape(char *to, const char **text, const char *end)
{
    static const char digits[] = "0123456789abcdef";
    apr_uint32_t code = 0;
    int bytes = weave_utf8_next(*text, end, &code);

    if (!bytes || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        unsigned char byte = (unsigned char)*(*text)++;

        to[0] = '\\';
        to[1] = 'x';
        to[2] = digits[byte >> 4];
        to[3] = digits[byte & 0x0f];
        return 4;
    }
    memcpy(to, *text, (size_t)bytes);
    *text += bytes;
    return (apr_size_t)bytes;
}

const char *weave_utf8_escape_text(const char *text, apr_pool_t *pool)
{
    const char *end = text + strlen(text);
    char *shown = apr_palloc(pool, 4 * (apr_size_t)(end - text) + 1);
    char *to = shown;

    while (text < end)
        to += weave_utf8_escape(to, &text, end);
    *to = '\0';
    return shown;
}

apr_size_t weave_utf8_cut(const char *text, apr_size_t most)
{
    apr_size_t len = strlen(text);

    if (len <= most)
        return len;
    while (most && is_tail((unsigned char)text[most]))
        most--;
    return most;
}

/* Returns str.isspace() of one character. */
static int is_space(apr_uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) ||
           code == 0x85 || code == 0xa0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

apr_size_t weave_utf8_lstrip(const char **p, const char *end)
{
    apr_size_t count = 0;

    while (*p < end) {
        apr_uint32_t code;
        int bytes = weave_utf8_next(*p, end, &code);

        if (!bytes || !is_space(code))
            break;
        *p += bytes;
        count++;
    }
    return count;
}

const char *weave_utf8_rstrip(const char *p, const char *end)
{
    while (end > p) {
        const char *last = end - 1;
        apr_uint32_t code;

        while (last > p && is_tail((unsigned char)*last))
            last--;
        if (!weave_utf8_next(last, end, &code) || !is_space(code))
            break;
        end = last;
    }
    return end;
}
