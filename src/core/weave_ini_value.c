/* SPDX-License-Identifier: Apache-2.0 */
/* weave_ini_value.c: interprets the raw text of a value */
#include "weave_ini_private.h"

#include <apr_cstr.h>
#include <apr_env.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weave_utf8.h"

#define HERE "%(here)s"

/* A file may name a large environment variable many times. */
#define MAX_EXPANDED_BYTES (8 * WEAVE_INI_MAX_BYTES)

typedef struct value_t {
    weave_ini_t *ini;
    weave_ini_entry_t *entry;
    apr_array_header_t *pieces; /* of const char * */
} value_t;

static void value_problem_add(value_t *v, weave_problem_kind_e kind,
                              const char *fmt, const char *name)
{
    weave_problem_t *problem = weave_problem_add(
        v->ini->problems, WEAVE_PROBLEM_ERROR, kind, v->entry->file,
        v->entry->line, "%s.%s: %s", v->entry->section, v->entry->key,
        apr_psprintf(v->ini->pool, fmt, name));

    problem->section = v->entry->section;
    problem->name = name;
    v->entry->broken = 1;
}

static void piece_add(value_t *v, const char *text)
{
    v->ini->expanded_bytes += strlen(text);
    APR_ARRAY_PUSH(v->pieces, const char *) = text;
}

static const char *variable_get(value_t *v, const char *name)
{
    weave_problem_kind_e kind = WEAVE_PROBLEM_UNSET;
    const char *wrong = NULL;
    char *text;

    if (apr_env_get(&text, name, v->ini->pool) != APR_SUCCESS) {
        wrong = "the environment variable %s is not set";
    }
    else if (!weave_utf8_is_text(text, text + strlen(text))) {
        kind = WEAVE_PROBLEM_ENCODING;
        wrong = "the environment variable %s is not UTF-8";
    }
    else if (v->ini->expanded_bytes + strlen(text) > MAX_EXPANDED_BYTES) {
        kind = WEAVE_PROBLEM_FILE;
        wrong = "too much text, with the environment variable %s";
    }
    if (!wrong)
        return text;
    value_problem_add(v, kind, wrong, name);
    return "";
}

/* Returns the length of "${NAME}" at P, or 0. */
static apr_size_t variable_match(const char *p)
{
    const char *q = p + 2;

    if (p[0] != '$' || p[1] != '{' || !(apr_isalpha(*q) || *q == '_'))
        return 0;
    while (apr_isalnum(*q) || *q == '_')
        q++;
    return *q == '}' ? (apr_size_t)(q + 1 - p) : 0;
}

/* Returns the text with %(here)s and ${NAME} replaced. */
static const char *value_expand(value_t *v, const char *text)
{
    apr_pool_t *pool = v->ini->pool;
    const char *p = text, *start = text;

    if (!strpbrk(text, "%$"))
        return text;
    v->pieces = apr_array_make(pool, 4, sizeof(const char *));
    while ((p = strpbrk(p, "%$"))) {
        apr_size_t bytes = variable_match(p);
        int here = !bytes && !strncmp(p, HERE, sizeof(HERE) - 1);

        if (here)
            bytes = sizeof(HERE) - 1;
        if (!bytes) {
            p++;
            continue;
        }
        piece_add(v, apr_pstrmemdup(pool, start, p - start));
        piece_add(
            v, here ? v->entry->dir
                    : variable_get(v, apr_pstrmemdup(pool, p + 2, bytes - 3)));
        start = p += bytes;
    }
    piece_add(v, start);
    return apr_array_pstrcat(pool, v->pieces, 0);
}

/* Returns 1 and sets *num when the text is an integer. */
static int integer_match(const char *text, apr_int64_t *num)
{
    const char *p = text + (*text == '-');

    if (!*p || strspn(p, "0123456789") != strlen(p))
        return 0;
    errno = 0;
    *num = apr_strtoi64(text, NULL, 10);
    return errno == 0;
}

static void scalar_make(value_t *v, weave_ini_value_t *value, const char *text)
{
    apr_size_t bytes = strlen(text);

    value->type = WEAVE_INI_STRING;
    if (bytes >= 2 && text[0] == '"' && text[bytes - 1] == '"') {
        value->text = apr_pstrmemdup(v->ini->pool, text + 1, bytes - 2);
        return;
    }
    value->text = value_expand(v, text);
    if (integer_match(value->text, &value->num)) {
        value->type = WEAVE_INI_INT;
    }
    else if (!apr_cstr_casecmp(value->text, "true") ||
             !apr_cstr_casecmp(value->text, "false")) {
        value->type = WEAVE_INI_BOOL;
        value->num = apr_tolower(*value->text) == 't';
    }
}

void ini_value_make(weave_ini_t *ini, weave_ini_entry_t *entry)
{
    value_t v = {.ini = ini, .entry = entry};
    char *rest = apr_pstrdup(ini->pool, entry->raw), *line, *next;
    apr_array_header_t *lines = apr_array_make(ini->pool, 1, sizeof(char *));
    int i;

    for (line = rest; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (*line)
            APR_ARRAY_PUSH(lines, const char *) = line;
    }
    if (lines->nelts < 2) {
        scalar_make(&v, &entry->value,
                    lines->nelts ? APR_ARRAY_IDX(lines, 0, const char *) : "");
        return;
    }
    entry->value.type = WEAVE_INI_LIST;
    entry->value.items =
        apr_array_make(ini->pool, lines->nelts, sizeof(weave_ini_value_t));
    for (i = 0; i < lines->nelts; i++) {
        weave_ini_value_t *item = apr_array_push(entry->value.items);

        memset(item, 0, sizeof(*item));
        scalar_make(&v, item, APR_ARRAY_IDX(lines, i, const char *));
    }
}
