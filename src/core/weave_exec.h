/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_EXEC_H
#define WEAVE_EXEC_H

/**
 * Prepares a forked process for exec: the program inherits only what the caller
 * names. In the new process; but its environment is made in the old one. All
 * but weave_exec_user, which reads the user database, make only calls that are
 * safe after a fork of a process with threads.
 */

#include <sys/types.h>

#include <apr_tables.h>

/** The most descriptors that a program may be given. */
#define WEAVE_EXEC_DESCRIPTORS 16

/** Gives every signal its default action and unblocks all of them. */
void weave_exec_signals(void);

/** Makes FROM[0] descriptor 0, FROM[1] descriptor 1 and so on, for COUNT of
 *  them, and closes all others. Returns 0, or -1 and sets errno. */
int weave_exec_descriptors(const int *from, int count);

/** Changes to the user UID, the group GID and the other groups of the user NAME
 *  ("": none), for ever. A process without the rights of root stays as it is.
 *  Returns NULL; or a text that says what has failed, with errno (0: no call
 *  has failed), and then the process must end. */
const char *weave_exec_user(const char *name, uid_t uid, gid_t gid);

/** Writes STEP, and what ERROR (0: none) means, to FD in one piece, and ends
 *  the process: exec, or something before it, has failed. */
void weave_exec_fail(int fd, const char *step, int error)
    __attribute__((noreturn));

/** Adds NAME=VALUE to LIST, of const char *, which becomes the environment of
 *  a program: of two with one name the first counts. VALUE NULL: adds none. */
void weave_exec_variable_add(apr_array_header_t *list, const char *name,
                             const char *value);
/** Adds the options of sanitizers that this process has, where it is built
 *  with them: so are its programs. */
void weave_exec_sanitizers_add(apr_array_header_t *list);

/** Has PID ended, as /proc says? One that nobody has waited for yet has; what
 *  cannot be looked at has not. *parent (may be NULL): its parent, or as
 *  before: not known. Any process may call it. */
int weave_process_is_gone(long pid, long *parent);

#endif
