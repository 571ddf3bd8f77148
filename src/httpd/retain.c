/* SPDX-License-Identifier: Apache-2.0 */
/* retain.c: what is kept across restarts, and what all files go by
 *
 * The text of the last good sync.ini of each application: a file that went bad
 * must not take down a running server, nor the application, which reads the
 * same file in the next generation of children. So the parent keeps the text,
 * flat (weave_conf_flatten) and hidden from other processes (hidden.h); the
 * children of an embedded application get it as a file of its own. And all
 * there is to know about weaved.
 *
 * It is plain data: this module is unloaded at every restart. */
#include "retain.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_main.h>

#define RETAINED_KEY "mod_weave_retained"

mod_weave_retained_t *mod_weave_retained_get(void)
{
    mod_weave_retained_t *data = ap_retained_data_get(RETAINED_KEY);

    if (data)
        return data->version == MOD_WEAVE_RETAINED_VERSION ? data : NULL;
    data = ap_retained_data_create(RETAINED_KEY, sizeof(*data));
    data->version = MOD_WEAVE_RETAINED_VERSION;
    data->starter = geteuid(); /* children come later */
    data->lifeline[0] = data->lifeline[1] = -1;
    data->ready = data->roster_fd = -1;
    data->counters_fd = -1;
    return data;
}

int mod_weave_is_running(void)
{
    int generation = 0;

    return ap_mpm_query(AP_MPMQ_GENERATION, &generation) == APR_SUCCESS &&
           generation > 0;
}

static mod_weave_retained_app_t *retained_find(const char *ini)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    int i;

    for (i = 0; data && i < WEAVE_ROSTER_APPS; i++)
        if (data->apps[i].ini && !strcmp(data->apps[i].ini, ini))
            return &data->apps[i];
    return NULL;
}

static void text_keep(char **kept, const char *text)
{
    free(*kept);
    *kept = text ? strdup(text) : NULL;
}

/* By slot: 1 where the configuration that is read just now asks for it.
 * `wanted` belongs to the one before until this one has been read. */
static char the_asked[WEAVE_ROSTER_APPS];

void mod_weave_retained_unask(void)
{
    memset(the_asked, 0, sizeof(the_asked));
}

static void slot_ask(const mod_weave_retained_app_t *app)
{
    the_asked[app - mod_weave_retained_get()->apps] = 1;
}

void mod_weave_retained_ask(const char *ini)
{
    const mod_weave_retained_app_t *app = retained_find(ini);

    if (app)
        slot_ask(app);
}

/* Returns 1 where the application that had SLOT still has workers, which
 * finish their requests: a new weaved would show them the secret of the next
 * one. */
static int is_occupied(const mod_weave_retained_t *data, apr_uint32_t slot)
{
    weave_roster_worker_t worker;
    apr_uint32_t i;

    for (i = 0; data->roster && i < WEAVE_ROSTER_WORKERS; i++) {
        weave_roster_worker_get(&worker, data->roster, i);
        if (worker.state != WEAVE_WORKER_FREE && worker.app == slot)
            return 1;
    }
    return 0;
}

/* Returns a free slot, or recycles one that neither this configuration uses nor
 * the one before it, whose children may still look it up, and that has no
 * workers. */
static mod_weave_retained_app_t *slot_choose(mod_weave_retained_t *data,
                                             const char *ini)
{
    int i;

    for (i = 0; i < WEAVE_ROSTER_APPS; i++)
        if (!data->apps[i].ini)
            break;
    for (i = i < WEAVE_ROSTER_APPS ? i : 0; i < WEAVE_ROSTER_APPS; i++) {
        mod_weave_retained_app_t *app = &data->apps[i];

        /* the embedded one is wanted too, and weaved knows nothing of it */
        if (app->ini && (the_asked[i] || app->wanted || app->embedded ||
                         !app->text.text || is_occupied(data, (apr_uint32_t)i)))
            continue;
        /* workers of the application that had the slot must not know it */
        if (weave_secret_make(&app->secret) != APR_SUCCESS)
            return NULL;
        text_keep(&app->ini, ini);
        if (data->counters)
            weave_counters_clear(data->counters, (apr_uint32_t)i);
        mod_weave_hidden_set(&app->text, NULL);
        mod_weave_hidden_set(&app->spec, NULL);
        return app;
    }
    return NULL;
}

