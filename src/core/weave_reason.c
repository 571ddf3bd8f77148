/* SPDX-License-Identifier: Apache-2.0 */
/* weave_reason.c: hides secrets in the texts of errors */
#include "weave_reason.h"

#include <string.h>

#include <apr_strings.h>

#include "weave_keys.h"
#include "weave_utf8.h"

#define REASON_BYTES 1000 /* a longer text is cut */
#define SECRET_LEAST 4    /* any text may contain a shorter value by chance */
#define HIDDEN "***"

/* A text, and which bytes of it are part of a secret. One secret may be a part
 * of another, so all are marked before any is replaced. */
typedef struct {
    const char *text;
    size_t len;
    char *marks; /* 1: hidden */
    apr_pool_t *pool;
} marked_t;

/* Marks the beginning of SECRET at the end of the text, of which the rest may
 * have been cut off. */
static void secret_end_mark(const marked_t *marked, const char *secret,
                            size_t len)
{
    size_t most = len < marked->len ? len : marked->len;

    while (most >= SECRET_LEAST &&
           memcmp(marked->text + marked->len - most, secret, most) != 0)
        most--;
    if (most >= SECRET_LEAST)
        memset(marked->marks + marked->len - most, 1, most);
}

static void secret_mark(const marked_t *marked, const char *secret, size_t len)
{
    const char *at = marked->text, *end = at + marked->len;

    if (len < SECRET_LEAST)
        return;
    while ((at = memmem(at, (size_t)(end - at), secret, len)) != NULL)
        memset(marked->marks + (at++ - marked->text), 1, len);
    if (marked->len >= REASON_BYTES)
        secret_end_mark(marked, secret, len);
}

/* Marks VALUE, and the password in it where it is a URL. */
static void value_mark(const marked_t *marked, const char *value)
{
    const char *host = strstr(value, "://");
    const char *at = host ? strrchr(host, '@') : NULL;
    const char *colon = at ? memchr(host + 3, ':', (size_t)(at - host - 3)) : 0;

    secret_mark(marked, value, strlen(value));
    if (colon)
        secret_mark(marked, colon + 1, (size_t)(at - colon - 1));
}

/* Returns the text with HIDDEN in place of each run of marked bytes. */
static const char *marked_text(const marked_t *marked)
{
    char *made = apr_palloc(marked->pool, marked->len * strlen(HIDDEN) + 1);
    char *to = made;
    size_t i;

    for (i = 0; i < marked->len; i++)
        if (!marked->marks[i])
            *to++ = marked->text[i];
        else if (i == 0 || !marked->marks[i - 1])
            to = apr_cpystrn(to, HIDDEN, sizeof(HIDDEN));
    *to = '\0';
    return made;
}

static void ini_value_mark(const marked_t *marked,
                           const weave_ini_value_t *value)
{
    int i;

    if (value->type == WEAVE_INI_STRING)
        value_mark(marked, value->text);
    for (i = 0; value->type == WEAVE_INI_LIST && i < value->items->nelts; i++)
        ini_value_mark(marked,
                       &APR_ARRAY_IDX(value->items, i, weave_ini_value_t));
}

/* Returns 1 for a value of the module's own keys, such as a path. */
static int is_own_key(const weave_ini_entry_t *entry, apr_pool_t *pool)
{
    const weave_key_t *key = weave_key_find(
        apr_pstrcat(pool, entry->section, ".", entry->key, NULL), NULL);

    return key && key->type != WEAVE_TYPE_PREFIX;
}

static int variable_mark(void *marked, const char *name, const char *value)
{
    (void)name;
    value_mark(marked, value);
    return 1;
}

const char *weave_reason_mask(const char *text, const weave_ini_t *ini,
                              const apr_table_t *env, apr_pool_t *pool)
{
    const apr_array_header_t *entries = weave_ini_all(ini);
    marked_t marked = {.text = text,
                       .len = strlen(text),
                       .marks = apr_pcalloc(pool, strlen(text) + 1),
                       .pool = pool};
    int i;

    for (i = 0; i < entries->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(entries, i, weave_ini_entry_t *);

        if (!entry->broken && !is_own_key(entry, pool))
            ini_value_mark(&marked, &entry->value);
    }
    if (env)
        apr_table_do(variable_mark, &marked, env, NULL);
    text = marked_text(&marked);
    if (strlen(text) <= REASON_BYTES)
        return text;
    return apr_pstrcat(
        pool, apr_pstrmemdup(pool, text, weave_utf8_cut(text, REASON_BYTES)),
        " ...", NULL);
}
