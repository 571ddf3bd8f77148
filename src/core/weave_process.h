/* SPDX-License-Identifier: Apache-2.0 */
/**
 * weave_process.h: other processes, as /proc has them
 */
#ifndef WEAVE_PROCESS_H
#define WEAVE_PROCESS_H

#include <sys/types.h>

#include <apr_tables.h>

/** Has PID ended? One that nobody has waited for yet has; what cannot be looked
 *  at has not. *parent (may be NULL): its parent, or as before: not known. */
int weave_process_is_gone(long pid, long *parent);

/**
 * The descriptors by which processes have memory of NAME (memfd_create) open,
 * as paths below /proc, of const char *. Of each process the first few thousand
 * are looked at. *blind: there are processes that this one may not look into.
 */
apr_array_header_t *weave_process_memory(int *blind, const char *name,
                                         apr_pool_t *pool);

/**
 * Opens PATH, a descriptor of a process below /proc, for reading, or for
 * writing, too. It must be memory of NAME that OWNER or OTHER has made: the
 * process may be anybody's, and what it has there another thing by now, so that
 * is found out before it is opened. A descriptor (close-on-exec), or -1 and
 * errno; ENOENT: it is none.
 */
int weave_process_open(const char *path, const char *name, uid_t owner,
                       uid_t other, int writable);

#endif
