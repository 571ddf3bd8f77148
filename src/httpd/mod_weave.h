/* SPDX-License-Identifier: Apache-2.0 */
/* mod_weave.h: what the httpd side of mod_weave shares
 *
 * Everything that hangs on pconf is made anew at every restart and is
 * read-only in the children. Nothing here knows Python. */
#ifndef MOD_WEAVE_H
#define MOD_WEAVE_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

/* ap_normalize_path() and child_stopping; also CVE-2021-41773 */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
#error "mod_weave needs httpd 2.4.49 or later"
#endif

#include "hidden.h"
#include "weave_board.h"
#include "weave_clock.h"
#include "weave_conf.h"
#include "weave_engine.h"
#include "weave_secret.h"
#include "weave_counters.h"
#include "weave_verdict.h"
#include "weave_version.h"
#include "weave_virtualenv.h"

#define MOD_WEAVE_NAME "mod_weave"
#define MOD_WEAVE_VERSION WEAVE_VERSION
#define MOD_WEAVE_HANDLER "weave-application"
#define MOD_WEAVE_REFUSAL "weave-maintenance" /* the 503, and nothing else */

extern __attribute__((visibility("default"))) module weave_module;
APLOG_USE_MODULE(weave);

#define MOD_WEAVE_RUNTIME_DIR "/run/weave"
/* The longest WeaveRuntimeDir: room for the names of the sockets in it. */
#define MOD_WEAVE_RUNTIME_DIR_MAX 80

/* One application: one sync.ini, whatever it is mounted at. */
typedef struct mod_weave_app_t {
    const char *ini; /* its name: the path in WeaveApp, see mod_weave_mount_t */
    int embedded;    /* 1: Python inside httpd's children */
    int place;       /* in the roster and on the maintenance board */
    /* where its text is read from: what the links in `ini` led to, or with
     * `is_kept` what was good before: see retain.c */
    const char *ini_now;
    int is_kept;
    apr_int64_t stamp;   /* of the file now; 0: it cannot be read */
    const char *problem; /* why what it says does not count, or NULL: it does */
    /* the file, and what server-level WeaveSet says; but for the reader,
     * without what may be a secret: see reader.c */
    const weave_conf_t *conf;
    const apr_table_t *environ;     /* wsgi.environ.NAME of the file alone */
    const weave_virtualenv_t *venv; /* NULL: the default engine's Python */
    const char *engine;             /* path of the engine */
    /* in the parent: */
    mod_weave_hidden_t text; /* of the file, flat; none: nothing new */
    mod_weave_hidden_t spec; /* for weaved: see weave_spec.h; none: embedded */
    int private_fd;          /* embedded: what its children read; -1: nothing */
    /* in the reader: */
    const char *text_read, *spec_made; /* what becomes `text` and `spec` */
    apr_int64_t ini_hash;              /* of the file */
    const char *user;                  /* that it runs as; "": whom httpd has */
    apr_gid_t gid;
    /* in the parent, too: */
    apr_uid_t uid;      /* of its processes */
    const char *absent; /* what workers.pass_env names for nothing; or "" */
} mod_weave_app_t;

/* One application while it is checked. */
typedef struct mod_weave_check_t {
    server_rec *s; /* the main server */
    apr_pool_t *pconf, *ptemp;
    const char *ini, *ini_now; /* as mod_weave_app_t has them */
    int is_kept;
    apr_array_header_t *mounts; /* of mod_weave_mount_t *, all servers */
    apr_array_header_t *sets; /* of weave_conf_t *: the WeaveSet around each */
    /* the same of the mounts that name its file by another path: those become
     * its own where both are embedded */
    apr_array_header_t *other_mounts, *other_sets;
    int errors;
    const char *problem; /* the first of them, or NULL */
    apr_int64_t stamp;   /* of its file; 0: it could not be read */
} mod_weave_check_t;

