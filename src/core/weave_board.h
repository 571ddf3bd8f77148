/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_BOARD_H
#define WEAVE_BOARD_H

/**
 * The scoreboard: shared memory with one writer each, read-only for everybody
 * else. Every piece is a memfd whose size is sealed, because a mapping that
 * shrinks is a SIGBUS for its readers, and whose mode is 0644, because a
 * memfd can be opened again through /proc by whoever its mode admits, and a
 * worker must open its own for reading only.
 *
 *   roster        made by the httpd parent, which keeps it for as long as httpd
 *                 runs; written by weaved, one after the other; read by httpd's
 *                 children through a read-only mapping
 *   worker board  made by weaved, written by one worker; read by weaved and,
 *                 through a descriptor that comes with WELCOME, by the children
 *
 * A child trusts the roster as it trusts weaved. Nobody takes an index, a
 * length or a pid from a worker's board: what a worker writes there changes
 * only what becomes of its own requests (CVE-2019-0211 was the other way).
 */

#include <stddef.h>
#include <stdatomic.h>
#include <stdint.h>

#include <apr_errno.h>

/** Each layout has its own number: raise it with every change
 *  (tests/test_layout.c). */
#define WEAVE_ROSTER_VERSION 5
#define WEAVE_BOARD_VERSION 5
#define WEAVE_ROSTER_MAGIC 0x4f525657u /* "WVRO" */
#define WEAVE_BOARD_MAGIC 0x4f425657u  /* "WVBO" */

#define WEAVE_ROSTER_APPS 64
#define WEAVE_ROSTER_WORKERS 1024
#define WEAVE_BOARD_SLOTS 4096
#define WEAVE_BOARD_THREADS 1024
#define WEAVE_SLOT_NONE UINT32_MAX
#define WEAVE_SOCKET_PATH 108 /* sun_path, with its NUL */

/* --- the roster --------------------------------------------------------- */

/** What becomes of the requests of an application. */
enum {
    WEAVE_APP_NONE,     /* no such application */
    WEAVE_APP_STARTING, /* its first generation is coming up: wait */
    WEAVE_APP_SERVING,  /* `generation` answers */
    WEAVE_APP_FAILED    /* nothing answers: 503; weaved tries again */
};

typedef struct weave_roster_app_t {
    _Atomic uint32_t event; /* raised after every change: a futex */
    _Atomic uint32_t state;
    _Atomic uint32_t generation; /* that new requests go to; 0: none yet */
    uint32_t identity[2]; /* weaved's own: a hash of what that one is made of */
    uint32_t reserved[11];
} weave_roster_app_t;
_Static_assert(sizeof(weave_roster_app_t) == 64, "shared memory");

/** The states of a worker, in their order. */
enum {
    WEAVE_WORKER_FREE,     /* nobody is in this place */
    WEAVE_WORKER_STARTING, /* Python starts, imports, warms up */
    WEAVE_WORKER_READY,    /* takes requests once its generation serves */
    WEAVE_WORKER_DRAINING  /* finishes what it has */
};

/** Written while `serial` is odd; a reader who sees another serial afterwards
 *  looks again. */
typedef struct weave_roster_worker_t {
    _Atomic uint32_t serial;
    _Atomic uint32_t state;
    uint32_t app; /* index */
    uint32_t generation;
    uint32_t pid;
    uint32_t birth[2]; /* weaved's own: its start time, low and high */
    char socket[WEAVE_SOCKET_PATH];
} weave_roster_worker_t;
_Static_assert(sizeof(weave_roster_worker_t) == 136, "shared memory");

typedef struct weave_roster_t {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes;               /* sizeof(weave_roster_t) */
    _Atomic uint32_t generations; /* the number given last */
    uint32_t reserved[12];
    weave_roster_app_t apps[WEAVE_ROSTER_APPS];
    weave_roster_worker_t workers[WEAVE_ROSTER_WORKERS];
} weave_roster_t;

/* --- a worker's board --------------------------------------------------- */

/** What an executor does. */
typedef struct weave_board_thread_t {
    _Atomic int64_t since_us; /* weave_clock_us(); 0: idle */
    _Atomic uint32_t slot;    /* of the connection */
    _Atomic uint32_t number;  /* of the request there */
} weave_board_thread_t;

typedef struct weave_board_t {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes; /* sizeof(weave_board_t) */
    uint32_t threads;
    _Atomic uint32_t running; /* requests in Python */
    _Atomic uint32_t queued;  /* requests that wait, as far as it knows */
    _Atomic uint32_t connections;
    _Atomic uint32_t reserved;
    _Atomic uint64_t requests; /* answered since it started */
    _Atomic uint64_t refused;
    _Atomic uint64_t timeouts;
    _Atomic uint64_t busy_us; /* sum of the time in Python */
    uint64_t reserved2[4];
    /* by connection: the number of the last request that has started */
    _Atomic uint32_t started[WEAVE_BOARD_SLOTS];
    weave_board_thread_t thread[WEAVE_BOARD_THREADS];
} weave_board_t;

/* --- making and mapping ------------------------------------------------- */

/** What every piece of shared memory begins with. */
typedef struct weave_memory_t {
    uint32_t magic;
    uint32_t version; /* of this kind of memory */
    uint32_t bytes;
} weave_memory_t;

/** Makes the memory, sealed, filled in but for its contents. The
 *  mapping may be written; *fd (close-on-exec) is the caller's. */
apr_status_t weave_roster_create(int *fd, weave_roster_t **roster);
apr_status_t weave_board_create(int *fd, weave_board_t **board,
                                uint32_t threads);

/** Maps FD, which stays the caller's, for writing or for reading only.
 *  APR_EMISMATCH: it is not sealed, or of another size or version; whoever gave
 *  it is not to be trusted, or is of another version of mod_weave. */
apr_status_t weave_roster_map(weave_roster_t **roster, int fd, int writable);
apr_status_t weave_board_map(weave_board_t **board, int fd, int writable);

void weave_roster_unmap(weave_roster_t *roster);
void weave_board_unmap(weave_board_t *board);

/** Another descriptor (close-on-exec) of what FD is open for: for reading only,
 *  or for WRITING, too, which only the user that made the memory can. */
apr_status_t weave_memory_reopen(int *opened, int fd, int writable);

/* --- the roster, by its readers ----------------------------------------- */

/** A consistent copy of the entry of WORKER (below WEAVE_ROSTER_WORKERS),
 *  `socket` NUL-terminated. */
void weave_roster_worker_get(weave_roster_worker_t *copy,
                             const weave_roster_t *roster, uint32_t worker);

/** Sleeps until `event` of APP is not SEEN any more, at most TIMEOUT_US. */
void weave_roster_wait(const weave_roster_t *roster, uint32_t app,
                       uint32_t seen, int64_t timeout_us);

/* --- the roster, by weaved ---------------------------------------------- */

/** Puts the entry there in one piece (`serial` of ENTRY is ignored). */
void weave_roster_worker_set(weave_roster_t *roster, uint32_t worker,
                             const weave_roster_worker_t *entry);

/** The application's state and the generation that serves, at one instant for
 *  whoever looks after the event. */
void weave_roster_app_set(weave_roster_t *roster, uint32_t app, uint32_t state,
                          uint32_t generation);

/** Tells everybody who waits for APP that something has changed. */
void weave_roster_wake(weave_roster_t *roster, uint32_t app);

#endif
