/* SPDX-License-Identifier: Apache-2.0 */
/* weave_verdict.c: what maintenance makes of requests */
#include "weave_verdict.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

/* Stamps are larger. */
#define TROUBLE_GONE 1
#define TROUBLE_OUTDATED 2
#define LOOK_AGAIN UINT64_MAX
/* A file that was changed so shortly before may not be whole yet. */
#define FRESH_US (2 * APR_USEC_PER_SEC)

/* ---- several settings ---- */

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

/* ---- the first call of a sync ---- */

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

/* ---- what is known of the file ---- */

/* Does what KNOWN has hold while the file is gone? */
static void gone_note(weave_known_t *next, const char **problem,
                      const weave_known_t *known, uint64_t seen,
                      const char *dir, apr_pool_t *pool)
{
    next->looked = 0;
    next->trouble = known->stamp == seen ? TROUBLE_GONE : TROUBLE_OUTDATED;
    if (!known->stamp && !seen)
        next->trouble = 0;
    /* where nothing was set there is nothing to hold */
    else if (next->trouble == TROUBLE_OUTDATED ||
             weave_known_is_set(next, apr_time_now()))
        *problem =
            apr_psprintf(pool, "%s/" WEAVE_MAINTENANCE_FILE " has gone", dir);
}

static void good_note(weave_known_t *next, _Atomic uint64_t *seen,
                      apr_array_header_t *entries, uint64_t stamp)
{
    next->pool = entries->pool;
    next->entries = entries;
    next->stamp = next->looked = stamp;
    next->trouble = 0;
    atomic_store(seen, stamp);
}

/* Reads what is there, with STAMP. */
static void file_learn(weave_known_t *next, const char **problem,
                       const weave_known_t *known, _Atomic uint64_t *seen,
                       const char *dir, uid_t owner, apr_pool_t *pool,
                       uint64_t stamp)
{
    uint64_t its;
    int64_t changed_us;
    apr_array_header_t *entries;
    apr_pool_t *fresh;

    apr_pool_create_unmanaged(&fresh);
    switch (
        weave_maintenance_read_as(&entries, &its, problem, dir, owner, fresh)) {
    case WEAVE_MAINTENANCE_FILE_READ:
        good_note(next, seen, entries, its);
        return;
    case WEAVE_MAINTENANCE_FILE_NONE:
        gone_note(next, problem, known, atomic_load(seen), dir, pool);
        break;
    default:
        *problem = apr_pstrdup(pool, *problem);
        weave_maintenance_stamp(&changed_us, dir);
        next->trouble = stamp;
        next->looked =
            its && apr_time_now() - changed_us > FRESH_US ? its : LOOK_AGAIN;
    }
    apr_pool_destroy(fresh);
}

int weave_known_learn(weave_known_t *next, const char **problem,
                      const weave_known_t *known, _Atomic uint64_t *seen,
                      const char *dir, uid_t owner, apr_pool_t *pool)
{
    uint64_t stamp = weave_maintenance_stamp(NULL, dir);

    *next = *known;
    *problem = NULL;
    if (!stamp)
        gone_note(next, problem, known, atomic_load(seen), dir, pool);
    else if (stamp != known->looked)
        file_learn(next, problem, known, seen, dir, owner, pool, stamp);
    if (!next->trouble || next->trouble == TROUBLE_GONE)
        next->on_us = 0;
    else if (!next->on_us)
        next->on_us = apr_time_now();
    return next->stamp != known->stamp || next->trouble != known->trouble ||
           next->looked != known->looked;
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
