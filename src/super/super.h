/* SPDX-License-Identifier: Apache-2.0 */
/* super.h: what the files of weaved share
 *
 * weaved starts the workers of each application, one generation after the
 * other, replaces those that die, and tells httpd's children through the
 * roster whom to ask. One thread, one event loop (loop.h); nothing here waits.
 *
 *   application  one sync.ini, in its place (index) of the roster
 *   generation   its workers of one make: comes up, serves, drains
 *   worker       one process
 *
 * Nothing that a worker says or writes is used as an index, a length or a pid.
 */
#ifndef SUPER_H
#define SUPER_H

#include <sys/resource.h>
#include <sys/types.h>

#include <apr_pools.h>

#include "channel.h"
#include "loop.h"
#include "weave_board.h"
#include "weave_clock.h"
#include "weave_line.h"
#include "weave_secret.h"
#include "weave_spec.h"

#define SUPER_SECOND INT64_C(1000000)
/* so many workers of an application that die young of their requests are
 * replaced at once, in a minute */
#define SUPER_QUICK_MOST 5
/* what a request gets beyond its own time before its worker is killed */
#define SUPER_GRACE_US (5 * SUPER_SECOND)

typedef struct super_app_t super_app_t;
typedef struct super_generation_t super_generation_t;
typedef struct super_worker_t super_worker_t;
typedef struct super_warmup_t super_warmup_t;
typedef struct super_join_t super_join_t;
typedef struct super_relay_t super_relay_t;

typedef struct super_t {
    apr_pool_t *pool;
    weave_roster_t *roster;
    const char *dir;           /* the runtime directory */
    super_app_t *apps;         /* all, also those that only drain */
    long socket_gid;           /* of httpd's children; -1: as weaved */
    struct rlimit descriptors; /* as httpd had it */
    int cores;                 /* 1: workers may dump core */
    int ending;                /* 1: all leave, and so do we */
    int dir_lost;   /* 1: the runtime directory is not ours any more */
    int dir_closed; /* 1: httpd's children cannot enter it */
} super_t;
extern super_t super;

/* --- applications (app.c, want.c) ---------------------------------------- */

struct super_app_t {
    super_app_t *next;
    apr_pool_t *pool;
    uint32_t index;   /* in the roster */
    const char *name; /* its ini's resolved path; what logs call it */
    int wanted;       /* 0: it is drained, and goes with its last worker */
    /* as httpd wants it, links not followed; NULL: not told yet (adopted) */
    weave_spec_t *spec;
    const char *text; /* of `spec` */
    /* as httpd has told, with the first `want` after an adoption */
    weave_secret_t secret;
    int has_secret;
    apr_pool_t *spec_pool;
    super_generation_t *generations; /* all; the newest is the first */
    super_generation_t *coming;      /* or NULL */
    super_generation_t *serving;     /* or NULL */
    uint64_t failed_identity;        /* what did not come up last; 0: nothing */
    uint32_t failed_number; /* of that generation, 0 where it had none */
    /* malloc; NULL: none since one has served. As super_reason() has it. */
    char *last_error;
    int failures;        /* in a row, with none serving */
    int crowded;         /* 1: it is said that too many workers leave */
    char *tried_stamp;   /* malloc; of the script, when it was tried last */
    super_timer_t retry; /* while FAILED */
    super_timer_t poll;  /* every second, where there is something */
    /* when workers that had begun with requests were replaced without a pause;
     * weave_clock_us(), 0: never */
    int64_t quick_us[SUPER_QUICK_MOST];
    int quick_next; /* the oldest of them */
};

/* Logs at LEVEL. What is below a notice needs an application whose LogLevel
 * shows it. */
