/* SPDX-License-Identifier: Apache-2.0 */
/* counters.c: what this process counts, for weavectl */
#include "mod_weave.h"

/* Of the retained data, which a request has no time to look up; and the slot of
 * this child. */
static weave_counters_t *the_counters;
static weave_counters_child_t *the_child;

void mod_weave_counters_set(weave_counters_t *counters)
{
    the_counters = counters;
}

weave_counters_t *mod_weave_counters(void)
{
    return the_counters;
}

void mod_weave_counters_start(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    if (the_counters)
        the_child = weave_counters_child(the_counters);
}

weave_counters_child_t *mod_weave_counters_child(void)
{
    return the_child;
}

weave_counters_row_t *mod_weave_counters_row(const mod_weave_mount_t *mount)
{
    if (!the_counters || mount->slot < 0)
        return NULL;
    return &the_counters->rows[mount->slot];
}

_Atomic uint32_t *mod_weave_counters_admitted(const mod_weave_mount_t *mount)
{
    if (!the_child || mount->slot < 0)
        return NULL;
    return &the_child->admitted[mount->slot];
}
