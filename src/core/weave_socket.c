/* SPDX-License-Identifier: Apache-2.0 */
/* weave_socket.c: connects to UNIX sockets of a known user */
#include "weave_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_fd.h"

apr_status_t weave_socket_peer(int fd, long *uid, long *pid)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
        return errno;
    *uid = peer.uid;
    *pid = peer.pid;
    return APR_SUCCESS;
}

static apr_status_t owner_check(int fd, uid_t owner)
{
    long uid = -1, pid;
    apr_status_t rv = weave_socket_peer(fd, &uid, &pid);

    return rv != APR_SUCCESS ? rv : uid == (long)owner ? APR_SUCCESS : EPERM;
}

apr_status_t weave_socket_connect(int *fd, const char *path, uid_t owner,
                                  int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int nonblock = flags & WEAVE_SOCKET_NONBLOCK ? SOCK_NONBLOCK : 0;
    apr_status_t rv;
    int made;

    if (strlen(path) >= sizeof(address.sun_path))
        return APR_ENAMETOOLONG;
    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | nonblock, 0);
    if (made < 0)
        return errno;
    if (flags & WEAVE_SOCKET_REFUSE)
        weave_fd_refuse(made);
    rv = connect(made, (struct sockaddr *)&address, sizeof(address)) < 0
             ? errno
             : owner_check(made, owner);
    if (rv == APR_SUCCESS)
        *fd = made;
    else
        close(made);
    return rv;
}
