/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_PROBLEM_H
#define WEAVE_PROBLEM_H

/** Collects the problems of a configuration: the administrator sees all of a
 *  file at once, and configtest, httpd and weavectl choose how to report them.
 */

#include <apr_pools.h>
#include <apr_tables.h>

enum { WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_NOTICE };

typedef enum weave_problem_kind_e {
    WEAVE_PROBLEM_FILE,            /* cannot be read, or is out of bounds */
    WEAVE_PROBLEM_ENCODING,        /* NUL, or not UTF-8 */
    WEAVE_PROBLEM_PARSING,         /* a line without a meaning */
    WEAVE_PROBLEM_MISSING_SECTION, /* text before the first [section] */
    WEAVE_PROBLEM_DUPLICATE_SECTION,
    WEAVE_PROBLEM_DUPLICATE_OPTION,
    WEAVE_PROBLEM_UNSET,   /* ${NAME} that is not set */
    WEAVE_PROBLEM_EXTENDS, /* missing, a circle, too deep */
    WEAVE_PROBLEM_KEY,     /* unknown, or in the wrong place */
    WEAVE_PROBLEM_VALUE,   /* not allowed for the key */
    WEAVE_PROBLEM_CONFLICT /* keys that do not go together */
} weave_problem_kind_e;

/** A problem points into the pool of its list. */
typedef struct weave_problem_t {
    int level;        /* WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_NOTICE */
    const char *file; /* as the caller has named it; never NULL */
    int line;         /* from 1; 0: the file as a whole */
    const char *text; /* one line, UTF-8 */
    weave_problem_kind_e kind;
    const char *section; /* where known, otherwise NULL */
    const char *name;    /* UNSET: the variable; otherwise NULL */
} weave_problem_t;

/** Returns an empty list of weave_problem_t *. */
apr_array_header_t *weave_problems_make(apr_pool_t *pool);

/** Appends a problem, in the list's pool, and returns it, so that the caller
 *  can set more members. After 500 problems the list takes no more, and its
 *  last one says that there are more. */
weave_problem_t *weave_problem_add(apr_array_header_t *problems, int level,
                                   weave_problem_kind_e kind, const char *file,
                                   int line, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/** Returns how many problems of LEVEL are in the list. */
int weave_problems_count(const apr_array_header_t *problems, int level);

/** Sorts the problems that were appended since the list had REPORTED of them,
 *  by file and line. Returns APR_EGENERAL when one of these is an error,
 *  otherwise APR_SUCCESS. */
apr_status_t weave_problems_finish(apr_array_header_t *problems, int reported);

/** Returns "FILE:LINE: text", without the line where it is 0. */
const char *weave_problem_text(const weave_problem_t *problem,
                               apr_pool_t *pool);

#endif
