/* SPDX-License-Identifier: Apache-2.0 */
/* weave_fd.c: passes descriptors to other processes, opens them anew, and
 * connects to UNIX sockets of a known user */
#include "weave_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <apr_strings.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

int weave_fd_reopen(int fd, int flags)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, flags | O_NOCTTY | O_CLOEXEC);
}

typedef union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} rights_t;

long weave_fd_send(int fd, const void *data, size_t bytes, int pass, int flags)
{
    struct iovec part = {(void *)data, bytes};
    rights_t rights;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (pass >= 0) {
        struct cmsghdr *head;

        memset(&rights, 0, sizeof(rights));
        message.msg_control = rights.bytes;
        message.msg_controllen = sizeof(rights.bytes);
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &pass, sizeof(int));
    }
    return sendmsg(fd, &message, flags | MSG_NOSIGNAL);
}

int weave_fd_is_plain(int fd)
{
    return fcntl(fd, F_GETPIPE_SZ) >= 0 || fcntl(fd, F_GET_SEALS) >= 0;
}

void weave_fd_pass_set(int fd, int allowed)
{
    /* it fails on an older kernel */
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &allowed, sizeof(allowed));
}

/* The kernel closes no descriptor that it has passed, so a peer must not be
 * able to fill our table with them. CMSG_SPACE would have room for two. */
long weave_fd_receive(int fd, void *data, size_t bytes, int *pass, int flags,
                      int careful)
{
    struct iovec part = {data, bytes};
    rights_t rights;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = rights.bytes,
                             .msg_controllen = CMSG_LEN(sizeof(int))};
    long got = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head;

    *pass = -1;
    if (got < 0)
        return got;
    head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET &&
        head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(pass, CMSG_DATA(head), sizeof(int));
    if (message.msg_flags & MSG_CTRUNC) {
        if (*pass >= 0 && (!careful || weave_fd_is_plain(*pass)))
            close(*pass);
        *pass = WEAVE_FD_MANY;
    }
    return got;
}

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

void weave_socket_room_set(int fd, int bytes)
{
    /* the kernel doubles it, and counts its own structures in */
    int half = bytes / 2 + bytes / 16;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half));
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
        weave_fd_pass_set(made, 0);
    rv = connect(made, (struct sockaddr *)&address, sizeof(address)) < 0
             ? errno
             : owner_check(made, owner);
    if (rv == APR_SUCCESS)
        *fd = made;
    else
        close(made);
    return rv;
}
