/* SPDX-License-Identifier: Apache-2.0 */
/* warmup.c: asks a new worker what release.warmup says
 *
 * It is the smallest possible client (weave_frame.h): one connection, one
 * request, and of the answer it only needs the status, which must be a 2xx. All
 * else that the worker sends is read and dropped, a piece in each turn, until
 * limits.startup_timeout. */
#include "worker.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_escape.h>
#include <apr_strings.h>

#include "weave_fd.h"

/* how much of a payload is kept: enough for a line of the log */
#define KEPT_BYTES (sizeof(weave_frame_log_t) + WEAVE_LINE_BYTES)
#define READ_BYTES 16384 /* in one turn */
#define LINES_MAX 1000   /* of the log */

typedef struct warmup_t {
    char data[sizeof(weave_frame_t) + KEPT_BYTES]; /* what is kept of a frame */
    size_t len, skip; /* bytes in `data`; bytes of the payload to skip */
    int lines;        /* of the log so far */
    int status;       /* of the answer; 0: none yet */
    int64_t begun_us; /* weave_clock_us() */
} warmup_t;

static void warmup_fail(super_worker_t *worker, const char *what)
{
    const char *path =
        weave_spec_str(worker->generation->spec, WEAVE_RELEASE_WARMUP);

    super_client_end(worker);
    worker->events->failed(
        worker, apr_psprintf(worker->pool, "release.warmup, a GET of %s, %s",
                             path, what));
}

static void warmup_done(super_worker_t *worker, int status)
{
    const warmup_t *warmup = worker->client->data;
    super_generation_t *generation = worker->generation;
    int64_t took_us = weave_clock_us() - warmup->begun_us;

    if (status < 200 || status > 299) {
        warmup_fail(worker,
                    apr_psprintf(worker->pool,
                                 "was answered %d; a 2xx is needed", status));
        return;
    }
    super_worker_log(worker, WEAVE_LINE_DEBUG,
                     "has answered release.warmup with %d", status);
    generation->warmup_status = status;
    if (took_us > generation->warmup_us)
        generation->warmup_us = took_us;
    super_client_end(worker);
    worker->events->ready(worker);
}

