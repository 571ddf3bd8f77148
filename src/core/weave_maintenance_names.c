/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance_names.c: whose a word is: names of applications */
#include "weave_maintenance_board.h"

#include <string.h>

#include <apr_strings.h>

static int names_have(const char *names, const char *path, size_t len)
{
    const char *end;

    for (; (end = strchr(names, '\n')) != NULL; names = end + 1)
        if ((size_t)(end - names) == len && !memcmp(names, path, len))
            return 1;
    return 0;
}

int weave_names_have(const char *names, const char *path)
{
    return names_have(names, path, strlen(path));
}

int weave_names_share(const char *a, const char *b)
{
    const char *end;

    for (; (end = strchr(a, '\n')) != NULL; a = end + 1)
        if (names_have(b, a, (size_t)(end - a)))
            return 1;
    return 0;
}

static int is_name_of(const char *path, const weave_maintenance_board_t *board,
                      uint32_t place)
{
    return *board->ini[place] && (!strcmp(path, board->ini[place]) ||
                                  weave_names_have(board->names[place], path));
}

static int is_anybodys(const char *path, const weave_maintenance_board_t *board)
{
    uint32_t place;

    for (place = 0; place < WEAVE_ROSTER_APPS; place++)
        if (is_name_of(path, board, place))
            return 1;
    return 0;
}

int weave_maintenance_is_for(const weave_maintenance_entry_t *entry,
                             const weave_maintenance_board_t *board,
                             uint32_t place)
{
    if (!entry->ini)
        return 0;
    return is_name_of(entry->ini, board, place) ||
           (entry->real && is_name_of(entry->real, board, place) &&
            !is_anybodys(entry->ini, board));
}

/* A drain becomes on: none of both may end the other. */
static int is_refusing(const weave_maintenance_t *word)
{
    return word->mode >= WEAVE_MAINTENANCE_DRAINING;
}

/* Of TO and WORD, which are for the same. An end is put off only for one that
 * is as strict; and a drain goes on to where the earlier one is: it may be
 * over, which is on. */
static void word_merge(weave_maintenance_t *to, const weave_maintenance_t *word)
{
    int is_alike =
        word->mode == to->mode || (is_refusing(word) && is_refusing(to));
    const weave_maintenance_t other = *to;

    if (word->mode > to->mode ||
        (word->mode == to->mode && weave_maintenance_is_more(word, to))) {
        *to = *word;
        word = &other;
    }
    if (!is_alike)
        return;
    if (to->until_us && (!word->until_us || word->until_us > to->until_us))
        to->until_us = word->until_us;
    if (!*to->message)
        memcpy(to->message, word->message, sizeof(to->message));
    if (to->mode == WEAVE_MAINTENANCE_DRAINING &&
        word->mode == WEAVE_MAINTENANCE_DRAINING &&
        word->since_us < to->since_us)
        to->since_us = word->since_us;
}

int weave_maintenance_word_of(weave_maintenance_t *word,
                              const apr_array_header_t *entries,
                              const weave_maintenance_board_t *board,
                              uint32_t row, int64_t now_us)
{
    int i, found = 0;

    memset(word, 0, sizeof(*word));
    for (i = 0; i < entries->nelts; i++) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(entries, i, weave_maintenance_entry_t);

        if (row == WEAVE_MAINTENANCE_ALL
                ? entry->ini != NULL
                : !weave_maintenance_is_for(entry, board, row - 1))
            continue;
        if (entry->setting.until_us && entry->setting.until_us <= now_us)
            continue;
        if (found++)
            word_merge(word, &entry->setting);
        else
            *word = entry->setting;
    }
    return found > 0;
}

/* The first of NAMES for what ENTRY says of INI. What it had as a name may be
 * that of another httpd with the same folder; the path itself is replaced. 1:
 * there was none. */
static int name_add(apr_array_header_t *entries,
                    weave_maintenance_entry_t entry, const char *ini,
                    const char *names)
{
    const char *name = apr_pstrmemdup(
        entries->pool, names, (apr_size_t)(strchr(names, '\n') - names));

    if (weave_maintenance_find(entries, name))
        return 0;
    if (!strcmp(entry.ini, ini)) {
        static const weave_maintenance_t off;

        weave_maintenance_set_real(entries, entry.ini, NULL, &off);
    }
    weave_maintenance_set_real(entries, name, apr_pstrdup(entries->pool, ini),
                               &entry.setting);
    return 1;
}

int weave_maintenance_adopt(apr_array_header_t *entries,
                            const weave_maintenance_board_t *board)
{
    int i, adopted = 0, all = entries->nelts;

    /* from the end: what is added or taken out is behind or has been seen */
    for (i = all - 1; i >= 0; i--) {
        const weave_maintenance_entry_t *entry =
            &APR_ARRAY_IDX(entries, i, weave_maintenance_entry_t);
        uint32_t place;

        for (place = 0; place < WEAVE_ROSTER_APPS; place++) {
            const char *names = board->names[place];

            if (!strchr(names, '\n') || !entry->ini ||
                weave_names_have(names, entry->ini) ||
                !weave_maintenance_is_for(entry, board, place))
                continue;
            adopted |= name_add(entries, *entry, board->ini[place], names);
            break;
        }
    }
    return adopted;
}
