/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_MAINTENANCE_H
#define WEAVE_MAINTENANCE_H

/**
 * What `weavectl maintenance` has said, and the file that keeps it: the only
 * truth, for weavectl and for httpd's children (weave_verdict.h).
 *
 * The file is WEAVE_MAINTENANCE_FILE in WeaveStateDir: JSON, replaced as a
 * whole, under a lock. The lock is another file, which only the owner of the
 * folder can open: whoever may open a file can hold a lock on it for ever. The
 * file is read, never mapped: a mapped file that somebody truncates is a SIGBUS
 * for all of httpd.
 */

#include <stdint.h>
#include <sys/types.h>

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_keys.h"

#define WEAVE_STATE_DIR "/var/lib/weave"
#define WEAVE_MAINTENANCE_FILE "maintenance.json"
#define WEAVE_MAINTENANCE_LOCK "maintenance.lock"
#define WEAVE_MAINTENANCE_VERSION 1
#define WEAVE_MAINTENANCE_FILE_BYTES (1024 * 1024)

/** With their NUL. */
#define WEAVE_MAINTENANCE_MESSAGE_BYTES 512
#define WEAVE_MAINTENANCE_BY_BYTES 128

/** Who says "on" where the file cannot be read. Users have no ':'. */
#define WEAVE_MAINTENANCE_BY_NOBODY "mod_weave: the state file is damaged"

/** The most that a setting may have, in seconds. */
#define WEAVE_MAINTENANCE_FOR_MAX (90 * 86400)
#define WEAVE_MAINTENANCE_RETRY_MAX (7 * 86400)
/** Clients are not asked back sooner than this while an end is known. */
#define WEAVE_MAINTENANCE_REMAINING_MIN 60

/** What one switch says. */
typedef struct weave_maintenance_t {
    uint32_t mode;                       /* WEAVE_MAINTENANCE_OFF, ..._ON */
    uint32_t retry_after_s;              /* 0: as the configuration says */
    int64_t since_us;                    /* apr_time_t */
    int64_t until_us;                    /* then it is over; 0: no end */
    char by[WEAVE_MAINTENANCE_BY_BYTES]; /* who set it, UTF-8 */
    char message[WEAVE_MAINTENANCE_MESSAGE_BYTES]; /* for people; "": none */
} weave_maintenance_t;

/** The setting of one application, or of all: INI NULL. */
typedef struct weave_maintenance_entry_t {
    const char *ini; /* as WeaveApp has it */
    weave_maintenance_t setting;
} weave_maintenance_entry_t;

/** Returns "off", ...; never NULL. */
const char *weave_maintenance_mode_name(uint32_t mode);
/** Returns -1 where there is no such mode. */
int weave_maintenance_mode_find(const char *name);

/** Returns what SETTING makes of a request at NOW_US: OFF after its end; a
 *  drain that has lasted DRAIN_US is ON. */
uint32_t weave_maintenance_mode_at(const weave_maintenance_t *setting,
                                   int64_t now_us, int64_t drain_us);

/** Returns when a drain becomes ON; 0: it is no drain, or is over before. */
int64_t weave_maintenance_on_at(const weave_maintenance_t *setting,
                                int64_t drain_us);

/** Says which of two settings that are as strict decides what clients are told:
 *  1 where A does. That is the one that names a number of seconds, and then the
 *  one that lasts longer. */
int weave_maintenance_is_more(const weave_maintenance_t *a,
                              const weave_maintenance_t *b);

/** Returns the setting kept for INI (NULL: for all), or NULL. */
const weave_maintenance_t *weave_maintenance_find(
    const apr_array_header_t *entries, const char *ini);

/** Sets what is kept for INI (NULL: for all). A SETTING that is off takes it
 *  out; off for all takes out everything. The path is not copied. */
void weave_maintenance_set(apr_array_header_t *entries, const char *ini,
                           const weave_maintenance_t *setting);
/** Drops what is over at NOW_US. */
void weave_maintenance_expire(apr_array_header_t *entries, int64_t now_us);

/** Returns why DIR cannot be used, or made where it is not there; or NULL. Only
 *  its owner may be able to write in it. Makes nothing. */
const char *weave_maintenance_dir_check(const char *dir, apr_pool_t *pool);

/** Takes the lock in DIR, waiting TIMEOUT_MS at most, and makes DIR where MAKE
 *  says so. Returns NULL and *lock, which close() gives back; or what is wrong,
 *  for people. With a TIMEOUT_MS of 0 it is no problem that somebody else has
 *  the lock, and *lock is -1. */
const char *weave_maintenance_lock(int *lock, const char *dir, int make,
                                   int timeout_ms, apr_pool_t *pool);

/** Keeps room in DIR for the next weave_maintenance_write, where there is any:
 *  a full disk is when maintenance is wanted. With the lock held. */
void weave_maintenance_reserve(const char *dir, apr_pool_t *pool);

typedef enum weave_maintenance_file_e {
    WEAVE_MAINTENANCE_FILE_READ,
    WEAVE_MAINTENANCE_FILE_NONE, /* there is none */
    WEAVE_MAINTENANCE_FILE_BAD   /* *problem says why, with its path */
} weave_maintenance_file_e;

/** Reads the file for a process that may be another user than OWNER, who has
 *  made the folder (geteuid(): the same). *entries (of
 *  weave_maintenance_entry_t) is always set, and empty unless READ. *stamp (may
 *  be NULL) is that of a file that was READ. */
weave_maintenance_file_e weave_maintenance_read(apr_array_header_t **entries,
                                                uint64_t *stamp,
                                                const char **problem,
                                                const char *dir, uid_t owner,
                                                apr_pool_t *pool);

/** Returns a number that is another one for another content of the file, and
 *  for each reason why it cannot be looked at; 0: there is no file. */
uint64_t weave_maintenance_stamp(const char *dir);

/** Replaces the file, with the lock held. Returns NULL, or what is wrong; then
 *  the old file is still there. */
const char *weave_maintenance_write(const apr_array_header_t *entries,
                                    const char *dir, apr_pool_t *pool);

#endif
