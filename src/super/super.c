/* SPDX-License-Identifier: Apache-2.0 */
/* super.c: the state that all files of weaved share, and its log lines */
#include "super.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

super_t super = {.socket_gid = -1};

void super_log(const super_app_t *app, int level, const char *format, ...)
{
    char text[WEAVE_LINE_BYTES];
    va_list args;
    int len;

    /* as httpd: a notice is shown always */
    if (level > 5 && !(app && app->spec && level <= app->spec->log_level))
        return;
    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len > 0)
        super_log_line(level, 0, text, strnlen(text, sizeof(text)));
}
