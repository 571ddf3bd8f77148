/* SPDX-License-Identifier: Apache-2.0 */
/* weave_locale.c: sets LC_CTYPE of a process that runs an application */
#include "weave_locale.h"

#include <locale.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *weave_locale_wanted(const char **variable)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);

        if (!value || !*value)
            continue;
        if (i > 0 && (!strcmp(value, "C") || !strcmp(value, "POSIX")))
            return NULL;
        *variable = names[i];
        return value;
    }
    return NULL;
}

int weave_locale_set(const char *name)
{
    if (name && setlocale(LC_CTYPE, name))
        return 0;
    /* before glibc 2.35 it is not built in, and its name differs */
    if (setlocale(LC_CTYPE, "C.UTF-8") || setlocale(LC_CTYPE, "C.utf8"))
        return name ? -1 : 0;
    return -2;
}
