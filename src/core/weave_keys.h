/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_KEYS_H
#define WEAVE_KEYS_H

/**
 * The one table of the keys that sync.ini has for the module: weave_keys.def
 * declares each once, and the reader, WeaveSet, `weavectl config` and the
 * files in docs/keys all come from it.
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
    WEAVE_TYPE_TARGET,   /* a string: what a request line may ask for */
    WEAVE_TYPE_SENTENCE, /* a string: weave_utf8_is_sentence() */
    WEAVE_TYPE_PATH,     /* a string; a relative one gets a directory */
    WEAVE_TYPE_INT,
    WEAVE_TYPE_OCTAL,    /* a number, written as umask(1) writes it */
    WEAVE_TYPE_BOOL,     /* true, false; also yes, no, on, off */
    WEAVE_TYPE_DURATION, /* microseconds; `60`, `60s`, `5 min`, `500ms` */
    WEAVE_TYPE_SIZE,     /* bytes; `262144`, `256K`, `256 KiB`, `1G` */
    WEAVE_TYPE_PERCENT,  /* 0 to 100; `5`, `5%` */
    WEAVE_TYPE_CHOICE,   /* the index of a word */
    WEAVE_TYPE_PATHS,    /* paths, one a line; a URL is left as it is */
    WEAVE_TYPE_NETS,     /* addresses and networks, one a line */
    WEAVE_TYPE_NAMES,    /* of variables, one a line; `*` */
    WEAVE_TYPE_PREFIX    /* a family: `environ.NAME`, each name a string */
} weave_type_e;

/**
 * Where a key may stand, and what a new value costs.
 *  REQUEST  looked at for each request: may stand in a <Location> too
 *  CHILD    one value per application, used by the httpd children
 *  PROCESS  one value per application, part of a generation of its workers
 */
typedef enum weave_level_e {
    WEAVE_LEVEL_REQUEST,
    WEAVE_LEVEL_CHILD,
    WEAVE_LEVEL_PROCESS
} weave_level_e;

/* The choices as numbers, in the order of weave_keys.def (held to it by
 * test_keys.c). Of two maintenance modes, the greater is the stricter. */
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
    const char *unit;     /* for people: "seconds", "" */
    const char *fallback; /* the default as it would be written; "": none */
    const char *shown;    /* the default for people where that is not it */
    apr_int64_t min, max; /* numbers, in the base unit of the type */
    const char *choices;  /* "off|on", "" */
    weave_level_e level;
    int embedded; /* has a meaning in embedded mode */
    const char *help;
} weave_key_t;

/** One value, checked. What it points to is of the pool it was made with. */
typedef struct weave_key_value_t {
    apr_int64_t num;          /* numbers; -1: there is none */
    const char *str;          /* strings, paths, the word of a choice; "" */
    apr_array_header_t *list; /* lists: of const char *; otherwise NULL */
} weave_key_value_t;

/** The row of KEY, which must be less than WEAVE_KEY_COUNT. Never NULL. */
const weave_key_t *weave_key_get(weave_key_e key);

/**
 * The row of the dotted NAME, in any case, or NULL. For a member of a family
 * (`wsgi.environ.NAME`) *member is the part of NAME after the prefix, in the
 * case it was written; otherwise NULL. MEMBER may be NULL.
 */
const weave_key_t *weave_key_find(const char *name, const char **member);

/** Is NAME, without a section, the name of KEY or of one of its family? */
int weave_key_is_named(const weave_key_t *key, const char *name);

/** Is SECTION one of the module's? */
int weave_key_section_is(const char *section);

/** The section of the module that SECTION is probably meant to be, or NULL.
 *  Never one that it is. */
const char *weave_key_section_nearest(const char *section);

/**
 * The key that the dotted, unknown NAME is probably meant to be, or NULL: the
 * same key in another section first, then the least edit distance.
 */
const weave_key_t *weave_key_nearest(const char *name);

/**
 * May the family KEY (wsgi.environ.NAME, workers.env.NAME) have MEMBER? NULL,
 * or why not: it is no name, or ours to set.
 */
const char *weave_key_member_check(const weave_key_t *key, const char *member);

/** What may be written for a key: "a duration from 1 s to 1 h, ..." */
const char *weave_key_allowed(const weave_key_t *key, apr_pool_t *pool);

/**
 * Checks the lines ITEMS (const char *, at least one) as a value of KEY.
 * NULL, or why not and what is allowed, to be set behind the key's name. Paths
 * come back as they are written.
 */
const char *weave_key_parse(weave_key_value_t *value, const weave_key_t *key,
                            const apr_array_header_t *items, apr_pool_t *pool);

/** NUM, a value of KEY, as people would write it: in the largest unit that
 * leaves no rest. */
const char *weave_key_number_text(const weave_key_t *key, apr_int64_t num,
                                  apr_pool_t *pool);

/** The default of KEY. */
void weave_key_default(weave_key_value_t *value, const weave_key_t *key,
                       apr_pool_t *pool);

/** Is CLIENT in TEXT, an address or a network that a key of WEAVE_TYPE_NETS
 *  has taken? IPv4 over IPv6 is IPv4. */
int weave_net_contains(const char *text, apr_sockaddr_t *client,
                       apr_pool_t *pool);

/** The name of a type, of a level: "duration", "process". */
const char *weave_type_name(weave_type_e type);
const char *weave_level_name(weave_level_e level);

#endif
