/* SPDX-License-Identifier: Apache-2.0 */
/* weave_conf_read.c: reads and checks the module's configuration */
#include "weave_conf_private.h"

#include <apr_strings.h>

#include <string.h>

#include "weave_folder.h"

typedef struct conf_reader_t {
    weave_conf_t *conf;
    const weave_ini_t *ini;
    apr_array_header_t *problems;
    apr_pool_t *pool;
} conf_reader_t;

static void entry_problem_add(conf_reader_t *reader, int level,
                              weave_problem_kind_e kind,
                              const weave_ini_entry_t *entry, const char *text)
{
    weave_problem_add(reader->problems, level, kind, entry->file, entry->line,
                      "%s", text)
        ->section = entry->section;
}

/* Returns the lines of a value as texts, whichever type they have for the
 * application. */
static const apr_array_header_t *entry_items(const weave_ini_entry_t *entry,
                                             apr_pool_t *pool)
{
    const weave_ini_value_t *value = &entry->value;
    apr_array_header_t *items = apr_array_make(pool, 1, sizeof(char *));
    int i;

    if (value->type != WEAVE_INI_LIST) {
        APR_ARRAY_PUSH(items, const char *) = value->text;
        return items;
    }
    for (i = 0; i < value->items->nelts; i++) {
        APR_ARRAY_PUSH(items, const char *) =
            APR_ARRAY_IDX(value->items, i, weave_ini_value_t).text;
    }
    return items;
}

static const char *section_keys(const char *section, apr_pool_t *pool)
{
    const char *text = NULL;
    int i;

    for (i = 0; i < WEAVE_KEY_COUNT; i++) {
        const weave_key_t *key = weave_key_get(i);

        if (!strcmp(key->section, section)) {
            text =
                apr_pstrcat(pool, text ? text : "", text ? ", " : "", key->name,
                            key->type == WEAVE_TYPE_PREFIX ? "NAME" : "", NULL);
        }
    }
    return text;
}

static void unknown_key_problem_add(conf_reader_t *reader, const char *section,
                                    const weave_ini_entry_t *entry)
{
    apr_pool_t *pool = reader->pool;
    const weave_key_t *nearest =
        weave_key_nearest(apr_pstrcat(pool, section, ".", entry->key, NULL));
    const char *cure;

    if (!nearest) {
        cure = apr_pstrcat(pool, "its keys are ", section_keys(section, pool),
                           NULL);
    }
    else if (!strcmp(nearest->section, section)) {
        cure = apr_psprintf(pool, "is it '%s%s'?", nearest->name,
                            nearest->type == WEAVE_TYPE_PREFIX ? "NAME" : "");
    }
    else if (weave_key_is_named(nearest, entry->key)) {
        cure =
            apr_pstrcat(pool, "it belongs in [", nearest->section, "]", NULL);
    }
    else {
        cure = apr_psprintf(pool, "is it '%s' in [%s]?", nearest->name,
                            nearest->section);
    }
    entry_problem_add(reader, WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_KEY, entry,
                      apr_psprintf(pool, "[%s] has no key '%s'; %s", section,
                                   entry->key, cure));
}

/* Sets the key of SECTION that ENTRY names. An unknown key in DEFAULT is no
 * error: it may be a key of another section. */
static void entry_apply(conf_reader_t *reader, const char *section,
                        const weave_ini_entry_t *entry, int is_default)
{
    const char *member, *wrong;
    const char *name =
        apr_pstrcat(reader->pool, section, ".", entry->key, NULL);
    conf_source_t source = {entry->file, entry->dir, entry->line};
    const weave_key_t *key = weave_key_find(name, &member);

    if (!key) {
        if (!is_default)
            unknown_key_problem_add(reader, section, entry);
        return;
    }
    if (entry->broken)
        return;
    wrong = conf_assign(reader->conf, key, member,
                        entry_items(entry, reader->pool), &source);
    if (wrong) {
        entry_problem_add(reader, WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_VALUE,
                          entry,
                          apr_pstrcat(reader->pool, name, " ", wrong, NULL));
    }
}

