/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_INI_H
#define WEAVE_INI_H

/**
 * The dialect of sync.ini (docs/keys/README.md tells administrators the same).
 *
 * The lines are read exactly as Python's RawConfigParser reads them with its
 * defaults (library reference, "Supported INI File Structure"): `=` and `:`
 * divide, `#` and `;` start a comment at the start of a line only, a line
 * indented deeper than its key goes on with the value, empty lines may stand
 * in a value, a section or a key that is there twice is an error; the name of a
 * section goes to the last bracket, as since Python 3.10. With three
 * differences:
 *  - Key names are folded in ASCII, not in Unicode, and what follows
 *    `environ.` or `env.` keeps its case: those are names of variables.
 *    RawConfigParser does the same once its optionxform is
 * weave_ini_key_fold().
 *  - The file is UTF-8, with or without a byte order mark; anything else, and
 *    NUL, is an error with its line.
 *  - All problems of a file are reported, not only the first.
 *
 * Values, after that, in this order:
 *  - Two or more lines that are not empty are a list; every line is one value.
 *    A value with one such line is that value, wherever the line stands.
 *  - A value in double quotes is a string and is taken literally.
 *  - `%(here)s` becomes the absolute directory of the file it stands in, and
 *    `${NAME}` the environment variable (a name is [A-Za-z_][A-Za-z0-9_]*;
 *    a `$` without one is just a `$`). What comes in is not looked at again.
 *  - `-?[0-9]+` that fits 64 bits is an integer, `true` and `false` in any
 *    case are booleans, everything else is a string.
 *
 * `[DEFAULT] extends` names a file, or a list of them, relative to the
 * directory of the file it stands in. What is read first wins, key by key:
 * the file itself, then what it extends in the order given, each with what it
 * extends in turn. Only the values that win are expanded.
 *
 * `[host:NAME]` is a section as any other here; weave_conf.h leaves it to the
 * application.
 *
 * A weave_ini_t is never changed once it was read: any thread may use it.
 */

#include <sys/stat.h>

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_problem.h"

#define WEAVE_INI_DEFAULT "DEFAULT"
#define WEAVE_INI_HOST "host:"

/** Bounds of one file, and of what it extends. */
#define WEAVE_INI_MAX_BYTES (1024 * 1024)
#define WEAVE_INI_MAX_LINES 32768
#define WEAVE_INI_MAX_DEPTH 8
#define WEAVE_INI_MAX_FILES 32

typedef struct weave_ini_t weave_ini_t;

typedef enum weave_ini_type_e {
    WEAVE_INI_STRING,
    WEAVE_INI_INT,
    WEAVE_INI_BOOL,
    WEAVE_INI_LIST
} weave_ini_type_e;

typedef struct weave_ini_value_t {
    weave_ini_type_e type;
    apr_int64_t num;           /* INT, BOOL; otherwise 0 */
    const char *text;          /* expanded, without quotes; LIST: NULL */
    apr_array_header_t *items; /* LIST: of weave_ini_value_t; otherwise NULL */
} weave_ini_value_t;

typedef struct weave_ini_entry_t {
    const char *section; /* as written; WEAVE_INI_DEFAULT for defaults */
    const char *key;     /* folded */
    const char *raw;     /* what RawConfigParser.get() would return */
    const char *file;    /* where it stands, and ... */
    const char *dir;     /* ... the absolute directory of that file */
    int line;            /* of the key, from 1 */
    int broken;          /* the value could not be expanded: reported */
    weave_ini_value_t value;
} weave_ini_entry_t;

/** A file that was read, as it was when it was open. */
typedef struct weave_ini_file_t {
    const char *path;   /* absolute */
    const char *dir;    /* the part of it that is a directory */
    struct stat status; /* of the open descriptor */
} weave_ini_file_t;

/**
 * Reads PATH and what it extends; all memory is POOL's, PROBLEMS (of
 * weave_problem_t *) is appended to.
 *
 * *ini is set whenever PATH itself could be read, however bad it was.
 * APR_EGENERAL when an error was reported; otherwise what opening or reading
 * PATH returned, which is reported too.
 */
apr_status_t weave_ini_read(weave_ini_t **ini, const char *path,
                            apr_array_header_t *problems, apr_pool_t *pool);

/** The same for bytes in memory that pretend to be PATH; opens no file: an
 *  `extends` in it is an error. */
apr_status_t weave_ini_parse(weave_ini_t **ini, const char *data,
                             apr_size_t data_bytes, const char *path,
                             apr_array_header_t *problems, apr_pool_t *pool);

/** Every file that was opened, PATH first: of weave_ini_file_t. */
const apr_array_header_t *weave_ini_files(const weave_ini_t *ini);

/** Names of the sections without DEFAULT, of const char *, in the order in
 *  which they were met. */
const apr_array_header_t *weave_ini_sections(const weave_ini_t *ini);

/** What stands in SECTION itself, of weave_ini_entry_t *; NULL when there is
 *  no such section. WEAVE_INI_DEFAULT is one. */
const apr_array_header_t *weave_ini_entries(const weave_ini_t *ini,
                                            const char *section);

/** The folded KEY in SECTION, or else in DEFAULT; NULL when in neither,
 *  or when there is no such section. */
const weave_ini_entry_t *weave_ini_get(const weave_ini_t *ini,
                                       const char *section, const char *key);

/** A number for what the files say, as it stands there: no value is expanded.
 *  It is not 0, and fits into an apr_int64_t. */
apr_int64_t weave_ini_hash(const weave_ini_t *ini);

/** The name under which KEY is kept: see above. */
const char *weave_ini_key_fold(const char *key, apr_pool_t *pool);

#endif
