/* SPDX-License-Identifier: Apache-2.0 */
/* weave_fd.c: passes descriptors to other processes, and opens them anew */
#include "weave_fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void passing_set(int fd, int on)
{
    /* it fails on an older kernel */
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
}

void weave_fd_refuse(int fd)
{
    passing_set(fd, 0);
}

void weave_fd_allow(int fd)
{
    passing_set(fd, 1);
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
