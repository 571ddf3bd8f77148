/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_SOCKET_H
#define WEAVE_SOCKET_H

/**
 * UNIX sockets between the processes of one httpd: who connects makes sure
 * that it speaks with the one it means before it sends a byte.
 */

#include <sys/types.h>

#include <apr_errno.h>

/** Connects without waiting; the socket stays like that. A full backlog is
 *  APR_EAGAIN then. */
#define WEAVE_SOCKET_NONBLOCK 0x1
/** The other end can pass no descriptors (weave_fd_refuse). */
#define WEAVE_SOCKET_REFUSE 0x2

/**
 * Connects to the socket at PATH (close-on-exec). Whoever has called listen()
 * there must have been OWNER: weaved does that for its own socket and for all
 * workers, as the user who started httpd; its process may have ended since.
 * Otherwise EPERM, and nothing was sent.
 */
apr_status_t weave_socket_connect(int *fd, const char *path, uid_t owner,
                                  int flags);

/** Tells who is at the other end (SO_PEERCRED): for a socket that connect()
 * made, the process that called listen(). */
apr_status_t weave_socket_peer(int fd, long *uid, long *pid);

#endif
