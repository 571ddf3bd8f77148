/* SPDX-License-Identifier: Apache-2.0 */
/* weave_ini_read.c: reads an ini file and the files that it extends */
#include "weave_ini_private.h"

#include <apr_file_info.h>
#include <apr_strings.h>

#include <fcntl.h>
#include <string.h>

#include "weave_file.h"
#include "weave_folder.h"

/* A file that is being read, and the file that extends it. */
typedef struct reading_t {
    const struct reading_t *parent;
    const char *path; /* absolute */
    int depth;
} reading_t;

/* Returns the path without `.` and `..`, as os.path.normpath(): does not follow
 * links. */
static const char *path_absolute(const char *dir, const char *path,
                                 apr_pool_t *pool)
{
    char *absolute;

    return apr_filepath_merge(&absolute, dir, path, 0, pool) ? path : absolute;
}

static apr_status_t tree_read(weave_ini_t *ini, reading_t *reading,
                              const char *file, const char **reason);

/* Adds the entries of OTHER whose keys INI does not have. */
static void ini_merge(weave_ini_t *ini, const weave_ini_t *other)
{
    int i;

    for (i = 0; i < other->names->nelts; i++)
        ini_section_ensure(ini, APR_ARRAY_IDX(other->names, i, const char *));
    for (i = 0; i < other->all->nelts; i++)
        ini_entry_add(ini, APR_ARRAY_IDX(other->all, i, weave_ini_entry_t *));
}

static void extends_problem_add(weave_ini_t *ini,
                                const weave_ini_entry_t *entry,
                                const char *path, const char *reason)
{
    weave_problem_add(ini->problems, WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_EXTENDS,
                      entry->file, entry->line, "extends %s: %s", path, reason)
        ->section = WEAVE_INI_DEFAULT;
}

/* Returns 1 when the file was read before: then it would change nothing, since
 * the value that is read first wins. */
static int is_file_read(const weave_ini_t *ini, const char *path)
{
    int i;

    for (i = 0; i < ini->files->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(ini->files, i, weave_ini_file_t).path, path))
            return 1;
    return 0;
}

static int is_ancestor(const reading_t *reading, const char *path)
{
    while (reading && strcmp(reading->path, path))
        reading = reading->parent;
    return reading != NULL;
}

static void extends_file_read(weave_ini_t *ini, const weave_ini_entry_t *entry,
                              const char *name, const reading_t *parent)
{
    reading_t reading = {.parent = parent, .depth = parent->depth + 1};
    const char *reason = NULL;

    reading.path = path_absolute(entry->dir, name, ini->pool);
    if (is_ancestor(parent, reading.path))
        reason = "a circle, it extends this file in turn";
    else if (is_file_read(ini, reading.path))
        return;
    else if (!*name)
        reason = "no file is named";
    else if (reading.depth > WEAVE_INI_MAX_DEPTH)
        reason = "too deep, files may extend each other 8 times";
    else if (ini->files->nelts >= WEAVE_INI_MAX_FILES)
        reason = "too many files, at most 32 may be read";
    else
        tree_read(ini, &reading, reading.path, &reason);
    if (reason)
        extends_problem_add(ini, entry, reading.path, reason);
}

static void extends_read(weave_ini_t *ini, weave_ini_entry_t *entry,
                         const reading_t *reading)
{
    const apr_array_header_t *items;
    int i;

    ini_value_make(ini, entry);
    if (entry->broken)
        return;
    if (entry->value.type != WEAVE_INI_LIST) {
        extends_file_read(ini, entry, entry->value.text, reading);
        return;
    }
    items = entry->value.items;
    for (i = 0; i < items->nelts; i++) {
        extends_file_read(ini, entry,
                          APR_ARRAY_IDX(items, i, weave_ini_value_t).text,
                          reading);
    }
}

static weave_ini_entry_t *extends_entry(const weave_ini_t *one)
{
    const ini_section_t *defaults =
        apr_hash_get(one->by_name, WEAVE_INI_DEFAULT, APR_HASH_KEY_STRING);

    return apr_hash_get(defaults->by_key, "extends", APR_HASH_KEY_STRING);
}

/* Reads one file into INI, and then the files that it extends. FILE is its name
 * in messages. On failure *reason is a text to append to it. */
static apr_status_t tree_read(weave_ini_t *ini, reading_t *reading,
                              const char *file, const char **reason)
{
    ini_source_t source = {
        .file = file, .dir = weave_folder_parent(reading->path, ini->pool)};
    weave_ini_t *one;
    weave_ini_entry_t *extends;
    weave_file_t got;
    apr_status_t status = weave_file_read(&got, AT_FDCWD, reading->path,
                                          WEAVE_INI_MAX_BYTES, ini->pool);

    if (status) {
        *reason = weave_file_error_text(status, WEAVE_INI_MAX_BYTES, ini->pool);
        return status;
    }
    source.data = got.data;
    source.data_bytes = got.bytes;
    APR_ARRAY_PUSH(ini->files, weave_ini_file_t) =
        (weave_ini_file_t){reading->path, got.status};
    one = ini_make(ini->problems, ini->pool);
    ini_lines_read(one, &source);
    ini_merge(ini, one);
    extends = extends_entry(one);
    if (extends)
        extends_read(ini, extends, reading);
    return APR_SUCCESS;
}

static apr_status_t ini_finish(weave_ini_t *ini, int reported)
{
    apr_array_header_t *problems = ini->problems;
    int i;

    for (i = 0; i < ini->all->nelts; i++) {
        weave_ini_entry_t *entry =
            APR_ARRAY_IDX(ini->all, i, weave_ini_entry_t *);

        if (!entry->value.text && !entry->value.items)
            ini_value_make(ini, entry);
    }
    ini->problems = NULL;
    return weave_problems_finish(problems, reported);
}

apr_status_t weave_ini_read(weave_ini_t **ini, const char *path,
                            apr_array_header_t *problems, apr_pool_t *pool)
{
    reading_t reading = {.path = path_absolute(NULL, path, pool)};
    weave_ini_t *made = ini_make(problems, pool);
    const char *reason = NULL;
    int reported = problems->nelts;
    apr_status_t status = tree_read(made, &reading, path, &reason);

    if (status) {
        weave_problem_add(problems, WEAVE_PROBLEM_ERROR, WEAVE_PROBLEM_FILE,
                          path, 0, "%s", reason);
        return status;
    }
    *ini = made;
    return ini_finish(made, reported);
}

apr_status_t weave_ini_parse(weave_ini_t **ini, const char *data,
                             apr_size_t data_bytes, const char *path,
                             apr_array_header_t *problems, apr_pool_t *pool)
{
    ini_source_t source = {.file = path, .data_bytes = data_bytes};
    weave_ini_t *made = ini_make(problems, pool);
    weave_ini_entry_t *extends;
    int reported = problems->nelts;

    source.data = apr_pmemdup(pool, data, data_bytes);
    source.dir = weave_folder_parent(path_absolute(NULL, path, pool), pool);
    ini_lines_read(made, &source);
    extends = extends_entry(made);
    if (extends) {
        extends_problem_add(made, extends, extends->raw,
                            "there is no file to be relative to");
    }
    *ini = made;
    return ini_finish(made, reported);
}
