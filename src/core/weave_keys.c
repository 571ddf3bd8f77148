/* SPDX-License-Identifier: Apache-2.0 */
/* weave_keys.c: the table of the keys, and the search in it */
#include "weave_keys.h"

#include <apr_cstr.h>
#include <apr_lib.h>

#include <string.h>

#define MAX_NAME_BYTES 64

static const weave_key_t keys[] = {
#define WEAVE_KEY(id, section, name, type, unit, fallback, shown, least,       \
                  greatest, choices, level, embedded, help)                    \
    {WEAVE_##id,                                                               \
     section "." name,                                                         \
     section,                                                                  \
     name,                                                                     \
     WEAVE_TYPE_##type,                                                        \
     unit,                                                                     \
     fallback,                                                                 \
     shown,                                                                    \
     least,                                                                    \
     greatest,                                                                 \
     choices,                                                                  \
     WEAVE_LEVEL_##level,                                                      \
     embedded,                                                                 \
     help},
#include "weave_keys.def"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const weave_key_t *weave_key_get(weave_key_e key)
{
    return &keys[key];
}

int weave_key_is_named(const weave_key_t *key, const char *name)
{
    return key->type == WEAVE_TYPE_PREFIX
               ? !apr_cstr_casecmpn(name, key->name, strlen(key->name))
               : !apr_cstr_casecmp(name, key->name);
}

const weave_key_t *weave_key_find(const char *name, const char **member)
{
    apr_size_t i;

    if (member)
        *member = NULL;
    for (i = 0; i < COUNT(keys); i++) {
        apr_size_t bytes = strlen(keys[i].full);
        int is_family = keys[i].type == WEAVE_TYPE_PREFIX;

        if (apr_cstr_casecmpn(name, keys[i].full, bytes) != 0 ||
            is_family == !name[bytes])
            continue;
        if (member && is_family)
            *member = name + bytes;
        return &keys[i];
    }
    return NULL;
}

/* Returns why MEMBER is no environ key that a file may set, or NULL: the server
 * (PEP 3333, "environ Variables") or the module sets it. A trailing dot or
 * underscore in the list stands for all names that begin so. */
static const char *environ_member_check(const char *member)
{
    static const char *const taken[] = {
        "REQUEST_METHOD",  "SCRIPT_NAME",    "PATH_INFO",   "QUERY_STRING",
        "CONTENT_TYPE",    "CONTENT_LENGTH", "SERVER_NAME", "SERVER_PORT",
        "SERVER_PROTOCOL", "HTTP_",          "wsgi.",       "weave."};
    apr_size_t i;

    for (i = 0; i < COUNT(taken); i++) {
        apr_size_t bytes = strlen(taken[i]);
        int family = strchr("._", taken[i][bytes - 1]) != NULL;

        if (family ? !strncmp(member, taken[i], bytes)
                   : !strcmp(member, taken[i]))
            return "is set by the server, for each request";
    }
    return NULL;
}

const char *weave_key_member_check(const weave_key_t *key, const char *member)
{
    const char *p = member;
    int dotted = key->key == WEAVE_WSGI_ENVIRON;

    while (apr_isalnum(*p) || *p == '_' || (dotted && (*p == '.' || *p == '-')))
        p++;
    if (*p || !*member || apr_isdigit(*member)) {
        return dotted ? "is no name: letters, digits and _ . - are allowed"
                      : "is no name: letters, digits and _ are allowed";
    }
    if (dotted)
        return environ_member_check(member);
    return strcmp(member, "WEAVE_INI") ? NULL : "is set by the module itself";
}

int weave_key_section_is(const char *section)
{
    apr_size_t i;

    for (i = 0; i < COUNT(keys); i++)
        if (!strcmp(section, keys[i].section))
            return 1;
    return 0;
}

static int int_least(int a, int b)
{
    return a < b ? a : b;
}

/* Returns the edit distance with swaps (optimal string alignment), in any case
 * of ASCII. A name that is longer than all ours is far from each of them. */
static int name_distance(const char *a, const char *b)
{
    int rows[3][MAX_NAME_BYTES + 1];
    int a_bytes = (int)strlen(a), b_bytes = (int)strlen(b), i, j;

    if (a_bytes > MAX_NAME_BYTES || b_bytes > MAX_NAME_BYTES)
        return MAX_NAME_BYTES;
    for (j = 0; j <= b_bytes; j++)
        rows[0][j] = j;
    for (i = 1; i <= a_bytes; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3];

        row[0] = i;
        for (j = 1; j <= b_bytes; j++) {
            int x = apr_tolower(a[i - 1]), y = apr_tolower(b[j - 1]);

            row[j] = int_least(int_least(row[j - 1], above[j]) + 1,
                               above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == apr_tolower(b[j - 2]) &&
                y == apr_tolower(a[i - 2]))
                row[j] = int_least(row[j], rows[(i + 1) % 3][j - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

/* Returns how many typing errors a name of that length may have. */
static int name_tolerance(const char *name)
{
    apr_size_t bytes = strlen(name);

    return bytes < 5 ? 1 : bytes < 10 ? 2 : 3;
}

const char *weave_key_section_nearest(const char *section)
{
    const char *nearest = NULL;
    int least = MAX_NAME_BYTES;
    apr_size_t i;

    if (weave_key_section_is(section))
        return NULL;
    for (i = 0; i < COUNT(keys); i++) {
        const char *one = keys[i].section;
        int far = name_distance(section, one);

        if (far < least && far <= int_least(2, name_tolerance(one))) {
            least = far;
            nearest = one;
        }
    }
    return nearest;
}

const weave_key_t *weave_key_nearest(const char *name)
{
    const char *dot = strchr(name, '.'), *last = dot ? dot + 1 : name;
    const weave_key_t *nearest = NULL;
    int least = MAX_NAME_BYTES;
    apr_size_t i;

    for (i = 0; i < COUNT(keys); i++)
        if (weave_key_is_named(&keys[i], last))
            return &keys[i];
    for (i = 0; i < COUNT(keys); i++) {
        int same =
            dot && !apr_cstr_casecmpn(name, keys[i].full, dot - name + 1);
        int far = name_distance(last, keys[i].name);

        /* a key of the same section wins against one that is as similar */
        if (far <= name_tolerance(keys[i].name) && 2 * far - same < least) {
            least = 2 * far - same;
            nearest = &keys[i];
        }
    }
    return nearest;
}
