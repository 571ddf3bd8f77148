/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_HTTPD_STATE_H
#define WEAVE_HTTPD_STATE_H

/**
 * What httpd's configuration says, for weavectl: a file in WeaveRuntimeDir that
 * the httpd parent writes at every start and restart, and removes when it ends.
 *
 *   {"format": "mod_weave httpd", "version": 2, "pid": N,
 *    "uid": N, "gid": N (of its children),
 *    "module": the version of mod_weave, "state_dir": PATH,
 *    "runtime_dir": PATH (where weaved is),
 *    "applications": [
 *      {"ini": PATH, "slot": N (in counters and roster; -1: it has none),
 *       "embedded": BOOL, "virtualenv": PATH or null (that its children have,
 *       links followed; null for workers),
 *       "failed": BOOL (httpd could not bring it up),
 *       "problem": TEXT or null, "stamp": N, "style": "plain" or "sync",
 *       "drain_s": N,
 *       "declared": [
 *         {"mode": "on", "from": "WeaveMaintenance" or "maintenance.mode",
 *          "where": "httpd.conf:12", "since": SECONDS,
 *          "scope": "" (all of the application) or "<Location /x>" or
 *                   "<LocationMatch x>" or "<VirtualHost name>",
 *          "server": "name:port" or "" (the main one, or all)}]}]}
 *
 * `declared` has each switch that is not off and can concern the application,
 * with the section that it stands in. What httpd makes of several is not done
 * again here.
 *
 * Whether the httpd that has written it lives, weave_counters_holder() says:
 * one that was killed leaves the file.
 */

#include <apr_pools.h>
#include <jansson.h>

#define WEAVE_HTTPD_STATE_FILE "httpd.json"
#define WEAVE_HTTPD_STATE_FORMAT "mod_weave httpd"
#define WEAVE_HTTPD_STATE_VERSION 2

/** Reads the file in DIR. Returns NULL, or what is wrong, with its path.
 *  *state, which the caller lets go of with json_decref(), is NULL then, and
 *  where there is no such file. */
const char *weave_httpd_state_read(json_t **state, const char *dir,
                                   apr_pool_t *pool);

/** Replaces the file in DIR. Returns NULL, or what is wrong. */
const char *weave_httpd_state_write(const json_t *state, const char *dir,
                                    apr_pool_t *pool);

/** Removes the file, and that of the counters. */
void weave_httpd_state_remove(const char *dir, apr_pool_t *pool);

#endif
