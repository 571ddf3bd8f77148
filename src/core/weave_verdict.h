/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_VERDICT_H
#define WEAVE_VERDICT_H

/**
 * What maintenance makes of requests: what a process knows of the file that
 * weavectl writes, and what several settings come to. The strictest wins.
 *
 * Nothing becomes "off" by accident. Where the file cannot be read, or is
 * damaged, whatever is not known to be on is on, until it can be read again.
 * Where it is gone, what the process knows holds, if nobody of this httpd has
 * read a newer one; otherwise the same.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "weave_maintenance.h"

/** Begins as zero: nothing has been added, and the mode is OFF. */
typedef struct weave_verdict_t {
    uint32_t mode;
    weave_maintenance_t setting; /* the one that decides */
    /* of the strictest setting that has one; "": none */
    char message[WEAVE_MAINTENANCE_MESSAGE_BYTES];
    uint32_t message_mode;
} weave_verdict_t;

/** Adds what SETTING makes of a request at NOW_US, where a drain lasts
 *  DRAIN_US. */
void weave_verdict_add(weave_verdict_t *verdict,
                       const weave_maintenance_t *setting, int64_t now_us,
                       int64_t drain_us);

/** Is the path of URI that of the first call of a sync? */
int weave_verdict_is_first_call(const char *uri);

/** What a process knows of the file. Begins as zero: nothing yet. */
typedef struct weave_known_t {
    apr_array_header_t *entries; /* of the last good file, alone in their pool;
                                    NULL: there was none yet */
    uint64_t stamp;              /* of that file; 0: there was none yet */
    uint64_t trouble; /* why the file is not good; 0: it is, or never was */
    int64_t on_us;    /* since when the file is not believed; 0: it is */
} weave_known_t;

/**
 * Looks at the file in DIR, and reads it where it has changed since KNOWN, or
 * was not good. SEEN is the stamp of the newest good file that a process of
 * this httpd has read, and is set. OWNER is who may have made the folder,
 * besides root.
 *
 * Returns 1 where KNOWN has changed. Where *problem (in POOL) is set, it says
 * why the file is not good; `trouble` is then another number for another
 * reason.
 */
int weave_known_learn(weave_known_t *known, const char **problem,
                      _Atomic uint64_t *seen, const char *dir, uid_t owner,
                      apr_pool_t *pool);

/** Does anything that is known hold at NOW_US for any application? */
int weave_known_is_set(const weave_known_t *known, int64_t now_us);

/** Adds what is known to hold for the application INI. */
void weave_known_add(weave_verdict_t *verdict, const weave_known_t *known,
                     const char *ini, int64_t now_us, int64_t drain_us);

#endif
