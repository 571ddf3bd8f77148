/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FD_H
#define WEAVE_FD_H

/** Descriptors: passes them over UNIX sockets, and opens them anew. */

#include <stddef.h>

/** Opens what FD stands for once more, with FLAGS of open() (close-on-exec):
 *  flags and offset of the new one are its own. -1 and errno: it cannot be, or
 *  /proc is not mounted. */
int weave_fd_reopen(int fd, int flags);

/** sendmsg/recvmsg with one descriptor: as send()/recv(), flags included.
 *  PASS -1: none. *pass gets the descriptor (close-on-exec); -1: none came; or
 *  WEAVE_FD_MANY: more than one, or more than this process may have. None of
 *  those is open. */
#define WEAVE_FD_MANY (-2)
long weave_fd_send(int fd, const void *data, size_t bytes, int pass, int flags);
long weave_fd_receive(int fd, void *data, size_t bytes, int *pass, int flags);
/** The same, but of many that came, a first one that is not plain stays open.
 */
long weave_fd_receive_careful(int fd, void *data, size_t bytes, int *pass,
                              int flags);
/** Is FD a pipe or memory of memfd_create? Then nothing waits for anybody when
 *  it is closed or asked what it is. A socket may linger. */
int weave_fd_is_plain(int fd);

/** Lets nobody pass descriptors to the socket FD any more: sendmsg() at the
 * other end fails with EPERM. The kernel closes what it drops in the name of
 * the process that reads or closes FD, and to close a connection with SO_LINGER
 *  means to wait, as long as its owner likes. Does nothing before Linux 6.16.
 */
void weave_fd_refuse(int fd);
/** Lets them again: connections inherit it from the socket that listens. */
void weave_fd_allow(int fd);

#endif
