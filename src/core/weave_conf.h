/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CONF_H
#define WEAVE_CONF_H

/**
 * The values of the module's keys, checked: from a sync.ini and from
 * directives, which win.
 *
 * Getters change nothing: once weave_conf_read, weave_conf_set and
 * weave_conf_merge have returned, any thread may use a weave_conf_t. Every
 * getter is one array access. All results live as long as the configuration.
 * A merged configuration points into both from which it was merged.
 */

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_ini.h"
#include "weave_keys.h"
#include "weave_link.h"
#include "weave_problem.h"

typedef struct weave_conf_t weave_conf_t;

/**
 * Reads PATH and the files that it extends. *conf is set when PATH could be
 * read; problems (weave_problem_t *) are appended to PROBLEMS. Returns
 * APR_SUCCESS; APR_EGENERAL when an error was appended; or the status with
 * which PATH could not be opened or read.
 *
 * weave_conf_check looks at the rules between keys, once directives are merged.
 */
apr_status_t weave_conf_read(weave_conf_t **conf, const char *path,
                             apr_array_header_t *problems, apr_pool_t *pool);

/** Does the same with TEXT, which is called PATH in problems. *conf is set when
 *  TEXT could be read. Relative paths of directives start in the folder of PATH
 *  where that is absolute. */
apr_status_t weave_conf_parse(weave_conf_t **conf, const char *text,
                              const char *path, apr_array_header_t *problems,
                              apr_pool_t *pool);

/** Checks the rules between keys, when everything is merged: a script or a
 *  module, not both, and so on. Appends to PROBLEMS. Returns APR_SUCCESS, or
 *  APR_EGENERAL when an error was appended. Does not look at the mode of the
 *  workers: see weave_key_t.embedded. */
apr_status_t weave_conf_check(const weave_conf_t *conf,
                              apr_array_header_t *problems);

/** Returns a configuration in which every key has its default. */
weave_conf_t *weave_conf_make(apr_pool_t *pool);

/** Sets the dotted KEY as the directive in FILE:LINE does. LOCATION is 1 when
 *  the directive is in a <Location>, which allows only keys of
 *  WEAVE_LEVEL_REQUEST. Keys of WEAVE_LEVEL_WEAVECTL are refused everywhere. A
 *  value of several lines is a list. Returns NULL; or a message for the
 *  administrator, which says what is allowed or names the most similar key. */
const char *weave_conf_set(weave_conf_t *conf, const char *key,
                           const char *value, int location, const char *file,
                           int line, apr_pool_t *pool);

/** Returns the values of BASE, replaced by those that OVER sets: key by key,
 *  and in families name by name. */
weave_conf_t *weave_conf_merge(apr_pool_t *pool, const weave_conf_t *base,
                               const weave_conf_t *over);

/** Returns 1 when the file or a directive has set KEY; for a family, when it
 *  has set any name of it. */
int weave_conf_is_set(const weave_conf_t *conf, weave_key_e key);

/** Returns the value of an INT, OCTAL, BOOL, DURATION (us), SIZE (bytes),
 *  PERCENT or CHOICE (index). -1: it is not set and has no default. */
apr_int64_t weave_conf_int(const weave_conf_t *conf, weave_key_e key);

/** Returns the value of a STRING, PATH (absolute, once the directory of the ini
 *  is known) or CHOICE (its text). "" when there is none; never NULL. */
const char *weave_conf_str(const weave_conf_t *conf, weave_key_e key);

/** Returns the value of PATHS, NETS or NAMES (const char *); never NULL. */
const apr_array_header_t *weave_conf_list(const weave_conf_t *conf,
                                          weave_key_e key);

/** Return the values of wsgi.environ.NAME and workers.env.NAME; never NULL. */
const apr_table_t *weave_conf_environ(const weave_conf_t *conf);
const apr_table_t *weave_conf_env(const weave_conf_t *conf);

/** Returns the value of NAME in such a table, or NULL. apr_table_get() would
 *  ignore the case of names. */
const char *weave_conf_member(const apr_table_t *table, const char *name);

/** Returns 1 when KEY has the same value in both; for a family, the same names
 *  and values. */
int weave_conf_is_same(const weave_conf_t *one, const weave_conf_t *other,
                       weave_key_e key);

/** Returns where KEY was set: "sync.ini:12", "httpd.conf:30" or "default". */
const char *weave_conf_source(const weave_conf_t *conf, weave_key_e key,
                              apr_pool_t *pool);

/** Returns the file that was read and all that it extends (weave_ini_files());
 *  empty for a configuration of directives only. */
const apr_array_header_t *weave_conf_files(const weave_conf_t *conf);

/** Return two hashes: of the text of these files (weave_ini_hash), and of their
 *  identity, size and time of change, which does not depend on their text. 0:
 *  there are no files. */
apr_int64_t weave_conf_hash(const weave_conf_t *conf);
apr_int64_t weave_conf_stamp(const weave_conf_t *conf);

/** Returns the path of the application's health page below its mount:
 *  global.heartbeat_page, or "/__heartbeat__" by default. */
const char *weave_conf_heartbeat(const weave_conf_t *conf);

/** Returns the ini at PATH and all that it extends as one text, which has the
 *  same meaning in any folder; FILE is its configuration. NULL: it cannot be
 *  read. Unless SOURCES is NULL, a weave_ini_entry_t * is appended to it for
 *  each line of the text: the entry that the line belongs to, or NULL. */
const char *weave_conf_flatten(const char *path, const weave_conf_t *file,
                               apr_array_header_t *sources, apr_pool_t *pool);

/** Returns a copy of CONF, in POOL, whose paths of the application's files do
 * not depend on links any more: wsgi.python_path and workers.home, and with
 * CODE 1 also wsgi.virtualenv and wsgi.script. Of wsgi.environ.NAME and
 *  workers.env.NAME, each path follows the links on the way of those keys.
 * AS_IF: see weave_link_follow. */
weave_conf_t *weave_conf_follow(const weave_conf_t *conf,
                                const weave_link_t *as_if, int code,
                                apr_pool_t *pool);

/** The part of a configuration that is written down. */
typedef enum weave_conf_part_e {
    WEAVE_CONF_ALL,    /* all keys of the module */
    WEAVE_CONF_PUBLIC, /* what cannot be a secret: no families, no text of a key
                          of WEAVE_LEVEL_PROCESS, nothing of
                          WEAVE_LEVEL_WEAVECTL; and the heartbeat */
    WEAVE_CONF_PROCESS /* what worker processes go by: the keys of levels CHILD
                          and PROCESS, without those of [maintenance] */
} weave_conf_part_e;

/** Returns PART of what CONF says, as a text in which weave_conf_parse finds
 *  the same values, and ENVIRON as wsgi.environ.NAME. The same values make the
 *  same text, wherever they were set. Nothing in it is expanded a second time.
 */
const char *weave_conf_text(const weave_conf_t *conf, weave_conf_part_e part,
                            const apr_table_t *environ, apr_pool_t *pool);

#endif