/* A maintenance mode that the configuration says, for a part of a server.
 * Where several hold, the strictest does. */
typedef struct mod_weave_switch_t {
    weave_maintenance_t setting; /* `since` once post_config is through */
    const char *from;            /* "WeaveMaintenance", "maintenance.mode" */
    int is_key;        /* the latter: of several, the last one holds */
    const char *where; /* "httpd.conf:12" */
    const server_rec *s;
    const char *path;    /* of the <Location>; NULL: the whole server */
    const char *section; /* "Location", "LocationMatch"; NULL: no path */
    int is_pattern;      /* what is in `path`: only httpd can tell */
    int number;          /* in the order in which they are said */
} mod_weave_switch_t;

/* WeaveApp: a path of a server and what answers below it. */
typedef struct mod_weave_mount_t {
    const char *prefix; /* "" for "/", else "/sync": SCRIPT_NAME */
    apr_size_t prefix_len;
    /* absolute and normalised, its links not followed: what names the
     * application, whatever the links lead to */
    const char *ini;
    const char *file; /* the directive's place */
    int line;
    mod_weave_app_t *app;     /* set in check_config; NULL: not to be served */
    int place;                /* of its ini, served or not; -1: none */
    const weave_conf_t *conf; /* app->conf with this server's WeaveSet */
    const mod_weave_switch_t *mode; /* of maintenance.mode in `conf`, or NULL */
} mod_weave_mount_t;

typedef struct mod_weave_server_t {
    apr_array_header_t *mounts; /* of mod_weave_mount_t *, longest first */
    weave_conf_t *set;          /* WeaveSet of this server, or NULL */
    const char *runtime_dir;    /* of the main server only; NULL: default */
    const char *state_dir;      /* there too */
    int smooth; /* there too: WeaveSmoothGraceful; -1: default */
} mod_weave_server_t;

typedef struct mod_weave_dir_t {
    const weave_conf_t *set; /* WeaveSet of the <Location>, or NULL */
    const mod_weave_switch_t *directive; /* WeaveMaintenance, or NULL: off */
    const mod_weave_switch_t *mode; /* of maintenance.mode in `set`, or NULL */
} mod_weave_dir_t;

/* config.c */
void *mod_weave_server_create(apr_pool_t *pool, server_rec *s);
void *mod_weave_server_merge(apr_pool_t *pool, void *base, void *over);
void *mod_weave_dir_create(apr_pool_t *pool, char *dir);
void *mod_weave_dir_merge(apr_pool_t *pool, void *base, void *over);
const char *mod_weave_app_set(cmd_parms *cmd, void *dir, const char *prefix,
                              const char *ini);
const char *mod_weave_set_set(cmd_parms *cmd, void *dir, const char *key,
                              const char *value);
mod_weave_server_t *mod_weave_server_get(server_rec *s);

/* WeaveRuntimeDir PATH; WeaveStateDir PATH; WeaveSmoothGraceful On|Off */
const char *mod_weave_runtime_dir_set(cmd_parms *cmd, void *dir,
                                      const char *path);
const char *mod_weave_state_dir_set(cmd_parms *cmd, void *dir,
                                    const char *path);
const char *mod_weave_smooth_set(cmd_parms *cmd, void *dir, int on);
/* The folder of the sockets, that of what must last; absolute. */
const char *mod_weave_runtime_dir(void);
const char *mod_weave_state_dir(void);

/* switch.c: modes in the configuration. WeaveMaintenance Off|Backoff|Drain|On
 */
const char *mod_weave_maintenance_set(cmd_parms *cmd, void *dir,
                                      const char *mode);
/* The one of maintenance.mode in CONF, said at CMD, instead of *SW. */
void mod_weave_switch_replace(const mod_weave_switch_t **sw, cmd_parms *cmd,
                              const weave_conf_t *conf);
const mod_weave_switch_t *mod_weave_switch_stricter(
    const mod_weave_switch_t *a, const mod_weave_switch_t *b);
