/* SPDX-License-Identifier: Apache-2.0 */
/* weave_host.c: what both hosts of an engine need before they start it */
#include "weave_host.h"

#include <dlfcn.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <apr_strings.h>

const char *const *weave_host_strings(const apr_array_header_t *list,
                                      apr_pool_t *pool)
{
    const char **copy =
        apr_pcalloc(pool, ((size_t)list->nelts + 1) * sizeof(*copy));

    if (list->nelts)
        memcpy(copy, list->elts, (size_t)list->nelts * sizeof(*copy));
    return copy;
}

const char *const *weave_host_pairs(const apr_table_t *table, apr_pool_t *pool)
{
    const apr_array_header_t *rows = apr_table_elts(table);
    const apr_table_entry_t *row = (const apr_table_entry_t *)rows->elts;
    const char **copy =
        apr_pcalloc(pool, (2 * (size_t)rows->nelts + 1) * sizeof(*copy));
    int i;

    for (i = 0; i < rows->nelts; i++) {
        copy[2 * i] = row[i].key;
        copy[2 * i + 1] = row[i].val;
    }
    return copy;
}

const char *weave_host_text(const char *text)
{
    return text && *text ? text : NULL;
}

void weave_host_signals_block(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    size_t i;

    sigfillset(&all);
    for (i = 0; i < sizeof(faults) / sizeof(*faults); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

/* Reads the size from the attributes, to which glibc copies the soft limit at
 * the start of the process. */
static void default_raise(void)
{
    pthread_attr_t attr;
    size_t bytes;

    if (pthread_getattr_default_np(&attr) != 0)
        return;
    if (pthread_attr_getstacksize(&attr, &bytes) == 0 &&
        bytes < WEAVE_STACK_BYTES &&
        pthread_attr_setstacksize(&attr, WEAVE_STACK_BYTES) == 0)
        pthread_setattr_default_np(&attr);
    pthread_attr_destroy(&attr);
}

static size_t bytes_below(rlim_t limit)
{
    return limit < WEAVE_STACK_BYTES ? (size_t)limit : WEAVE_STACK_BYTES;
}

size_t weave_stack_main(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) < 0)
        return WEAVE_STACK_BYTES;
    return bytes_below(limit.rlim_max);
}

/* The kernel reads the limit each time that the stack grows, and leaves at
 * least 128 MiB of addresses free for it, also when the limit was smaller. */
size_t weave_stack_prepare(void)
{
    struct rlimit limit;

    default_raise();
    if (getrlimit(RLIMIT_STACK, &limit) == 0 &&
        limit.rlim_cur < WEAVE_STACK_BYTES) {
        limit.rlim_cur = bytes_below(limit.rlim_max);
        setrlimit(RLIMIT_STACK, &limit);
    }
    return weave_stack_main();
}

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

/* By dlopen() instead of apr_dso, because an engine must never be unloaded, and
 * libpython's symbols must be global: extension modules of many builds do not
 * link with it. */
const char *weave_dso_load(const void **found, const char *libpython,
                           const char *soname, const char *path,
                           const char *symbol, apr_pool_t *pool)
{
    void *object;

    if (libpython) {
        if (!dlopen(libpython, RTLD_NOW | RTLD_GLOBAL))
            return apr_psprintf(pool, "cannot load %s: %s", libpython,
                                dlerror());
    }
    else if (soname && !dlopen(soname, RTLD_NOW | RTLD_GLOBAL)) {
        (void)dlerror(); /* the object itself may be linked with it */
    }
    object = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!object)
        return apr_psprintf(pool, "cannot load the engine: %s", dlerror());
    *found = dlsym(object, symbol);
    if (!*found)
        return apr_psprintf(pool, "%s is no engine of mod_weave", path);
    return NULL;
}
