/* SPDX-License-Identifier: Apache-2.0 */
/* super.h: the types and the state that all files of weaved share
 *
 * weaved starts the workers of each application, one generation after the
 * other, replaces those that die, and tells httpd's children through the
 * roster which workers serve. It has one thread and one event loop (loop.h),
 * and nothing in it waits.
 *
 *   application  one sync.ini, in its slot (index) of the roster
 *   generation   its workers of one make: they come up, serve, drain
 *   worker       one process
 *
 * Commands go down by calls: release.c decides which generation there is,
 * serve.c and fill.c look after its workers, worker.c and leave.c after a
 * process. Events go up through the records of functions below, so that a file
 * knows only those beneath it.
 *
 * Nothing that a worker says or writes is used as an index, a length or a pid.
 */
#ifndef SUPER_H
#define SUPER_H

#include <sys/resource.h>
#include <sys/types.h>

#include <apr_pools.h>

#include "loop.h"
#include "weave_board.h"
#include "weave_clock.h"
#include "weave_line.h"
#include "weave_secret.h"
#include "weave_spec.h"

typedef struct super_app_t super_app_t;
typedef struct super_generation_t super_generation_t;
typedef struct super_worker_t super_worker_t;
typedef struct super_client_t super_client_t;
typedef struct super_relay_t super_relay_t;
typedef struct super_caller_t super_caller_t;

/* So many workers of an application that die young of their requests are
 * replaced at once, in a minute. */
#define SUPER_QUICK_MOST 5

/* A generation that is tried for weavectl. It is COMING, also when it is up. */
typedef struct super_candidate_t {
    super_generation_t *generation; /* NULL: there is none */
    super_caller_t *holder;         /* with whose connection it ends */
    weave_link_t link;              /* counts as moved */
} super_candidate_t;

struct super_app_t {
    super_app_t *next;
    apr_pool_t *pool;
    uint32_t index;   /* in the roster */
    const char *name; /* the path in WeaveApp; what logs call it */
    int wanted;       /* 0: it is drained, and freed with its last worker */
    /* as httpd wants it, links not followed; NULL: not told yet (adopted) */
    weave_spec_t *spec;
    const char *text; /* of `spec` */
    apr_pool_t *spec_pool;
    weave_secret_t secret; /* adopted: not known while there is no spec */
    super_generation_t *generations; /* all; the newest is the first */
    super_generation_t *coming;      /* or NULL */
    super_generation_t *serving;     /* or NULL */
    super_candidate_t candidate;
    uint64_t failed_identity; /* of what did not come up last; 0: nothing */
    uint32_t failed_number;   /* of that generation; 0: it got no number */
    /* Why it failed, as super_app_reason() has it: malloc, for it changes
     * often. NULL: a generation has served since. */
    char *last_error;
    int failures;         /* in a row, with none serving */
    int crowded;          /* 1: it is logged that too many workers leave */
    uint64_t tried_stamp; /* of the script, when it was tried last */
    super_timer_t retry;  /* running while nothing serves */
    super_timer_t poll;   /* every second, where something on disk matters */
    /* When workers that had begun with requests were replaced without a pause:
     * weave_clock_us(); 0: never. */
    int64_t quick_us[SUPER_QUICK_MOST];
    int quick_next; /* the oldest of them */
};

/* How often something happens that is to become slower. */
typedef struct super_pace_t {
    int count;           /* in a row */
    int64_t last_us;     /* weave_clock_us() */
    super_timer_t pause; /* running: nothing is done about it yet */
} super_pace_t;

typedef enum super_generation_e {
    SUPER_COMING,  /* its workers start */
    SUPER_SERVING, /* it gets the requests */
    SUPER_DRAINING /* it got them, or it has failed: it ends with its workers */
} super_generation_e;

/* Events of a generation that is COMING, for its application. */
typedef struct super_generation_events_t {
    void (*came_up)(super_generation_t *generation);
    /* WHY is for people. The generation is of no use any more. */
    void (*failed)(super_generation_t *generation, const char *why);
} super_generation_events_t;

/* Events of a worker, for its generation. */
typedef struct super_worker_events_t {
    /* It has started, or has answered its first request. */
    void (*ready)(super_worker_t *worker);
    /* It is of no use: it is to be killed. WHY is for people. */
    void (*failed)(super_worker_t *worker, const char *why);
    /* Its process has ended; STATUS of waitpid(), -1: not known. It is to be
     * freed. */
    void (*ended)(super_worker_t *worker, int status);
    /* It wants a successor; STUCK: one of its requests is over its time. WHY
     * may be empty. */
    void (*recycle)(super_worker_t *worker, const char *why, int stuck);
} super_worker_events_t;

