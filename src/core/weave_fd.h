/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FD_H
#define WEAVE_FD_H

/** Passes descriptors over UNIX sockets, opens them anew, and connects such
 *  sockets: the process that connects checks who is at the other end before it
 *  sends a byte. Any thread. */

#include <stddef.h>
#include <sys/types.h>

#include <apr_errno.h>

/** Opens the file of FD once more, with FLAGS of open() and close-on-exec. The
 *  new descriptor has its own flags and offset. Returns -1 and sets errno when
 *  that fails, also because /proc is not mounted. */
int weave_fd_reopen(int fd, int flags);

/** Send and receive like send() and recv(), with at most one descriptor.
 *  weave_fd_send passes PASS (-1: none). weave_fd_receive sets *pass to the
 *  descriptor (close-on-exec); to -1 when none came; or to WEAVE_FD_MANY, with
 *  none of them open, when more than one came or this process has too many.
 *  CAREFUL: closes no descriptor that is not plain, so that such a first one of
 *  several stays open. */
#define WEAVE_FD_MANY (-2)
long weave_fd_send(int fd, const void *data, size_t bytes, int pass, int flags);
long weave_fd_receive(int fd, void *data, size_t bytes, int *pass, int flags,
                      int careful);
/** Returns 1 when FD is a pipe or memory of memfd_create(): then closing it
 *  never waits. Closing a socket may (SO_LINGER). */
int weave_fd_is_plain(int fd);

/** ALLOWED 0: forbids to pass descriptors to the socket FD: sendmsg() at the
 *  other end fails with EPERM. Otherwise the process that reads or closes FD
 *  also closes descriptors that nobody has taken, and closing a connection with
 *  SO_LINGER waits as long as its owner wants. Has no effect before Linux 6.16.
 *  ALLOWED 1: allows it again, as a connection inherits the setting of the
 *  listening socket. */
void weave_fd_pass_set(int fd, int allowed);

/** Does not wait, and leaves the socket non-blocking. Returns APR_EAGAIN when
 *  the backlog is full. */
#define WEAVE_SOCKET_NONBLOCK 0x1
/** Forbids the other end to pass descriptors (weave_fd_pass_set). */
#define WEAVE_SOCKET_REFUSE 0x2

/** Makes room for BYTES that the other end has not read, as far as the kernel
 *  allows it (net.core.wmem_max). */
void weave_socket_room_set(int fd, int bytes);

/** Connects to the socket at PATH, and sets *fd (close-on-exec), which the
 *  caller closes. Returns EPERM, without sending anything, unless the user
 *  OWNER has called listen() there: weaved does so for its own socket and those
 *  of all workers, as the user who started httpd. The process may have ended
 *  since. */
apr_status_t weave_socket_connect(int *fd, const char *path, uid_t owner,
                                  int flags);

/** Sets *uid and *pid to user and process at the other end (SO_PEERCRED): for a
 *  socket of connect(), those that called listen(). */
apr_status_t weave_socket_peer(int fd, long *uid, long *pid);

#endif
