/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_PROBLEM_H
#define WEAVE_PROBLEM_H

/**
 * What is wrong in a configuration, collected rather than logged: the
 * administrator sees every problem of a file at once, and configtest, a
 * running server and weavectl each decide for themselves how loud to be.
 */

#include <apr_pools.h>
#include <apr_tables.h>

enum { WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_NOTICE };

typedef enum weave_problem_kind_e {
    WEAVE_PROBLEM_FILE,            /* cannot be read, or is out of bounds */
    WEAVE_PROBLEM_ENCODING,        /* NUL, or not UTF-8 */
    WEAVE_PROBLEM_PARSING,         /* a line that is nothing */
    WEAVE_PROBLEM_MISSING_SECTION, /* text before the first [section] */
    WEAVE_PROBLEM_DUPLICATE_SECTION,
    WEAVE_PROBLEM_DUPLICATE_OPTION,
    WEAVE_PROBLEM_UNSET,   /* ${NAME} that is not set */
    WEAVE_PROBLEM_EXTENDS, /* missing, a cycle, too deep */
    WEAVE_PROBLEM_KEY,     /* unknown, or in the wrong place */
    WEAVE_PROBLEM_VALUE,   /* not what the key allows */
    WEAVE_PROBLEM_CONFLICT /* keys that do not go together */
} weave_problem_kind_e;

/** Everything a problem points to lives in the pool it was reported with. */
typedef struct weave_problem_t {
    int level;        /* WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_NOTICE */
    const char *file; /* as the reader was given it; never NULL */
    int line;         /* from 1; 0: the file as a whole */
    const char *text; /* one line, UTF-8 */
    weave_problem_kind_e kind;
    const char *section; /* where known, otherwise NULL */
    const char *name;    /* UNSET: the variable; otherwise NULL */
} weave_problem_t;

/** An empty list for weave_problem_t *. */
apr_array_header_t *weave_problems_make(apr_pool_t *pool);

/** Appends one; the list's own pool keeps it. Returns it for more detail.
 *  A list that is too long to be read takes no more, and says so. */
weave_problem_t *weave_problem_add(apr_array_header_t *problems, int level,
                                   weave_problem_kind_e kind, const char *file,
                                   int line, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/** How many of LEVEL are in the list. */
int weave_problems_count(const apr_array_header_t *problems, int level);

/**
 * Brings what was appended since the list had REPORTED problems in the order
 * of files and lines. APR_EGENERAL when there is an error among it.
 */
apr_status_t weave_problems_finish(apr_array_header_t *problems, int reported);

/** "FILE:LINE: text", without the line where it is 0. */
const char *weave_problem_text(const weave_problem_t *problem,
                               apr_pool_t *pool);

#endif
