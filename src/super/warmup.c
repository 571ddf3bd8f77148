/* SPDX-License-Identifier: Apache-2.0 */
/* warmup.c: asks a new worker what release.warmup says
 *
 * It is the smallest possible client (weave_frame.h): one connection, one
 * request, and of the answer it only needs the status, which must be a 2xx. All
 * else that the worker sends is read and dropped, a piece in each turn, until
 * limits.startup_timeout. */
#include "warmup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

#include "log.h"
#include "weave_handshake.h"
#include "weave_socket.h"

/* how much of a payload is kept: enough for a line of the log */
#define KEPT_BYTES (sizeof(weave_frame_log_t) + WEAVE_LINE_BYTES)
#define READ_BYTES 16384 /* in one turn */
#define LINES_MAX 1000   /* of the log */

struct super_warmup_t {
    int fd;
    super_watch_t watch;
    weave_welcome_part_t part;
    int welcomed;
    weave_frame_t frame; /* valid when `len` is beyond it */
    char data[sizeof(weave_frame_t) + KEPT_BYTES]; /* what is kept of it */
    size_t len, skip; /* bytes in `data`; bytes of the payload to skip */
    int lines;        /* of the log so far */
    char *out;        /* malloc: what is to be sent */
    size_t out_len, out_sent;
    int status; /* of the answer; 0: none yet */
};

void super_warmup_end(super_worker_t *worker)
{
    super_warmup_t *warmup = worker->warmup;

    if (!warmup)
        return;
    worker->warmup = NULL;
    super_watch_cancel(&warmup->watch);
    if (warmup->fd >= 0)
        close(warmup->fd);
    weave_welcome_drop(&warmup->part);
    free(warmup->out);
    free(warmup);
}

static void warmup_fail(super_worker_t *worker, const char *what)
{
    const char *path =
        weave_spec_str(worker->generation->spec, WEAVE_RELEASE_WARMUP);

    super_warmup_end(worker);
    worker->events->failed(
        worker, apr_psprintf(worker->pool, "release.warmup, a GET of %s, %s",
                             path, what));
}

static void warmup_done(super_worker_t *worker)
{
    int status = worker->warmup->status;

    if (status < 200 || status > 299) {
        warmup_fail(worker,
                    apr_psprintf(worker->pool,
                                 "was answered %d; a 2xx is needed", status));
        return;
    }
    super_log(worker->generation->app, WEAVE_LINE_DEBUG,
              "%s has answered release.warmup with %d",
              super_worker_name(worker, worker->pool), status);
    super_warmup_end(worker);
    worker->events->ready(worker);
}

