/* SPDX-License-Identifier: Apache-2.0 */
/* backend_send.c: a request into the socket of a worker */
#include "backend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "weave_fd.h"

#define VARS_ROOM 96    /* environ entries without another allocation */
#define CANCEL_MS 200   /* a worker that is asked for a request back answers */
#define HUNG_GRACE_S 10 /* beyond request_timeout, which the worker keeps */

static apr_size_t name_len(const weave_var_t *var)
{
    return var->key == WEAVE_VAR_OTHER ? strlen(var->name) : 0;
}

static apr_size_t request_size(const mod_weave_vars_t *vars)
{
    apr_size_t bytes = sizeof(weave_frame_t) + sizeof(weave_frame_request_t);
    apr_size_t i;

    for (i = 0; i < vars->count; i++)
        bytes += weave_frame_var_size(name_len(&vars->items[i]),
                                      vars->items[i].value_len);
    return bytes;
}

int backend_is_streamed(const backend_t *backend)
{
    const weave_frame_t *frame = (const weave_frame_t *)backend->frame;

    return !(frame->flags & WEAVE_FRAME_BODY_HERE);
}

static int request_flags(const backend_t *backend)
{
    const mod_weave_exchange_t *exchange = backend->exchange;
    int flags = 0;

    if (exchange->r->header_only)
        flags |= WEAVE_FRAME_HEAD_ONLY;
    if (!exchange->has_body || exchange->in_ended)
        flags |= WEAVE_FRAME_BODY_HERE;
    if (exchange->spool.fd >= 0)
        flags |= WEAVE_FRAME_FD;
    return flags;
}

static void request_write(backend_t *backend, const mod_weave_vars_t *vars)
{
    const mod_weave_spool_t *spool = &backend->exchange->spool;
    weave_frame_request_t request = {
        .content_length =
            backend->exchange->has_body ? backend->exchange->length : -1,
        .file_bytes = spool->file_bytes,
        .vars = (uint32_t)vars->count,
        .inline_bytes = (uint32_t)spool->len,
    };
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_REQUEST, request_flags(backend),
                         backend->frame_len - sizeof(frame) + spool->len, 0);
    char *to = backend->frame;
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

int backend_encode(backend_t *backend)
{
    request_rec *r = backend->exchange->r;
    weave_var_t room[VARS_ROOM];
    mod_weave_vars_t vars = {room, 0, VARS_ROOM, r->pool};

    mod_weave_vars_fill(&vars, backend->exchange);
    backend->frame_len = request_size(&vars);
    if (backend->frame_len + backend->exchange->spool.len > WEAVE_FRAME_MAX)
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    backend->frame = apr_palloc(r->pool, backend->frame_len);
    request_write(backend, &vars);
    return OK;
}

int backend_has_started(const backend_t *backend)
{
    return backend->heard || backend_conn_has_started(backend->conn);
}

static int64_t time_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int cancel_send(backend_t *backend, int64_t now)
{
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_CANCEL, 0, 0, backend->conn->number);

    backend->cancel_until = now + CANCEL_MS * APR_TIME_C(1000);
    return send(backend->conn->fd, &frame, sizeof(frame),
                MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(frame);
}

/* Returns when to look again by the clock; or 0 and backend->end: it is over.
 */
static int64_t deadline_find(backend_t *backend, int64_t now)
{
    if (backend_has_started(backend)) {
        if (!backend->silent_until)
            backend->silent_until =
                now + apr_time_from_sec(HUNG_GRACE_S) +
                weave_conf_int(backend->app->conf,
                               WEAVE_LIMITS_REQUEST_TIMEOUT);
        backend->end = BACKEND_LOST;
        return now < backend->silent_until ? backend->silent_until : 0;
    }
    backend->end = BACKEND_LATE;
    if (backend->cancel_until)
        return now < backend->cancel_until ? backend->cancel_until : 0;
    if (now < backend->queue_until)
        /* it may start meanwhile: then other clocks count */
        return time_earlier(backend->queue_until, now + apr_time_from_sec(1));
    return cancel_send(backend, now) ? backend->cancel_until : 0;
}

int backend_is_in_time(backend_t *backend)
{
    return deadline_find(backend, weave_clock_us()) != 0;
}

int backend_client_has_left(backend_t *backend)
{
    struct pollfd peer = {backend->client_fd, 0, 0};
    int64_t now = weave_clock_us();

    if (now < backend->poll_at)
        return 0;
    backend->poll_at = now + BACKEND_CLIENT_POLL_US;
    if (!mod_weave_is_aborted(backend->exchange->r->connection) &&
        (backend->client_fd < 0 || poll(&peer, 1, 0) <= 0))
        return 0;
    backend->end = BACKEND_GONE;
    return 1;
}

/* poll() always reports POLLHUP and POLLERR: a reset, or both directions are
 * closed. POLLRDHUP says nothing: a client that has closed only its sending
 * side waits for its answer. */
int backend_wait(backend_t *backend, short events)
{
    struct pollfd fds[2] = {{backend->conn->fd, events, 0},
                            {backend->client_fd, 0, 0}};

    for (;;) {
        int64_t now = weave_clock_us(), next = deadline_find(backend, now);
        int rc;

        if (!next)
            return 0;
        if (backend->client_fd < 0)
            next = time_earlier(next, now + BACKEND_CLIENT_POLL_US);
        rc = poll(fds, backend->client_fd >= 0 ? 2 : 1,
                  (int)((next - now) / 1000) + 1);
        if (rc > 0 && fds[0].revents)
            return 1;
        if (rc > 0 || mod_weave_is_aborted(backend->exchange->r->connection)) {
            backend->end = BACKEND_GONE;
            return 0;
        }
    }
}

/* Sends PARTS: 0, or -1 and backend->end. A request that was not sent whole has
 * not been begun with. */
static int parts_send(backend_t *backend, struct iovec *parts, int count,
                      int pass)
{
    while (count) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        ssize_t sent = pass >= 0
                           ? weave_fd_send(backend->conn->fd, parts->iov_base,
                                           parts->iov_len, pass, MSG_DONTWAIT)
                           : sendmsg(backend->conn->fd, &message,
                                     MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            backend->end = BACKEND_UNSTARTED;
            return -1;
        }
        if (sent < 0 && errno == EAGAIN && !backend_wait(backend, POLLOUT))
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

int backend_send(backend_t *backend)
{
    const mod_weave_spool_t *spool = &backend->exchange->spool;
    struct iovec parts[2] = {{backend->frame, backend->frame_len},
                             {(char *)spool->data, spool->len}};
    weave_frame_t *frame = (weave_frame_t *)backend->frame;

    frame->number = ++backend->conn->number;
    if (backend->repeated)
        frame->flags |= WEAVE_FRAME_SUSPECT;
    return parts_send(backend, parts, spool->len ? 2 : 1, spool->fd);
}

int backend_send_small(backend_t *backend, const void *data, apr_size_t len)
{
    struct iovec part = {(char *)data, len};

    return parts_send(backend, &part, 1, -1);
}
