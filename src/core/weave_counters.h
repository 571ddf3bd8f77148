/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_COUNTERS_H
#define WEAVE_COUNTERS_H

/**
 * The counters of httpd's children: a file in WeaveRuntimeDir that the parent
 * makes at its start and maps, and whose mapping the children inherit. Any
 * child can write there, so nobody takes more from it than numbers to show.
 * weavectl reads it, and never maps it: whoever truncates a file that is mapped
 * kills its readers.
 *
 * The parent holds a POSIX lock on the file for as long as it lives (children
 * do not inherit such a lock), so that whoever looks sees whether it does.
 */

#include <stdatomic.h>
#include <stdint.h>

#include <apr_pools.h>

#include "weave_board.h"

#define WEAVE_COUNTERS_FILE "counters"
#define WEAVE_COUNTERS_MAGIC 0x4f435657u /* "WVCO" */
#define WEAVE_COUNTERS_VERSION 2

/** Why an answer was a 503 of ours. */
typedef enum weave_refused_e {
    WEAVE_REFUSED_MAINTENANCE,
    WEAVE_REFUSED_DOWN,      /* nothing runs that could answer */
    WEAVE_REFUSED_QUEUE,     /* the queue was full */
    WEAVE_REFUSED_LATE,      /* too long in the queue */
    WEAVE_REFUSED_RESOURCES, /* its body could not be spooled */
    WEAVE_REFUSED_KINDS
} weave_refused_e;

/** The counters of one application. */
typedef struct weave_counters_row_t {
    _Atomic uint64_t refused[WEAVE_REFUSED_KINDS];
    _Atomic uint64_t backoff;      /* answers with backoff: maintenance */
    _Atomic uint64_t backoff_load; /* the same because of load */
    _Atomic int64_t load_us;       /* the last such answer, apr_time_t */
} weave_counters_row_t;
_Static_assert(sizeof(weave_counters_row_t) == 64, "shared memory");

/** The slot of one child of httpd, which alone writes there. */
typedef struct weave_counters_child_t {
    _Alignas(64) _Atomic int32_t pid; /* 0: the slot is free */
    _Atomic uint32_t failed; /* 1: it could not import the application */
    /* for each application: requests that it has admitted and is not done with,
     * and bytes of request bodies that it has in files */
    _Atomic uint32_t admitted[WEAVE_ROSTER_APPS];
    _Atomic uint64_t spooled[WEAVE_ROSTER_APPS];
} weave_counters_child_t;

#define WEAVE_COUNTERS_CHILDREN 4096
/** How long the text of a failure may be, with its NUL. */
#define WEAVE_COUNTERS_FAILURE 1100

/** Applications are known by their slot, which is also theirs in the roster. */
typedef struct weave_counters_t {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes;                /* sizeof(weave_counters_t) */
    uint32_t parent;               /* pid of the httpd parent */
    _Atomic uint32_t without_slot; /* children for whom there was no slot */
    uint32_t reserved;
    /* stamp of the newest good maintenance.json that a process of this httpd
     * has read; 0: none yet */
    _Atomic uint64_t maintenance_seen;
    /* what of maintenance is in the log: the last problem with the file (0:
     * none), and `since_us` of what weavectl has said last for all
     * applications and, behind it, for each (0: off) */
    _Atomic uint64_t problem_logged;
    _Atomic int64_t logged_since[1 + WEAVE_ROSTER_APPS];
    _Alignas(64) weave_counters_row_t rows[WEAVE_ROSTER_APPS];
    weave_counters_child_t children[WEAVE_COUNTERS_CHILDREN];
    /* of the child that has failed last; two that write at once mix theirs */
    char failure[WEAVE_COUNTERS_FAILURE];
} weave_counters_t;

/** Makes the file in DIR, in place of one that an earlier httpd has left, maps
 *  it and locks it. *fd (close-on-exec) keeps the lock; it must be closed in
 *  every child, and no other descriptor of the file may be closed in the
 *  parent, which would end the lock. Returns NULL, or what is wrong; *holder is
 *  then the pid of another httpd that has its counters there, or 0. Does not
 *  wait. */
const char *weave_counters_create(weave_counters_t **counters, int *fd,
                                  long *holder, const char *dir,
                                  apr_pool_t *pool);
/** Makes memory of the same form that nobody but the children shares. NULL:
 *  there is none. */
weave_counters_t *weave_counters_anonymous(void);
void weave_counters_unmap(weave_counters_t *counters);

/** Forgets what was counted for the application that had SLOT. */
void weave_counters_clear(weave_counters_t *counters, uint32_t slot);

/** Copies the counters in DIR into POOL. Returns NULL, or what is wrong, with
 *  its path. *counters is NULL then, and where there are none. */
const char *weave_counters_read(weave_counters_t **counters, const char *dir,
                                apr_pool_t *pool);

/** Returns the pid of the httpd parent that holds the counters in DIR, 0 where
 *  none lives, or -1 and errno where this process may not look. */
long weave_counters_holder(const char *dir, apr_pool_t *pool);

/** Returns how many requests for the application at SLOT the living children
 *  have admitted and are not done with. -1: nobody knows, for there are
 *  children without a slot, or httpd is in another container. */
int64_t weave_counters_admitted(const weave_counters_t *counters,
                                uint32_t slot);

/** Returns how many living children could not import the embedded application,
 *  and why: *text, in POOL, may be anything but control characters. */
int weave_counters_failed(const char **text, const weave_counters_t *counters,
                          apr_pool_t *pool);

/** Takes a slot for the calling child, as long as it lives; slots of children
 *  that are gone are given again. NULL: there is none, which is noted. */
weave_counters_child_t *weave_counters_child(weave_counters_t *counters);

/** Notes that CHILD (NULL: it has no slot) could not import the embedded
 *  application because of TEXT; NULL: it could. */
void weave_counters_fail(weave_counters_t *counters,
                         weave_counters_child_t *child, const char *text);

/** Counts BYTES more that CHILD has spooled for the application at SLOT, until
 *  it subtracts them. Returns 0; or -1, and they are not counted: the living
 *  children would have more than MOST then. Of a child that is gone nothing
 *  counts. */
int weave_counters_spool(const weave_counters_t *counters,
                         weave_counters_child_t *child, uint32_t slot,
                         uint64_t bytes, uint64_t most);

#endif
