/* SPDX-License-Identifier: Apache-2.0 */
/**
 * weave_process.h: other processes, as /proc has them
 */
#ifndef WEAVE_PROCESS_H
#define WEAVE_PROCESS_H

#include <apr_tables.h>

/** The state of PID, a letter as in proc(5), and *parent (may be NULL); 0:
 * there is none; '?': it cannot be looked at. */
char weave_process_state(long pid, long *parent);

/** Has PID ended? One that nobody has waited for yet has. What cannot be looked
 *  at has not. */
int weave_process_is_gone(long pid);

/**
 * The descriptors by which processes have memory of NAME (memfd_create) open,
 * as paths below /proc, of const char *: of all processes that this user may
 * look into.
 */
apr_array_header_t *weave_process_memory(const char *name, apr_pool_t *pool);

#endif
