/* SPDX-License-Identifier: Apache-2.0 */
/* weave_reason.c: what an application says has gone wrong */
#include "weave_reason.h"

#include <string.h>

#include <apr_strings.h>

#include "weave_keys.h"

#define REASON_BYTES 1000 /* a longer text is cut */
#define SECRET_LEAST 4    /* a shorter value stands in any text by chance */
#define HIDDEN "***"

/* Returns how much of SECRET, whose rest was cut off, ends TEXT. */
static size_t secret_cut(const char *text, const char *secret, size_t len)
{
    size_t all = strlen(text), most = len < all ? len : all;

    while (most >= SECRET_LEAST &&
           strncmp(text + all - most, secret, most) != 0)
        most--;
    return most < SECRET_LEAST ? 0 : most;
}

/* Returns TEXT with HIDDEN in place of SECRET, LEN bytes. */
static const char *secret_hide(const char *text, const char *secret, size_t len,
                               apr_pool_t *pool)
{
    const char *found;

    if (len < SECRET_LEAST)
        return text;
    secret = apr_pstrmemdup(pool, secret, len);
    found = strstr(text, secret);
    if (!found && strlen(text) >= REASON_BYTES) {
        len = secret_cut(text, secret, len);
        found = len ? text + strlen(text) - len : NULL;
    }
    if (!found)
        return text;
    return apr_pstrcat(pool, apr_pstrmemdup(pool, text, (size_t)(found - text)),
                       HIDDEN, secret_hide(found + len, secret, len, pool),
                       NULL);
}

/* Hides TEXT's occurrences of VALUE, and of the password in it where it is a
 * URL. */
static const char *value_hide(const char *text, const char *value,
                              apr_pool_t *pool)
{
    const char *host = strstr(value, "://");
    const char *at = host ? strrchr(host, '@') : NULL;
    const char *colon = at ? memchr(host + 3, ':', (size_t)(at - host - 3)) : 0;

    text = secret_hide(text, value, strlen(value), pool);
    return colon ? secret_hide(text, colon + 1, (size_t)(at - colon - 1), pool)
                 : text;
}

static const char *ini_value_hide(const char *text,
                                  const weave_ini_value_t *value,
                                  apr_pool_t *pool)
{
    int i;

    if (value->type == WEAVE_INI_STRING)
        return value_hide(text, value->text, pool);
    for (i = 0; value->type == WEAVE_INI_LIST && i < value->items->nelts; i++)
        text = ini_value_hide(
            text, &APR_ARRAY_IDX(value->items, i, weave_ini_value_t), pool);
    return text;
}

/* Is the value one of the module's own, such as a path of its? */
static int is_public(const weave_ini_entry_t *entry, apr_pool_t *pool)
{
    const weave_key_t *key = weave_key_find(
        apr_pstrcat(pool, entry->section, ".", entry->key, NULL), NULL);

    return key && key->type != WEAVE_TYPE_PREFIX;
}

static const char *section_hide(const char *text, const weave_ini_t *ini,
                                const char *section, apr_pool_t *pool)
{
    const apr_array_header_t *entries = weave_ini_entries(ini, section);
    int i;

    for (i = 0; entries && i < entries->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(entries, i, weave_ini_entry_t *);

        if (!entry->broken && !is_public(entry, pool))
            text = ini_value_hide(text, &entry->value, pool);
    }
    return text;
}

/* Cuts TEXT between two characters. */
static const char *text_cut(const char *text, apr_pool_t *pool)
{
    size_t len = strlen(text);

    if (len <= REASON_BYTES)
        return text;
    len = REASON_BYTES;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return apr_pstrcat(pool, apr_pstrmemdup(pool, text, len), " ...", NULL);
}

const char *weave_reason(const char *text, const weave_ini_t *ini,
                         apr_pool_t *pool)
{
    const apr_array_header_t *sections = weave_ini_sections(ini);
    int i;

    text = section_hide(text, ini, WEAVE_INI_DEFAULT, pool);
    for (i = 0; i < sections->nelts; i++)
        text = section_hide(text, ini, APR_ARRAY_IDX(sections, i, const char *),
                            pool);
    return text_cut(text, pool);
}
