/* SPDX-License-Identifier: Apache-2.0 */
/* weave_shell.c: quotes paths in commands that people copy */
#include "weave_shell.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

static int is_plain(const char *path)
{
    const char *at = path;

    while (apr_isalnum(*at) || (*at && strchr("/._-+,:@%=", *at)))
        at++;
    return !*at && *path && *path != '-';
}

const char *weave_shell_quote(const char *path, apr_pool_t *pool)
{
    char *quoted, *to;

    if (is_plain(path))
        return path;
    to = quoted = apr_palloc(pool, 5 * strlen(path) + 3);
    *to++ = '\'';
    for (; *path; path++) {
        /* not by a backslash, which logs double */
        if (*path == '\'')
            to = apr_cpystrn(to, "'\"'\"'", 6);
        else
            *to++ = *path;
    }
    *to++ = '\'';
    *to = '\0';
    return quoted;
}
