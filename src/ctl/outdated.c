/* SPDX-License-Identifier: Apache-2.0 */
/* outdated.c: finds out whether an application runs as its sync.ini says now
 *
 * httpd reads the file at a start or restart, and keeps what it had where it
 * refuses the configuration or where the file is bad. And weaved keeps the
 * generation of before where the next one does not come up. In each of these
 * cases what runs is older than what the file says. */
#include "outdated.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "fields.h"
#include "folder.h"
#include "weave_conf.h"

const char *ctl_link_moved(const json_t *app, apr_pool_t *pool)
{
    const char *path = ctl_text(app, "ini"), *then = ctl_text(app, "ini_read");
    const char *now = ctl_path_resolve(path, pool);

    return *then && strcmp(now, then) != 0
               ? apr_psprintf(pool, "%s leads to %s now, and httpd has read %s",
                              path, now, then)
               : NULL;
}

/* Returns the first mistake in CONF (NULL: unreadable) that httpd would find as
 * well; or NULL. A variable that is not set here may be set there. */
static const char *mistake_find(const weave_conf_t *conf,
                                apr_array_header_t *problems, apr_pool_t *pool)
{
    int i;

    if (conf)
        weave_conf_check(conf, problems);
    for (i = 0; i < problems->nelts; i++) {
        const weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);

        if (problem->level == WEAVE_PROBLEM_ERROR &&
            problem->kind != WEAVE_PROBLEM_UNSET)
            return weave_problem_text(problem, pool);
    }
    return NULL;
}

static const json_t *generation_find(const json_t *app, json_int_t number)
{
    const json_t *generation;
    size_t i;

    json_array_foreach(ctl_list(app, "generations"), i, generation)
    {
        if (ctl_int(generation, "number") == number)
            return generation;
    }
    return NULL;
}

/* Says why another generation serves although httpd has told weaved what the
 * file says now. */
static const char *generation_explain(const json_t *app, apr_pool_t *pool)
{
    apr_int64_t serving = ctl_int(app, "generation");
    const json_t *generation;
    size_t i;

    json_array_foreach(ctl_list(app, "generations"), i, generation)
    {
        if (!strcmp(ctl_text(generation, "state"), "starting"))
            return apr_psprintf(pool,
                                "generation %" APR_INT64_T_FMT
                                " serves until generation %" APR_INT64_T_FMT
                                ", with what the sync.ini says now, is ready",
                                serving,
                                (apr_int64_t)ctl_int(generation, "number"));
    }
    return apr_psprintf(pool,
                        "generation %" APR_INT64_T_FMT
                        " goes on, since what the sync.ini says now has"
                        " failed",
                        serving);
}

/* Returns the configuration of the file PATH as it is now, and the first
 * mistake in it; NULL: it cannot be read. Follows its links, as httpd does:
 * relative paths start where they lead to. */
static weave_conf_t *conf_read_now(const char **mistake, const char *path,
                                   apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_conf_t *conf = NULL;

    weave_conf_read(&conf, ctl_path_resolve(path, pool), problems, pool);
    *mistake = mistake_find(conf, problems, pool);
    return conf;
}

int ctl_is_taken(const json_t *app, apr_pool_t *pool)
{
    const char *mistake;
    const weave_conf_t *conf =
        conf_read_now(&mistake, ctl_text(app, "ini"), pool);

    return !conf || !ctl_int(app, "ini_hash") ||
           ctl_int(app, "ini_hash") == weave_conf_hash(conf);
}

const char *ctl_refusal(const ctl_app_t *own, apr_pool_t *pool)
{
    const char *mistake;
    const weave_conf_t *conf = conf_read_now(&mistake, own->ini, pool);

    /* the file may have been mended since */
    if (!*own->problem || own->stamp != (conf ? weave_conf_stamp(conf) : 0))
        return NULL;
    return apr_pstrcat(pool,
                       "httpd could not take what the sync.ini says, and goes"
                       " on with what it said before: ",
                       own->problem, NULL);
}

/* Says whether what CONF says runs; 1 also where that is not known. */
static int conf_is_running(const weave_conf_t *conf, const json_t *app,
                           const ctl_app_t *own)
{
    json_int_t hash =
        ctl_int(generation_find(app, ctl_int(app, "generation")), "ini_hash");

    if (!conf)
        return 1;
    if (own->embedded)
        return !own->stamp ||
               (!*own->problem && own->stamp == weave_conf_stamp(conf));
    return !hash || hash == weave_conf_hash(conf);
}

const char *ctl_outdated(const json_t *app, const ctl_app_t *own,
                         apr_pool_t *pool)
{
    const char *mistake, *why;
    const weave_conf_t *conf;

    if (!own || own->failed)
        return NULL;
    why = ctl_refusal(own, pool);
    if (why)
        return why;
    why = ctl_link_moved(app, pool);
    if (why)
        return apr_pstrcat(pool, why, ": `apachectl graceful` goes over to it",
                           NULL);
    conf = conf_read_now(&mistake, own->ini, pool);
    if (mistake)
        return apr_pstrcat(pool,
                           "the sync.ini has a mistake, and httpd goes on with"
                           " what it said before: ",
                           mistake, NULL);
    if (conf_is_running(conf, app, own))
        return NULL;
    if (!own->embedded && ctl_int(app, "ini_hash") == weave_conf_hash(conf))
        return generation_explain(app, pool);
    return "the sync.ini has changed since httpd has read it: `apachectl"
           " graceful`; `apachectl configtest` says whether httpd takes it";
}
