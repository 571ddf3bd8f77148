/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_HOST_H
#define WEAVE_HOST_H

/** Does what both hosts of an engine, an httpd child and a worker, need before
 *  they start it: turns configuration into plain C, and starts threads. */

#include <signal.h>

#include <apr_pools.h>
#include <apr_tables.h>

/** Returns LIST (of const char *) as an array that ends with NULL, in POOL. */
const char *const *weave_host_strings(const apr_array_header_t *list,
                                      apr_pool_t *pool);

/** Returns TABLE as name, value, name, value, ..., NULL, in POOL. */
const char *const *weave_host_pairs(const apr_table_t *table, apr_pool_t *pool);

/** Returns TEXT, or NULL where it is "" or NULL. */
const char *weave_host_text(const char *text);

/** Blocks all signals but faults for the calling thread, and sets *before to
 *  its mask of before: a thread that it starts now handles no signal of the
 *  process. */
void weave_host_signals_block(sigset_t *before);

#endif
