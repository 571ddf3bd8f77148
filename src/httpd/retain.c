/* SPDX-License-Identifier: Apache-2.0 */
/* retain.c: what is kept across restarts: the text of the last good sync.ini
 *
 * A file that went bad must not take down a running server, nor the
 * application, which reads the same file in the next generation of children.
 * So the parent keeps the text, flat (`extends`, `%(here)s` and `${NAME}`
 * resolved), and gives it to the children as a file of its own. It is plain
 * data: this module is unloaded at every restart. */
#include "mod_weave.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_strings.h>

#define RETAINED_KEY "mod_weave_retained"
#define RETAINED_VERSION 1

typedef struct {
    apr_uint32_t version;
    char *ini;  /* malloc: path */
    char *text; /* malloc */
} retained_t;

static retained_t *retained_get(void)
{
    retained_t *data = ap_retained_data_get(RETAINED_KEY);

    return data && data->version == RETAINED_VERSION ? data : NULL;
}

int mod_weave_is_running(void)
{
    int generation = 0;

    return ap_mpm_query(AP_MPMQ_GENERATION, &generation) == APR_SUCCESS &&
           generation > 0;
}

/* ---- flat text ---- */

typedef struct {
    apr_pool_t *pool;
    apr_array_header_t *parts; /* of const char * */
    const weave_conf_t *conf;
} flat_t;

static void say(flat_t *flat, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(flat_t *flat, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    APR_ARRAY_PUSH(flat->parts, const char *) =
        apr_pvsprintf(flat->pool, format, args);
    va_end(args);
}

/* In quotes it is taken literally, whatever it holds. */
static void say_value(flat_t *flat, const weave_ini_value_t *value)
{
    int i;

    switch (value->type) {
    case WEAVE_INI_STRING:
        say(flat, "\"%s\"\n", value->text);
        break;
    case WEAVE_INI_LIST:
        say(flat, "\n");
        for (i = 0; i < value->items->nelts; i++) {
            say(flat, "    ");
            say_value(flat, &APR_ARRAY_IDX(value->items, i, weave_ini_value_t));
        }
        break;
    default:
        say(flat, "%s\n", value->text);
        break;
    }
}

/* A path means what it meant in the folder of the file. */
static int say_path(flat_t *flat, const weave_ini_entry_t *entry)
{
    const char *name =
        apr_pstrcat(flat->pool, entry->section, ".", entry->key, NULL);
    const weave_key_t *key = weave_key_find(name, NULL);
    const apr_array_header_t *list;
    int i;

    if (!key || (key->type != WEAVE_TYPE_PATH && key->type != WEAVE_TYPE_PATHS))
        return 0;
    if (key->type == WEAVE_TYPE_PATH) {
        say(flat, "\"%s\"\n", weave_conf_str(flat->conf, key->key));
        return 1;
    }
    list = weave_conf_list(flat->conf, key->key);
    say(flat, "\n");
    for (i = 0; i < list->nelts; i++)
        say(flat, "    \"%s\"\n", APR_ARRAY_IDX(list, i, const char *));
    return 1;
}

static void say_section(flat_t *flat, const weave_ini_t *ini,
                        const char *section)
{
    const apr_array_header_t *entries = weave_ini_entries(ini, section);
    int i;

    say(flat, "[%s]\n", section);
    for (i = 0; entries && i < entries->nelts; i++) {
        const weave_ini_entry_t *entry =
            APR_ARRAY_IDX(entries, i, weave_ini_entry_t *);

        if (!strcmp(entry->section, WEAVE_INI_DEFAULT) &&
            !strcmp(entry->key, "extends"))
            continue;
        say(flat, "%s = ", entry->key);
        if (!say_path(flat, entry))
            say_value(flat, &entry->value);
    }
}

const char *mod_weave_flatten(const char *path, const weave_conf_t *file,
                              apr_pool_t *pool)
{
    flat_t flat = {pool, apr_array_make(pool, 64, sizeof(char *)), file};
    apr_array_header_t *problems = weave_problems_make(pool);
    const apr_array_header_t *sections;
    weave_ini_t *ini;
    int i;

    if (weave_ini_read(&ini, path, problems, pool) != APR_SUCCESS)
        return NULL;
    say_section(&flat, ini, WEAVE_INI_DEFAULT);
    sections = weave_ini_sections(ini);
    for (i = 0; i < sections->nelts; i++)
        say_section(&flat, ini, APR_ARRAY_IDX(sections, i, const char *));
    return apr_array_pstrcat(pool, flat.parts, 0);
}

/* ---- keeping and giving back ---- */

void mod_weave_retain(const mod_weave_app_t *app)
{
    retained_t *data = retained_get();

    if (!app || !app->flat)
        return; /* nothing newer than what is kept */
    if (!data) {
        data = ap_retained_data_create(RETAINED_KEY, sizeof(*data));
        data->version = RETAINED_VERSION;
    }
    free(data->ini);
    free(data->text);
    data->ini = strdup(app->ini);
    data->text = strdup(app->flat);
}

const char *mod_weave_retained_ini(void)
{
    retained_t *data = retained_get();

    return data && data->text ? data->ini : NULL;
}

static apr_status_t close_text(void *fd)
{
    close((int)(intptr_t)fd);
    return APR_SUCCESS;
}

const char *mod_weave_retained_text(apr_pool_t *pconf)
{
    const char *text = retained_get()->text;
    apr_size_t len = strlen(text);
    int fd = memfd_create("sync.ini", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return NULL;
    apr_pool_cleanup_register(pconf, (void *)(intptr_t)fd, close_text,
                              apr_pool_cleanup_null);
    if (write(fd, text, len) != (ssize_t)len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return NULL;
    return apr_psprintf(pconf, "/proc/self/fd/%d", fd);
}
