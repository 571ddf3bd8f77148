/* SPDX-License-Identifier: Apache-2.0 */
/* weave_conf_check.c: checks the rules between keys */

#include "weave_conf_private.h"

static void conflict_problem_add(const weave_conf_t *conf,
                                 apr_array_header_t *problems, int level,
                                 weave_key_e key, const char *text)
{
    const conf_setting_t *setting = &conf->settings[key];
    const weave_key_t *row = weave_key_get(key);

    weave_problem_add(problems, level, WEAVE_PROBLEM_CONFLICT,
                      setting->source.file ? setting->source.file : conf->path,
                      setting->source.line, "%s%s %s", row->full,
                      row->type == WEAVE_TYPE_PREFIX ? "NAME" : "", text)
        ->section = row->section;
}

static void application_check(const weave_conf_t *conf,
                              apr_array_header_t *problems)
{
    int script = *weave_conf_str(conf, WEAVE_WSGI_SCRIPT) != '\0';
    int module = *weave_conf_str(conf, WEAVE_WSGI_MODULE) != '\0';

    if (script && module) {
        conflict_problem_add(conf, problems, WEAVE_PROBLEM_ERROR,
                             WEAVE_WSGI_MODULE,
                             "and wsgi.script are both set; set one of them");
    }
    else if (!script && !module) {
        conflict_problem_add(
            conf, problems, WEAVE_PROBLEM_ERROR, WEAVE_WSGI_SCRIPT,
            "is not set, nor is wsgi.module: there is no application");
    }
    if (!script &&
        weave_conf_int(conf, WEAVE_RELEASE_RELOAD) == WEAVE_RELOAD_TOUCH) {
        conflict_problem_add(conf, problems, WEAVE_PROBLEM_NOTICE,
                             WEAVE_RELEASE_RELOAD,
                             "= touch does nothing without wsgi.script");
    }
}

apr_status_t weave_conf_check(const weave_conf_t *conf,
                              apr_array_header_t *problems)
{
    int reported = problems->nelts;

    application_check(conf, problems);
    return weave_problems_finish(problems, reported);
}
