/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SPEC_H
#define WEAVE_SPEC_H

/**
 * What the workers of one application are made from, as one JSON object on its
 * way from httpd to weaved and from there to each weave-worker: its keys as one
 * text, checked by httpd, and what only httpd knows.
 *
 * Two specs with the same text are the same generation. weaved adds what only
 * holds at the moment a generation starts (weave_spec_resolve).
 */

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_conf.h"

/** Of the JSON, where it is "layout": raise it with every change of its fields.
 *  weaved and a weave-worker that is started later may be of two versions. */
#define WEAVE_SPEC_VERSION 2

typedef struct weave_spec_t {
    /* who and where */
    apr_int64_t app;      /* index in the roster */
    const char *name;     /* the application's: the path in WeaveApp */
    const char *ini;      /* what its links led to when httpd read it */
    const char *ini_text; /* what it said, flat (weave_conf_flatten) */
    apr_int64_t ini_hash; /* weave_conf_hash() of what it said */
    const char *libdir;   /* where weave-worker and the engines are */
    const char *software; /* SERVER_SOFTWARE */
    /* its keys, with WeaveSet: a text (weave_conf_text), and what it
     * says; only weave_spec_parse sets `conf` */
    const char *keys;
    const weave_conf_t *conf;
    /* what only httpd knows */
    apr_table_t *passed;  /* what workers.pass_env found in its environment */
    const char *user;     /* name; "": as weaved (which is not root then) */
    apr_int64_t uid, gid; /* -1: as weaved */
    apr_int64_t
        socket_gid; /* the socket's group, httpd's children; -1: as weaved */
    apr_int64_t
        log_level; /* what of the lines outside a request is shown: 0 to 7 */
    /* set by weave_spec_resolve, otherwise NULL */
    const char *virtualenv, *script; /* what their links lead to; "": none */
    const char *python;    /* virtualenv/bin/python; NULL: the engine's own */
    const char *version;   /* "3.11"; NULL: the default engine's */
    const char *libpython; /* path; NULL: the linker knows it */
    const char *soname;    /* NULL: as `libpython` */
    const char *engine;    /* path */
    const char *stamp;     /* of the script, where its change makes a new one */
} weave_spec_t;

/** The JSON of SPEC, keys in a fixed order. NULL: a text in it is not UTF-8. */
const char *weave_spec_format(const weave_spec_t *spec, apr_pool_t *pool);

/** Returns NULL and *spec, with its `conf`; or what is wrong with TEXT, which
 *  quotes no value, and leaves *spec as it is. */
const char *weave_spec_parse(weave_spec_t **spec, const char *text,
                             apr_pool_t *pool);

/** Returns the names of the fields and keys in which A and B, which were
 *  parsed, differ, with "," between them, in POOL. */
const char *weave_spec_differences(const weave_spec_t *a, const weave_spec_t *b,
                                   apr_pool_t *pool);

/** Return the value of KEY in a spec that was parsed: see weave_conf_int and
 *  weave_conf_str. */
static inline apr_int64_t weave_spec_int(const weave_spec_t *spec,
                                         weave_key_e key)
{
    return weave_conf_int(spec->conf, key);
}

static inline const char *weave_spec_str(const weave_spec_t *spec,
                                         weave_key_e key)
{
    return weave_conf_str(spec->conf, key);
}

/** Returns the variables that its keys set and those that httpd passes on. */
apr_table_t *weave_spec_env(const weave_spec_t *spec, apr_pool_t *pool);

/** Follows the links as they are now, of a SPEC that was parsed, or as if AS_IF
 *  (NULL: none) were moved already: those of the virtualenv and of the script,
 *  and in its `keys` those that weave_conf_follow names; and finds the engine.
 *  Nothing of the virtualenv is run. NULL and *resolved, or a message for the
 *  administrator with the cure. */
const char *weave_spec_resolve(weave_spec_t **resolved,
                               const weave_spec_t *spec,
                               const weave_link_t *as_if, apr_pool_t *pool);

/** Where the engine for VERSION (NULL: the default one) is. */
const char *weave_spec_engine(const char *libdir, const char *version,
                              apr_pool_t *pool);

/** Returns time, inode and size of the file at PATH as text; "": there is
 *  none. */
const char *weave_spec_stamp(const char *path, apr_pool_t *pool);

#endif
