/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_TALLY_H
#define WEAVE_TALLY_H

/**
 * What httpd's children count: sealed memory that the parent makes once and
 * keeps, that the children write, and nobody trusts. weavectl finds it through
 * the maintenance board.
 */

#include "weave_counters.h"
#include "weave_maintenance_board.h"

#define WEAVE_TALLY_MAGIC 0x54425657u /* "WVBT" */
#define WEAVE_TALLY_VERSION 4

typedef struct weave_tally_row_t {
    _Atomic uint64_t refused[WEAVE_REFUSED_KINDS];
    _Atomic uint64_t backoff;      /* answers with backoff: maintenance */
    _Atomic uint64_t backoff_load; /* the same because of load */
    _Atomic int64_t load_us;       /* the last such answer, apr_time_t */
} weave_tally_row_t;
_Static_assert(sizeof(weave_tally_row_t) == 64, "shared memory");

/** The place of one child of httpd that runs the application itself, or has
 *  spooled a request body. */
typedef struct weave_tally_child_t {
    _Atomic int32_t pid;      /* 0: nobody's */
    _Atomic uint32_t running; /* requests in Python, or about to be */
    _Atomic uint32_t failed;  /* 1: it could not import the application */
    uint32_t reserved[13];
} weave_tally_child_t;
_Static_assert(sizeof(weave_tally_child_t) == 64, "a cache line each");

/** Children choose a stripe by their pid, so that few share a cache line. */
#define WEAVE_TALLY_STRIPES 16
#define WEAVE_TALLY_CHILDREN 4096
/** How long the text of a failure may be, with its NUL. */
#define WEAVE_TALLY_FAILURE 1100
typedef struct weave_tally_t {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes;
    _Atomic uint32_t logged_epoch; /* whose changes are in the log */
    _Atomic uint32_t unseated;     /* children for whom there was no place */
    uint32_t reserved[11];
    /* by row of the board: `since_us` of what was logged last; 0: off */
    _Atomic int64_t logged_since[WEAVE_MAINTENANCE_ROWS];
    _Alignas(64) weave_tally_row_t rows[WEAVE_TALLY_STRIPES][WEAVE_ROSTER_APPS];
    weave_tally_child_t children[WEAVE_TALLY_CHILDREN];
    /* bytes of request bodies that each child has in files, by application */
    _Atomic uint64_t spooled[WEAVE_TALLY_CHILDREN][WEAVE_ROSTER_APPS];
    /* of the child that has failed last; two that write at once mix theirs */
    char failure[WEAVE_TALLY_FAILURE];
} weave_tally_t;

/** As weave_roster_create and weave_roster_map. */
apr_status_t weave_tally_create(int *fd, weave_tally_t **tally);
apr_status_t weave_tally_map(weave_tally_t **tally, int fd, int writable);
void weave_tally_unmap(weave_tally_t *tally);

/** The tally of BOARD's httpd for reading, or NULL. Unmapped with POOL. */
const weave_tally_t *weave_tally_open(const weave_maintenance_board_t *board,
                                      apr_pool_t *pool);

/** The sums for the application at PLACE. */
void weave_tally_sum(weave_tally_row_t *sum, const weave_tally_t *tally,
                     uint32_t place);

/**
 * A place for the calling child, as long as it lives; those of children that
 * are gone are given again. NULL: there is none, which is noted.
 *
 * `running` goes up before the child asks the last time whether there is
 * maintenance, and down when Python is done. So whoever has made it known and
 * then sees 0 knows that nothing of before runs.
 */
weave_tally_child_t *weave_tally_seat(weave_tally_t *tally);

/** What runs in the children of PARENT. -1: not all of them have a place. */
int64_t weave_tally_running(const weave_tally_t *tally, long parent);

/** SEAT (NULL: it has none) could not import the embedded application because
 *  of TEXT; NULL: it could. */
void weave_tally_fail(weave_tally_t *tally, weave_tally_child_t *seat,
                      const char *text);
/** How many children of PARENT could not, and why: *text, in POOL, may be
 *  anything but control characters. */
int weave_tally_failed(const char **text, const weave_tally_t *tally,
                       long parent, apr_pool_t *pool);

/**
 * Counts BYTES more that the child at SEAT has spooled for the application at
 * PLACE: 0; or -1, and they are not counted: the living children of PARENT
 * would have more than MOST then. Of a child that is gone nothing counts.
 */
int weave_tally_spool(weave_tally_t *tally, const weave_tally_child_t *seat,
                      uint32_t place, uint64_t bytes, uint64_t most,
                      long parent);
/** Gives them back. */
void weave_tally_unspool(weave_tally_t *tally, const weave_tally_child_t *seat,
                         uint32_t place, uint64_t bytes);

#endif
