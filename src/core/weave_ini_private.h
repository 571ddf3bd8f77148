/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_INI_PRIVATE_H
#define WEAVE_INI_PRIVATE_H

/** What the three files of the ini reader share: lines, values, files. */

#include <apr_hash.h>

#include "weave_ini.h"

typedef struct ini_section_t {
    const char *name;
    apr_array_header_t *entries; /* of weave_ini_entry_t *, as they stand */
    apr_hash_t *by_key;          /* the same, by folded key */
} ini_section_t;

struct weave_ini_t {
    apr_pool_t *pool;
    apr_hash_t *by_name;          /* of ini_section_t *, DEFAULT too */
    apr_array_header_t *names;    /* of const char *, without DEFAULT */
    apr_array_header_t *files;    /* of weave_ini_file_t */
    apr_array_header_t *problems; /* only while it is read */
    apr_size_t expanded_bytes;    /* of all values so far */
};

/** One file, while its lines are read. */
typedef struct ini_source_t {
    const char *file; /* as people are told it */
    const char *dir;  /* absolute */
    char *data;       /* is written to */
    apr_size_t data_bytes;
} ini_source_t;

weave_ini_t *ini_make(apr_array_header_t *problems, apr_pool_t *pool);

/** The section NAME, made where it does not exist. */
ini_section_t *ini_section_ensure(weave_ini_t *ini, const char *name);

/** weave_ini_lines.c: SOURCE's sections and raw values into the empty INI. */
void ini_lines_read(weave_ini_t *ini, const ini_source_t *source);

/** weave_ini_value.c: gives ENTRY the value that its raw text stands for. */
void ini_value_make(weave_ini_t *ini, weave_ini_entry_t *entry);

#endif
