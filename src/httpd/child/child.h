/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_CHILD_H
#define MOD_WEAVE_CHILD_H

/* What runs in httpd's children: hooks, and what several files of theirs use.
 */

#include "retain.h"

/* backend_pool.c: in a child, what it needs for requests to workers */
void mod_weave_backend_start(apr_pool_t *pchild, server_rec *s);

/* embedded.c: Python inside the httpd child */
void mod_weave_embedded_start(apr_pool_t *pchild, server_rec *main_server);
/* Starts Python and the import. */
void mod_weave_embedded_python(apr_pool_t *pchild, server_rec *main_server);
void mod_weave_embedded_stopping(apr_pool_t *pchild, int graceful);
/* The engine once its application is imported; waits while it is being
 * imported. NULL: it cannot be, or not in time. */
const weave_engine_t *mod_weave_embedded_ready(void);

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
/* The mount's configuration with the <Location>'s WeaveSet; the defaults where
 * its application cannot run. */
const weave_conf_t *mod_weave_conf_of(request_rec *r,
                                      const mod_weave_mount_t *mount);
/* The path below the mount, decoded once, with its slashes as they came. */
const char *mod_weave_path_info(request_rec *r, const mod_weave_mount_t *mount);

/* maintenance.c: what is to become of a request */
typedef struct mod_weave_verdict_t {
    apr_uint32_t mode;   /* for this request: OFF, BACKOFF or ON */
    int load;            /* BACKOFF because of it, not of a setting */
    weave_verdict_t all; /* where there are settings, and load is 0 */
} mod_weave_verdict_t;
/* A hook of children: takes over what the parent knows, and a slot of the
 * counters. */
void mod_weave_maintenance_start(apr_pool_t *pchild, server_rec *s);
/* The hook that asks as soon as the Location is known; and the handler of what
 * it has refused. */
int mod_weave_maintenance_ask(request_rec *r);
int mod_weave_maintenance_refuse(request_rec *r);
/* shed.c: 1 while so many slots of APP are busy that clients are asked to come
 * less often. */
int mod_weave_is_shedding(const mod_weave_mount_t *mount);

/* unavailable.c: the 503 that Sync clients obey; OK, as a handler returns it.
 * Its seconds: of VERDICT, or limits.backoff where that is NULL. It speaks of a
 * maintenance where WHY is one. */
int mod_weave_unavailable(request_rec *r, const weave_conf_t *conf,
                          weave_refused_e why,
                          const mod_weave_verdict_t *verdict);
/* The same for a STATUS that comes of the application's failure (500, 502,
 * 504), where maintenance.style = sync; the head may not be out. Returns OK, or
 * STATUS where httpd is to answer. */
int mod_weave_failure(request_rec *r, const weave_conf_t *conf, int status);
/* maintenance.style = sync */
int mod_weave_is_sync(const weave_conf_t *conf);
/* The headers of an answer that is given all the same. */
void mod_weave_backoff_add(request_rec *r, const weave_conf_t *conf,
                           const mod_weave_verdict_t *verdict);

/* page.c: the page for people, or NULL: the client wants none. MESSAGE is NULL
 * where this is no maintenance: then it is a page of our own that says so. */
const char *mod_weave_page(request_rec *r, const weave_conf_t *conf,
                           const char *message, apr_size_t *len);

/* keepalive.c: the wait for the next request of a busy connection */
/* While hooks are registered. */
void mod_weave_keepalive_init(void);
/* A hook of children. */
void mod_weave_keepalive_start(apr_pool_t *pchild, server_rec *s);
/* Around the handler. MAY_WAIT: a worker has answered. */
void mod_weave_keepalive_begin(const request_rec *r);
void mod_weave_keepalive_end(const request_rec *r, int may_wait);

/* handler.c */
int mod_weave_handler(request_rec *r);

/* log.c */
void mod_weave_log(void *host, int level, const char *text, size_t len);
/* 1, at most once in a minute of this child: NEXT_US begins with 0. For lines
 * that whoever sends many requests could fill the log with. */
int mod_weave_log_is_due(_Atomic int64_t *next_us);

#endif
