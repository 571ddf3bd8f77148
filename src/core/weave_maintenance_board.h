/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_MAINTENANCE_BOARD_H
#define WEAVE_MAINTENANCE_BOARD_H

/**
 * Maintenance as httpd's children see it: sealed memory that
 * the httpd parent makes once and keeps. In it is what weavectl has said, for
 * each application, and what the configuration says, for weavectl to show.
 * Written by the parent and by weavectl, one after the other (under
 * weave_maintenance_lock), read-only for everybody else.
 *
 * weavectl finds the board through a link in WeaveStateDir, httpd-PID, that
 * leads to the parent's descriptor below /proc. So it works without weaved,
 * and the memory is gone with the parent.
 *
 * `epoch` moves after each change: the child that sees it first logs the
 * change.
 */

#include <stdatomic.h>
#include <stdint.h>

#include <apr_errno.h>
#include <apr_time.h>

#include "weave_board.h"
#include "weave_maintenance.h"

#define WEAVE_MAINTENANCE_MAGIC 0x4d425657u /* "WVBM" */
#define WEAVE_MAINTENANCE_BOARD_VERSION 4

/** The name of its memory, as /proc shows it. */
#define WEAVE_MAINTENANCE_MEMORY "weave-maintenance"

#define WEAVE_MAINTENANCE_PATH 4096
#define WEAVE_MAINTENANCE_DECLARED 65536
/** The row of all applications; that of an application is its place in the
 *  roster, plus 1. */
#define WEAVE_MAINTENANCE_ALL 0
#define WEAVE_MAINTENANCE_ROWS (1 + WEAVE_ROSTER_APPS)

/** Written while `serial` is odd. `mode` alone is a whole answer when OFF. */
typedef struct weave_maintenance_row_t {
    _Atomic uint32_t serial;
    _Atomic uint32_t mode;
    weave_maintenance_t word;
} weave_maintenance_row_t;

typedef struct weave_maintenance_board_t {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes;
    _Atomic uint32_t epoch; /* never 0 */
    uint32_t pid;           /* of the httpd parent */
    int32_t tally_fd;       /* its descriptor of the tally: weave_tally.h */
    uint32_t reserved[10];
    weave_maintenance_row_t rows[WEAVE_MAINTENANCE_ROWS];
    char state_dir[WEAVE_MAINTENANCE_PATH];
    char runtime_dir[WEAVE_MAINTENANCE_PATH];
    /* by place in the roster: resolved ("": nobody), and the names that
     * WeaveApp has for it, each with a '\n' behind it. They outlive the
     * configuration: children of before may still go by them. */
    char ini[WEAVE_ROSTER_APPS][WEAVE_MAINTENANCE_PATH];
    char names[WEAVE_ROSTER_APPS][WEAVE_MAINTENANCE_PATH];
    /* what the configuration says, as JSON: see weave_maintenance_declared */
    char declared[WEAVE_MAINTENANCE_DECLARED];
} weave_maintenance_board_t;

/* --- making and mapping -------------------------------------------------- */

/** As weave_roster_create and weave_roster_map. */
apr_status_t weave_maintenance_board_create(int *fd,
                                            weave_maintenance_board_t **board);
apr_status_t weave_maintenance_board_map(weave_maintenance_board_t **board,
                                         int fd, int writable);
void weave_maintenance_board_unmap(weave_maintenance_board_t *board);

/* --- readers ------------------------------------------------------------- */

/** A consistent copy of ROW, after up to 25 ms where somebody writes it. One
 *  whose writer died in the middle of it is ON: nobody knows what it would
 *  have said. */
void weave_maintenance_row_get(weave_maintenance_t *copy,
                               const weave_maintenance_board_t *board,
                               uint32_t row);

/* --- whose a word is ----------------------------------------------------- */

/** Is PATH one of NAMES (see weave_maintenance_board_t)? Do A and B share one?
 */
int weave_names_have(const char *names, const char *path);
int weave_names_share(const char *a, const char *b);

/**
 * Is ENTRY for the application at PLACE? It is when it has a name of it: so
 * what was said of a link that leads to the release of now goes on when the
 * link moves to the next. Otherwise, and where nobody has that name, it is for
 * whom the name led to when it was said.
 */
