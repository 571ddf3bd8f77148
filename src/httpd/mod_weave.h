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

/* ap_normalize_path() and child_stopping; also CVE-2021-41773 */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
#error "mod_weave needs httpd 2.4.49 or later"
#endif

#include "weave_conf.h"
#include "weave_engine.h"
#include "weave_virtualenv.h"

#define MOD_WEAVE_NAME "mod_weave"
#define MOD_WEAVE_VERSION "0.1.0"
#define MOD_WEAVE_HANDLER "weave-application"

extern __attribute__((visibility("default"))) module weave_module;
APLOG_USE_MODULE(weave);

/* One application: one sync.ini, whatever it is mounted at. */
typedef struct mod_weave_app_t {
    const char *ini;     /* resolved path */
    const char *ini_now; /* where its text is read from: see retain.c */
    const weave_conf_t
        *conf; /* the file, and what server-level WeaveSet says */
    const apr_table_t *environ;     /* wsgi.environ.NAME of the file alone */
    const char *flat;               /* the file as retain.c keeps it, or NULL */
    const weave_virtualenv_t *venv; /* NULL: the default engine's Python */
    const char *engine;             /* path of the engine */
} mod_weave_app_t;

/* WeaveApp: a path of a server and what answers below it. */
typedef struct mod_weave_mount_t {
    const char *prefix; /* "" for "/", else "/sync": SCRIPT_NAME */
    apr_size_t prefix_len;
    const char *ini;  /* as resolved when the directive was read */
    const char *file; /* the directive's place */
    int line;
    mod_weave_app_t *app;     /* set in check_config; NULL: not to be served */
    const weave_conf_t *conf; /* app->conf with this server's WeaveSet */
} mod_weave_mount_t;

typedef struct mod_weave_server_t {
    apr_array_header_t *mounts; /* of mod_weave_mount_t *, longest first */
    weave_conf_t *set;          /* WeaveSet of this server, or NULL */
} mod_weave_server_t;

typedef struct mod_weave_dir_t {
    const weave_conf_t *set; /* WeaveSet of the <Location>, or NULL */
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

/* check.c: what configtest and every (re)start look at */
int mod_weave_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *main_server);
int mod_weave_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *main_server);
/* The application of this httpd, or NULL. Embedded mode has room for one. */
mod_weave_app_t *mod_weave_app_get(void);

/* probe.c: loads an engine in a process that is thrown away. NULL, or what
 * is wrong with it. */
const char *mod_weave_probe(const mod_weave_app_t *app, apr_pool_t *pool);
/* Is any libpython in this process already? Its path, or NULL. */
const char *mod_weave_libpython_loaded(apr_pool_t *pool);

/* retain.c: the last configuration that was good, kept across restarts */
void mod_weave_retain(const mod_weave_app_t *app);
int mod_weave_is_running(void); /* a restart rather than a first start */
/* The sync.ini that was good last, or NULL, and where its text can be read. */
const char *mod_weave_retained_ini(void);
const char *mod_weave_retained_text(apr_pool_t *pconf);

/* engine.c: the shared object of an engine */
/* The folder of this module, where engines and programs are too. */
const char *mod_weave_libdir(apr_pool_t *pool);
/* Loads libpython and the engine, for good. NULL and *engine, or a message. */
const char *mod_weave_engine_load(const weave_engine_t **engine,
                                  const mod_weave_app_t *app, apr_pool_t *pool);

/* embedded.c: Python inside the httpd child */
void mod_weave_embedded_start(apr_pool_t *pchild, server_rec *main_server);
void mod_weave_embedded_stopping(apr_pool_t *pchild, int graceful);
/* The engine once its application is imported; waits while it is being
 * imported. NULL: it cannot be, or not in time. */
const weave_engine_t *mod_weave_embedded_ready(request_rec *r);
extern const weave_engine_t *mod_weave_engine;

/* mount.c */
int mod_weave_translate_name(request_rec *r);
int mod_weave_map_to_storage(request_rec *r);
int mod_weave_fixups(request_rec *r);
/* The mount that answers this request, or NULL. */
const mod_weave_mount_t *mod_weave_mount_of(request_rec *r);
/* The path below the mount, decoded once, with its slashes as they came. */
const char *mod_weave_path_info(request_rec *r, const mod_weave_mount_t *mount);

/* A request inside the engine; lives on the stack of the handler. */
typedef struct mod_weave_exchange_t {
    request_rec *r;
    const weave_conf_t *conf; /* with the <Location>'s WeaveSet */
    const mod_weave_mount_t *mount;
    apr_bucket_brigade *in; /* read, not yet given away */
    apr_bucket_brigade *out;
    int has_body;          /* 1: the client announces one */
    int in_ended;          /* 1: all of it was read */
    weave_io_e in_problem; /* the first one; there is no reading on */
    int head_sent;
    int taken_over; /* 1: a filter has failed, or answered in our place */
} mod_weave_exchange_t;

/* vars.c */
typedef struct mod_weave_vars_t {
    weave_var_t *items;
    apr_size_t count, room;
    apr_pool_t *pool;
} mod_weave_vars_t;
void mod_weave_vars_init(void);
void mod_weave_vars_fill(mod_weave_vars_t *vars,
                         const mod_weave_exchange_t *exchange);

/* body.c */
ssize_t mod_weave_body_read(void *host, char *buffer, size_t size);
/* Fills `in` with what of a short body is here already. */
void mod_weave_body_peek(mod_weave_exchange_t *exchange, weave_request_t *in);

/* answer.c */
void mod_weave_head_send(void *host, const weave_head_t *head);
weave_io_e mod_weave_body_send(void *host, const weave_piece_t *pieces,
                               size_t count, int flags);
weave_io_e mod_weave_file_send(void *host, int fd, int64_t offset,
                               int64_t length, int flags);
void mod_weave_answer_cut(mod_weave_exchange_t *exchange);

/* unavailable.c: the 503 that Sync clients obey */
int mod_weave_unavailable(request_rec *r, const weave_conf_t *conf);

/* handler.c */
int mod_weave_handler(request_rec *r);

/* log.c */
void mod_weave_log(void *host, int level, const char *text, size_t len);

#endif
