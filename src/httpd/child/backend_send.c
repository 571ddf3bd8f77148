/* SPDX-License-Identifier: Apache-2.0 */
/* backend_send.c: a request into the socket of a worker */
#include "backend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <apr_strings.h>

#include "weave_control.h"

#define VARS_ROOM 96    /* environ entries without another allocation */
#define CANCEL_MS 200   /* a worker that is asked for a request back answers */
#define HUNG_GRACE_S 10 /* beyond request_timeout, which the worker keeps */

/* ---- encoding ---- */

static apr_size_t name_len(const weave_var_t *var)
{
    return var->key == WEAVE_VAR_OTHER ? strlen(var->name) : 0;
}

static apr_size_t size_of(const mod_weave_vars_t *vars)
{
    apr_size_t bytes = sizeof(weave_frame_t) + sizeof(weave_frame_request_t);
    apr_size_t i;

    for (i = 0; i < vars->count; i++)
        bytes += weave_frame_var_size(name_len(&vars->items[i]),
                                      vars->items[i].value_len);
    return bytes;
}

int client_is_streamed(const client_t *client)
{
    const weave_frame_t *frame = (const weave_frame_t *)client->frame;

    return !(frame->flags & WEAVE_FRAME_BODY_HERE);
}

static int flags_of(const client_t *client)
{
    const mod_weave_exchange_t *exchange = client->exchange;
    int flags = 0;

    if (exchange->r->header_only)
        flags |= WEAVE_FRAME_HEAD_ONLY;
    if (!exchange->has_body || exchange->in_ended)
        flags |= WEAVE_FRAME_BODY_HERE;
    if (exchange->spool.fd >= 0)
        flags |= WEAVE_FRAME_FD;
    return flags;
}

static void put(client_t *client, const mod_weave_vars_t *vars)
{
    const mod_weave_spool_t *spool = &client->exchange->spool;
    weave_frame_request_t request = {
        .content_length =
            client->exchange->has_body ? client->exchange->length : -1,
        .file_bytes = spool->file_bytes,
        .vars = (uint32_t)vars->count,
        .inline_bytes = (uint32_t)spool->len,
    };
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_REQUEST, flags_of(client),
                         client->frame_len - sizeof(frame) + spool->len, 0);
    char *to = client->frame;
    apr_size_t i;

    memcpy(to, &frame, sizeof(frame));
    memcpy(to + sizeof(frame), &request, sizeof(request));
    to += sizeof(frame) + sizeof(request);
    for (i = 0; i < vars->count; i++) {
        const weave_var_t *var = &vars->items[i];

        to = weave_frame_var_write(to, var->key, var->name, name_len(var),
                                   var->value, var->value_len);
    }
}

int client_encode(client_t *client)
{
    request_rec *r = client->exchange->r;
    weave_var_t room[VARS_ROOM];
    mod_weave_vars_t vars = {room, 0, VARS_ROOM, r->pool};

    mod_weave_vars_fill(&vars, client->exchange);
    client->frame_len = size_of(&vars);
    if (client->frame_len + client->exchange->spool.len > WEAVE_FRAME_MAX)
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    client->frame = apr_palloc(r->pool, client->frame_len);
    put(client, &vars);
    return OK;
}

/* ---- waiting ---- */

int client_has_started(const client_t *client)
{
    return client->heard || mod_weave_link_has_started(client->link);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int cancel(client_t *client, int64_t now)
{
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_CANCEL, 0, 0, client->link->number);

    client->cancel_until = now + CANCEL_MS * APR_TIME_C(1000);
    return send(client->link->fd, &frame, sizeof(frame),
                MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(frame);
}

/* What the clock says: when to look again, or 0 and client->end. */
static int64_t deadline(client_t *client, int64_t now)
{
    if (client_has_started(client)) {
        if (!client->silent_until)
            client->silent_until =
                now + apr_time_from_sec(HUNG_GRACE_S) +
                weave_conf_int(client->app->conf, WEAVE_LIMITS_REQUEST_TIMEOUT);
        client->end = CLIENT_LOST;
        return now < client->silent_until ? client->silent_until : 0;
    }
    client->end = CLIENT_LATE;
    if (client->cancel_until)
        return now < client->cancel_until ? client->cancel_until : 0;
    if (now < client->queue_until)
        /* it may start meanwhile: then other clocks count */
        return sooner(client->queue_until, now + apr_time_from_sec(1));
    return cancel(client, now) ? client->cancel_until : 0;
}

int client_is_in_time(client_t *client)
{
    return deadline(client, weave_clock_us()) != 0;
}

int client_has_left(client_t *client)
{
    struct pollfd look = {client->client_fd, 0, 0};
    int64_t now = weave_clock_us();

    if (now < client->look_at)
        return 0;
    client->look_at = now + CLIENT_LOOK_US;
    if (!mod_weave_is_aborted(client->exchange->r->connection) &&
        (client->client_fd < 0 || poll(&look, 1, 0) <= 0))
        return 0;
    client->end = CLIENT_GONE;
    return 1;
}

/* POLLHUP and POLLERR are always looked for: a reset, or both directions are
 * closed. A client that has closed its sending side only waits for its answer:
 * POLLRDHUP says nothing. */
int client_wait(client_t *client, short events)
{
    struct pollfd fds[2] = {{client->link->fd, events, 0},
                            {client->client_fd, 0, 0}};

    for (;;) {
        int64_t now = weave_clock_us(), next = deadline(client, now);
        int rc;

        if (!next)
            return 0;
        if (client->client_fd < 0)
            next = sooner(next, now + CLIENT_LOOK_US);
        rc = poll(fds, client->client_fd >= 0 ? 2 : 1,
                  (int)((next - now) / 1000) + 1);
        if (rc > 0 && fds[0].revents)
            return 1;
        if (rc > 0 || mod_weave_is_aborted(client->exchange->r->connection)) {
            client->end = CLIENT_GONE;
            return 0;
        }
    }
}

/* ---- sending ---- */

/* 0, or -1 and client->end: what was not sent whole has not started. */
static int send_parts(client_t *client, struct iovec *parts, int count,
                      int pass)
{
    while (count) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t sent = pass >= 0
                           ? weave_fd_send(client->link->fd, parts->iov_base,
                                           parts->iov_len, pass, MSG_DONTWAIT)
                           : sendmsg(client->link->fd, &message,
                                     MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            client->end = CLIENT_UNSTARTED;
            return -1;
        }
        if (sent < 0 && errno == EAGAIN && !client_wait(client, POLLOUT))
            return -1;
        if (sent > 0)
            pass = -1;
        for (; sent > 0 && count; parts++, count--) {
            if ((size_t)sent < parts->iov_len) {
                parts->iov_base = (char *)parts->iov_base + sent;
                parts->iov_len -= (size_t)sent;
                break;
            }
            sent -= (ssize_t)parts->iov_len;
        }
    }
    return 0;
}

int client_send(client_t *client)
{
    const mod_weave_spool_t *spool = &client->exchange->spool;
    struct iovec parts[2] = {{client->frame, client->frame_len},
                             {(char *)spool->data, spool->len}};
    weave_frame_t *frame = (weave_frame_t *)client->frame;

    frame->number = ++client->link->number;
    if (client->repeated)
        frame->flags |= WEAVE_FRAME_SUSPECT;
    return send_parts(client, parts, spool->len ? 2 : 1, spool->fd);
}

int client_send_small(client_t *client, const void *data, apr_size_t len)
{
    struct iovec part = {(char *)data, len};

    return send_parts(client, &part, 1, -1);
}
