/* SPDX-License-Identifier: Apache-2.0 */
/* weave_key_value.c: checks and converts the text of values by their type */
#include "weave_keys.h"
#include "weave_utf8.h"

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_network_io.h>
#include <apr_strings.h>

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#define MAX_DEFAULT_PROCESSES 4

typedef struct unit_t {
    const char *name;
    apr_int64_t factor;
} unit_t;

/* Messages use the first unit of a factor. */
static const unit_t duration_units[] = {{"d", APR_INT64_C(86400000000)},
                                        {"h", APR_INT64_C(3600000000)},
                                        {"min", 60000000},
                                        {"m", 60000000},
                                        {"s", 1000000},
                                        {"", 1000000},
                                        {"ms", 1000},
                                        {"us", 1},
                                        {NULL, 0}};

static const unit_t size_units[] = {
    {"GiB", 1 << 30}, {"G", 1 << 30},   {"MiB", 1 << 20},
    {"M", 1 << 20},   {"KiB", 1 << 10}, {"K", 1 << 10},
    {"B", 1},         {"", 1},          {NULL, 0}};

static const unit_t percent_units[] = {{"%", 1}, {"", 1}, {NULL, 0}};

static const unit_t no_units[] = {{"", 1}, {NULL, 0}};

/* --- numbers ------------------------------------------------------------ */

/* Parses digits in BASE, spaces and a unit. Returns 1 and sets *num, or 0. */
static int number_parse(apr_int64_t *num, const char *text, int base,
                        const unit_t *units)
{
    const char *digits = base == 8 ? "01234567" : "0123456789";
    apr_size_t bytes = strspn(text, digits);

    if (bytes == 0 || bytes > 18)
        return 0;
    *num = apr_strtoi64(text, NULL, base);
    text += bytes;
    text += strspn(text, " \t");
    for (; units->name; units++)
        if (!apr_cstr_casecmp(text, units->name))
            return !__builtin_mul_overflow(*num, units->factor, num);
    return 0;
}

static const unit_t *type_units(weave_type_e type)
{
    switch (type) {
    case WEAVE_TYPE_DURATION:
        return duration_units;
    case WEAVE_TYPE_SIZE:
        return size_units;
    case WEAVE_TYPE_PERCENT:
        return percent_units;
    default:
        return no_units;
    }
}

const char *weave_key_number_text(const weave_key_t *key, apr_int64_t num,
                                  apr_pool_t *pool)
{
    const unit_t *unit = type_units(key->type);

    if (key->type == WEAVE_TYPE_OCTAL)
        return apr_psprintf(pool, "%03o", (unsigned)num);
    while (num && unit->factor > 1 && num % unit->factor)
        unit++;
    if (num == 0 || !*unit->name)
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, num);
    return apr_psprintf(pool, "%" APR_INT64_T_FMT " %s", num / unit->factor,
                        unit->name);
}

static int bool_parse(apr_int64_t *num, const char *text)
{
    static const char *const words[] = {"false", "true", "no",
                                        "yes",   "off",  "on"};
    int i;

    for (i = 0; i < 6; i++) {
        if (!apr_cstr_casecmp(text, words[i])) {
            *num = i % 2;
            return 1;
        }
    }
    return 0;
}

static int choice_parse(weave_key_value_t *value, const weave_key_t *key,
                        const char *text, apr_pool_t *pool)
{
    char *state, *words = apr_pstrdup(pool, key->choices), *word;
    int i = 0;

    for (word = apr_strtok(words, "|", &state); word;
         word = apr_strtok(NULL, "|", &state), i++) {
        if (!apr_cstr_casecmp(text, word)) {
            value->num = i;
            value->str = word;
            return 1;
        }
    }
    return 0;
}

/* --- strings ------------------------------------------------------------ */

/* Returns 1 for a text without control characters: strings go into headers,
 * paths and logs. */
static int is_line(const char *text)
{
    while (*text && !apr_iscntrl(*text))
        text++;
    return !*text;
}

/* Returns 1 for names with dots between them. Python's identifiers may have
 * letters of any script. */
static int is_dotted(const char *text)
{
    do {
        if (!*text || *text == '.' || apr_isdigit(*text))
            return 0;
        while (apr_isalnum(*text) || *text == '_' || *text & 0x80)
            text++;
    } while (*text == '.' && text++);
    return !*text;
}

static int is_target(const char *text)
{
    if (*text != '/')
        return 0;
    while (apr_isgraph(*text))
        text++;
    return !*text;
}