/* Applies the defaults first, so that the section's own entries win. */
static void section_apply(conf_reader_t *reader, const char *section)
{
    const apr_array_header_t *defaults =
        weave_ini_entries(reader->ini, WEAVE_INI_DEFAULT);
    const apr_array_header_t *own = weave_ini_entries(reader->ini, section);
    int i;

    for (i = 0; i < defaults->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(defaults, i, weave_ini_entry_t *);

        if (weave_ini_get(reader->ini, section, entry->key) == entry)
            entry_apply(reader, section, entry, 1);
    }
    for (i = 0; i < own->nelts; i++) {
        entry_apply(reader, section, APR_ARRAY_IDX(own, i, weave_ini_entry_t *),
                    0);
    }
}

/* Reports the module's keys in [host:NAME], which the application reads for its
 * requests and the module never does. */
static void host_check(conf_reader_t *reader, const char *section)
{
    const apr_array_header_t *own = weave_ini_entries(reader->ini, section);
    int i;

    for (i = 0; i < own->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(own, i, weave_ini_entry_t *);

        if (weave_key_find(entry->key, NULL)) {
            entry_problem_add(
                reader, WEAVE_PROBLEM_NOTICE, WEAVE_PROBLEM_KEY, entry,
                apr_psprintf(
                    reader->pool,
                    "[%s] cannot set %s, which is ignored here: it is not"
                    " looked at per host",
                    section, entry->key));
        }
    }
}

static void section_check(conf_reader_t *reader, const char *section)
{
    const char *nearest = weave_key_section_nearest(section);
    const apr_array_header_t *own = weave_ini_entries(reader->ini, section);

    if (nearest && own->nelts) {
        entry_problem_add(
            reader, WEAVE_PROBLEM_NOTICE, WEAVE_PROBLEM_KEY,
            APR_ARRAY_IDX(own, 0, weave_ini_entry_t *),
            apr_psprintf(reader->pool,
                         "[%s] is left to the application; is it [%s]?",
                         section, nearest));
    }
}

static void sections_read(conf_reader_t *reader)
{
    const apr_array_header_t *names = weave_ini_sections(reader->ini);
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (weave_key_section_is(name))
            section_apply(reader, name);
        else if (!strncmp(name, WEAVE_INI_HOST, strlen(WEAVE_INI_HOST)))
            host_check(reader, name);
        else
            section_check(reader, name);
    }
}

/* Reads global.retry_after. It is a key of the application, so a bad value is
 * only a notice. */
static void retry_after_read(conf_reader_t *reader)
{
    const weave_ini_entry_t *entry =
        weave_ini_get(reader->ini, "global", "retry_after");
    conf_setting_t *setting = &reader->conf->retry_after;
    const char *wrong;

    if (!entry || entry->broken)
        return;
    wrong = weave_key_parse(&setting->value,
                            weave_key_get(WEAVE_MAINTENANCE_RETRY_AFTER),
                            entry_items(entry, reader->pool), reader->pool);
    if (wrong) {
        entry_problem_add(
            reader, WEAVE_PROBLEM_NOTICE, WEAVE_PROBLEM_VALUE, entry,
            apr_pstrcat(reader->pool,
                        "global.retry_after is not used for maintenance, ",
                        wrong, NULL));
        return;
    }
    setting->source.file = entry->file;
    setting->source.line = entry->line;
}

/* Reads global.heartbeat_page, with or without slashes around it. It is a key
 * of the application, which has to report a bad value. */
