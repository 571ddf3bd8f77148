/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_KEYS_H
#define WEAVE_KEYS_H

/**
 * The table of the keys that the module reads from sync.ini. weave_keys.def
 * declares each key once; the reader, WeaveSet, `weavectl config` and the files
 * in docs/keys all come from it. Any thread may use these functions.
 */

#include <apr_network_io.h>
#include <apr_pools.h>
#include <apr_tables.h>

typedef enum weave_key_e {
#define WEAVE_KEY(id, ...) WEAVE_##id,
#include "weave_keys.def"
    WEAVE_KEY_COUNT
} weave_key_e;

typedef enum weave_type_e {
    WEAVE_TYPE_STRING,
    WEAVE_TYPE_DOTTED,   /* a string: Python names with dots between them */
    WEAVE_TYPE_TARGET,   /* a string: the path in a request line */
    WEAVE_TYPE_SENTENCE, /* a string: weave_utf8_is_sentence() */
    WEAVE_TYPE_PATH,     /* a string; a relative path gets a directory */
    WEAVE_TYPE_INT,
    WEAVE_TYPE_OCTAL,    /* a number, written as umask(1) writes it */
    WEAVE_TYPE_BOOL,     /* true, false; also yes, no, on, off */
    WEAVE_TYPE_DURATION, /* microseconds; `60`, `60s`, `5 min`, `500ms` */
    WEAVE_TYPE_SIZE,     /* bytes; `262144`, `256K`, `256 KiB`, `1G` */
    WEAVE_TYPE_PERCENT,  /* 0 to 100; `5`, `5%` */
    WEAVE_TYPE_CHOICE,   /* the index in weave_key_t.choices */
    WEAVE_TYPE_PATHS,    /* paths, one a line; a URL stays as it is */
    WEAVE_TYPE_NETS,     /* addresses and networks, one a line */
    WEAVE_TYPE_NAMES,    /* of variables, one a line; `*` */
    WEAVE_TYPE_PREFIX    /* a family: `environ.NAME`, each name a string */
} weave_type_e;

/**
 * Where a key may be set, and which processes a new value reaches.
 *  REQUEST  read for each request; a <Location> may set it too
 *  CHILD    one value per application, used by the httpd children
 *  PROCESS  one value per application; a new value needs new workers
 *  WEAVECTL read by weavectl, each time that it runs, from the file alone
 */
typedef enum weave_level_e {
    WEAVE_LEVEL_REQUEST,
    WEAVE_LEVEL_CHILD,
    WEAVE_LEVEL_PROCESS,
    WEAVE_LEVEL_WEAVECTL
} weave_level_e;

/* The choices as numbers, in the order of weave_keys.def (test_keys.c compares
 * them). Of two maintenance modes, the greater is the stricter. */
enum { WEAVE_MODE_PROCESSES, WEAVE_MODE_EMBEDDED };
enum {
    WEAVE_MAINTENANCE_OFF,
    WEAVE_MAINTENANCE_BACKOFF,
    WEAVE_MAINTENANCE_DRAINING,
    WEAVE_MAINTENANCE_ON
};
enum { WEAVE_STYLE_SYNC, WEAVE_STYLE_PLAIN };
enum { WEAVE_RELOAD_NONE, WEAVE_RELOAD_TOUCH };

typedef struct weave_key_t {
    weave_key_e key;
    const char *full;    /* "wsgi.script"; families: "wsgi.environ." */
    const char *section; /* "wsgi" */
    const char *name;    /* "script"; families: "environ." */
    weave_type_e type;
    const char *unit;     /* in documents: "seconds", "" */
    const char *fallback; /* the default as in a file; "": none */
    const char *shown;    /* the default in documents where it differs */
    apr_int64_t min, max; /* numbers, in the base unit of the type */
    const char *choices;  /* "off|on", "" */
    weave_level_e level;
    int embedded; /* 1: it has a meaning in embedded mode */
    const char *help;
} weave_key_t;

/** A value that was checked. It points into the pool of the call that made it.
 */
typedef struct weave_key_value_t {
    apr_int64_t num;          /* numbers; -1: none */
    const char *str;          /* strings, paths, the text of a choice; "" */
    apr_array_header_t *list; /* lists: of const char *; otherwise NULL */
} weave_key_value_t;

/** Returns the row of KEY, which must be less than WEAVE_KEY_COUNT. Never NULL.
 */
const weave_key_t *weave_key_get(weave_key_e key);

/** Returns the row of the dotted NAME, in any case, or NULL. For a member of a
 *  family (`wsgi.environ.NAME`) *member becomes the part of NAME after the
 *  prefix, in its own case; otherwise NULL. MEMBER may be NULL. */
const weave_key_t *weave_key_find(const char *name, const char **member);

/** Returns 1 when NAME, without a section, is the name of KEY or of a member of
 *  its family. */
int weave_key_is_named(const weave_key_t *key, const char *name);

/** Returns 1 when SECTION has keys of the module. */
int weave_key_section_is(const char *section);

/** Returns the section of the module whose name is most similar to the unknown
 *  SECTION, or NULL. NULL too when SECTION is known. */
const char *weave_key_section_nearest(const char *section);

/** Returns the key that is most similar to the dotted, unknown NAME, or NULL:
 *  one of the same name in another section, or else the one with the least edit
 *  distance. */
const weave_key_t *weave_key_nearest(const char *name);

/** Checks whether the family KEY (wsgi.environ.NAME, workers.env.NAME) may have
 *  MEMBER. Returns NULL, or the reason why not, to append to the name. */
const char *weave_key_member_check(const weave_key_t *key, const char *member);

/** Describes the values that a key allows: "a duration from 1 s to 1 h, ..." */
const char *weave_key_allowed(const weave_key_t *key, apr_pool_t *pool);

/** Checks the lines ITEMS (const char *, at least one) as a value of KEY, and
 *  sets *value. Returns NULL; or the reason and what is allowed, to append to
 *  the key's name, and *value is unchanged. Paths stay as they are written. */
const char *weave_key_parse(weave_key_value_t *value, const weave_key_t *key,
                            const apr_array_header_t *items, apr_pool_t *pool);

/** Returns NUM, a value of KEY, as a text with the largest unit that leaves no
 *  remainder. */
const char *weave_key_number_text(const weave_key_t *key, apr_int64_t num,
                                  apr_pool_t *pool);

/** Sets *value to the default of KEY. */
void weave_key_default(weave_key_value_t *value, const weave_key_t *key,
                       apr_pool_t *pool);

/** Returns 1 when CLIENT is in TEXT, an address or a network that is a value of
 *  a key of WEAVE_TYPE_NETS. IPv4 over IPv6 counts as IPv4. */
int weave_net_contains(const char *text, apr_sockaddr_t *client,
                       apr_pool_t *pool);

#endif