/* In post_config: since when each holds, whatever was restarted since. */
void mod_weave_switches_settle(apr_pool_t *pconf, server_rec *main_server);

/* check.c: what configtest and every (re)start look at */
int mod_weave_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *main_server);
int mod_weave_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *main_server);
int mod_weave_is_configtest(void);

/* apps.c: the applications of this httpd, of mod_weave_app_t * */
/* Those that may run. */
const apr_array_header_t *mod_weave_apps_good(void);
/* All of them; those that cannot run because something is wrong with them have
 * no `conf`. */
const apr_array_header_t *mod_weave_apps(void);
/* The one that is embedded, or NULL. */
mod_weave_app_t *mod_weave_app_get(void);
/* While the configuration is checked: forgets all of them; adds one to those
 * that may run (IS_GOOD) or to all; and says which one is embedded. */
void mod_weave_apps_clear(apr_pool_t *pconf);
void mod_weave_apps_add(mod_weave_app_t *app, int is_good);
void mod_weave_app_embed(mod_weave_app_t *app);

/* application.c: one application, checked, with all its secrets, and *FILE, its
 * file without WeaveSet. NULL: the file cannot be read; what else is wrong is
 * counted in `errors`. Only a reader calls it. */
mod_weave_app_t *mod_weave_app_make(const weave_conf_t **file,
                                    mod_weave_check_t *check);
/* Gives each mount its configuration: FILE and the WeaveSet around the mount.
 * The first one's becomes that of APP. Where that is embedded, it takes those
 * of `other_mounts` that are embedded, too. */
void mod_weave_app_bind(mod_weave_check_t *check, mod_weave_app_t *app,
                        const weave_conf_t *file);

