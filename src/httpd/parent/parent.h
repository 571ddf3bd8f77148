/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOD_WEAVE_PARENT_H
#define MOD_WEAVE_PARENT_H

/* What runs in httpd's parent, and at configtest. */

#include "retain.h"
#include "weave_control.h"

/* config.c */
void *mod_weave_server_create(apr_pool_t *pool, server_rec *s);
void *mod_weave_server_merge(apr_pool_t *pool, void *base, void *over);
void *mod_weave_dir_create(apr_pool_t *pool, char *dir);
void *mod_weave_dir_merge(apr_pool_t *pool, void *base, void *over);
const char *mod_weave_app_set(cmd_parms *cmd, void *dir, const char *prefix,
                              const char *ini);
const char *mod_weave_set_set(cmd_parms *cmd, void *dir, const char *key,
                              const char *value);

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
/* All of them, of mod_weave_switch_t *, in the order of their numbers. One that
 * another one of the same section has taken the place of is OFF. */
apr_array_header_t *mod_weave_switches(apr_pool_t *pconf);
/* In post_config: since when each holds, whatever was restarted since. */
void mod_weave_switches_complete(apr_pool_t *pconf, server_rec *main_server);

/* check.c: what configtest and every (re)start look at */
int mod_weave_check_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *main_server);
int mod_weave_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                          apr_pool_t *ptemp, server_rec *main_server);

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

/* groups.c: the mounts of one application: those that write its sync.ini's path
 * alike. */
typedef struct mod_weave_group_t {
    mod_weave_check_t check;
    dev_t dev; /* of what its links lead to; with `ino`, 0: it is not there */
    ino_t ino;
    mod_weave_app_t *app;
    int fell_back; /* what its file says does not count */
} mod_weave_group_t;

/* Returns the groups of all mounts of all servers, of mod_weave_group_t *. What
 * runs already comes first, then the order of httpd.conf. PROTO is what their
 * `check` begins with. */
apr_array_header_t *mod_weave_groups_collect(const mod_weave_check_t *proto);
/* The first mount of GROUP, which has one. */
const mod_weave_mount_t *mod_weave_group_first(const mod_weave_group_t *group);
/* Tells whether A and B name one file by two paths. */
int mod_weave_group_is_same_file(const mod_weave_group_t *a,
                                 const mod_weave_group_t *b);
/* Offers GROUP, which is number I of GROUPS, the mounts of those behind it that
 * name the same file: see mod_weave_app_bind. */
void mod_weave_group_offer(mod_weave_group_t *group,
                           const apr_array_header_t *groups, int i);
/* Takes those that GROUP has accepted from the groups behind number I. One that
 * has no mount left is no application. */
void mod_weave_groups_leave(const mod_weave_group_t *group,
                            const apr_array_header_t *groups, int i);

