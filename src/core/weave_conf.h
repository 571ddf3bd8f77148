/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CONF_H
#define WEAVE_CONF_H

/**
 * The module's part of a sync.ini, checked, with what directives set over it.
 *
 * Nothing is changed by reading: once weave_conf_read, weave_conf_set and
 * weave_conf_merge are done with a weave_conf_t, any thread may use it. Every
 * getter is one array access. All results live as long as the configuration
 * (a merged one points into both that it was made from).
 */

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_ini.h"
#include "weave_keys.h"
#include "weave_pack.h"
#include "weave_problem.h"

typedef struct weave_conf_t weave_conf_t;

/**
 * Reads PATH and what it extends. *conf is set whenever PATH could be read;
 * problems (weave_problem_t *) are appended. APR_EGENERAL when there was an
 * error among them; what opening PATH returned when that failed.
 *
 * What only a whole configuration can be asked (is there an application at
 * all?) is weave_conf_check's.
 */
apr_status_t weave_conf_read(weave_conf_t **conf, const char *path,
                             apr_array_header_t *problems, apr_pool_t *pool);

/**
 * What must hold between keys once everything is merged: a script or a
 * module, not both, and so on. Appends to PROBLEMS; APR_EGENERAL when there
 * was an error. What the mode of the workers makes of a key is left to who
 * runs them: see weave_key_t.embedded.
 */
apr_status_t weave_conf_check(const weave_conf_t *conf,
                              apr_array_header_t *problems);

/** Nothing set: every key has its default. */
weave_conf_t *weave_conf_make(apr_pool_t *pool);

/**
 * Sets the dotted KEY as a directive in FILE:LINE does. LOCATION: it stands in
 * a <Location>, where only request keys may. A value of several lines is a
 * list. NULL, or a message for the administrator: what is allowed, and the
 * nearest key.
 */
const char *weave_conf_set(weave_conf_t *conf, const char *key,
                           const char *value, int location, const char *file,
                           int line, apr_pool_t *pool);

/** BASE with OVER on top, key by key; families name by name. */
weave_conf_t *weave_conf_merge(apr_pool_t *pool, const weave_conf_t *base,
                               const weave_conf_t *over);

/** Did the file or a directive set KEY? For a family: any name of it. */
int weave_conf_is_set(const weave_conf_t *conf, weave_key_e key);

/** INT, OCTAL, BOOL, DURATION (us), SIZE (bytes), PERCENT, CHOICE (index).
 *  -1: not set and no default. */
apr_int64_t weave_conf_int(const weave_conf_t *conf, weave_key_e key);

/** STRING, PATH (absolute, once the directory of the ini is known), CHOICE
 *  (its word). "" when there is none; never NULL. */
const char *weave_conf_str(const weave_conf_t *conf, weave_key_e key);

/** PATHS, NETS, NAMES: of const char *; never NULL. */
const apr_array_header_t *weave_conf_list(const weave_conf_t *conf,
                                          weave_key_e key);

/** wsgi.environ.NAME and workers.env.NAME; never NULL. Names are spelled as
 *  written; beware, apr_table_get() does not look at their case. */
const apr_table_t *weave_conf_environ(const weave_conf_t *conf);
const apr_table_t *weave_conf_env(const weave_conf_t *conf);

/** Has KEY the same value in both? A family: the same names and values. */
int weave_conf_is_same(const weave_conf_t *one, const weave_conf_t *other,
                       weave_key_e key);

/** Where KEY was set: "sync.ini:12", "httpd.conf:30", "default". */
const char *weave_conf_source(const weave_conf_t *conf, weave_key_e key,
                              apr_pool_t *pool);

/** The file that was read and all that it extends, of weave_ini_file_t (see
 *  weave_ini_files); empty for a configuration of directives only. */
const apr_array_header_t *weave_conf_files(const weave_conf_t *conf);

/** Numbers for what these files say (weave_ini_hash), and for which files they
 *  are and when they were written, which says nothing about what is in them.
 *  0: there are none. */
apr_int64_t weave_conf_hash(const weave_conf_t *conf);
apr_int64_t weave_conf_stamp(const weave_conf_t *conf);

/** The path of the application's health page below its mount: that of
 *  global.heartbeat_page, "/__heartbeat__" where it says none. */
const char *weave_conf_heartbeat(const weave_conf_t *conf);

/** The absolute path of the ini; "" for one of directives only. */
const char *weave_conf_path(const weave_conf_t *conf);

/** What the file at PATH says, as one text that means the same wherever it is
 *  read; FILE is what it was read as. NULL: it cannot be read. SOURCES, where
 *  it is not NULL, gets a weave_ini_entry_t * for each line of the text: the
 *  entry that it is of, or NULL. */
const char *weave_conf_flatten(const char *path, const weave_conf_t *file,
                               apr_array_header_t *sources, apr_pool_t *pool);

/**
 * Packs CONF without the list of its files. Unless EVERYTHING is set, what may
 * be a secret stays out: the families, and texts of keys of
 * WEAVE_LEVEL_PROCESS.
 */
void weave_conf_pack(weave_pack_t *pack, const weave_conf_t *conf,
                     int everything);

/** Returns the configuration that was packed, or NULL. */
weave_conf_t *weave_conf_unpack(weave_unpack_t *unpack);

/** The same for a table of texts. Returns what could be read. */
void weave_table_pack(weave_pack_t *pack, const apr_table_t *table);
apr_table_t *weave_table_unpack(weave_unpack_t *unpack);

#endif