/* problems.c: counts an error of the application, and logs it. */
void mod_weave_check_fail(mod_weave_check_t *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with PROBLEMS (weave_problem_t *); notices are only logged. */
void mod_weave_check_report(mod_weave_check_t *check,
                            const apr_array_header_t *problems);

/* reader.c: the same in a process of its own, which takes its secrets with it.
 * All but what is hidden, and what children read, is public. */
mod_weave_app_t *mod_weave_app_read(mod_weave_check_t *check);
/* In a child, once: the whole configuration of the embedded APP, and its
 * wsgi.environ.NAME. NULL, or what is wrong. */
const char *mod_weave_app_private(const weave_conf_t **conf,
                                  const apr_table_t **environ,
                                  mod_weave_app_t *app, apr_pool_t *pool);

/* spec.c: APP for weaved, as JSON; sets its place. NULL: not UTF-8. */
const char *mod_weave_spec_make(mod_weave_app_t *app, const server_rec *s,
                                apr_pool_t *pool);

/* probe.c: has another program load an engine, and run the check that the
 * application brings. NULL, or what is wrong with the engine. Only a reader,
 * which has no other children, calls it. */
typedef struct mod_weave_probe_t {
    const char *rows;   /* of that check, as weave_control.h has it, or NULL */
    const char *failed; /* why that is not all, or NULL */
} mod_weave_probe_t;
const char *mod_weave_probe(mod_weave_probe_t *own, const mod_weave_app_t *app,
                            apr_pool_t *pool);
/* rows.c: reports what the application's own check says of its sync.ini.
 * SOURCES are those of weave_conf_flatten(). */
void mod_weave_rows_report(mod_weave_check_t *check, const mod_weave_app_t *app,
                           const mod_weave_probe_t *own,
                           const apr_array_header_t *sources);
/* Is any libpython in this process already? Its path, or NULL. */
const char *mod_weave_libpython_loaded(apr_pool_t *pool);

/* retain.c: what is kept across restarts, plain data */
#define MOD_WEAVE_RETAINED_VERSION 12

/* Since when a part of the configuration has said a mode. */
typedef struct mod_weave_retained_since_t {
    struct mod_weave_retained_since_t *next;
    char *key; /* malloc: which part */
    apr_uint32_t mode;
    apr_time_t since;
    int seen; /* in the configuration that is read just now */
} mod_weave_retained_since_t;

typedef struct mod_weave_retained_app_t {
    char *ini; /* malloc: its name; its place is that in the roster */
    mod_weave_hidden_t text; /* what was good last, flat; none: nothing yet */
    mod_weave_hidden_t spec; /* the same for weaved; none: embedded */
    weave_secret_t secret;   /* as long as `ini` has this place */
    int embedded;
    int wanted; /* weaved is to run `spec`, by the configuration read last */
} mod_weave_retained_app_t;

typedef struct mod_weave_retained_t {
    apr_uint32_t version;
    /* weaved, and what it shares with httpd; only the parent has these */
    pid_t owner;      /* the parent */
    uid_t starter;    /* its user: weaved listens as that one */
    pid_t supervisor; /* pid of weaved; 0: none */
    int64_t started;
    int64_t next_try; /* of one that keeps dying; 0: now */
    int failures;
    int ready; /* it writes there why it cannot start; -1: there is none */
    int lifeline[2];
    int roster_fd; /* for reading only; closed in the children */
    struct weave_control_t
        *control;                 /* to weaved; malloc; NULL: there is none */
    apr_uint32_t asked, answered; /* the numbers of requests there */
    int64_t asked_us; /* when the first one that is not answered was sent, or
                         weaved last answered; 0: all are answered */
    int unsent;       /* 1: there was no room for one of them */
    weave_roster_t *roster;     /* read-only mapping, inherited */
    char *runtime_dir;          /* malloc: that weaved runs with */
    weave_counters_t *counters; /* for writing, inherited */
    int counters_fd;            /* keeps the lock; -1: nobody sees them */
    char *counters_dir;         /* malloc: the folder that they are in */
    weave_known_t known; /* what weavectl has said, as the parent knows it */
    char *known_dir;     /* malloc: the folder of that, which all go by */
    mod_weave_retained_since_t *sinces;
    mod_weave_retained_app_t apps[WEAVE_ROSTER_APPS];
} mod_weave_retained_t;

/* NULL: it is another version of mod_weave that keeps it. */
mod_weave_retained_t *mod_weave_retained_get(void);
/* A configuration is about to be read: nobody asks for a place yet. */
void mod_weave_retained_unask(void);
/* Where INI has a place, nobody else gets it in this configuration. */
void mod_weave_retained_ask(const char *ini);
/* The place of INI, from now on; -1: there are too many. */
int mod_weave_retained_place(const char *ini);
/* APPS are good; of those not in ALL there is no need to keep a place. */
void mod_weave_retain(const apr_array_header_t *apps,
                      const apr_array_header_t *all);
int mod_weave_is_running(void); /* a restart rather than a first start */
int mod_weave_retained_is_embedded(const char *ini);
/* The text that was good last for the application of INI, as a file that the
 * user UID can open, and the caller's to close; -1: there is none. */
int mod_weave_retained_text(const char *ini, apr_uid_t uid);
/* Since when the part KEY says MODE: now, when it did not before. SWEEP
 * forgets what was not asked for since the last sweep. */
apr_time_t mod_weave_retained_since(const char *key, apr_uint32_t mode);
void mod_weave_retained_sweep(void);

/* state.c: what weavectl finds in WeaveRuntimeDir; at every start and restart
 * (RUNNING) */
/* Makes the counters. 0; -1: there are none, and that is logged. */
int mod_weave_counters_publish(int running, apr_pool_t *pconf, server_rec *s);
/* Writes httpd.json. Says what is wrong itself. */
void mod_weave_state_publish(apr_pool_t *pconf, server_rec *s);

/* publish.c: WeaveStateDir, and what weavectl has said there */
/* At every start and restart. Says what is wrong itself. */
void mod_weave_publish(apr_pool_t *pconf, server_rec *s);
int mod_weave_known_monitor(apr_pool_t *pool, server_rec *s);
/* At configtest. */
void mod_weave_publish_check(apr_pool_t *pool, server_rec *s);
/* Returns why httpd's children cannot enter the folder, or NULL. */
const char *mod_weave_publish_enter_check(apr_pool_t *pool);

/* supervise.c: weaved, from the parent. 0, or -1 after logging why APPS cannot
 * run. RUNNING: a restart. */
int mod_weave_supervise(apr_pool_t *pconf, server_rec *s,
                        const apr_array_header_t *apps, int running);
/* In a child: lets go of what only the parent may have. */
void mod_weave_supervise_child(apr_pool_t *pchild, server_rec *s);
int mod_weave_supervise_monitor(apr_pool_t *pool, server_rec *s);
/* Read-only, in parent and children; NULL: there are no worker processes. */
const weave_roster_t *mod_weave_roster(void);

/* backend_pool.c: in a child, what it needs for requests to workers */
void mod_weave_backend_start(apr_pool_t *pchild, server_rec *s);

/* smooth.c: a graceful restart without a pause */
void mod_weave_smooth_start(apr_pool_t *pconf, server_rec *s);
void mod_weave_smooth_status(server_rec *s, pid_t pid, ap_generation_t gen,
                             int slot, mpm_child_status status);

/* engine.c: the shared object of an engine */
/* The folder of this module, where engines and programs are too. */
const char *mod_weave_libdir(apr_pool_t *pool);
/* Loads libpython and the engine, for good. NULL and *engine, or a message. */
const char *mod_weave_engine_load(const weave_engine_t **engine,
                                  const mod_weave_app_t *app, apr_pool_t *pool);

/* embedded.c: Python inside the httpd child */
void mod_weave_embedded_start(apr_pool_t *pchild, server_rec *main_server);
/* Starts Python and the import. */
void mod_weave_embedded_python(apr_pool_t *pchild, server_rec *main_server);
void mod_weave_embedded_stopping(apr_pool_t *pchild, int graceful);
/* The engine once its application is imported; waits while it is being
 * imported. NULL: it cannot be, or not in time. */
const weave_engine_t *mod_weave_embedded_ready(void);
extern const weave_engine_t *mod_weave_engine;

/* host.c: httpd as the engine's host */
/* INI is where the application reads its sync.ini. Once in a child. */
const weave_host_t *mod_weave_host_start(const char *ini);
/* Ends a process that the application has forked where its parent goes on with
 * the request, or with the import. */
void mod_weave_host_leave_fork(void);

/* fork.c: descriptors in what Python forks in an embedded child */
/* Notes what is open now, as nothing that the application has opened. */
void mod_weave_fork_prepare(apr_pool_t *pool);
/* In the new process: closes all that, all connections of clients and those to
 * workers, but for the descriptor BUT (-1: none). */
void mod_weave_fork_close(int but);

/* stack.c */
/* At configtest and every start: says when Python's stacks are too small. */
void mod_weave_stack_check(const server_rec *s);

/* locale.c */
/* In an httpd child, before there are threads in it. */
void mod_weave_locale_set(const server_rec *s);
/* At configtest: says which names of `env.` set no locale. WHERE they are. */
void mod_weave_locale_check(const server_rec *s, const weave_conf_t *conf,
                            const char *where);

/* mount.c */
int mod_weave_quick_handler(request_rec *r, int is_lookup);
int mod_weave_translate_name(request_rec *r);
int mod_weave_map_to_storage(request_rec *r);
int mod_weave_fixups(request_rec *r);
/* The mount that answers this request, or NULL. */
const mod_weave_mount_t *mod_weave_mount_of(request_rec *r);
/* The same, unless a handler of somebody else's is configured there. */
const mod_weave_mount_t *mod_weave_mount_ours(request_rec *r);
/* Has another module (mod_dir) led a request of ours to another path, behind
 * our back? Then mod_weave_mount_find() does it anew, with all checks of that
 * path, and returns what the handler returns. */
int mod_weave_mount_is_lost(request_rec *r);
int mod_weave_mount_find(request_rec *r);
/* The mount's configuration with the <Location>'s WeaveSet. */
const weave_conf_t *mod_weave_conf_of(request_rec *r,
                                      const mod_weave_mount_t *mount);
/* The path below the mount, decoded once, with its slashes as they came. */
const char *mod_weave_path_info(request_rec *r, const mod_weave_mount_t *mount);

/* counters.c: what this process counts, for weavectl */
/* In the parent, at every start and restart. */
void mod_weave_counters_set(weave_counters_t *counters);
/* A hook of children. */
void mod_weave_counters_start(apr_pool_t *pchild, server_rec *s);
/* NULL: there are no applications. */
weave_counters_t *mod_weave_counters(void);
/* The slot of this child; NULL: there is none. */
weave_counters_child_t *mod_weave_counters_child(void);
/* Where this child counts for the application at MOUNT; NULL: nowhere. */
weave_counters_row_t *mod_weave_counters_row(const mod_weave_mount_t *mount);
_Atomic uint32_t *mod_weave_counters_admitted(const mod_weave_mount_t *mount);

/* known.c: weave_known_learn() for a process of httpd. Logs what has changed,
 * if no other process has. */
int mod_weave_known_learn(weave_known_t *next, const weave_known_t *known);

/* maintenance.c: what is to become of a request */
typedef struct mod_weave_verdict_t {
    apr_uint32_t mode;   /* for this request: OFF, BACKOFF or ON */
    int load;            /* BACKOFF because of it, not of a setting */
    weave_verdict_t all; /* where there are settings, and load is 0 */
} mod_weave_verdict_t;
/* A hook of children: takes over what the parent knows. */
void mod_weave_maintenance_start(apr_pool_t *pchild, server_rec *s);
/* The hook that asks as soon as the Location is known; and the handler of what
 * it has refused. */
int mod_weave_maintenance_ask(request_rec *r);
int mod_weave_maintenance_refuse(request_rec *r);
/* shed.c: 1 while so many slots of APP are busy that clients are asked to come
 * less often. */
int mod_weave_is_shedding(const mod_weave_mount_t *mount);

/* unavailable.c: the 503 that Sync clients obey; OK, as a handler returns it.
 * Its seconds: of VERDICT, or limits.backoff where that is NULL. */
int mod_weave_unavailable(request_rec *r, const weave_conf_t *conf,
                          weave_refused_e why,
                          const mod_weave_verdict_t *verdict);
/* maintenance.style = sync */
int mod_weave_is_sync(const weave_conf_t *conf);
/* The headers of an answer that is given all the same. */
void mod_weave_backoff_add(request_rec *r, const weave_conf_t *conf,
                           const mod_weave_verdict_t *verdict);

/* page.c: the page for people, or NULL: the client wants none. MESSAGE is NULL
 * where this is no maintenance: then it is a page of our own that says so. */
const char *mod_weave_page(request_rec *r, const weave_conf_t *conf,
                           const char *message, apr_size_t *len);
/* NULL, or why maintenance.page of CONF cannot be shown by httpd's children. */
const char *mod_weave_page_check(const weave_conf_t *conf, apr_pool_t *pool);

/* handler.c */
int mod_weave_handler(request_rec *r);

/* log.c */
void mod_weave_log(void *host, int level, const char *text, size_t len);
/* 1, at most once in a minute of this child: NEXT_US begins with 0. For lines
 * that whoever sends many requests could fill the log with. */
int mod_weave_log_is_due(_Atomic int64_t *next_us);

#endif