int mod_weave_retained_slot(const char *ini)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    mod_weave_retained_app_t *app = retained_find(ini);

    if (data && !app)
        app = slot_choose(data, ini);
    if (!app)
        return -1;
    slot_ask(app);
    return (int)(app - data->apps);
}

static int is_among(const apr_array_header_t *apps, const char *ini)
{
    int i;

    for (i = 0; i < apps->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(apps, i, mod_weave_app_t *)->ini, ini))
            return 1;
    return 0;
}

/* Lets slots of applications that are not configured any more be given away. */
static void slots_release(const apr_array_header_t *all)
{
    mod_weave_retained_t *data = mod_weave_retained_get();
    int i;

    for (i = 0; data && i < WEAVE_ROSTER_APPS; i++) {
        mod_weave_retained_app_t *app = &data->apps[i];

        if (!app->ini || is_among(all, app->ini))
            continue;
        app->embedded = 0;
        if (!app->text.text) /* it never was good */
            text_keep(&app->ini, NULL);
    }
}

void mod_weave_retain(const apr_array_header_t *apps,
                      const apr_array_header_t *all)
{
    int i;

    slots_release(all);
    for (i = 0; i < apps->nelts; i++) {
        const mod_weave_app_t *app = APR_ARRAY_IDX(apps, i, mod_weave_app_t *);
        mod_weave_retained_app_t *kept;

        if (!app->text.text || app->slot < 0)
            continue; /* nothing newer than what is kept */
        kept = &mod_weave_retained_get()->apps[app->slot];
        if (mod_weave_hidden_set(&kept->text, &app->text) < 0 ||
            mod_weave_hidden_set(&kept->spec, &app->spec) < 0)
            ap_log_error(APLOG_MARK, APLOG_ERR, errno, ap_server_conf,
                         "WEAVE0181: the configuration of %s cannot be kept:"
                         " it goes on with the one before, where there is one",
                         app->ini);
        kept->embedded = app->embedded;
    }
}

int mod_weave_retained_is_embedded(const char *ini)
{
    const mod_weave_retained_app_t *app = retained_find(ini);

    return app && app->text.text && app->embedded;
}

int mod_weave_retained_text(const char *ini, apr_uid_t uid)
{
    const mod_weave_retained_app_t *app = retained_find(ini);

    return app && app->text.text
               ? mod_weave_hidden_show("sync.ini", app->text.text,
                                       app->text.len, uid)
               : -1;
}

const weave_roster_t *mod_weave_roster(void)
{
    const mod_weave_retained_t *data = mod_weave_retained_get();

    return data ? data->roster : NULL;
}

/* Of the retained data, which a request has no time to look up. */
weave_counters_t *mod_weave_counters;
weave_counters_child_t *mod_weave_counters_child;

weave_counters_row_t *mod_weave_counters_row(const mod_weave_mount_t *mount)
{
    if (!mod_weave_counters || mount->slot < 0)
        return NULL;
    return &mod_weave_counters->rows[mount->slot];
}

_Atomic uint32_t *mod_weave_counters_admitted(const mod_weave_mount_t *mount)
{
    if (!mod_weave_counters_child || mount->slot < 0)
        return NULL;
    return &mod_weave_counters_child->admitted[mount->slot];
}

struct mod_weave_apps_t mod_weave_apps;

void mod_weave_apps_clear(apr_pool_t *pconf)
{
    mod_weave_apps.good = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
    mod_weave_apps.all = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
    mod_weave_apps.embedded = NULL;
}

mod_weave_server_t *mod_weave_server_get(server_rec *s)
{
    return ap_get_module_config(s->module_config, &weave_module);
}

int mod_weave_is_configtest(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}

const char *mod_weave_libdir(apr_pool_t *pool)
{
    Dl_info info;
    const char *slash;

    if (dladdr(&weave_module, &info) && info.dli_fname &&
        (slash = strrchr(info.dli_fname, '/')))
        return apr_pstrmemdup(pool, info.dli_fname, slash - info.dli_fname);
    return ".";
}
