/* SPDX-License-Identifier: Apache-2.0 */
/* client.c: a connection of weaved to the socket of a worker */
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_fd.h"

void super_client_end(super_worker_t *worker)
{
    super_client_t *client = worker->client;

    if (!client)
        return;
    worker->client = NULL;
    super_watch_cancel(&client->watch);
    super_timer_cancel(&client->limit);
    if (client->fd >= 0)
        close(client->fd);
    weave_welcome_drop(&client->part);
    free(client);
}

static void client_event(void *data, uint32_t events)
{
    super_worker_t *worker = data;
    super_client_t *client = worker->client;
    apr_status_t rv = APR_SUCCESS;

    if (events & EPOLLOUT) {
        long put = weave_fd_send(client->fd, client->out, client->out_left, -1,
                                 MSG_DONTWAIT);

        client->out += put > 0 ? put : 0;
        client->out_left -= put > 0 ? (size_t)put : 0;
        if (!client->out_left)
            super_watch_set(&client->watch, client->fd, EPOLLIN, client_event,
                            worker);
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    if (!client->welcome.pid)
        rv = weave_welcome_receive(&client->welcome, &client->part, client->fd,
                                   MSG_DONTWAIT);
    if (!APR_STATUS_IS_EAGAIN(rv))
        client->fn(worker, rv);
}

apr_status_t super_client_start(super_worker_t *worker, int flags,
                                const void *out, size_t bytes,
                                super_client_fn *fn)
{
    super_client_t *client = calloc(1, sizeof(*client));
    apr_status_t rv;

    if (!client)
        return APR_ENOMEM;
    worker->client = client;
    client->fd = -1;
    client->part = WEAVE_WELCOME_NOTHING;
    client->part.careful = 1;
    client->out = out;
    client->out_left = bytes;
    client->fn = fn;
    rv = weave_socket_connect(&client->fd, worker->socket, geteuid(),
                              WEAVE_SOCKET_NONBLOCK | flags);
    if (rv == APR_SUCCESS)
        rv = super_watch_set(&client->watch, client->fd, EPOLLIN | EPOLLOUT,
                             client_event, worker);
    if (rv != APR_SUCCESS)
        super_client_end(worker);
    return rv;
}
