/* SPDX-License-Identifier: Apache-2.0 */
/* apps.c: the applications of this httpd */
#include "mod_weave.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* As long as a pconf lives. */
static apr_array_header_t *the_good, *the_all; /* mod_weave_app_t * */
static mod_weave_app_t *the_embedded;

void mod_weave_apps_clear(apr_pool_t *pconf)
{
    the_embedded = NULL;
    the_good = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
    the_all = apr_array_make(pconf, 4, sizeof(mod_weave_app_t *));
}

void mod_weave_apps_add(mod_weave_app_t *app, int is_good)
{
    APR_ARRAY_PUSH(is_good ? the_good : the_all, mod_weave_app_t *) = app;
}

void mod_weave_app_embed(mod_weave_app_t *app)
{
    the_embedded = app;
}

const apr_array_header_t *mod_weave_apps_good(void)
{
    return the_good;
}

const apr_array_header_t *mod_weave_apps(void)
{
    return the_all;
}

mod_weave_app_t *mod_weave_app_get(void)
{
    return the_embedded;
}

const char *mod_weave_app_private(const weave_conf_t **conf,
                                  const apr_table_t **environ,
                                  mod_weave_app_t *app, apr_pool_t *pool)
{
    apr_size_t bytes;
    const char *text = mod_weave_hidden_copy(&bytes, app->private_fd, pool);
    weave_conf_t *read = NULL;

    if (!text)
        return strerror(errno);
    close(app->private_fd);
    app->private_fd = -1;
    weave_conf_parse(&read, text, app->ini_real, weave_problems_make(pool),
                     pool);
    *environ = weave_conf_environ(read);
    /* again: WeaveSet may say what is no UTF-8, which no text can have */
    *conf = app->set ? weave_conf_merge(pool, read, app->set) : read;
    return NULL;
}

mod_weave_server_t *mod_weave_server_get(server_rec *s)
{
    return ap_get_module_config(s->module_config, &weave_module);
}

int mod_weave_is_configtest(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}