int weave_maintenance_is_for(const weave_maintenance_entry_t *entry,
                             const weave_maintenance_board_t *board,
                             uint32_t place);

/**
 * What ENTRIES say in ROW at NOW_US. Several may be for one application, once
 * links have moved: the strictest, until the last of them ends. 1; 0: nothing,
 * and WORD is OFF.
 */
int weave_maintenance_word_of(weave_maintenance_t *word,
                              const apr_array_header_t *entries,
                              const weave_maintenance_board_t *board,
                              uint32_t row, int64_t now_us);

/** Says under the name of an application, too, what entries say of whom their
 *  path led to, so that it follows the name. 1: there were any such. */
int weave_maintenance_adopt(apr_array_header_t *entries,
                            const weave_maintenance_board_t *board);

/* --- writers, with the lock held ----------------------------------------- */

void weave_maintenance_row_set(weave_maintenance_board_t *board, uint32_t row,
                               const weave_maintenance_t *word);

/** Puts there what ENTRIES (weave_maintenance_read) say now, then moves the
 *  epoch. */
void weave_maintenance_publish(weave_maintenance_board_t *board,
                               const apr_array_header_t *entries);

/** Moves the epoch: everything before it is seen by whoever sees it. */
void weave_maintenance_turn(weave_maintenance_board_t *board);

/* --- links --------------------------------------------------------------- */

/** Makes DIR/NAME lead to this process's FD. NULL, or what is wrong. */
const char *weave_maintenance_link(const char *dir, const char *name, int fd,
                                   apr_pool_t *pool);
/** The name of the link in WeaveStateDir to the board of PID. */
const char *weave_maintenance_link_name(long pid, apr_pool_t *pool);
/** The name of the one in WeaveRuntimeDir. */
#define WEAVE_MAINTENANCE_RUNTIME_LINK "maintenance"

/**
 * The board that the link PATH leads to, or NULL: there is none, its httpd is
 * gone (*why NULL), or *why says why it cannot be used: this user may not look,
 * or its httpd is of another version. Unmapped with POOL.
 */
weave_maintenance_board_t *weave_maintenance_open(const char **why,
                                                  const char *path,
                                                  int writable,
                                                  apr_pool_t *pool);

typedef enum weave_maintenance_use_e {
    WEAVE_MAINTENANCE_LOOK,  /* read them */
    WEAVE_MAINTENANCE_SWEEP, /* remove links whose httpds have gone */
    WEAVE_MAINTENANCE_TELL   /* the same, and write them: none is left out */
} weave_maintenance_use_e;

/**
 * The boards of all httpds that run with DIR, of weave_maintenance_board_t *:
 * those that links in DIR lead to; and where one leads nowhere, where a LOOK
 * has found none, and always to TELL them, those that processes have open.
 * *why: at least one could not be opened, or none looked for, and this is the
 * reason; otherwise NULL.
 */
apr_array_header_t *weave_maintenance_boards(const char **why, const char *dir,
                                             weave_maintenance_use_e use,
                                             apr_pool_t *pool);

/** Are A and B one folder? -1: they cannot be looked at. */
int weave_maintenance_is_same_folder(const char *a, const char *b);

/** The processes that have BOARD open, of long: httpd, its children, and others
 *  that they started; as far as this user may look. */
apr_array_header_t *weave_maintenance_holders(
    const weave_maintenance_board_t *board, apr_pool_t *pool);

/**
 * What the configuration says, as the parent publishes it and weavectl shows
 * it: a JSON list with one object for each application of the httpd
 *
 *   {"app": PLACE, "ini": PATH, "embedded": BOOL, "drain_s": N,
 *    "truncated": true (where there was no room for all of `declared`),
 *    "declared": [{"mode": "on", "from": "WeaveMaintenance" or
 *                  "maintenance.mode", "where": "httpd.conf:12",
 *                  "scope": "" (all of it, alone or with others) or
 *                  "<Location /x>" or "<LocationMatch x>" or
 *                  "<VirtualHost name>", "since": SECONDS,
 *                  "server": "name", "name:port" or "" (the main one, or
 *                  several)}]}
 *
 * `declared` holds what is not off, the strictest first. An empty text: there
 * was no room for anything.
 */

#endif
