/* SPDX-License-Identifier: Apache-2.0 */
/* warmup.c: asks a new worker what release.warmup says
 *
 * The least of a client (weave_frame.h): one connection, one request, and of
 * the answer only whether it is a 2xx. */
#include "super.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_handshake.h"
#include "weave_socket.h"

struct super_warmup_t {
    int fd;
    super_watch_t watch;
    weave_welcome_part_t part;
    int welcomed;
    char *data; /* malloc: what has arrived */
    size_t len, room;
    char *out; /* malloc: what is to be sent */
    size_t out_len, out_sent;
    int status; /* of the answer; 0: none yet */
};

void super_warmup_end(super_worker_t *worker)
{
    super_warmup_t *warmup = worker->warmup;

    if (!warmup)
        return;
    worker->warmup = NULL;
    super_unwatch(&warmup->watch);
    if (warmup->fd >= 0)
        close(warmup->fd);
    weave_welcome_drop(&warmup->part);
    free(warmup->data);
    free(warmup->out);
    free(warmup);
}

static void fail(super_worker_t *worker, const char *what)
{
    const char *path = worker->generation->spec->warmup;

    super_warmup_end(worker);
    super_generation_failed(
        worker, apr_psprintf(worker->pool, "release.warmup, a GET of %s, %s",
                             path, what));
}

static void done(super_worker_t *worker)
{
    int status = worker->warmup->status;

    if (status < 200 || status > 299) {
        fail(worker, apr_psprintf(worker->pool,
                                  "was answered %d; a 2xx is needed", status));
        return;
    }
    super_warmup_end(worker);
    super_generation_ready(worker);
}

/* ---- the request ---- */

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static char *decoded(const char *path, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, strlen(path) + 1), *to = text;

    while (*path) {
        int high = *path == '%' ? hex(path[1]) : -1;
        int low = high >= 0 ? hex(path[2]) : -1;

        if (low >= 0 && (high || low)) {
            *to++ = (char)(high << 4 | low);
            path += 3;
        }
        else {
            *to++ = *path++;
        }
    }
    *to = '\0';
    return text;
}

/* HELLO and REQUEST, as one piece. */
static apr_status_t request_make(super_warmup_t *warmup, const char *target,
                                 apr_pool_t *pool)
{
    const char *mark = strchr(target, '?');
    const char *path =
        mark ? apr_pstrmemdup(pool, target, (apr_size_t)(mark - target))
             : target;
    const char *const vars[][2] = {
        {"REQUEST_METHOD", "GET"},
        {"SCRIPT_NAME", ""},
        {"PATH_INFO", decoded(path, pool)},
        {"QUERY_STRING", mark ? mark + 1 : ""},
        {"REQUEST_URI", target},
        {"REQUEST_SCHEME", "http"},
        {"SERVER_NAME", "localhost"},
        {"SERVER_PORT", "80"},
        {"SERVER_ADDR", "127.0.0.1"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"REMOTE_PORT", "0"},
        {"DOCUMENT_ROOT", ""},
        {"wsgi.url_scheme", "http"},
        {"HTTP_HOST", "localhost"},
        {"HTTP_USER_AGENT", "weaved"},
    };
    enum { VARS = sizeof(vars) / sizeof(*vars) };
    weave_hello_frame_t hello = weave_hello_make(WEAVE_ROLE_CLIENT);
    /* epoch 0: maintenance is no reason not to bring up a release */
    weave_frame_request_t request = {.content_length = -1, .vars = VARS};
    size_t bytes = sizeof(request), i;
    weave_frame_t head;
    char *at;

    for (i = 0; i < VARS; i++)
        bytes += weave_frame_var_size(strlen(vars[i][0]), strlen(vars[i][1]));
    warmup->out_len = sizeof(hello) + sizeof(head) + bytes;
    at = warmup->out = malloc(warmup->out_len);
    if (!at)
        return APR_ENOMEM;
    at = (char *)memcpy(at, &hello, sizeof(hello)) + sizeof(hello);
    head =
        weave_frame_make(WEAVE_FRAME_REQUEST, WEAVE_FRAME_BODY_HERE, bytes, 1);
    at = (char *)memcpy(at, &head, sizeof(head)) + sizeof(head);
    at = (char *)memcpy(at, &request, sizeof(request)) + sizeof(request);
    for (i = 0; i < VARS; i++)
        at = weave_frame_var_put(at, WEAVE_FRAME_VAR_NAMED, vars[i][0],
                                 strlen(vars[i][0]), vars[i][1],
                                 strlen(vars[i][1]));
    return APR_SUCCESS;
}

/* ---- the answer ---- */

