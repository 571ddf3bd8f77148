/* SPDX-License-Identifier: Apache-2.0 */
/* weave_ini_lines.c: reads the lines as RawConfigParser._read() does */
#include "weave_ini_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#include "weave_utf8.h"

typedef struct lines_t {
    weave_ini_t *ini;
    const ini_source_t *source;
    int line;
    apr_size_t indent; /* of the last key or header: deeper lines continue it */
    int orphaned;      /* 1: text before the first section was reported */
    ini_section_t *section;
    weave_ini_entry_t *entry;  /* takes the lines that continue it, or NULL */
    apr_array_header_t *value; /* the lines of that entry */
} lines_t;

static void line_problem_add(lines_t *ls, weave_problem_kind_e kind,
                             const char *text)
{
    weave_problem_t *problem =
        weave_problem_add(ls->ini->problems, WEAVE_PROBLEM_ERROR, kind,
                          ls->source->file, ls->line, "%s", text);

    problem->section = ls->section ? ls->section->name : NULL;
}

/* Sets the value of the entry: '\n'.join(lines).rstrip(). */
static void value_end(lines_t *ls)
{
    apr_pool_t *pool = ls->ini->pool;

    if (ls->entry) {
        const char *raw = apr_array_pstrcat(pool, ls->value, '\n');

        ls->entry->raw = apr_pstrmemdup(
            pool, raw, weave_utf8_rstrip(raw, raw + strlen(raw)) - raw);
    }
    ls->entry = NULL;
}

static void value_add(lines_t *ls, const char *p, const char *end)
{
    APR_ARRAY_PUSH(ls->value, const char *) =
        apr_pstrmemdup(ls->ini->pool, p, end - p);
}

/* Returns the name in a section's header, up to the last bracket; any text may
 * follow it: re.match(r"\[(?P<header>.+)\]"). NULL: it is no header. */
static const char *header_match(lines_t *ls, const char *p, const char *end)
{
    if (*p != '[')
        return NULL;
    for (end--; end > p + 1; end--)
        if (*end == ']')
            return apr_pstrmemdup(ls->ini->pool, p + 1, end - p - 1);
    return NULL;
}

static void section_begin(lines_t *ls, const char *name)
{
    int known = apr_hash_get(ls->ini->by_name, name, APR_HASH_KEY_STRING) != 0;

    value_end(ls);
    ls->section = ini_section_ensure(ls->ini, name);
    if (known && strcmp(name, WEAVE_INI_DEFAULT)) {
        line_problem_add(
            ls, WEAVE_PROBLEM_DUPLICATE_SECTION,
            apr_psprintf(ls->ini->pool, "section [%s] is there twice", name));
    }
}

/* Returns a new entry. It is no part of its section when that has the key
 * already. */
static weave_ini_entry_t *entry_make(lines_t *ls, const char *key)
{
    weave_ini_entry_t *entry = apr_pcalloc(ls->ini->pool, sizeof(*entry));

    entry->section = ls->section->name;
    entry->key = key;
    entry->file = ls->source->file;
    entry->dir = ls->source->dir;
    entry->line = ls->line;
    if (!ini_entry_add(ls->ini, entry)) {
        line_problem_add(ls, WEAVE_PROBLEM_DUPLICATE_OPTION,
                         apr_psprintf(ls->ini->pool, "'%s' is in [%s] twice",
                                      key, ls->section->name));
    }
    return entry;
}

static void option_begin(lines_t *ls, const char *p, const char *end)
{
    const char *delimiter = p, *name_end, *key;

    while (delimiter < end && *delimiter != '=' && *delimiter != ':')
        delimiter++;
    if (delimiter == end) {
        /* without the text of the line, which may be part of a secret */
        line_problem_add(ls, WEAVE_PROBLEM_PARSING,
                         "neither a [section] nor a 'key = value'");
        return; /* as in Python, the next lines may continue the key before */
    }
    value_end(ls);
    name_end = weave_utf8_rstrip(p, delimiter);
    if (name_end == p)
        line_problem_add(ls, WEAVE_PROBLEM_PARSING, "a value without a key");
    key = weave_ini_key_fold(apr_pstrmemdup(ls->ini->pool, p, name_end - p),
                             ls->ini->pool);
    ls->entry = entry_make(ls, key);
    ls->value = apr_array_make(ls->ini->pool, 1, sizeof(const char *));
    p = delimiter + 1;
    weave_utf8_lstrip(&p, end);
    value_add(ls, p, end);
    if (!*key)
        value_end(ls); /* no line continues it */
}

static void line_read(lines_t *ls, const char *p, const char *end)
{
    const char *header;
    apr_size_t indent = weave_utf8_lstrip(&p, end);

    end = weave_utf8_rstrip(p, end);
    if (p == end) {
        if (ls->entry)
            value_add(ls, p, end);
        return;
    }
    if (*p == '#' || *p == ';')
        return;
    if (ls->entry && indent > ls->indent) {
        value_add(ls, p, end);
        return;
    }
    ls->indent = indent;
    header = header_match(ls, p, end);
    if (header) {
        section_begin(ls, header);
    }
    else if (ls->section) {
        option_begin(ls, p, end);
    }
    else if (!ls->orphaned) {
        ls->orphaned = 1;
        line_problem_add(ls, WEAVE_PROBLEM_MISSING_SECTION,
                         "text before the first [section]");
    }
}

/* Reports bytes that are no text, once for each line, and replaces them by '?',
 * so that the other problems of the file are found too. */
static void line_clean(lines_t *ls, char *p, char *end)
{
    int nul = 0, bad = 0;

    while (p < end) {
        int bytes = *p ? weave_utf8_next(p, end, NULL) : 0;

        if (!bytes) {
            nul |= !*p;
            bad |= *p != '\0';
            *p = '?';
            bytes = 1;
        }
        p += bytes;
    }
    if (nul)
        line_problem_add(ls, WEAVE_PROBLEM_ENCODING, "a NUL byte");
    if (bad)
        line_problem_add(ls, WEAVE_PROBLEM_ENCODING, "not UTF-8");
}

/* Returns the end of the line: \n, \r\n or \r (universal newlines). */
static char *line_end(char *p, char *end)
{
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

void ini_lines_read(weave_ini_t *ini, const ini_source_t *source)
{
    lines_t ls = {.ini = ini, .source = source};
    char *p = source->data, *end = p + source->data_bytes;

    if (end - p >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    while (p < end) {
        char *stop = line_end(p, end);

        if (++ls.line > WEAVE_INI_MAX_LINES) {
            line_problem_add(&ls, WEAVE_PROBLEM_FILE,
                             "too many lines, the rest is not read");
            break;
        }
        line_clean(&ls, p, stop);
        line_read(&ls, p, stop);
        p = stop + (end - stop > 1 && stop[0] == '\r' && stop[1] == '\n');
        p++;
    }
    value_end(&ls);
}
