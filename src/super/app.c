/* SPDX-License-Identifier: Apache-2.0 */
/* app.c: the applications that weaved has */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "weave_reason.h"

/* Frees the text that changes often: in the pool, it would add up. */
static apr_status_t error_free(void *data)
{
    super_app_t *app = data;

    free(app->last_error);
    return APR_SUCCESS;
}

super_app_t *super_app_make(uint32_t index, const char *name)
{
    apr_pool_t *pool;
    super_app_t *app;

    apr_pool_create(&pool, super.pool);
    apr_pool_tag(pool, "weaved application");
    app = apr_pcalloc(pool, sizeof(*app));
    apr_pool_cleanup_register(pool, app, error_free, apr_pool_cleanup_null);
    app->pool = pool;
    app->index = index;
    app->name = apr_pstrdup(pool, name);
    app->wanted = 1;
    app->next = super.apps;
    super.apps = app;
    return app;
}

super_app_t *super_app_find(uint32_t index)
{
    super_app_t *app = super.apps;

    while (app && (!app->wanted || app->index != index))
        app = app->next;
    return app;
}

void super_app_free_unused(super_app_t *app)
{
    super_app_t **at = &super.apps;

    if (app->wanted || app->generations)
        return;
    while (*at && *at != app)
        at = &(*at)->next;
    if (*at)
        *at = app->next;
    super_timer_cancel(&app->retry);
    super_timer_cancel(&app->poll);
    apr_pool_destroy(app->pool);
}

int super_app_secret_set(super_app_t *app, const weave_secret_t *secret)
{
    int differs =
        app->has_secret && !weave_secret_is_same(&app->secret, secret);

    app->secret = *secret;
    app->has_secret = 1;
    return differs;
}

void super_app_error_set(super_app_t *app, const char *text, uint32_t number)
{
    free(app->last_error);
    app->last_error = text ? strdup(text) : NULL;
    app->failed_number = number;
}

const char *super_app_reason(const char *text, const weave_spec_t *spec,
                             apr_pool_t *pool)
{
    apr_array_header_t *problems = weave_problems_make(pool);
    weave_ini_t *ini;

    if (!spec) /* adopted: httpd has sent no spec yet */
        return "not told: the sync.ini is not known yet";
    if (weave_ini_parse(&ini, spec->ini_text, strlen(spec->ini_text), spec->ini,
                        problems, pool) != APR_SUCCESS)
        return "not told: the sync.ini cannot be read again";
    return weave_reason_mask(text, ini, weave_spec_env(spec, pool), pool);
}