/* 1: go on, 0: it is complete, -1: *why. */
static int frame_take(super_worker_t *worker, const weave_frame_t *frame,
                      const char *payload, const char **why)
{
    weave_frame_log_t log;
    weave_frame_head_t head;
    weave_frame_end_t end;

    switch (frame->type) {
    case WEAVE_FRAME_LOG:
        memcpy(&log, payload, sizeof(log));
        if (worker->generation->spec->log_level >= (int)(log.level & 7))
            weave_line_write(2, (int)(log.level & 7), payload + sizeof(log),
                             frame->bytes - sizeof(log));
        return 1;
    case WEAVE_FRAME_HEAD:
        memcpy(&head, payload, sizeof(head));
        worker->warmup->status = head.status;
        break;
    case WEAVE_FRAME_END:
        memcpy(&end, payload, sizeof(end));
        *why = "ended without a complete answer";
        return worker->warmup->status && end.outcome == 0 ? 0 : -1;
    case WEAVE_FRAME_DATA:
    case WEAVE_FRAME_FILE:
        break;
    default:
        *why = frame->type == WEAVE_FRAME_REFUSED
                   ? "was refused: the queue is full"
                   : "was answered by rubbish";
        return -1;
    }
    return !(frame->flags & WEAVE_FRAME_LAST) || !worker->warmup->status;
}

static int frames_take(super_worker_t *worker, const char **why)
{
    super_warmup_t *warmup = worker->warmup;
    size_t at = 0;
    int rc = 1;

    while (rc == 1) {
        weave_frame_t frame;
        weave_frame_status_e status =
            weave_frame_decode(&frame, warmup->data + at, warmup->len - at);

        if (status == WEAVE_FRAME_MORE ||
            (status == WEAVE_FRAME_OK &&
             warmup->len - at - sizeof(frame) < frame.bytes))
            break;
        *why = "was answered by rubbish";
        if (status != WEAVE_FRAME_OK)
            return -1;
        rc = frame_take(worker, &frame, warmup->data + at + sizeof(frame), why);
        at += sizeof(frame) + frame.bytes;
    }
    warmup->len -= at;
    memmove(warmup->data, warmup->data + at, warmup->len);
    return rc;
}

/* 1: something came, 0: not now, -1: its end, or no memory. */
static int read_some(super_warmup_t *warmup)
{
    long got;
    int pass;

    if (warmup->room - warmup->len < 65536) {
        size_t room = warmup->room * 2 + 131072;
        char *grown = realloc(warmup->data, room);

        if (!grown)
            return -1;
        warmup->data = grown;
        warmup->room = room;
    }
    got = weave_fd_receive(warmup->fd, warmup->data + warmup->len,
                           warmup->room - warmup->len, &pass, MSG_DONTWAIT);
    if (pass >= 0)
        close(pass); /* a file: of no use here */
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0)
        return -1;
    warmup->len += (size_t)got;
    return 1;
}

/* As read_some(), of the WELCOME. */
static int welcome_read(super_warmup_t *warmup)
{
    weave_welcome_t welcome;
    apr_status_t rv = weave_welcome_receive(&welcome, &warmup->part, warmup->fd,
                                            MSG_DONTWAIT);

    if (rv != APR_SUCCESS)
        return APR_STATUS_IS_EAGAIN(rv) ? 0 : -1;
    warmup->welcomed = 1;
    weave_welcome_drop(&warmup->part);
    return 0;
}

static void warmup_event(void *data, uint32_t events)
{
    super_worker_t *worker = data;
    super_warmup_t *warmup = worker->warmup;
    const char *why = "ended with its connection closed";
    int rc;

    if (events & EPOLLOUT) {
        long put =
            weave_fd_send(warmup->fd, warmup->out + warmup->out_sent,
                          warmup->out_len - warmup->out_sent, -1, MSG_DONTWAIT);

        warmup->out_sent += put > 0 ? (size_t)put : 0;
        if (warmup->out_sent == warmup->out_len)
            super_watch(&warmup->watch, warmup->fd, EPOLLIN, warmup_event,
                        worker);
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    rc = warmup->welcomed ? read_some(warmup) : welcome_read(warmup);
    if (rc > 0)
        rc = frames_take(worker, &why);
    else if (rc == 0)
        return;
    if (rc < 0)
        fail(worker, why);
    else if (rc == 0)
        done(worker);
}

void super_warmup_start(super_worker_t *worker)
{
    super_warmup_t *warmup = calloc(1, sizeof(*warmup));
    apr_status_t rv = APR_ENOMEM;
    char why[120];

    worker->warmup = warmup;
    if (warmup) {
        warmup->fd = -1;
        warmup->part = WEAVE_WELCOME_NOTHING;
        rv = weave_socket_connect(&warmup->fd, worker->socket, geteuid(),
                                  WEAVE_SOCKET_NONBLOCK);
        if (rv == APR_SUCCESS)
            rv = request_make(warmup, worker->generation->spec->warmup,
                              worker->pool);
    }
    if (rv == APR_SUCCESS)
        rv = super_watch(&warmup->watch, warmup->fd, EPOLLIN | EPOLLOUT,
                         warmup_event, worker);
    if (rv != APR_SUCCESS)
        fail(worker, apr_psprintf(worker->pool, "was not possible: %s",
                                  apr_strerror(rv, why, sizeof(why))));
}