struct super_generation_t {
    super_generation_t *next; /* older */
    super_app_t *app;
    apr_pool_t *pool;
    uint32_t number;
    super_generation_e state;
    const super_generation_events_t *events; /* NULL: adopted, never COMING */
    const super_worker_events_t *worker_events;
    weave_spec_t *spec; /* resolved; NULL: not told yet (adopted) */
    uint64_t identity;
    super_worker_t *workers;
    uint32_t sockets;      /* the number of the last socket */
    int64_t started_us;    /* weave_clock_us() */
    int proven;            /* 1: a candidate, all workers of which are ready */
    int warmup_status;     /* of the last answer to release.warmup; 0: none */
    int64_t warmup_us;     /* of the slowest one */
    super_pace_t crashes;  /* young workers fail, and are replaced */
    super_pace_t recycles; /* young workers want a successor */
};

typedef enum super_worker_e {
    SUPER_STARTING, /* until it says that it is ready */
    SUPER_WARMING,  /* answers its first request */
    SUPER_WAITING,  /* could serve once its generation does */
    SUPER_READY,    /* serves */
    SUPER_LEAVING,  /* drains */
    SUPER_ENDING    /* was killed, or told to leave at once */
} super_worker_e;

struct super_worker_t {
    super_worker_t *next;
    super_generation_t *generation;
    const super_worker_events_t *events;
    apr_pool_t *pool;
    super_worker_e state;
    pid_t pid;
    int adopted;
    int unjoined;         /* adopted, and it knows nothing of this weaved yet */
    int slot;             /* in the roster; -1: none */
    uint64_t birth;       /* start time, as /proc tells it */
    const char *socket;   /* path */
    const char *python;   /* version; NULL: not told */
    weave_board_t *board; /* read only what is bounded; NULL: none */
    int pidfd, report_fd; /* -1: none */
    super_watch_t exit, report;
    super_channel_t channel;
    super_relay_t *relay;   /* NULL: an adopted one has not handed it over */
    super_client_t *client; /* while it is joined or warms up */
    super_timer_t limit;    /* of its state */
    super_timer_t grace;    /* a worker that has closed its channel */
    int64_t started_us, ready_us; /* weave_clock_us(); 0: not yet */
    int wants_successor;          /* 1: it has asked for a successor */
    int successor_granted;        /* 1: a successor is to come first */
    int stuck;                    /* 1: a request of it is over its time */
};

typedef struct super_t {
    apr_pool_t *pool;
    weave_roster_t *roster;
    const char *dir;           /* the runtime directory */
    super_app_t *apps;         /* all, also those that only drain */
    int workers;               /* how many there are, of all of them */
    long socket_gid;           /* of httpd's children; -1: as weaved */
    struct rlimit descriptors; /* as httpd had it */
    int cores;                 /* 1: workers may dump core */
    int ending;                /* 1: all workers leave, and then weaved ends */
    int dir_lost;   /* 1: the runtime directory is not ours any more */
    int dir_closed; /* 1: httpd's children cannot enter it */
} super_t;
extern super_t super;

/* --- log.c: httpd's error log, which must not hold up weaved -------------- */

/* Logs at LEVEL, one of WEAVE_LINE_*. A line below a notice is shown where the
 * LogLevel of APP shows it; APP NULL: that of any application. */
void super_log(const super_app_t *app, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Logs "worker 4711 of /etc/sync.ini" and, behind a space unless it is a comma,
 * the text of FORMAT. A number that FORMAT begins with stays in front. */
void super_worker_log(const super_worker_t *worker, int level,
                      const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Prepares descriptor 2, which is httpd's error log. */
void super_log_open(void);
/* Makes FD, which stays the caller's, the log from now on. Returns -1 where it
 * is none. */
int super_log_set(int fd);
/* Returns the path of the log's file, in POOL; NULL where it has none. */
const char *super_log_path(apr_pool_t *pool);
/* Writes a line with TEXT behind PREFIX, or several where it is too long;
 * WHOLE: see weave_line_append. Returns how many bytes that takes. */
size_t super_log_write(const char *prefix, size_t prefix_len, const char *text,
                       size_t len, int whole);
/* Writes a line of process PID (0: of weaved). */
void super_log_line(int level, long pid, const char *text, size_t len);

#endif