static void heartbeat_read(conf_reader_t *reader)
{
    const weave_ini_entry_t *entry =
        weave_ini_get(reader->ini, "global", "heartbeat_page");
    apr_pool_t *pool = reader->conf->pool;
    const char *page;
    apr_size_t len;

    if (!entry || entry->broken || entry->value.type == WEAVE_INI_LIST)
        return;
    page = entry->value.text + strspn(entry->value.text, "/");
    len = strlen(page);
    while (len && page[len - 1] == '/')
        len--;
    if (len) {
        reader->conf->heartbeat =
            apr_pstrcat(pool, "/", apr_pstrmemdup(pool, page, len), NULL);
    }
}

/* Returns 1 for an unset variable that workers.env.NAME sets for the
 * application: this process does not have it, which is no error. */
static int is_for_workers(const weave_problem_t *problem,
                          const weave_conf_t *conf)
{
    return problem->kind == WEAVE_PROBLEM_UNSET &&
           !weave_key_section_is(problem->section) &&
           strcmp(problem->section, WEAVE_INI_DEFAULT) != 0 &&
           weave_conf_member(conf->env, problem->name);
}

/* Returns the problems without those variables. */
static apr_array_header_t *problems_without_workers(
    const apr_array_header_t *problems, const weave_conf_t *conf,
    apr_pool_t *pool)
{
    apr_array_header_t *left = weave_problems_make(pool);
    int i;

    for (i = 0; i < problems->nelts; i++) {
        weave_problem_t *problem =
            APR_ARRAY_IDX(problems, i, weave_problem_t *);

        if (!is_for_workers(problem, conf))
            APR_ARRAY_PUSH(left, weave_problem_t *) = problem;
    }
    return left;
}

/* Makes *conf of what INI says at PATH, unless it is NULL: then STATUS says
 * why. Appends what is wrong to PROBLEMS. */
static apr_status_t conf_make(weave_conf_t **conf, conf_reader_t *reader,
                              const char *path, apr_array_header_t *problems,
                              apr_status_t status)
{
    weave_conf_t *made;

    if (reader->ini) {
        reader->conf = *conf = made = weave_conf_make(reader->pool);
        made->hash = weave_ini_hash(reader->ini);
        made->path = path;
        if (*path == '/')
            made->dir = weave_folder_parent(path, reader->pool);
        sections_read(reader);
        retry_after_read(reader);
        heartbeat_read(reader);
        reader->problems =
            problems_without_workers(reader->problems, made, reader->pool);
        conf_resolve(made);
        status = weave_problems_finish(reader->problems, 0);
    }
    apr_array_cat(problems, reader->problems);
    return status;
}

apr_status_t weave_conf_read(weave_conf_t **conf, const char *path,
                             apr_array_header_t *problems, apr_pool_t *pool)
{
    conf_reader_t reader = {.pool = pool,
                            .problems = weave_problems_make(pool)};
    weave_ini_t *ini = NULL;
    apr_status_t status = weave_ini_read(&ini, path, reader.problems, pool);
    const apr_array_header_t *files = ini ? weave_ini_files(ini) : NULL;

    reader.ini = ini;
    if (ini)
        path = APR_ARRAY_IDX(files, 0, weave_ini_file_t).path;
    status = conf_make(conf, &reader, path, problems, status);
    if (ini)
        (*conf)->files = files;
    return status;
}

apr_status_t weave_conf_parse(weave_conf_t **conf, const char *text,
                              const char *path, apr_array_header_t *problems,
                              apr_pool_t *pool)
{
    conf_reader_t reader = {.pool = pool,
                            .problems = weave_problems_make(pool)};
    weave_ini_t *ini = NULL;
    apr_status_t status =
        weave_ini_parse(&ini, text, strlen(text), path, reader.problems, pool);

    reader.ini = ini;
    return conf_make(conf, &reader, apr_pstrdup(pool, path), problems, status);
}

/* --- the rules between keys --------------------------------------------- */

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

apr_status_t weave_conf_check(const weave_conf_t *conf,
                              apr_array_header_t *problems)
{
    int reported = problems->nelts;
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
    return weave_problems_finish(problems, reported);
}
