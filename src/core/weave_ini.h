/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_INI_H
#define WEAVE_INI_H

/**
 * Reads the dialect of sync.ini (docs/keys/README.md describes the same for
 * administrators).
 *
 * The lines are read exactly as Python's RawConfigParser reads them with its
 * defaults (library reference, "Supported INI File Structure"): `=` and `:`
 * divide key and value; `#` and `;` start a comment, only at the start of a
 * line; a line that is indented deeper than its key continues the value; a
 * value may contain empty lines; a section or a key that occurs twice is an
 * error; the name of a section ends at the last bracket, as since Python 3.10.
 * There are three differences:
 *  - Keys are folded in ASCII, not in Unicode, and the part after `environ.` or
 *    `env.` keeps its case, because it is the name of a variable.
 *    RawConfigParser does the same when its optionxform is
 *    weave_ini_key_fold().
 *  - The file is UTF-8, with or without a byte order mark. Any other byte, and
 *    NUL, is an error with its line.
 *  - All problems of a file are reported, not only the first.
 *
 * Then values are interpreted, in this order:
 *  - Two or more lines that are not empty are a list: every line is one value.
 *    A value with one such line is that value, on whichever line it is.
 *  - A value in double quotes is a string and is taken literally.
 *  - `%(here)s` is replaced by the absolute directory of the file that contains
 *    it, and `${NAME}` by the environment variable (a name is
 *    [A-Za-z_][A-Za-z0-9_]*; any other `$` stays). The text that is inserted is
 *    not expanded again.
 *  - `-?[0-9]+` that fits 64 bits is an integer, `true` and `false` in any
 *    case are booleans, everything else is a string.
 *
 * `[DEFAULT] extends` names a file, or a list of files, relative to the
 * directory of the file that contains it. Of two values of one key, the one
 * that is read first wins: first the file itself, then the files that it
 * extends in the given order, each followed by those that it extends. Only the
 * values that win are expanded.
 *
 * `[host:NAME]` is a section like any other here; weave_conf.h leaves it to the
 * application.
 *
 * A weave_ini_t does not change once it was read: any thread may use it.
 */

#include <sys/stat.h>

#include <apr_pools.h>
#include <apr_tables.h>

#include "weave_problem.h"

#define WEAVE_INI_DEFAULT "DEFAULT"
#define WEAVE_INI_HOST "host:"

/** The bounds of one file, and of the files that it extends. */
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
    const char *file;    /* the file that contains it, as the reader names it */
    const char *dir;     /* the absolute directory of that file */
    int line;            /* of the key, from 1 */
    int broken;          /* 1: the value could not be expanded (reported) */
    weave_ini_value_t value;
} weave_ini_entry_t;

/** A file that was read. */
typedef struct weave_ini_file_t {
    const char *path;   /* absolute */
    struct stat status; /* of the open descriptor */
} weave_ini_file_t;

/**
 * Reads PATH and the files that it extends. The result lives in POOL. Appends
 * what it finds to PROBLEMS (of weave_problem_t *).
 *
 * *ini is set when PATH itself could be read, also when it has errors.
 * Returns APR_SUCCESS; APR_EGENERAL when an error was appended; or the status
 * with which PATH could not be opened or read, which is appended too.
 */
apr_status_t weave_ini_read(weave_ini_t **ini, const char *path,
                            apr_array_header_t *problems, apr_pool_t *pool);

/** Does the same for bytes in memory, which are reported as those of PATH.
 *  Opens no file: an `extends` is an error. */
apr_status_t weave_ini_parse(weave_ini_t **ini, const char *data,
                             apr_size_t data_bytes, const char *path,
                             apr_array_header_t *problems, apr_pool_t *pool);

/** Returns all files that were opened (weave_ini_file_t), PATH first. */
const apr_array_header_t *weave_ini_files(const weave_ini_t *ini);

/** Returns the names of the sections (const char *) without DEFAULT, in the
 *  order in which they were read. */
const apr_array_header_t *weave_ini_sections(const weave_ini_t *ini);

/** Returns the entries of SECTION itself (weave_ini_entry_t *), without those
 *  of DEFAULT; NULL when there is no such section. SECTION may be
 *  WEAVE_INI_DEFAULT. */
const apr_array_header_t *weave_ini_entries(const weave_ini_t *ini,
                                            const char *section);

/** Returns the entries of all sections (weave_ini_entry_t *), as they were
 *  read. */
const apr_array_header_t *weave_ini_all(const weave_ini_t *ini);

/** Returns the entry of the folded KEY in SECTION, or else in DEFAULT. NULL
 *  when neither has it, or when there is no such section. */
const weave_ini_entry_t *weave_ini_get(const weave_ini_t *ini,
                                       const char *section, const char *key);

/** Returns a hash of the text of all entries, without expanding them. It is
 *  greater than 0. */
apr_int64_t weave_ini_hash(const weave_ini_t *ini);

/** Returns KEY as the reader folds it (see above), in POOL. */
const char *weave_ini_key_fold(const char *key, apr_pool_t *pool);

#endif
