/* SPDX-License-Identifier: Apache-2.0 */
/* ini.c: reads a sync.ini, and finds out whether it is what runs
 *
 * httpd reads the file at a start or restart, and keeps what it had where it
 * refuses the configuration or where the file is bad. And weaved keeps the
 * generation of before where the next one does not come up. In each of these
 * cases what runs is older than what the file says. */
#include "ini.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "say.h"
#include "weave_check.h"

/* Returns PATH without links, or as it is where it does not exist. */
static const char *path_resolve(const char *path, apr_pool_t *pool)
{
    char *found = realpath(path, NULL);

    if (found)
        path = apr_pstrdup(pool, found);
    free(found);
    return path;
}

weave_conf_t *ctl_ini_read(const char *ini, apr_array_header_t *problems)
{
    weave_conf_t *conf = NULL;

    weave_conf_read(&conf, path_resolve(ini, problems->pool), problems,
                    problems->pool);
    return conf;
}

/* Reads the file INI. *problems has only what httpd would refuse as well: a
 * variable that is not set here may be set there, and WeaveSet may have the
 * keys that are missing. */
static weave_conf_t *conf_read(apr_array_header_t **problems, const char *ini,
                               apr_pool_t *pool)
{
    apr_array_header_t *all = weave_problems_make(pool);
    weave_conf_t *conf = ctl_ini_read(ini, all);
    int i;

    *problems = weave_problems_make(pool);
    for (i = 0; i < all->nelts; i++) {
        weave_problem_t *problem = APR_ARRAY_IDX(all, i, weave_problem_t *);

        if (problem->level == WEAVE_PROBLEM_ERROR &&
            problem->kind != WEAVE_PROBLEM_UNSET)
            APR_ARRAY_PUSH(*problems, weave_problem_t *) = problem;
    }
    return conf;
}

/* ---- its mistakes ---- */

int ctl_problems_print(const weave_conf_t *conf,
                       const apr_array_header_t *problems)
{
    int i;

    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);
        int is_error = problem->level == WEAVE_PROBLEM_ERROR;

        ctl_error("%s: %s: %s", is_error ? "error" : "notice",
                  !conf      ? "WEAVE0015"
                  : is_error ? "WEAVE0001"
                             : "WEAVE0002",
                  weave_problem_text(problem, problems->pool));
    }
    return weave_problems_count(problems, WEAVE_PROBLEM_ERROR);
}

int ctl_ini_check(const char *ini, apr_pool_t *pool)
{
    apr_array_header_t *problems;
    const weave_conf_t *conf = conf_read(&problems, ini, pool);
    const apr_array_header_t *files = conf ? weave_conf_files(conf) : NULL;
    int i, errors = ctl_problems_print(conf, problems);

    for (i = 0; files && geteuid() == 0 && i < files->nelts; i++) {
        const char *problem =
            weave_check_ini(&APR_ARRAY_IDX(files, i, weave_ini_file_t), pool);

        if (problem)
            ctl_error("error: %s", problem);
        errors += problem != NULL;
    }
    return errors ? CTL_FAILED : CTL_DONE;
}

/* ---- what runs ---- */

const char *ctl_link_moved(const json_t *app, apr_pool_t *pool)
{
    const char *path = ctl_text(app, "ini"), *then = ctl_text(app, "ini_read");
    const char *now = path_resolve(path, pool);

    return *then && strcmp(now, then) != 0
               ? apr_psprintf(pool, "%s leads to %s now, and httpd has read %s",
                              path, now, then)
               : NULL;
}

int ctl_is_taken(const json_t *app, apr_pool_t *pool)
{
    const weave_conf_t *conf =
        ctl_ini_read(ctl_text(app, "ini"), weave_problems_make(pool));

    return !conf || !ctl_int(app, "ini_hash") ||
           ctl_int(app, "ini_hash") == weave_conf_hash(conf);
}

const char *ctl_refusal(const ctl_app_t *own, apr_pool_t *pool)
{
    const weave_conf_t *conf;

    if (!*own->problem)
        return NULL;
    conf = ctl_ini_read(own->ini, weave_problems_make(pool));
    if (own->stamp != (conf ? weave_conf_stamp(conf) : 0))
        return NULL; /* the file may have been mended since */
    return apr_pstrcat(pool,
                       "httpd could not take what the sync.ini says, and goes"
                       " on with what it said before: ",
                       own->problem, NULL);
}

#define CHANGED                                                                \
    "the sync.ini has changed since httpd has read it: `apachectl graceful`; " \
    "`apachectl configtest` says whether httpd takes it"

/* Says why the generation of APP that serves is not of the sync.ini with HASH;
 * or NULL: it is, or that is not known. */
static const char *generation_explain(const json_t *app, apr_int64_t hash,
                                      apr_pool_t *pool)
{
    apr_int64_t serving = ctl_int(app, "generation"), starting = 0, found = 0;
    const json_t *generation;
    size_t i;

    json_array_foreach(json_object_get(app, "generations"), i, generation)
    {
        if (ctl_int(generation, "number") == serving)
            found = ctl_int(generation, "ini_hash");
        if (!strcmp(ctl_text(generation, "state"), "starting"))
            starting = ctl_int(generation, "number");
    }
    if (!found || found == hash)
        return NULL;
    if (ctl_int(app, "ini_hash") != hash)
        return CHANGED;
    return starting
               ? apr_psprintf(pool,
                              "generation %" APR_INT64_T_FMT
                              " serves until generation %" APR_INT64_T_FMT
                              ", with what the sync.ini says now, is ready",
                              serving, starting)
               : apr_psprintf(pool,
                              "generation %" APR_INT64_T_FMT
                              " goes on, since what the sync.ini says now has"
                              " failed",
                              serving);
}

const char *ctl_outdated(const json_t *app, const ctl_app_t *own,
                         apr_pool_t *pool)
{
    apr_array_header_t *mistakes;
    const weave_conf_t *conf;
    const char *why;

    if (!own || own->failed)
        return NULL;
    why = ctl_refusal(own, pool);
    if (why)
        return why;
    why = ctl_link_moved(app, pool);
    if (why)
        return apr_pstrcat(pool, why, ": `apachectl graceful` goes over to it",
                           NULL);
    conf = conf_read(&mistakes, own->ini, pool);
    if (mistakes->nelts)
        return apr_pstrcat(
            pool,
            "the sync.ini has a mistake, and httpd goes on with"
            " what it said before: ",
            weave_problem_text(APR_ARRAY_IDX(mistakes, 0, weave_problem_t *),
                               pool),
            NULL);
    if (!conf)
        return NULL;
    if (!own->embedded)
        return generation_explain(app, weave_conf_hash(conf), pool);
    return !own->stamp || own->stamp == weave_conf_stamp(conf) ? NULL : CHANGED;
}
