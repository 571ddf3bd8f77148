/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance.c: what weavectl has said */
#include "weave_maintenance.h"

#include <string.h>

static const char *const modes[] = {
    [WEAVE_MAINTENANCE_OFF] = "off",
    [WEAVE_MAINTENANCE_BACKOFF] = "backoff",
    [WEAVE_MAINTENANCE_DRAINING] = "drain",
    [WEAVE_MAINTENANCE_ON] = "on",
};
#define MODES (sizeof(modes) / sizeof(*modes))

const char *weave_maintenance_mode_name(uint32_t mode)
{
    return modes[mode < MODES ? mode : WEAVE_MAINTENANCE_ON];
}

int weave_maintenance_mode_find(const char *name)
{
    size_t i;

    for (i = 0; i < MODES; i++)
        if (!strcmp(modes[i], name))
            return (int)i;
    return -1;
}

uint32_t weave_maintenance_mode_at(const weave_maintenance_t *setting,
                                   int64_t now_us, int64_t drain_us)
{
    if (setting->until_us && now_us >= setting->until_us)
        return WEAVE_MAINTENANCE_OFF;
    if (setting->mode == WEAVE_MAINTENANCE_DRAINING &&
        now_us - setting->since_us >= drain_us)
        return WEAVE_MAINTENANCE_ON;
    return setting->mode < MODES ? setting->mode : WEAVE_MAINTENANCE_ON;
}

int64_t weave_maintenance_on_at(const weave_maintenance_t *setting,
                                int64_t drain_us)
{
    int64_t on_us = setting->since_us + drain_us;

    if (setting->mode != WEAVE_MAINTENANCE_DRAINING ||
        (setting->until_us && setting->until_us <= on_us))
        return 0;
    return on_us;
}

int weave_maintenance_is_more(const weave_maintenance_t *a,
                              const weave_maintenance_t *b)
{
    if (!a->retry_after_s != !b->retry_after_s)
        return a->retry_after_s != 0;
    return b->until_us && (!a->until_us || a->until_us > b->until_us);
}

#define ENTRY(entries, i)                                                      \
    (&APR_ARRAY_IDX(entries, i, weave_maintenance_entry_t))

static int is_of(const weave_maintenance_entry_t *entry, const char *ini)
{
    return entry->ini && ini ? !strcmp(entry->ini, ini) : entry->ini == ini;
}

const weave_maintenance_t *weave_maintenance_find(
    const apr_array_header_t *entries, const char *ini)
{
    int i;

    for (i = 0; i < entries->nelts; i++)
        if (is_of(ENTRY(entries, i), ini))
            return &ENTRY(entries, i)->setting;
    return NULL;
}

void weave_maintenance_set(apr_array_header_t *entries, const char *ini,
                           const weave_maintenance_t *setting)
{
    int from, to = 0;
    int is_all_off = setting->mode == WEAVE_MAINTENANCE_OFF && !ini;

    for (from = 0; from < entries->nelts; from++)
        if (!is_all_off && !is_of(ENTRY(entries, from), ini))
            *ENTRY(entries, to++) = *ENTRY(entries, from);
    entries->nelts = to;
    if (setting->mode != WEAVE_MAINTENANCE_OFF)
        APR_ARRAY_PUSH(entries, weave_maintenance_entry_t) =
            (weave_maintenance_entry_t){ini, *setting};
}

void weave_maintenance_expire(apr_array_header_t *entries, int64_t now_us)
{
    int from, to = 0;

    for (from = 0; from < entries->nelts; from++)
        if (weave_maintenance_mode_at(&ENTRY(entries, from)->setting, now_us,
                                      INT64_MAX) != WEAVE_MAINTENANCE_OFF)
            *ENTRY(entries, to++) = *ENTRY(entries, from);
    entries->nelts = to;
}
