/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c: what an application would be made of, as its links lead now */
#include "app.h"

#include <string.h>

#include <apr_strings.h>

#include "weave_check.h"

/* FNV-1a */
static uint64_t text_hash(const char *text)
{
    uint64_t value = UINT64_C(14695981039346656037);

    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return value ? value : 1;
}

/* Returns TEXT, flat as weave_conf_flatten makes it, without the section NAME.
 */
static const char *section_remove(const char *text, const char *name,
                                  apr_pool_t *pool)
{
    const char *head = apr_pstrcat(pool, "[", name, "]\n", NULL), *end;
    const char *begin = strstr(text, head);

    /* only at the beginning of a line: values of several lines are indented */
    while (begin && begin != text && begin[-1] != '\n')
        begin = strstr(begin + 1, head);
    if (!begin)
        return text;
    end = strstr(begin, "\n[");
    return apr_pstrcat(pool,
                       apr_pstrmemdup(pool, text, (apr_size_t)(begin - text)),
                       end ? end + 1 : "", NULL);
}

/* Returns a hash of what a resolved spec makes of a process; never 0. */
static uint64_t identity_hash(const weave_spec_t *resolved, apr_pool_t *pool)
{
    weave_spec_t copy = *resolved;
    const char *text;

    /* these make no difference to a process */
    copy.software = "";
    copy.log_level = 0;
    copy.ini_hash = 0; /* it covers comments and [maintenance], too */
    copy.ini_text = section_remove(resolved->ini_text, "maintenance", pool);
    text = weave_spec_format(&copy, pool);
    return text_hash(text ? text : "");
}

uint64_t super_app_script_stamp(const super_app_t *app, apr_pool_t *pool)
{
    return text_hash(
        weave_spec_stamp(weave_spec_str(app->spec, WEAVE_WSGI_SCRIPT), pool));
}

/* Checks what configtest checks, too. A message names a path as it is written,
 * unless it counts as moved already. */
static const char *paths_check(const weave_spec_t *spec,
                               const weave_link_t *as_if, apr_pool_t *pool)
{
    const char *script = weave_spec_str(spec, WEAVE_WSGI_SCRIPT);
    const char *home = weave_spec_str(spec, WEAVE_WORKERS_HOME);
    const char *problem;

    if (as_if) {
        script = weave_link_follow(script, as_if, pool);
        home = weave_link_follow(home, as_if, pool);
    }
    problem = weave_check_script(
        spec->name, script, weave_spec_str(spec, WEAVE_WSGI_CALLABLE), pool);
    if (!problem)
        problem = weave_check_folder(spec->name, "workers.home", home, pool);
    if (!problem)
        problem = weave_check_folder(
            spec->name, "limits.spool_dir",
            weave_spec_str(spec, WEAVE_LIMITS_SPOOL_DIR), pool);
    if (!problem)
        problem = weave_check_program(spec->libdir, "weave-worker", pool);
    return problem;
}

const char *super_app_resolve(super_resolved_t *made, const super_app_t *app,
                              const weave_link_t *as_if, apr_pool_t *pool)
{
    const char *problem = paths_check(app->spec, as_if, pool);

    if (!problem)
        problem = weave_spec_resolve(&made->spec, app->spec, as_if, pool);
    if (problem)
        return problem;
    made->text = weave_spec_format(made->spec, pool);
    if (!made->text)
        return "the virtualenv or the script is a link to a path that is"
               " not UTF-8";
    made->identity = identity_hash(made->spec, pool);
    return NULL;
}
