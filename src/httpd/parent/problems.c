/* SPDX-License-Identifier: Apache-2.0 */
/* problems.c: counts and logs what is wrong with an application */
#include "parent.h"

#include <apr_strings.h>

void mod_weave_check_fail(mod_weave_check_t *check, const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = apr_pvsprintf(check->ptemp, format, args);
    va_end(args);
    check->errors++;
    if (!check->problem)
        check->problem = apr_pstrdup(check->pconf, text);
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, check->s, "%s", text);
}

void mod_weave_check_report(mod_weave_check_t *check,
                            const apr_array_header_t *problems,
                            const char *error, const char *notice)
{
    int i;

    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);
        const char *text = weave_problem_text(problem, check->ptemp);

        if (problem->level == WEAVE_PROBLEM_ERROR)
            mod_weave_check_fail(check, "%s%s", error, text);
        else
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, check->s, "%s%s", notice,
                         text);
    }
}
