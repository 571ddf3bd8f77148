/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c: what a process that an embedded application forks must let go
 *
 * Such a process may live longer than httpd, as a daemon does. With httpd's
 * listeners open in it no httpd could start any more; with our lifeline and
 * pipes nobody would see that httpd has ended; with a client's socket, or a
 * pipe of piped logs, somebody would wait for its end. What the application
 * has opened stays.
 *
 * This is for forks of Python only: what httpd forks itself, mod_cgi and
 * mod_ext_filter do, hands on some of these descriptors. */
#include "exchange.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
} address_t;

/* A descriptor that was open before the application was there. */
typedef struct {
    int fd;
    dev_t device;
    ino_t inode;
    int listens; /* at `address` */
    address_t address;
} kept_t;

static apr_array_header_t *the_kept;

/* Calls FUNCTION for each descriptor from 3 on. */
static void descriptors_walk(void (*function)(int fd))
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        if (fd > 2 && fd != dirfd(dir))
            function(fd);
    }
    if (dir)
        closedir(dir);
}

static int address_of(address_t *address, int fd)
{
    socklen_t len = sizeof(*address);

    memset(address, 0, sizeof(*address));
    return getsockname(fd, &address->any, &len) == 0;
}

static int is_listening(int fd)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 &&
           listening;
}

static void descriptor_keep(int fd)
{
    struct stat status;
    kept_t *kept;

    if (fstat(fd, &status) < 0)
        return;
    /* what httpd has inherited, from a shell or a script, may lack it */
    fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
    kept = apr_array_push(the_kept);
    *kept = (kept_t){.fd = fd, .device = status.st_dev, .inode = status.st_ino};
    kept->listens = S_ISSOCK(status.st_mode) && is_listening(fd) &&
                    address_of(&kept->address, fd);
}

void mod_weave_fork_prepare(apr_pool_t *pool)
{
    the_kept = apr_array_make(pool, 32, sizeof(kept_t));
    descriptors_walk(descriptor_keep);
}

/* Epoll sets and the like all have one inode: those stay. */
static int is_kept_still(const kept_t *kept)
{
    struct stat status;

    return fstat(kept->fd, &status) == 0 && (status.st_mode & S_IFMT) != 0 &&
           status.st_dev == kept->device && status.st_ino == kept->inode;
}

static int is_any(const address_t *address)
{
    return address->any.sa_family == AF_INET
               ? address->in.sin_addr.s_addr == INADDR_ANY
               : IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
}

static int is_at(const address_t *local, const address_t *listener)
{
    /* the port has the same place in both */
    if (local->in.sin_port != listener->in.sin_port)
        return 0;
    if (is_any(listener))
        return 1;
    if (local->any.sa_family != listener->any.sa_family)
        return 0;
    return local->any.sa_family == AF_INET
               ? local->in.sin_addr.s_addr == listener->in.sin_addr.s_addr
               : IN6_ARE_ADDR_EQUAL(&local->in6.sin6_addr,
                                    &listener->in6.sin6_addr);
}

/* Is a socket at LOCAL one that httpd has accepted? It is at an address of a
 * listener then. */
static int is_client(const address_t *local)
{
    int i;

    if (local->any.sa_family != AF_INET && local->any.sa_family != AF_INET6)
        return 0;
    for (i = 0; i < the_kept->nelts; i++) {
        const kept_t *kept = &APR_ARRAY_IDX(the_kept, i, kept_t);

        if (kept->listens && kept->address.any.sa_family != AF_UNIX &&
            is_at(local, &kept->address))
            return 1;
    }
    return 0;
}

/* Returns 1 where FD leads to a worker: weaved has made the name of its
 * socket. */
static int is_worker(int fd)
{
    address_t peer;
    socklen_t len = sizeof(peer) - 1;
    const char *name;
    unsigned app, slot;

    memset(&peer, 0, sizeof(peer));
    if (getpeername(fd, &peer.any, &len) < 0 || peer.any.sa_family != AF_UNIX)
        return 0;
    name = strrchr(peer.un.sun_path, '/');
    return name && sscanf(name, "/w-%u-%u.sock", &app, &slot) == 2;
}

static int is_connection(int fd)
{
    address_t local;
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
           address_of(&local, fd) && (is_client(&local) || is_worker(fd));
}

/* Closes FD where it is a connection, or the body of a request, that came
 * later. */
static void later_close(int fd)
{
    if (mod_weave_spool_forget(fd) || is_connection(fd))
        close(fd);
}

void mod_weave_fork_close(int but)
{
    int i;

    for (i = 0; the_kept && i < the_kept->nelts; i++) {
        kept_t *kept = &APR_ARRAY_IDX(the_kept, i, kept_t);

        if (kept->fd == but || !is_kept_still(kept))
            continue;
        close(kept->fd);
        kept->fd = -1; /* the number is the application's from now on */
    }
    if (the_kept)
        descriptors_walk(later_close);
}
