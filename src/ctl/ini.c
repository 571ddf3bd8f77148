/* SPDX-License-Identifier: Apache-2.0 */
/* ini.c: is that file a sync.ini, where no httpd can tell */
#include "view.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "weave_ini.h"

static int is_fatal(const weave_problem_t *problem, const char *path)
{
    return problem->level == WEAVE_PROBLEM_ERROR &&
           problem->kind <= WEAVE_PROBLEM_MISSING_SECTION &&
           !strcmp(problem->file, path);
}

/* Mistakes in it are for httpd to find: what is asked is whether it is an
 * INI. */
static const char *text_wrong(const char *path, apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_ini_t *ini = NULL;
    int i;

    weave_ini_read(&ini, path, problems, pool);
    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);

        if (is_fatal(problem, path))
            return weave_problem_text(problem, pool);
    }
    if (ini && weave_ini_sections(ini)->nelts)
        return NULL;
    return apr_pstrcat(pool, path, ": there is no [section] in it", NULL);
}

const char *ctl_ini_wrong(const char *path, apr_pool_t *pool)
{
    struct stat status;
    const char *wrong;

    if (stat(path, &status) < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? apr_pstrcat(pool, path, ": there is no such file", NULL)
                   : apr_pstrcat(pool, path, ": ", strerror(errno), NULL);
    if (!S_ISREG(status.st_mode))
        return apr_pstrcat(pool, path, ": this is no sync.ini: it is no file",
                           NULL);
    wrong = text_wrong(path, pool);
    return wrong ? apr_pstrcat(pool, "this is no sync.ini: ", wrong, NULL)
                 : NULL;
}
