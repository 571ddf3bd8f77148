/* SPDX-License-Identifier: Apache-2.0 */
/* problems.c: counts and logs what is wrong with an application, also what its
 * own check says of its sync.ini
 *
 * The check is code of the application's, and ran with the rights of its user:
 * a row may be anything, and goes to a terminal of root's. weave_problem_add()
 * makes one line of printable text of it. */
#include "parent.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "weave_ini.h"

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

/* The entry that LINE of the flat text is of, or NULL. */
static const weave_ini_entry_t *entry_at(const apr_array_header_t *sources,
                                         long line)
{
    return line > 0 && line <= sources->nelts
               ? APR_ARRAY_IDX(sources, line - 1, const weave_ini_entry_t *)
               : NULL;
}

/* Adds the row SEVERITY, with LINE and MESSAGE behind it. 0: it is none. */
static int row_add(apr_array_header_t *problems, const mod_weave_app_t *app,
                   const apr_array_header_t *sources, const char *severity,
                   char *rest)
{
    char *message;
    long line = strtol(rest, &message, 10);
    const weave_ini_entry_t *entry = entry_at(sources, line);
    int is_error = !strcmp(severity, "error");

    if ((!is_error && strcmp(severity, "notice") != 0) || message == rest ||
        *message != ' ')
        return 0;
    weave_problem_add(problems,
                      is_error ? WEAVE_PROBLEM_ERROR : WEAVE_PROBLEM_NOTICE,
                      WEAVE_PROBLEM_VALUE, entry ? entry->file : app->ini,
                      entry ? entry->line : 0, "%s", message + 1);
    return 1;
}

/* Says that the check itself is at fault: TEXT is the rest of a row. */
static void failure_report(const mod_weave_check_t *check,
                           const mod_weave_app_t *app, const char *text)
{
    apr_array_header_t *problems = weave_problems_make(check->ptemp);
    const weave_problem_t *problem =
        weave_problem_add(problems, WEAVE_PROBLEM_NOTICE, WEAVE_PROBLEM_VALUE,
                          app->ini, 0, "%s", text);

    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, check->s,
                 "WEAVE0277: the check that the application of %s brings has"
                 " not come to its end: %s. What is wrong in its own sections"
                 " shows when it is imported",
                 app->ini, problem->text);
}

void mod_weave_rows_report(mod_weave_check_t *check, const mod_weave_app_t *app,
                           const mod_weave_probe_t *own,
                           const apr_array_header_t *sources)
{
    apr_array_header_t *problems = weave_problems_make(check->ptemp);
    char *rows = apr_pstrdup(check->ptemp, own->rows ? own->rows : "");
    char *row, *state, *rest;
    const char *failed = own->failed;

    for (row = apr_strtok(rows, "\n", &state); row;
         row = apr_strtok(NULL, "\n", &state)) {
        rest = strchr(row, ' ');
        if (rest)
            *rest++ = '\0';
        if (rest && !strcmp(row, "failed"))
            failed = rest + strspn(rest, "0 ");
        else if (!rest || !row_add(problems, app, sources, row, rest))
            failed = failed ? failed : "its answer makes no sense";
    }
    weave_problems_finish(problems, 0);
    mod_weave_check_report(check, problems, "WEAVE0275: ", "WEAVE0276: ");
    if (failed)
        failure_report(check, app, failed);
}