/* ---- the request ---- */

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static char *path_decode(const char *path, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, strlen(path) + 1), *to = text;

    while (*path) {
        int high = *path == '%' ? hex_digit(path[1]) : -1;
        int low = high >= 0 ? hex_digit(path[2]) : -1;

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

/* Makes HELLO and REQUEST, which are sent as one piece. */
static apr_status_t request_make(super_warmup_t *warmup, const super_app_t *app,
                                 const char *target, apr_pool_t *pool)
{
    const char *mark = strchr(target, '?');
    const char *path =
        mark ? apr_pstrmemdup(pool, target, (apr_size_t)(mark - target))
             : target;
    const char *const vars[][2] = {
        {"REQUEST_METHOD", "GET"},
        {"SCRIPT_NAME", ""},
        {"PATH_INFO", path_decode(path, pool)},
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
    weave_hello_frame_t hello =
        weave_hello_make(WEAVE_ROLE_CLIENT, &app->secret);
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
        at = weave_frame_var_write(at, WEAVE_FRAME_VAR_NAMED, vars[i][0],
                                   strlen(vars[i][0]), vars[i][1],
                                   strlen(vars[i][1]));
    return APR_SUCCESS;
}

/* ---- the answer ---- */

static size_t kept_bytes(const weave_frame_t *frame)
{
    return frame->bytes < KEPT_BYTES ? frame->bytes : KEPT_BYTES;
}

static void log_pass(super_worker_t *worker, const char *payload, size_t len)
{
    weave_frame_log_t log;

    memcpy(&log, payload, sizeof(log));
    if (worker->generation->spec->log_level >= (int)(log.level & 7) &&
        worker->warmup->lines++ < LINES_MAX)
        super_log_line((int)(log.level & 7), (long)worker->pid,
                       payload + sizeof(log), len - sizeof(log));
}

/* Takes a frame. Returns 1: the answer goes on; 0: it is complete; -1 and *why:
 * it failed. */
static int frame_take(super_worker_t *worker, const char **why)
{
    const weave_frame_t *frame = &worker->warmup->frame;
    const char *payload = worker->warmup->data + sizeof(*frame);
    weave_frame_head_t head;
    weave_frame_end_t end;

    switch (frame->type) {
    case WEAVE_FRAME_LOG:
        log_pass(worker, payload, kept_bytes(frame));
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
                   : "was answered with bytes that are no valid frame";
        return -1;
    }
    return !(frame->flags & WEAVE_FRAME_LAST) || !worker->warmup->status;
}

/* Returns how many of the next LEFT bytes belong to what is kept of the frame.
 */
static size_t bytes_wanted(const super_warmup_t *warmup, size_t left)
{
    size_t whole = sizeof(warmup->frame);

    if (warmup->len >= whole)
        whole += kept_bytes(&warmup->frame);
    return left < whole - warmup->len ? left : whole - warmup->len;
}

/* Takes LEN bytes that have arrived; returns as frame_take(). */
static int bytes_take(super_worker_t *worker, const char *data, size_t len,
                      const char **why)
{
    super_warmup_t *warmup = worker->warmup;
    weave_frame_t *frame = &warmup->frame;
    const char *end = data + len;
    int rc = 1;

    while (rc == 1 && data < end) {
        size_t left = (size_t)(end - data);
        size_t part = warmup->skip < left ? warmup->skip : left;

        if (!part) {
            part = bytes_wanted(warmup, left);
            memcpy(warmup->data + warmup->len, data, part);
            warmup->len += part;
        }
        else {
            warmup->skip -= part;
        }
        data += part;
        *why = "was answered with bytes that are no valid frame";
        if (warmup->len == sizeof(*frame) &&
            weave_frame_decode(frame, warmup->data, warmup->len) !=
                WEAVE_FRAME_OK)
            return -1;
        if (warmup->len < sizeof(*frame) ||
            warmup->len < sizeof(*frame) + kept_bytes(frame))
            continue;
        rc = frame_take(worker, why);
        warmup->skip = frame->bytes - kept_bytes(frame);
        warmup->len = 0;
    }
    return rc;
}

/* Reads once and takes that; returns as frame_take(). */
static int answer_read(super_worker_t *worker, const char **why)
{
    char some[READ_BYTES];
    /* recv() takes no descriptors: the kernel drops them */
    long got = recv(worker->warmup->fd, some, sizeof(some), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    return got > 0 ? bytes_take(worker, some, (size_t)got, why) : -1;
}

/* Reads the WELCOME; returns as frame_take(). */
static int welcome_read(super_warmup_t *warmup)
{
    weave_welcome_t welcome;
    apr_status_t rv = weave_welcome_receive(&welcome, &warmup->part, warmup->fd,
                                            MSG_DONTWAIT);

    if (rv != APR_SUCCESS)
        return APR_STATUS_IS_EAGAIN(rv) ? 1 : -1;
    warmup->welcomed = 1;
    weave_welcome_drop(&warmup->part);
    return 1;
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
            super_watch_set(&warmup->watch, warmup->fd, EPOLLIN, warmup_event,
                            worker);
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    rc = warmup->welcomed ? answer_read(worker, &why) : welcome_read(warmup);
    if (rc < 0)
        warmup_fail(worker, why);
    else if (rc == 0)
        warmup_done(worker);
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
        warmup->part.careful = 1;
        rv = weave_socket_connect(&warmup->fd, worker->socket, geteuid(),
                                  WEAVE_SOCKET_NONBLOCK | WEAVE_SOCKET_REFUSE);
        if (rv == APR_SUCCESS)
            rv = request_make(
                warmup, worker->generation->app,
                weave_spec_str(worker->generation->spec, WEAVE_RELEASE_WARMUP),
                worker->pool);
    }
    if (rv == APR_SUCCESS)
        rv = super_watch_set(&warmup->watch, warmup->fd, EPOLLIN | EPOLLOUT,
                             warmup_event, worker);
    if (rv != APR_SUCCESS)
        warmup_fail(worker, apr_psprintf(worker->pool, "was not possible: %s",
                                         apr_strerror(rv, why, sizeof(why))));
}
