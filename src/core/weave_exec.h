/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_EXEC_H
#define WEAVE_EXEC_H

/**
 * Prepares a forked process for exec: the program gets nothing of its parent
 * but what is named. Only the process that was forked calls
 * these. weave_exec_user asks the system's user database; the others make only
 * calls that are safe after a fork of a process with threads.
 */

#include <sys/types.h>

/** The most descriptors that a program may be given. */
#define WEAVE_EXEC_DESCRIPTORS 16

/** Gives every signal its default action and unblocks all of them. */
void weave_exec_signals(void);

/** Makes FROM[0] descriptor 0, FROM[1] descriptor 1 and so on, for COUNT of
 *  them, and closes all others. 0, or -1 and errno. */
int weave_exec_descriptors(const int *from, int count);

/**
 * Takes the user UID, the group GID and the other groups of the user NAME ("":
 * none), for good. A process without the rights of root keeps what it has.
 * NULL, or what has failed, with errno (0: no call has failed). The process
 * must not go on then.
 */
const char *weave_exec_user(const char *name, uid_t uid, gid_t gid);

#endif