/* Splits a network into address and mask (NULL: none). APR is not enough: it
 * accepts 10.1, and no length of 0. */
static int net_split(char **address, char **mask, const char *text,
                     apr_pool_t *pool)
{
    unsigned char bytes[16];

    *address = apr_pstrdup(pool, text);
    *mask = strchr(*address, '/');
    if (*mask)
        *(*mask)++ = '\0';
    return inet_pton(strchr(*address, ':') ? AF_INET6 : AF_INET, *address,
                     bytes) == 1;
}

static int is_net(const char *text, apr_pool_t *pool)
{
    char *address, *mask;
    apr_ipsubnet_t *net;

    return net_split(&address, &mask, text, pool) &&
           ((mask && !strcmp(mask, "0")) ||
            apr_ipsubnet_create(&net, address, mask, pool) == APR_SUCCESS);
}

int weave_net_contains(const char *text, apr_sockaddr_t *client,
                       apr_pool_t *pool)
{
    char *address, *mask;
    apr_ipsubnet_t *net;

    if (!net_split(&address, &mask, text, pool))
        return 0;
    if (mask && !strcmp(mask, "0"))
        return !strchr(address, ':') ==
               (client->family == AF_INET ||
                IN6_IS_ADDR_V4MAPPED(&client->sa.sin6.sin6_addr));
    return apr_ipsubnet_create(&net, address, mask, pool) == APR_SUCCESS &&
           apr_ipsubnet_test(net, client);
}

static int is_string_allowed(const weave_key_t *key, const char *text)
{
    if (!*text)
        return !*key->fallback || key->type != WEAVE_TYPE_DOTTED;
    if (key->type == WEAVE_TYPE_DOTTED)
        return is_dotted(text);
    if (key->type == WEAVE_TYPE_SENTENCE)
        return weave_utf8_is_sentence(text);
    return key->type == WEAVE_TYPE_TARGET ? is_target(text) : is_line(text);
}

/* --- one value ---------------------------------------------------------- */

static int scalar_parse(weave_key_value_t *value, const weave_key_t *key,
                        const char *text, apr_pool_t *pool)
{
    switch (key->type) {
    case WEAVE_TYPE_BOOL:
        return bool_parse(&value->num, text);
    case WEAVE_TYPE_CHOICE:
        return choice_parse(value, key, text, pool);
    case WEAVE_TYPE_INT:
    case WEAVE_TYPE_OCTAL:
    case WEAVE_TYPE_DURATION:
    case WEAVE_TYPE_SIZE:
    case WEAVE_TYPE_PERCENT:
        return number_parse(&value->num, text,
                            key->type == WEAVE_TYPE_OCTAL ? 8 : 10,
                            type_units(key->type)) &&
               value->num >= key->min && value->num <= key->max;
    default:
        value->str = apr_pstrdup(pool, text);
        return is_string_allowed(key, text);
    }
}

static int is_variable(const char *text)
{
    return !strcmp(text, "*") ||
           !weave_key_member_check(weave_key_get(WEAVE_WORKERS_ENV), text);
}

/* Adds the values in a line to a list. Returns 1; or 0, and *text is the one
 * that is not allowed. */
static int item_parse(weave_key_value_t *value, const weave_key_t *key,
                      const char **text, apr_pool_t *pool)
{
    char *state, *rest = apr_pstrdup(pool, *text), *word;

    if (key->type == WEAVE_TYPE_PATHS) {
        if (**text)
            APR_ARRAY_PUSH(value->list, const char *) = rest;
        return is_line(*text);
    }
    for (word = apr_strtok(rest, " \t,", &state); word;
         word = apr_strtok(NULL, " \t,", &state)) {
        if (key->type == WEAVE_TYPE_NETS ? !is_net(word, pool)
                                         : !is_variable(word)) {
            *text = word;
            return 0;
        }
        APR_ARRAY_PUSH(value->list, const char *) = word;
    }
    return 1;
}

/* Returns 1 when messages may quote a value: free text may be or contain a
 * secret, and messages go into logs. */
static int is_quotable(weave_type_e type)
{
    return type == WEAVE_TYPE_DOTTED || type == WEAVE_TYPE_SENTENCE ||
           (type >= WEAVE_TYPE_INT && type <= WEAVE_TYPE_CHOICE) ||
           type == WEAVE_TYPE_NETS;
}