void super_log(const super_app_t *app, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

super_app_t *super_app_make(uint32_t index, const char *name);
/* Sets the secret. Returns 1 where the application had another one, which its
 * workers have. */
int super_app_secret_set(super_app_t *app, const weave_secret_t *secret);
/* The one that is wanted at INDEX, or NULL. */
super_app_t *super_app_find(uint32_t index);
/* Looks whether anything is left of it, and frees it if not. */
void super_app_free_unused(super_app_t *app);
/* Drains it. */
void super_app_remove(super_app_t *app);

/* httpd wants SPEC, whose text is TEXT. FORCE: a new generation in any case.
 * NULL, or a message (in POOL). */
const char *super_app_want(super_app_t *app, const weave_spec_t *spec,
                           const char *text, int force, apr_pool_t *pool);
/* A new generation of what is wanted; the same. */
const char *super_app_reload(super_app_t *app, apr_pool_t *pool);

/* Keeps TEXT as the reason why generation NUMBER has failed; NULL: one
 * serves. */
void super_app_error_set(super_app_t *app, const char *text, uint32_t number);
/* What came of the generation that came up. */
void super_app_came_up(super_app_t *app, super_generation_t *generation);
void super_app_came_not(super_app_t *app, super_generation_t *generation,
                        const char *why);

/* reason.c: weave_reason_mask() of TEXT and the sync.ini that SPEC (may be
 * NULL) holds. */
const char *super_failure_reason(const char *text, const weave_spec_t *spec,
                                 apr_pool_t *pool);

/* --- generations (generation.c, serve.c) --------------------------------- */

/* How often something happens that is to become slower. */
typedef struct super_pace_t {
    int count;       /* in a row */
    int64_t last_us; /* weave_clock_us() */
} super_pace_t;

typedef enum super_generation_e {
    SUPER_COMING,  /* its workers start */
    SUPER_SERVING, /* it has the requests */
    SUPER_DRAINING /* it had them, or it has failed: it goes with its workers */
} super_generation_e;

struct super_generation_t {
    super_generation_t *next; /* older */
    super_app_t *app;
    apr_pool_t *pool;
    uint32_t number;
    super_generation_e state;
    weave_spec_t *spec; /* resolved; NULL: not told yet (adopted) */
    uint64_t identity;
    super_worker_t *workers;
    uint32_t sockets;          /* the number of the last socket */
    int64_t started_us;        /* weave_clock_us() */
    super_pace_t crash_pace;   /* of young workers */
    super_timer_t fill_pause;  /* running: the pause before they are replaced */
    super_pace_t recycle_pace; /* of young workers that want to be replaced */
    super_timer_t recycle_pause; /* running: the pause before one of them is */
};

/* Starts one; what becomes of it, super_app_came_*() is told. */
void super_generation_start(super_app_t *app, const char *resolved_text,
                            uint64_t identity);
/* An empty one, of workers that are there. */
super_generation_t *super_generation_make(super_app_t *app, uint32_t number,
                                          super_generation_e state);
/* An adopted one is told what it is made of. */
void super_generation_spec_set(super_generation_t *generation,
                               const char *resolved_text);
/* Kills its workers: one that comes up and is not wanted any more. It may be
 * freed, as by the next. */
void super_generation_abandon(super_generation_t *generation);
/* Drains it; at most two drain at once, the older ones are killed. */
void super_generation_drain(super_generation_t *generation);
/* Frees it when it has no workers, nor a reason to be. */
void super_generation_free_unused(super_generation_t *generation);
/* Starts what is missing of the workers of one that serves, unless it is in a
 * pause. */
void super_generation_fill(super_generation_t *generation);
/* A young worker has failed: a pause, longer each time, MOST_US at most; in
 * microseconds, 0: none. */
#define SUPER_PAUSE_US (60 * SUPER_SECOND)
int64_t super_generation_pause_begin(super_generation_t *generation,
                                     int64_t most_us);
/* Counts one more event of PACE, of GENERATION, and returns the pause that it
 * costs, in microseconds. */
int64_t super_pace_count(super_pace_t *pace,
                         const super_generation_t *generation);
/* A worker that has not served longer than this is young. */
#define SUPER_YOUNG_US (10 * SUPER_SECOND)

/* recycle.c: a worker wants a successor, which comes when its application's
 * workers may have one. WHY may be empty. */
void super_recycle_request(super_worker_t *worker, const char *why, int stuck);
/* Grants a successor to as many workers as may have one now. */
void super_recycle_grant(super_generation_t *generation);

/* Told by the workers (serve.c). A worker is free after lost(). */
void super_generation_ready(super_worker_t *worker);
void super_generation_failed(super_worker_t *worker, const char *why);
void super_generation_lost(super_worker_t *worker, const char *why);

/* --- workers (worker.c, leave.c, reap.c) --------------------------------- */

typedef enum super_worker_e {
    SUPER_STARTING, /* until it says that it is ready */
    SUPER_WARMING,  /* answers its first request */
    SUPER_WAITING,  /* could serve once its generation does */
    SUPER_READY,    /* serves */
    SUPER_LEAVING,  /* drains */
    SUPER_ENDING    /* killed, or told to leave at once */
} super_worker_e;

struct super_worker_t {
    super_worker_t *next;
    super_generation_t *generation;
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
    super_relay_t *relay; /* NULL: an adopted one has not handed it over */
    super_warmup_t *warmup;
    super_join_t *join;           /* while it is adopted */
    super_timer_t limit;          /* of its state */
    super_timer_t grace;          /* a worker that has closed its channel */
    int64_t started_us, ready_us; /* weave_clock_us(); 0: not yet */
    int wants_successor;          /* 1: it has asked for a successor */
    int successor_granted;        /* 1: a successor is to come first */
    int stuck;                    /* 1: a request of it is over its time */
    int reported;                 /* 1: its end has been explained already */
};

/* Starts one for GENERATION. NULL, or why not (in the generation's pool). */
const char *super_worker_start(super_generation_t *generation);
/* One that runs already, in place SLOT; takes PIDFD. */
super_worker_t *super_worker_adopt(super_generation_t *generation, int slot,
                                   const weave_roster_worker_t *entry,
                                   int pidfd);
/* Its control channel (FD is taken). */
apr_status_t super_worker_connect(super_worker_t *worker, int fd);
/* Sets its state in the roster; 0 (FREE) gives the place up. */
void super_worker_publish(super_worker_t *worker, uint32_t state);
/* Finishes what it has, in the time a request may take, and leaves. */
void super_worker_drain(super_worker_t *worker);
/* Its application's times are known now. */
void super_worker_drain_limit_set(super_worker_t *worker);
/* Something to read from its pipe and from its channel before it is judged. */
void super_worker_report_read(super_worker_t *worker);
/* SIGKILL; its end is awaited as any other, but not reported. */
void super_worker_kill(super_worker_t *worker);
/* {"op":"quit"} */
void super_worker_quit(super_worker_t *worker);
/* Everything of it but its process. */
void super_worker_free(super_worker_t *worker);
/* The process has ended. */
void super_worker_exited(void *data, uint32_t events);
/* What it has of requests, bounded. */
void super_worker_load_get(const super_worker_t *worker, unsigned *running,
                           unsigned *queued);
/* "worker 4711 of /etc/sync.ini" */
const char *super_worker_name(const super_worker_t *worker, apr_pool_t *pool);

/* reap.c: how a process has ended, for people. */
const char *super_exit_text(int status, apr_pool_t *pool);

/* relay.c: the log of a worker. */
typedef struct super_pipe_t {
    int read_fd;  /* for the worker to keep */
    int write_fd; /* its standard output and error */
    int say_fd;   /* the same, without waiting */
} super_pipe_t;
apr_status_t super_relay_pipe_make(super_pipe_t *made);
void super_relay_pipe_close(const super_pipe_t *made);
/* READ_FD, which stays the caller's, is an end of the pipe of WORKER. */
apr_status_t super_relay_start(super_worker_t *worker, int read_fd);
/* Passes on what is left, up to a bound, before something is said about
 * WORKER. */
void super_relay_flush(super_worker_t *worker);
/* The worker is gone: passes on what others still write there. */
void super_relay_end(super_worker_t *worker);

/* exec.c: everything between fork and exec. The descriptors stay the
 * caller's. *pid, and *report_fd, where the child tells what goes wrong (its
 * end: nothing). */
typedef struct super_exec_t {
    const weave_spec_t *spec;
    uint32_t generation;
    int listen_fd, control_fd, board_fd;
    const super_pipe_t *log;
} super_exec_t;
apr_status_t super_exec_worker(pid_t *pid, int *report_fd,
                               const super_exec_t *exec);

/* proc.c: what /proc tells; 0: nothing. */
uint64_t super_proc_birth(pid_t pid);
/* How long ago a process was born then, in microseconds. */
int64_t super_proc_age(uint64_t birth);
uint64_t super_proc_rss(pid_t pid);
int super_pidfd_open(pid_t pid);
int super_pidfd_kill(int pidfd, int number);

/* --- the rest ------------------------------------------------------------ */

/* warmup.c: asks a worker for its generation's release.warmup, and tells
 * super_generation_ready() or super_generation_failed(). */
void super_warmup_start(super_worker_t *worker);
void super_warmup_end(super_worker_t *worker);

/* log.c: httpd's error log, as descriptor 2 has it. */
void super_log_open(void);
/* FD, which stays the caller's, is the log from now on; -1: it is none. */
int super_log_set(int fd);
/* The path of its file, in POOL; or NULL: it is none, or has none. */
const char *super_log_path(apr_pool_t *pool);
/* A line with TEXT behind PREFIX, or several where it is too long; WHOLE: see
 * weave_line_append. How many bytes that takes. */
size_t super_log_write(const char *prefix, size_t prefix_len, const char *text,
                       size_t len, int whole);
/* A line of process PID (0: of weaved). */
void super_log_line(int level, long pid, const char *text, size_t len);

/* adopt.c: takes over what the roster has. */
void super_adopt_roster(void);
/* The secret of APP is known: speaks with those of its workers that are
 * adopted. */
void super_adopt_join(super_app_t *app);
void super_join_end(super_worker_t *worker);

/* dir.c */
/* Makes the runtime directory ours. NULL, or a message for the operator. */
const char *super_dir_open(apr_pool_t *pool);
/* Lets GID, httpd's children, enter it. */
void super_dir_group_set(long gid);
/* A listening socket in it, whose name comes back in PATH. */
apr_status_t super_dir_listen(int *fd, const char *path, mode_t mode,
                              int backlog);
/* Looks whether somebody has removed or replaced it, or sockets in it. */
int super_dir_is_lost(void);
/* Anew, after it was lost; the same as super_dir_open(). */
const char *super_dir_reopen(apr_pool_t *pool);
void super_dir_remove(void);
/* Removes the socket PATH, which is one of its own. */
void super_dir_unlink(const char *path);

/* ask.c: who asks, over the socket and httpd's own channel. */
apr_status_t super_control_listen(int fd);
void super_control_unlisten(void);
apr_status_t super_control_httpd(int fd);
/* want.c, status.c: the larger of the answers; a message (in POOL), or NULL. */
/* FD holds what httpd wants; it stays the caller's. */
const char *super_want_apply(int fd, apr_pool_t *pool);
json_t *super_status_json(apr_pool_t *pool);

/* main.c: all leave. */
void super_end_begin(void);
/* A worker is gone: was it the last one? */
void super_end_check(void);

#endif
