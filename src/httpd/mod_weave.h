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
#include "weave_check.h"
#include "weave_clock.h"
#include "weave_conf.h"
#include "weave_counters.h"
#include "weave_engine.h"
#include "weave_secret.h"
#include "weave_verdict.h"
#include "weave_version.h"

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
    int slot;        /* in the roster and in the counters */
    /* where its text is read from: what the links in `ini` led to, or with
     * `is_kept` what was good before: see retain.c */
    const char *ini_now;
    const char *ini_real; /* what the links lead to now */
    int is_kept;
    apr_int64_t stamp;   /* of the file now; 0: it cannot be read */
    const char *problem; /* why what it says does not count, or NULL: it does */
    /* the file, and what server-level WeaveSet says; but for the reader,
     * without what may be a secret: see reader.c */
    const weave_conf_t *conf;
    const weave_conf_t *set;        /* that WeaveSet, or NULL */
    const char *mode_where;         /* of maintenance.mode in the file */
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
    const char *ini, *ini_now, *ini_real; /* as mod_weave_app_t has them */
    int is_kept;
    apr_array_header_t *mounts; /* of mod_weave_mount_t *, all servers */
    /* those that name its file by another path: they become its own where both
     * are embedded */
    apr_array_header_t *other_mounts;
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
    int slot;                 /* of its ini, served or not; -1: none */
    const weave_conf_t *set;  /* WeaveSet of this server, or NULL */
    const weave_conf_t *conf; /* the file with that */
    const char *mode_where;   /* as `app` has it */
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

/* retain.c: the applications of this httpd, as long as a pconf lives */
extern struct mod_weave_apps_t {
    apr_array_header_t *good; /* of mod_weave_app_t *: those that may run */
    /* all of them; those that cannot run because something is wrong with them
     * have no `conf` */
    apr_array_header_t *all;
    mod_weave_app_t *embedded; /* or NULL */
} mod_weave_apps;
/* Forgets all of them: another configuration is about to be checked. */
void mod_weave_apps_clear(apr_pool_t *pconf);
/* What the directives say in S. */
mod_weave_server_t *mod_weave_server_get(server_rec *s);
int mod_weave_is_configtest(void);

/* The folder of this module, where engines and programs are too. */
const char *mod_weave_libdir(apr_pool_t *pool);

/* what this process counts, for weavectl */
extern weave_counters_t *mod_weave_counters; /* NULL: no applications */
/* The slot of this child; NULL: there is none. */
extern weave_counters_child_t *mod_weave_counters_child;
/* Where this child counts for the application at MOUNT; NULL: nowhere. */
weave_counters_row_t *mod_weave_counters_row(const mod_weave_mount_t *mount);
_Atomic uint32_t *mod_weave_counters_admitted(const mod_weave_mount_t *mount);

/* known.c: weave_known_learn() for a process of httpd. Logs what has changed,
 * if no other process has. */
void mod_weave_known_learn(weave_known_t *known);

/* helper.c: a process that the parent has forked for one task */
typedef struct mod_weave_helper_t {
    pid_t pid;
    int fd; /* of the parent: the answer; -1: there is none */
    char *answer;
    apr_size_t room; /* in `answer`; who fills it is killed */
    /* what mod_weave_helper_wait() sets; zero before */
    apr_size_t len; /* of the answer */
    int status;     /* as waitpid() has it */
    int is_late;    /* it was killed because its time was over */
} mod_weave_helper_t;

/* Waits until the process has ended or filled `answer`, TIMEOUT_MS at most, and
 * kills it and what is left of its process group. */
void mod_weave_helper_wait(mod_weave_helper_t *helper, int timeout_ms);

/* Returns "ended with ..." for a STATUS that waitpid() gave. */
const char *mod_weave_helper_end(int status, apr_pool_t *pool);

/* Returns what LOOK makes of PATH with the rights of httpd's children: 0 or a
 * number up to 255, such as an errno. LOOK is our own code. */
typedef int mod_weave_look_fn(const char *path, apr_pool_t *pool);
int mod_weave_child_tries(mod_weave_look_fn *look, const char *path,
                          apr_pool_t *pool);

/* page_file.c: the file of maintenance.page, which the parent checks and
 * children show */

#define MOD_WEAVE_PAGE_FAILURE                                                 \
    "WEAVE0154: maintenance.page, %s, cannot be shown: %s. People see the"     \
    " built-in page; make it a text file that the user whom httpd runs as"     \
    " may read"

/* Returns the text of PATH, or NULL and *why: an errno, or a flaw of the file.
 */
const char *mod_weave_page_read(const char *path, int *why, apr_pool_t *pool);
/* Returns what WHY means, for people. */
const char *mod_weave_page_flaw(int why, apr_pool_t *pool);

/* Returns NULL, or why maintenance.page of CONF cannot be shown by httpd's
 * children. */
const char *mod_weave_page_check(const weave_conf_t *conf, apr_pool_t *pool);

#endif