/* Makes HELLO and REQUEST, which are sent as one piece of *BYTES. */
static const char *request_make(size_t *bytes, const super_app_t *app,
                                const char *target, apr_pool_t *pool)
{
    const char *mark = strchr(target, '?');
    const char *path =
        mark ? apr_pstrmemdup(pool, target, (apr_size_t)(mark - target))
             : target;
    const char *decoded = apr_punescape_url(pool, path, NULL, NULL, 0);
    const char *const vars[][2] = {
        {"REQUEST_METHOD", "GET"},
        {"SCRIPT_NAME", ""},
        {"PATH_INFO", decoded ? decoded : path},
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
    size_t payload = sizeof(request), i;
    weave_frame_t head;
    char *text, *at;

    for (i = 0; i < VARS; i++)
        payload += weave_frame_var_size(strlen(vars[i][0]), strlen(vars[i][1]));
    *bytes = sizeof(hello) + sizeof(head) + payload;
    at = text = apr_palloc(pool, *bytes);
    at = (char *)memcpy(at, &hello, sizeof(hello)) + sizeof(hello);
    head = weave_frame_make(WEAVE_FRAME_REQUEST, WEAVE_FRAME_BODY_HERE, payload,
                            1);
    at = (char *)memcpy(at, &head, sizeof(head)) + sizeof(head);
    at = (char *)memcpy(at, &request, sizeof(request)) + sizeof(request);
    for (i = 0; i < VARS; i++)
        at = weave_frame_var_write(at, WEAVE_FRAME_VAR_NAMED, vars[i][0],
                                   strlen(vars[i][0]), vars[i][1],
                                   strlen(vars[i][1]));
    return text;
}

static size_t kept_bytes(const weave_frame_t *frame)
{
    return frame->bytes < KEPT_BYTES ? frame->bytes : KEPT_BYTES;
}

static void log_pass(super_worker_t *worker, const char *payload, size_t len)
{
    warmup_t *warmup = worker->client->data;
    weave_frame_log_t log;

    memcpy(&log, payload, sizeof(log));
    if (worker->generation->spec->log_level >= (int)(log.level & 7) &&
        warmup->lines++ < LINES_MAX)
        super_log_line((int)(log.level & 7), (long)worker->pid,
                       payload + sizeof(log), len - sizeof(log));
}

/* Takes a frame. Returns 1: the answer goes on; 0: it is complete; -1 and *why:
 * it failed. */
static int frame_take(super_worker_t *worker, const weave_frame_t *frame,
                      const char **why)
{
    warmup_t *warmup = worker->client->data;
    const char *payload = warmup->data + sizeof(*frame);
    weave_frame_head_t head;
    weave_frame_end_t end;

    switch (frame->type) {
    case WEAVE_FRAME_LOG:
        log_pass(worker, payload, kept_bytes(frame));
        return 1;
    case WEAVE_FRAME_HEAD:
        memcpy(&head, payload, sizeof(head));
        warmup->status = head.status;
        break;
    case WEAVE_FRAME_END:
        memcpy(&end, payload, sizeof(end));
        *why = "ended without a complete answer";
        return warmup->status && end.outcome == 0 ? 0 : -1;
    case WEAVE_FRAME_DATA:
    case WEAVE_FRAME_FILE:
        break;
    default:
        *why = frame->type == WEAVE_FRAME_REFUSED
                   ? "was refused: the queue is full"
                   : "was answered with bytes that are no valid frame";
        return -1;
    }
    return !(frame->flags & WEAVE_FRAME_LAST) || !warmup->status;
}

/* Reads once, a part of one frame; returns as frame_take(). */
static int answer_read(super_worker_t *worker, const char **why)
{
    warmup_t *warmup = worker->client->data;
    char some[READ_BYTES], *to = some;
    size_t room = warmup->skip < sizeof(some) ? warmup->skip : sizeof(some);
    weave_frame_t frame = {0};
    ssize_t got;
    int rc;

    if (!room) {
        weave_frame_decode(&frame, warmup->data, warmup->len);
        to = warmup->data + warmup->len;
        room = sizeof(frame) + kept_bytes(&frame) - warmup->len;
    }
    /* recv() takes no descriptors: the kernel drops them */
    got = recv(worker->client->fd, to, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (got <= 0)
        return -1;
    if (to == some) {
        warmup->skip -= (size_t)got;
        return 1;
    }
    warmup->len += (size_t)got;
    switch (weave_frame_decode(&frame, warmup->data, warmup->len)) {
    case WEAVE_FRAME_MORE:
        return 1;
    case WEAVE_FRAME_OK:
        break;
    default:
        *why = "was answered with bytes that are no valid frame";
        return -1;
    }
    if (warmup->len < sizeof(frame) + kept_bytes(&frame))
        return 1;
    rc = frame_take(worker, &frame, why);
    warmup->skip = frame.bytes - kept_bytes(&frame);
    warmup->len = 0;
    return rc;
}

static void warmup_event(super_worker_t *worker, apr_status_t rv)
{
    const warmup_t *warmup = worker->client->data;
    const char *why = "ended with its connection closed";
    int rc = rv == APR_SUCCESS ? answer_read(worker, &why) : -1;

    if (rc < 0)
        warmup_fail(worker, why);
    else if (rc == 0)
        warmup_done(worker, warmup->status);
}

void super_warmup_start(super_worker_t *worker)
{
    const super_generation_t *generation = worker->generation;
    size_t bytes;
    const char *text = request_make(
        &bytes, generation->app,
        weave_spec_str(generation->spec, WEAVE_RELEASE_WARMUP), worker->pool);
    warmup_t *warmup = apr_pcalloc(worker->pool, sizeof(*warmup));
    apr_status_t rv = super_client_start(worker, WEAVE_SOCKET_REFUSE, text,
                                         bytes, warmup_event);
    char why[120];

    warmup->begun_us = weave_clock_us();
    if (rv == APR_SUCCESS)
        worker->client->data = warmup;
    else
        warmup_fail(worker, apr_psprintf(worker->pool, "was not possible: %s",
                                         apr_strerror(rv, why, sizeof(why))));
}
