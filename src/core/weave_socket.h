/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SOCKET_H
#define WEAVE_SOCKET_H

/**
 * Connects UNIX sockets between the processes of one httpd. The process that
 * connects checks who is at the other end before it sends a byte.
 */

#include <sys/types.h>

#include <apr_errno.h>

/** Does not wait, and leaves the socket non-blocking. Returns APR_EAGAIN when
 *  the backlog is full. */
#define WEAVE_SOCKET_NONBLOCK 0x1
/** Forbids the other end to pass descriptors (weave_fd_refuse). */
#define WEAVE_SOCKET_REFUSE 0x2

/**
 * Connects to the socket at PATH, and sets *fd (close-on-exec), which the
 * caller closes. Returns EPERM, without sending anything, unless the user OWNER
 * has called listen() there: weaved does so for its own socket and those of all
 * workers, as the user who started httpd. The process may have ended since.
 */
apr_status_t weave_socket_connect(int *fd, const char *path, uid_t owner,
                                  int flags);

/** Sets *uid and *pid to user and process at the other end (SO_PEERCRED): for a
 *  socket of connect(), those that called listen(). */
apr_status_t weave_socket_peer(int fd, long *uid, long *pid);

#endif