static int is_list(weave_type_e type)
{
    return type == WEAVE_TYPE_PATHS || type == WEAVE_TYPE_NETS ||
           type == WEAVE_TYPE_NAMES;
}

const char *weave_key_parse(weave_key_value_t *value, const weave_key_t *key,
                            const apr_array_header_t *items, apr_pool_t *pool)
{
    weave_key_value_t parsed = {.num = -1, .str = ""};
    int i, ok = 1;

    if (is_list(key->type)) {
        parsed.list = apr_array_make(pool, items->nelts, sizeof(const char *));
    }
    else if (items->nelts > 1) {
        return apr_psprintf(pool, "takes one value, not a list: %s",
                            weave_key_allowed(key, pool));
    }
    for (i = 0; ok && i < items->nelts; i++) {
        const char *text = APR_ARRAY_IDX(items, i, const char *);

        ok = is_list(key->type) ? item_parse(&parsed, key, &text, pool)
                                : scalar_parse(&parsed, key, text, pool);
        if (!ok) {
            return is_quotable(key->type)
                       ? apr_psprintf(pool, "'%s' is not allowed here: %s",
                                      text, weave_key_allowed(key, pool))
                       : apr_pstrcat(pool, "has a value that is not allowed: ",
                                     weave_key_allowed(key, pool), NULL);
        }
    }
    *value = parsed;
    return NULL;
}

static apr_int64_t default_processes(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1                       ? 1
           : cores > MAX_DEFAULT_PROCESSES ? MAX_DEFAULT_PROCESSES
                                           : cores;
}

void weave_key_default(weave_key_value_t *value, const weave_key_t *key,
                       apr_pool_t *pool)
{
    value->num = -1;
    value->str = "";
    value->list = is_list(key->type)
                      ? apr_array_make(pool, 1, sizeof(const char *))
                      : NULL;
    if (*key->fallback)
        scalar_parse(value, key, key->fallback, pool);
    else if (key->key == WEAVE_WORKERS_PROCESSES)
        value->num = default_processes();
}

/* --- descriptions ------------------------------------------------------- */

static const char *range_text(const weave_key_t *key, const char *what,
                              const char *examples, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s from %s to %s%s", what,
                        weave_key_number_text(key, key->min, pool),
                        weave_key_number_text(key, key->max, pool), examples);
}

static const char *choices_text(const weave_key_t *key, apr_pool_t *pool)
{
    const char *p = key->choices, *bar;
    const char *text = "one of ";

    for (; (bar = strchr(p, '|')); p = bar + 1)
        text = apr_psprintf(pool, "%s%.*s, ", text, (int)(bar - p), p);
    return apr_pstrcat(pool, text, p, NULL);
}

const char *weave_key_allowed(const weave_key_t *key, apr_pool_t *pool)
{
    switch (key->type) {
    case WEAVE_TYPE_DOTTED:
        return key == weave_key_get(WEAVE_WSGI_MODULE)
                   ? "a Python name, with dots between its parts; what others"
                     " write behind a colon is wsgi.callable"
                   : "a Python name, with dots between its parts";
    case WEAVE_TYPE_TARGET:
        return "a path as in a URL, beginning with /";
    case WEAVE_TYPE_SENTENCE:
        return "UTF-8 on one line, without control characters";
    case WEAVE_TYPE_PATH:
        return "a path, on one line";
    case WEAVE_TYPE_INT:
        return range_text(key, "a whole number", "", pool);
    case WEAVE_TYPE_OCTAL:
        return range_text(key, "an octal number", "", pool);
    case WEAVE_TYPE_BOOL:
        return "true or false";
    case WEAVE_TYPE_DURATION:
        return range_text(key, "a duration", ", such as 60, 60 s or 5 min",
                          pool);
    case WEAVE_TYPE_SIZE:
        return range_text(key, "a size", ", such as 262144, 256 KiB or 1 MiB",
                          pool);
    case WEAVE_TYPE_PERCENT:
        return range_text(key, "a percentage", "", pool);
    case WEAVE_TYPE_CHOICE:
        return choices_text(key, pool);
    case WEAVE_TYPE_PATHS:
        return "paths, one a line";
    case WEAVE_TYPE_NETS:
        return "addresses and networks, such as 192.0.2.7 or 2001:db8::/32";
    case WEAVE_TYPE_NAMES:
        return "names of environment variables, or *; WEAVE_INI is not one";
    default:
        return "a string, on one line";
    }
}