/* problems.c: counts an error of the application, and logs it. */
void mod_weave_check_fail(mod_weave_check_t *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with PROBLEMS (weave_problem_t *); notices are only logged. ERROR
 * and NOTICE stand before them: a number, a colon and a space. */
void mod_weave_check_report(mod_weave_check_t *check,
                            const apr_array_header_t *problems,
                            const char *error, const char *notice);

/* reader.c: the same in a process of its own, which takes its secrets with it.
 * All but what is hidden, and what children read, is public. */
mod_weave_app_t *mod_weave_app_read(mod_weave_check_t *check);

/* spec.c: APP for weaved, as JSON. NULL: not UTF-8. */
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
/* problems.c: reports what the application's own check says of its sync.ini.
 * SOURCES are those of weave_conf_flatten(). */
void mod_weave_rows_report(mod_weave_check_t *check, const mod_weave_app_t *app,
                           const mod_weave_probe_t *own,
                           const apr_array_header_t *sources);
/* Is any libpython in this process already? Its path, or NULL. */
const char *mod_weave_libpython_loaded(apr_pool_t *pool);

/* declare.c: what the configuration says of APPS, as in weave_httpd_state.h */
json_t *mod_weave_declare(const apr_array_header_t *apps,
                          server_rec *main_server, apr_pool_t *pool);

/* state.c: what weavectl finds in WeaveRuntimeDir; at every start and restart
 * (RUNNING) */
/* Returns WeaveRuntimeDir, or the one of before, in which something runs. */
const char *mod_weave_runtime_used(const mod_weave_retained_t *data);
/* Makes the counters. 0; -1: there are none, and that is logged. */
int mod_weave_counters_publish(int running, apr_pool_t *pconf, server_rec *s);
/* Writes httpd.json. Says what is wrong itself. */
void mod_weave_state_publish(apr_pool_t *pconf, server_rec *s);

/* publish.c: WeaveStateDir, and what weavectl has said there */
/* At every start and restart. Says what is wrong itself. */
void mod_weave_publish(apr_pool_t *pconf, server_rec *s);
/* At configtest. */
void mod_weave_publish_check(apr_pool_t *pool, server_rec *s);
/* Returns why httpd's children cannot enter the folder, or NULL. */
const char *mod_weave_publish_enter_check(apr_pool_t *pool);

/* runtime.c: looks whether workers can be reached through the folder DIR, and
 * whether it is this httpd's: what weaved would say when httpd has left the
 * terminal, and what would be a 503 for ever. Makes nothing. Waits some seconds
 * for another weaved that is about to end. NULL, or a message. */
const char *mod_weave_runtime_check(const char *dir, apr_pool_t *pool);
/* Returns why httpd's children cannot enter the folder DIR, or where it is not
 * there the one that it is to be made in, and what is to be done; EFFECT says
 * what they would do. NULL: they can. */
const char *mod_weave_enter_check(const char *dir, const char *effect,
                                  apr_pool_t *pool);

/* supervise.c: weaved, from the parent. 0, or -1 after logging why APPS cannot
 * run. RUNNING: a restart. */
int mod_weave_supervise(apr_pool_t *pconf, server_rec *s,
                        const apr_array_header_t *apps, int running);
/* In a child: lets go of what only the parent may have. */
void mod_weave_supervise_child(apr_pool_t *pchild, server_rec *s);
int mod_weave_supervise_monitor(apr_pool_t *pool, server_rec *s);

/* launch.c: the process of weaved */
typedef struct mod_weave_launched_t {
    pid_t pid;
    int control; /* httpd's end of its control channel */
    int ready;   /* closed by weaved when it takes requests; before that it
                    writes there why it cannot */
} mod_weave_launched_t;

/* Starts weaved with DATA's lifeline, roster and folder, and waits for nothing.
 * Returns NULL, or what is wrong, for people. The caller closes the
 * descriptors. */
const char *mod_weave_launch(mod_weave_launched_t *launched,
                             const server_rec *s,
                             const mod_weave_retained_t *data,
                             apr_pool_t *pool);

/* The time that a weaved may need until it takes requests: it may have to wait
 * for another one that is just ending. */
#define MOD_WEAVE_READY_MS 10000

/* Returns why the weaved at the other end of READY does not take requests, for
 * people; or NULL: it does, or it has ended without a word. Waits for that
 * TIMEOUT_MS at most. */
const char *mod_weave_launch_answer(int ready, int timeout_ms,
                                    apr_pool_t *pool);

/* weaved.c: httpd's parent talks to its weaved on the channel that the two
 * share. Requests are short and sent without waiting: what is long goes as a
 * file without a name. Answers are read when they are there; so a weaved that
 * has stopped holds up nobody, and is noticed. */

/* Takes the descriptors of LAUNCHED, which has just been started. 0, or -1:
 * there is no memory. */
int mod_weave_weaved_open(mod_weave_retained_t *data,
                          const mod_weave_launched_t *launched);
void mod_weave_weaved_close(mod_weave_retained_t *data);

/* Asks for OP, with the descriptor PASS (-1: none). NULL, or why it cannot be
 * asked. */
const char *mod_weave_weaved_ask(mod_weave_retained_t *data, const char *op,
                                 int pass, apr_pool_t *pool);

/* Tells it all that is to run; the same. */
const char *mod_weave_weaved_want(mod_weave_retained_t *data, apr_pool_t *pool);

/* Waits at most TIMEOUT_MS until everything that was asked is answered. NULL,
 * or the first thing that weaved has against it. */
const char *mod_weave_weaved_hear(mod_weave_retained_t *data, int timeout_ms,
                                  apr_pool_t *pool);

/* How long it has answered nothing of what it was asked, in microseconds; 0:
 * everything is answered. */
int64_t mod_weave_weaved_silence(const mod_weave_retained_t *data);

/* smooth.c: a graceful restart without a pause */
void mod_weave_smooth_start(apr_pool_t *pconf, server_rec *s);
void mod_weave_smooth_status(server_rec *s, pid_t pid, ap_generation_t gen,
                             int slot, mpm_child_status status);

#endif
