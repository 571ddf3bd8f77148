/* SPDX-License-Identifier: Apache-2.0 */
/* weave_verdict.c: what maintenance makes of requests */
#include "weave_verdict.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

/* Stamps are larger. */
#define TROUBLE_GONE 1
#define TROUBLE_OUTDATED 2

void weave_verdict_add(weave_verdict_t *verdict,
                       const weave_maintenance_t *setting, int64_t now_us,
                       int64_t drain_us)
{
    uint32_t mode = weave_maintenance_mode_at(setting, now_us, drain_us);

    if (mode == WEAVE_MAINTENANCE_OFF)
        return;
    if (*setting->message && mode > verdict->message_mode) {
        verdict->message_mode = mode;
        apr_cpystrn(verdict->message, setting->message,
                    sizeof(verdict->message));
    }
    if (mode > verdict->mode ||
        (mode == verdict->mode &&
         weave_maintenance_is_more(setting, &verdict->setting))) {
        verdict->mode = mode;
        verdict->setting = *setting;
    }
}

/* Is what ends at LEN a version of the storage API? LEN: without it. */
static int ends_in_version(const char *path, size_t *len)
{
    static const char *const versions[] = {"/1", "/1.0", "/1.1", "/1.5"};
    size_t i, size;

    for (i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
        size = strlen(versions[i]);
        if (size <= *len && !strncmp(path + *len - size, versions[i], size)) {
            *len -= size;
            return 1;
        }
    }
    return 0;
}

/* Anything may stand in front: applications have prefixes of their own, and
 * mounts may have the version or the user. But below VERSION/USER/storage it is
 * an item of a collection that is named so; below VERSION/storage it is the
 * call of a user of that name. (Users of 1.5 are numbers.) */
int weave_verdict_is_first_call(const char *uri)
{
    static const char call[] = "/info/collections", storage[] = "/storage";
    size_t len = strlen(uri), want = sizeof(call) - 1;
    size_t item = sizeof(storage) - 1;

    while (len && uri[len - 1] == '/')
        len--;
    if (len < want || strncmp(uri + len - want, call, want) != 0)
        return 0;
    len -= want;
    if (len < item || strncmp(uri + len - item, storage, item) != 0)
        return 1;
    len -= item;
    return !len || (ends_in_version(uri, &len) && !ends_in_version(uri, &len));
}

/* What is known holds while the file is gone, if nobody has read a newer one.
 */
static void gone_note(weave_known_t *known, const char **problem, uint64_t seen,
                      const char *dir, apr_pool_t *pool)
{
    if (!known->stamp && !seen)
        known->trouble = 0;
    else if (known->stamp != seen)
        known->trouble = TROUBLE_OUTDATED;
    else
        known->trouble = TROUBLE_GONE;
    /* where nothing was set there is nothing to hold */
    if (known->trouble == TROUBLE_OUTDATED ||
        (known->trouble && weave_known_is_set(known, apr_time_now())))
        *problem =
            apr_psprintf(pool, "%s/" WEAVE_MAINTENANCE_FILE " has gone", dir);
}

/* Reads what is there. STAMP is that of what was there before. */
static void file_learn(weave_known_t *known, const char **problem,
                       uint64_t stamp, _Atomic uint64_t *seen, const char *dir,
                       uid_t owner, apr_pool_t *pool)
{
    apr_array_header_t *entries;
    apr_pool_t *fresh, *unused;

    apr_pool_create_unmanaged(&fresh);
    unused = fresh;
    switch (
        weave_maintenance_read(&entries, &stamp, problem, dir, owner, fresh)) {
    case WEAVE_MAINTENANCE_FILE_READ:
        unused = known->entries ? known->entries->pool : NULL;
        known->entries = entries;
        known->stamp = stamp;
        known->trouble = 0;
        atomic_store(seen, stamp);
        break;
    case WEAVE_MAINTENANCE_FILE_NONE:
        gone_note(known, problem, atomic_load(seen), dir, pool);
        break;
    default:
        *problem = apr_pstrdup(pool, *problem);
        known->trouble = stamp;
    }
    if (unused)
        apr_pool_destroy(unused);
}

int weave_known_learn(weave_known_t *known, const char **problem,
                      _Atomic uint64_t *seen, const char *dir, uid_t owner,
                      apr_pool_t *pool)
{
    uint64_t stamp = weave_maintenance_stamp(dir), had = known->stamp;
    uint64_t trouble = known->trouble;

    *problem = NULL;
    if (!stamp)
        gone_note(known, problem, atomic_load(seen), dir, pool);
    else if (trouble || stamp != known->stamp)
        file_learn(known, problem, stamp, seen, dir, owner, pool);
    if (!known->trouble || known->trouble == TROUBLE_GONE)
        known->on_us = 0;
    else if (!known->on_us)
        known->on_us = apr_time_now();
    return known->stamp != had || known->trouble != trouble;
}

int weave_known_is_set(const weave_known_t *known, int64_t now_us)
{
    int i, count = known->entries ? known->entries->nelts : 0;

    for (i = 0; i < count; i++)
        if (weave_maintenance_mode_at(
                &APR_ARRAY_IDX(known->entries, i, weave_maintenance_entry_t)
                     .setting,
                now_us, 0) != WEAVE_MAINTENANCE_OFF)
            return 1;
    return known->on_us != 0;
}

void weave_known_add(weave_verdict_t *verdict, const weave_known_t *known,
                     const char *ini, int64_t now_us, int64_t drain_us)
{
    weave_maintenance_t nobody = {.mode = WEAVE_MAINTENANCE_ON,
                                  .since_us = known->on_us,
                                  .by = WEAVE_MAINTENANCE_BY_NOBODY};
    const weave_maintenance_t *settings[2] = {NULL, NULL};
    int i, is_on = 0;

    if (known->entries) {
        settings[0] = weave_maintenance_find(known->entries, NULL);
        settings[1] = ini ? weave_maintenance_find(known->entries, ini) : NULL;
    }
    for (i = 0; i < 2; i++) {
        if (!settings[i])
            continue;
        weave_verdict_add(verdict, settings[i], now_us, drain_us);
        is_on |= weave_maintenance_mode_at(settings[i], now_us, drain_us) ==
                 WEAVE_MAINTENANCE_ON;
    }
    if (known->on_us && !is_on)
        weave_verdict_add(verdict, &nobody, now_us, drain_us);
}
