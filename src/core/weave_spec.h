/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SPEC_H
#define WEAVE_SPEC_H

/**
 * What the workers of one application are made from: the process keys of its
 * sync.ini, checked by httpd, as one JSON object on its way from httpd to
 * weaved and from there to each weave-worker.
 *
 * Two specs with the same text are the same generation. weaved adds what only
 * holds at the moment a generation starts (weave_spec_resolve).
 */

#include <apr_pools.h>
#include <apr_tables.h>

/** Of the JSON, where it is "layout": raise it with every change of its fields.
 *  weaved and a weave-worker that is started later may be of two versions. */
#define WEAVE_SPEC_VERSION 1

typedef struct weave_spec_t {
    /* who and where */
    int app;              /* index in the roster */
    const char *name;     /* the application's: the path in WeaveApp */
    const char *ini;      /* what its links led to when httpd read it */
    const char *ini_text; /* what it said, flat (weave_conf_flatten) */
    apr_int64_t ini_hash; /* weave_conf_hash() of what it said */
    const char *libdir;   /* where weave-worker and the engines are */
    const char *software; /* SERVER_SOFTWARE */
    /* [wsgi]; paths absolute, "" is none */
    const char *virtualenv; /* as configured, perhaps a link */
    const char *script, *module, *callable;
    apr_array_header_t *python_path; /* of const char * */
    apr_table_t *environ;            /* the file's own; Locations send more */
    /* [workers] */
    int processes, threads;
    const char *user; /* name; "": as weaved (which is not root then) */
    long uid, gid;    /* -1: as weaved */
    int umask;        /* -1: as weaved */
    const char *home;
    apr_table_t *env;
    apr_int64_t max_requests, max_rss; /* requests, bytes; 0: never */
    /* [limits] */
    apr_int64_t request_timeout_us, startup_timeout_us;
    int queue_length;
    const char *spool_dir;              /* "": the temporary directory */
    apr_int64_t spool_max, spool_total; /* bytes */
    /* [release] */
    const char *warmup; /* "": none */
    int reload_touch;
    /* the socket's group: httpd's children; -1: as weaved */
    long socket_gid;
    int log_level; /* what of the lines outside a request is shown: 0 to 7 */
    /* set by weave_spec_resolve, otherwise NULL */
    const char *python;    /* virtualenv/bin/python; NULL: the engine's own */
    const char *version;   /* "3.11"; NULL: the default engine's */
    const char *libpython; /* path; NULL: the linker knows it */
    const char *soname;    /* NULL: as `libpython` */
    const char *engine;    /* path */
    const char *stamp;     /* of the script, where its change makes a new one */
} weave_spec_t;

/** The JSON of SPEC, keys in a fixed order. NULL: a text in it is not UTF-8. */
const char *weave_spec_format(const weave_spec_t *spec, apr_pool_t *pool);

/** NULL and *spec, or what is wrong with TEXT. */
const char *weave_spec_parse(weave_spec_t **spec, const char *text,
                             apr_pool_t *pool);

/** Returns the names of the fields in which A and B differ, with "," between
 *  them, in POOL. */
const char *weave_spec_differences(const weave_spec_t *a, const weave_spec_t *b,
                                   apr_pool_t *pool);

/**
 * Follows the links as they are now: the virtualenv and the script become what
 * they point to, and the engine is found. Nothing of the virtualenv is run.
 * NULL and *resolved, or a message for the administrator with the cure.
 */
const char *weave_spec_resolve(weave_spec_t **resolved,
                               const weave_spec_t *spec, apr_pool_t *pool);

/** Where the engine for VERSION (NULL: the default one) is. */
const char *weave_spec_engine(const char *libdir, const char *version,
                              apr_pool_t *pool);

/** Returns time, inode and size of the file at PATH as text; "": there is
 *  none. */
const char *weave_spec_stamp(const char *path, apr_pool_t *pool);

#endif
