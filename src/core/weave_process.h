/* SPDX-License-Identifier: Apache-2.0 */
/**
 * weave_process.h: other processes, as /proc has them
 */
#ifndef WEAVE_PROCESS_H
#define WEAVE_PROCESS_H

/** Has PID ended? One that nobody has waited for yet has; what cannot be looked
 *  at has not. *parent (may be NULL): its parent, or as before: not known. */
int weave_process_is_gone(long pid, long *parent);

#endif
