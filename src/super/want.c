/* SPDX-License-Identifier: Apache-2.0 */
/* want.c: the applications that httpd wants */
#include "control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "app.h"

typedef struct {
    weave_spec_t *spec;
    const char *text;
} wanted_t;

typedef struct {
    weave_secret_t secret[WEAVE_ROSTER_APPS];
    char known[WEAVE_ROSTER_APPS];
} secrets_t;

static const char *secrets_read(secrets_t *secrets, const json_t *list)
{
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        const json_t *slot = json_object_get(row, "app");
        json_int_t index = json_integer_value(slot);

        if (!json_is_integer(slot) || index < 0 || index >= WEAVE_ROSTER_APPS ||
            weave_secret_parse(
                &secrets->secret[index],
                json_string_value(json_object_get(row, "secret"))) < 0)
            return "a secret is malformed";
        secrets->known[index] = 1;
    }
    return NULL;
}

static int is_wanted(const apr_array_header_t *list, const super_app_t *app)
{
    int i;

    for (i = 0; i < list->nelts; i++) {
        const weave_spec_t *spec = APR_ARRAY_IDX(list, i, wanted_t).spec;

        /* without a spec it is adopted, and its name is not known yet */
        if ((uint32_t)spec->app == app->index)
            return !app->spec || !strcmp(spec->name, app->name);
    }
    return 0;
}

static void others_remove(const apr_array_header_t *list)
{
    super_app_t *app, *next;

    for (app = super.apps; app; app = next) {
        next = app->next;
        if (app->wanted && !is_wanted(list, app)) {
            super_log(app, WEAVE_LINE_NOTICE,
                      "WEAVE0087: httpd does not want %s any more: its"
                      " workers drain",
                      app->name);
            super_release_remove(app);
        }
    }
}

static const char *app_want(const wanted_t *wanted,
                            const weave_secret_t *secret, int force,
                            apr_pool_t *pool)
{
    uint32_t index = (uint32_t)wanted->spec->app;
    super_app_t *app = super_app_find(index);

    if (!app) {
        app = super_app_make(index, wanted->spec->name);
        weave_roster_app_set(super.roster, index, WEAVE_APP_STARTING, 0);
    }
    force |= !weave_secret_is_same(&app->secret, secret);
    app->secret = *secret;
    return super_release_want(app, wanted->text, force, pool);
}

/* Reads all specs before anything is done about the first. */
static const char *list_read(apr_array_header_t *list, const json_t *apps,
                             const secrets_t *secrets, apr_pool_t *pool)
{
    size_t i;

    if (!json_is_array(apps))
        return "there is no list of applications";
    for (i = 0; i < json_array_size(apps); i++) {
        wanted_t *wanted = &APR_ARRAY_PUSH(list, wanted_t);
        char *text = json_dumps(json_array_get(apps, i), JSON_COMPACT);
        const char *problem;

        wanted->text = apr_pstrdup(pool, text ? text : "");
        free(text);
        problem = weave_spec_parse(&wanted->spec, wanted->text, pool);
        if (!problem && !secrets->known[wanted->spec->app])
            problem = "it has no secret";
        if (problem)
            return apr_psprintf(pool, "application %d: %s", (int)i, problem);
    }
    return NULL;
}

/* Joins adopted workers, also those of applications that are not wanted any
 * more: they are told to drain. */
static void adopted_join(const secrets_t *secrets)
{
    super_app_t *app;

    for (app = super.apps; app; app = app->next)
        if (!app->spec && secrets->known[app->index])
            super_adopt_join(app, &secrets->secret[app->index]);
}

/* Clears the slots of applications of the last weaved that have no workers
 * left. */
static void slots_clear(void)
{
    uint32_t i;

    for (i = 0; i < WEAVE_ROSTER_APPS; i++)
        if (!super_app_find(i) &&
            atomic_load(&super.roster->apps[i].state) != WEAVE_APP_NONE)
            weave_roster_app_set(super.roster, i, WEAVE_APP_NONE, 0);
}

static const char *want_take(const json_t *request, apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 8, sizeof(wanted_t));
    secrets_t secrets = {.known = {0}};
    const char *problem =
        secrets_read(&secrets, json_object_get(request, "secrets"));
    int i, force = super_dir_is_lost();

    if (!problem)
        problem =
            list_read(list, json_object_get(request, "apps"), &secrets, pool);
    if (problem)
        return problem;
    super.cores = json_is_true(json_object_get(request, "cores"));
    if (list->nelts)
        super_dir_group_set(APR_ARRAY_IDX(list, 0, wanted_t).spec->socket_gid);
    if (force && (problem = super_dir_open(pool)) != NULL)
        return problem;
    super_log(
        NULL, WEAVE_LINE_DEBUG, "httpd wants %d applications%s", list->nelts,
        force ? ", with new workers: the runtime directory was lost" : "");
    adopted_join(&secrets);
    others_remove(list);
    for (i = 0; i < list->nelts; i++) {
        const wanted_t *wanted = &APR_ARRAY_IDX(list, i, wanted_t);
        const char *wrong =
            app_want(wanted, &secrets.secret[wanted->spec->app], force, pool);

        if (wrong)
            problem =
                problem ? apr_pstrcat(pool, problem, "; ", wrong, NULL) : wrong;
    }
    slots_clear();
    return problem;
}

const char *super_want_apply(int fd, apr_pool_t *pool)
{
    const char *problem = "what httpd wants cannot be read";
    struct stat status = {0};
    json_t *request = NULL;
    void *text = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 &&
        status.st_size <= WEAVE_CONTROL_LINE_MAX)
        text =
            mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text != MAP_FAILED) {
        request = json_loadb(text, (size_t)status.st_size,
                             JSON_REJECT_DUPLICATES, NULL);
        munmap(text, (size_t)status.st_size);
    }
    if (request)
        problem = want_take(request, pool);
    json_decref(request);
    return problem;
}
