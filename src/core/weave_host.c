/* SPDX-License-Identifier: Apache-2.0 */
/* weave_host.c: what both hosts of an engine need before they start it */
#include "weave_host.h"

#include <string.h>

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
