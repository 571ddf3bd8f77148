/* SPDX-License-Identifier: Apache-2.0 */
/* weave_problem.c: the list of a configuration's problems */
#include "weave_problem.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <stdarg.h>
#include <string.h>

#include "weave_utf8.h"

#define MAX_TEXT_BYTES 400
#define MAX_PROBLEMS 500

apr_array_header_t *weave_problems_make(apr_pool_t *pool)
{
    return apr_array_make(pool, 4, sizeof(weave_problem_t *));
}

/* Returns a message for the log, without control characters, and cut where it
 * quotes too much of a file. */
static const char *text_printable(const char *text, apr_pool_t *pool)
{
    const char *end = text + strlen(text);
    char *out = apr_palloc(pool, MAX_TEXT_BYTES + 8), *o = out;

    while (text < end && o - out < MAX_TEXT_BYTES)
        o += weave_utf8_escape(o, &text, end);
    apr_cpystrn(o, text < end ? "..." : "", 4);
    return out;
}

/* Returns a new problem, which is in the list unless that is full. */
static weave_problem_t *problem_make(apr_array_header_t *problems, int level)
{
    weave_problem_t *problem = apr_pcalloc(problems->pool, sizeof(*problem));

    if (problems->nelts < MAX_PROBLEMS) {
        APR_ARRAY_PUSH(problems, weave_problem_t *) = problem;
    }
    else if (level == WEAVE_PROBLEM_ERROR) {
        APR_ARRAY_IDX(problems, problems->nelts - 1, weave_problem_t *)->level =
            level;
    }
    problem->level = level;
    return problem;
}

weave_problem_t *weave_problem_add(apr_array_header_t *problems, int level,
                                   weave_problem_kind_e kind, const char *file,
                                   int line, const char *fmt, ...)
{
    apr_pool_t *pool = problems->pool;
    weave_problem_t *problem = problem_make(problems, level);
    va_list args;

    if (problems->nelts == MAX_PROBLEMS)
        fmt = "and more, which are not shown";
    va_start(args, fmt);
    problem->text = text_printable(apr_pvsprintf(pool, fmt, args), pool);
    va_end(args);
    problem->kind = kind;
    problem->file = apr_pstrdup(pool, file);
    problem->line = line;
    return problem;
}

int weave_problems_count(const apr_array_header_t *problems, int level)
{
    int i, count = 0;

    for (i = 0; i < problems->nelts; i++)
        count += APR_ARRAY_IDX(problems, i, weave_problem_t *)->level == level;
    return count;
}

static int comes_before(const weave_problem_t *a, const weave_problem_t *b)
{
    int order = strcmp(a->file, b->file);

    return order < 0 || (order == 0 && a->line < b->line);
}

/* Insertion sort is stable, and the list is short. */
apr_status_t weave_problems_finish(apr_array_header_t *problems, int reported)
{
    weave_problem_t **list = (weave_problem_t **)problems->elts;
    int i, j, errors = 0;

    if (reported == MAX_PROBLEMS)
        reported--; /* the last one stands for those that are not listed */
    for (i = reported; i < problems->nelts; i++) {
        weave_problem_t *problem = list[i];

        for (j = i; j > reported && comes_before(problem, list[j - 1]); j--)
            list[j] = list[j - 1];
        list[j] = problem;
        errors += problem->level == WEAVE_PROBLEM_ERROR;
    }
    return errors ? APR_EGENERAL : APR_SUCCESS;
}

const char *weave_problem_text(const weave_problem_t *problem, apr_pool_t *pool)
{
    if (problem->line == 0)
        return apr_pstrcat(pool, problem->file, ": ", problem->text, NULL);
    return apr_psprintf(pool, "%s:%d: %s", problem->file, problem->line,
                        problem->text);
}
