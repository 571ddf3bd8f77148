/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_INI_PRIVATE_H
#define WEAVE_INI_PRIVATE_H

/** The types and functions that the files of the ini reader share. */

#include <apr_hash.h>

#include "weave_ini.h"

typedef struct ini_section_t {
    const char *name;
    apr_array_header_t *entries; /* of weave_ini_entry_t *, in file order */
    apr_hash_t *by_key;          /* the same, by folded key */
} ini_section_t;

struct weave_ini_t {
    apr_pool_t *pool;
    apr_hash_t *by_name;          /* of ini_section_t *, DEFAULT too */
    apr_array_header_t *names;    /* of const char *, without DEFAULT */
    apr_array_header_t *all;      /* of weave_ini_entry_t *, of all sections */
    apr_array_header_t *files;    /* of weave_ini_file_t */
    apr_array_header_t *problems; /* NULL once it was read */
    apr_size_t expanded_bytes;    /* of all values so far */
};

/** One file, while its lines are read. */
typedef struct ini_source_t {
    const char *file; /* its name in messages */
    const char *dir;  /* absolute */
    char *data;       /* the reader changes it */
    apr_size_t data_bytes;
} ini_source_t;

/** Creates an ini without entries. */
weave_ini_t *ini_make(apr_array_header_t *problems, apr_pool_t *pool);

/** Returns the section NAME, and creates it if it does not exist. */
ini_section_t *ini_section_ensure(weave_ini_t *ini, const char *name);

/** Adds ENTRY to its section. Returns 0 when that has the key already. */
int ini_entry_add(weave_ini_t *ini, weave_ini_entry_t *entry);

/** weave_ini_lines.c: reads sections and raw values of SOURCE into INI, which
 *  has no entries yet. */
void ini_lines_read(weave_ini_t *ini, const ini_source_t *source);

/** weave_ini_value.c: sets the value of ENTRY from its raw text. */
void ini_value_make(weave_ini_t *ini, weave_ini_entry_t *entry);

#endif
