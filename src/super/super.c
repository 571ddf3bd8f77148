/* SPDX-License-Identifier: Apache-2.0 */
/* super.c: the state that all files of weaved share, and its log lines */
#include "super.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "log.h"

super_t super = {.socket_gid = -1};

static int is_shown(const super_app_t *app, int level)
{
    return app->spec && level <= app->spec->log_level;
}

/* Tells whether LogLevel shows LEVEL for APP, or, where that is NULL, for any
 * application. httpd shows notices always. */
static int is_logged(const super_app_t *app, int level)
{
    const super_app_t *any = super.apps;

    if (level <= WEAVE_LINE_NOTICE)
        return 1;
    if (app)
        return is_shown(app, level);
    while (any && !is_shown(any, level))
        any = any->next;
    return any != NULL;
}

void super_log(const super_app_t *app, int level, const char *format, ...)
{
    char text[WEAVE_LINE_BYTES];
    va_list args;
    int len;

    if (!is_logged(app, level))
        return;
    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len > 0)
        super_log_line(level, 0, text, strnlen(text, sizeof(text)));
}

const char *super_worker_name(const super_worker_t *worker, apr_pool_t *pool)
{
    return apr_psprintf(pool, "worker %ld of %s", (long)worker->pid,
                        worker->generation->app->name);
}
