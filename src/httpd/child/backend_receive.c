/* SPDX-License-Identifier: Apache-2.0 */
/* backend_receive.c: the answer of a worker, into httpd's filters
 *
 * A small answer is one frame, and one read. Larger ones go on as they come,
 * without being collected. */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_buckets.h>

#include "weave_fd.h"

#define BLOCK 65536       /* of a request body that is streamed */
#define LARGE 262144      /* of an answer on its way through */
#define RECEIPTS_CLOCK 16 /* after so many, a look at the clock */

/* ---- receiving ---- */

static int end_set(backend_t *backend, backend_end_e end)
{
    backend->end = end;
    return -1;
}

/* Ends the request of a worker that breaks the rules: another attempt would
 * meet the same. */
static int rules_broken(backend_t *backend, const char *what)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, backend->exchange->r,
                  "WEAVE0136: the worker (pid %u) has sent what it must not"
                  " (%s): the connection to it is closed, and its request ends",
                  backend_conn_pid(backend->conn), what);
    return end_set(backend, BACKEND_BROKEN);
}

/* Breaks off where there is a PROBLEM, as weave_answer_take() says it: 0, or -1
 * and backend->end. */
static int answer_check(backend_t *backend, const char *problem)
{
    return problem ? rules_broken(backend, problem) : 0;
}

static int connection_ended(backend_t *backend)
{
    return end_set(backend, backend_has_started(backend) ? BACKEND_LOST
                                                         : BACKEND_UNSTARTED);
}

/* Keeps the descriptor that came with the last bytes: 0, or -1 and
 * backend->end. A read ends behind the bytes that a descriptor came with
 * (unix(7)): it belongs to the frame that has the last of them. */
static int passed_keep(backend_t *backend, int passed)
{
    if (passed == WEAVE_FD_MANY)
        return rules_broken(backend, "descriptors that cannot be taken");
    if (backend->passed >= 0) {
        close(passed);
        return rules_broken(backend, "more descriptors than one");
    }
    backend->passed = passed;
    backend->passed_at = backend->received;
    return 0;
}

/* Tells how many of all bytes that were received have been taken. */
static apr_uint64_t taken_count(const backend_t *backend)
{
    return backend->received - (backend->len - backend->at);
}

/* Notes whether our client has taken a part: 0, or -1 and backend->end. Only
 * that, and a question for the body, show that the worker goes on: with lines
 * for the log alone, or a byte now and then, it would have this thread for
 * ever.
 */
static int client_got(backend_t *backend, weave_io_e io)
{
    backend->silent_until = 0;
    return io == WEAVE_IO_OK ? 0 : end_set(backend, BACKEND_GONE);
}

static int answer_flush(backend_t *backend)
{
    backend->flush_due = 0;
    return client_got(backend, mod_weave_body_send(backend->exchange, NULL, 0,
                                                   WEAVE_SEND_FLUSH));
}

/* Receives up to ROOM bytes: how many, or -1 and backend->end. What the
 * application wants flushed leaves only when nothing else is here already. */
static ssize_t bytes_receive(backend_t *backend, char *to, apr_size_t room)
{
    for (;;) {
        int passed;
        long got = weave_fd_receive(backend->conn->fd, to, room, &passed,
                                    backend->flush_due ? MSG_DONTWAIT : 0, 0);

        if (got > 0)
            backend->received += (apr_uint64_t)got;
        if (passed != -1 && passed_keep(backend, passed) < 0)
            return -1;
        if (got > 0)
            return ++backend->receipts % RECEIPTS_CLOCK ||
                           backend_is_in_time(backend)
                       ? got
                       : -1;
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return connection_ended(backend);
        if (errno == EINTR)
            continue;
        if (backend->flush_due) {
            if (answer_flush(backend) < 0)
                return -1;
            continue;
        }
        if (!backend_wait(backend, POLLIN))
            return -1;
    }
}

/* Makes sure that WANT bytes are there. 0, or -1 and backend->end. */
static int bytes_need(backend_t *backend, apr_size_t want)
{
    while (backend->len - backend->at < want) {
        ssize_t got;

        if (backend->at) {
            backend->len -= backend->at;
            memmove(backend->data, backend->data + backend->at, backend->len);
            backend->at = 0;
        }
        if (want > backend->room) {
            char *larger = apr_palloc(backend->exchange->r->pool, want);

            memcpy(larger, backend->data, backend->len);
            backend->data = larger;
            backend->room = want;
        }
        got = bytes_receive(backend, backend->data + backend->len,
                            backend->room - backend->len);
        if (got < 0)
            return -1;
        backend->len += (apr_size_t)got;
    }
    return 0;
}

/* Takes the next BYTES. 0, or -1 and backend->end. */
static int fixed_take(void *to, backend_t *backend, apr_size_t bytes)
{
    if (bytes_need(backend, bytes) < 0)
        return -1;
    memcpy(to, backend->data + backend->at, bytes);
    backend->at += bytes;
    return 0;
}

/* ---- the body ---- */

/* Hands on LEFT bytes block by block; the first of them may be here already. */
static int body_forward(backend_t *backend, apr_size_t left, int flags)
{
    apr_bucket_alloc_t *list = backend->exchange->r->connection->bucket_alloc;

    while (left) {
        apr_size_t size = left < LARGE ? left : LARGE, len;
        char *block = apr_bucket_alloc(size, list);

        len = backend->len - backend->at < size ? backend->len - backend->at
                                                : size;
        memcpy(block, backend->data + backend->at, len);
        backend->at += len;
        while (len < size) {
            ssize_t got = bytes_receive(backend, block + len, size - len);

            if (got < 0) {
                apr_bucket_free(block);
                return -1;
            }
            len += (apr_size_t)got;
        }
        left -= size;
        if (client_got(backend, mod_weave_block_send(backend->exchange, block,
                                                     size, left ? 0 : flags)) <
            0)
            return -1;
    }
    return 0;
}

/* Takes the body in a HEAD or a DATA. Returns 1 where that was the last of it.
 */
static int body_take(backend_t *backend, apr_size_t bytes, int flags)
{
    int send_flags = flags & WEAVE_FRAME_LAST ? WEAVE_SEND_LAST : 0, rc;

    if (backend->len - backend->at >= bytes) {
        weave_piece_t piece = {backend->data + backend->at, bytes, NULL};

        backend->at += bytes;
        rc =
            client_got(backend, mod_weave_body_send(backend->exchange, &piece,
                                                    bytes ? 1 : 0, send_flags));
    }
    else {
        rc = body_forward(backend, bytes, send_flags);
    }
    if (flags & WEAVE_FRAME_FLUSH)
        backend->flush_due = 1;
    return rc < 0 ? -1 : (flags & WEAVE_FRAME_LAST) != 0;
}

/* ---- frames ---- */

static int head_take(backend_t *backend, const weave_frame_t *frame)
{
    weave_frame_head_t fixed;
    weave_head_t head;

    if (bytes_need(backend, sizeof(fixed)) < 0)
        return -1;
    memcpy(&fixed, backend->data + backend->at, sizeof(fixed));
    if (answer_check(backend,
                     weave_answer_head(&backend->answer, frame, &fixed)) < 0)
        return -1;
    if (bytes_need(backend, sizeof(fixed) + fixed.strings) < 0)
        return -1;
    if (backend_head_decode(&head, &fixed,
                            backend->data + backend->at + sizeof(fixed),
                            backend->exchange->r->pool) < 0)
        return rules_broken(backend, "a head that is no head");
    mod_weave_head_send(backend->exchange, &head);
    backend->at += sizeof(fixed) + fixed.strings;
    return body_take(backend, frame->bytes - sizeof(fixed) - fixed.strings,
                     frame->flags);
}

static int data_take(backend_t *backend, const weave_frame_t *frame)
{
    return body_take(backend, frame->bytes, frame->flags);
}

static int is_readable_file(int fd)
{
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    struct stat status;

    return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY &&
           fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static int file_take(backend_t *backend, const weave_frame_t *frame)
{
    weave_frame_file_t file;
    int fd, rc;

    if (fixed_take(&file, backend, sizeof(file)) < 0)
        return -1;
    if (answer_check(backend,
                     weave_answer_file(&backend->answer, frame, &file)) < 0)
        return -1;
    if (!is_readable_file(backend->passed))
        return rules_broken(backend, "a file that is none");
    fd = backend->passed;
    backend->passed = -1;
    rc = client_got(backend,
                    mod_weave_file_give(
                        backend->exchange, fd, file.offset, file.length,
                        frame->flags & WEAVE_FRAME_LAST ? WEAVE_SEND_LAST : 0));
    if (frame->flags & WEAVE_FRAME_FLUSH)
        backend->flush_due = 1;
    return rc < 0 ? -1 : (frame->flags & WEAVE_FRAME_LAST) != 0;
}

static int end_take(backend_t *backend, const weave_frame_t *frame)
{
    weave_frame_end_t end;

    (void)frame;
    if (fixed_take(&end, backend, sizeof(end)) < 0)
        return -1;
    backend->outcome = end.outcome;
    if (end.outcome < WEAVE_RUN_CUT ||
        (end.outcome > 0 && (end.outcome < 400 || end.outcome > 599)))
        return rules_broken(backend, "an end that is none");
    if (end.outcome == WEAVE_RUN_DONE)
        return answer_check(backend, weave_answer_end(&backend->answer)) < 0 ||
                       client_got(backend,
                                  mod_weave_body_send(backend->exchange, NULL,
                                                      0, WEAVE_SEND_LAST)) < 0
                   ? -1
                   : 1;
    if (backend->exchange->head_sent)
        backend->outcome = WEAVE_RUN_CUT;
    return 1;
}

static int log_take(backend_t *backend, const weave_frame_t *frame)
{
    weave_frame_log_t log;
    const char *text;

    if (bytes_need(backend, frame->bytes) < 0)
        return -1;
    memcpy(&log, backend->data + backend->at, sizeof(log));
    text = backend->data + backend->at + sizeof(log);
    mod_weave_log(backend->exchange, (int)(log.level & 7), text,
                  frame->bytes - sizeof(log));
    backend->at += frame->bytes;
    return 0;
}

struct backend_block_t {
    weave_frame_t frame;
    weave_frame_body_t body;
    char data[BLOCK];
};

/* The application reads its input as it comes (wsgi.stream_input). A worker
 * that does not take it any more has said why, or is dead: reading on shows. */
static int read_answer(backend_t *backend, const weave_frame_t *frame)
{
    struct backend_block_t *answer = backend->block;
    weave_frame_read_t wanted;
    ssize_t got;

    (void)frame;
    if (!answer)
        answer = backend->block =
            apr_palloc(backend->exchange->r->pool, sizeof(*answer));
    if (fixed_take(&wanted, backend, sizeof(wanted)) < 0)
        return -1;
    backend->streamed = 1;
    /* who waits for that may send nothing before */
    if (backend->flush_due && answer_flush(backend) < 0)
        return -1;
    got = mod_weave_body_read(
        backend->exchange, answer->data,
        wanted.bytes && wanted.bytes < BLOCK ? wanted.bytes : BLOCK);
    answer->body = (weave_frame_body_t){got < 0 ? (int32_t)got : 0, 0};
    backend->silent_until = 0;
    if (got <= 0)
        backend->answer.may_read = 0;
    if (got < 0)
        got = 0;
    answer->frame = weave_frame_make(WEAVE_FRAME_BODY, 0,
                                     sizeof(answer->body) + (size_t)got,
                                     backend->conn->number);
    if (backend_send_small(backend, answer,
                           sizeof(answer->frame) + sizeof(answer->body) +
                               (size_t)got) < 0)
        return backend->end == BACKEND_UNSTARTED ? 0 : -1;
    return 0;
}

static int unstarted_take(backend_t *backend, const weave_frame_t *frame)
{
    if (backend_has_started(backend))
        return rules_broken(backend, "a refusal after it has begun");
    backend->reusable = backend->at == backend->len;
    return end_set(backend, frame->type == WEAVE_FRAME_REFUSED ? BACKEND_REFUSED
                                                               : BACKEND_LATE);
}

static int (*const handlers[WEAVE_FRAME_TYPES])(backend_t *,
                                                const weave_frame_t *) = {
    [WEAVE_FRAME_CANCELLED] = unstarted_take,
    [WEAVE_FRAME_REFUSED] = unstarted_take,
    [WEAVE_FRAME_READ] = read_answer,
    [WEAVE_FRAME_HEAD] = head_take,
    [WEAVE_FRAME_DATA] = data_take,
    [WEAVE_FRAME_FILE] = file_take,
    [WEAVE_FRAME_END] = end_take,
    [WEAVE_FRAME_LOG] = log_take,
};

/* Takes the frame whose head is here; returns as frame_take(). */
static int frame_handle(backend_t *backend)
{
    apr_uint64_t begin = taken_count(backend);
    weave_frame_t frame;
    int has_fd;

    if (weave_frame_decode(&frame, backend->data + backend->at,
                           backend->len - backend->at) != WEAVE_FRAME_OK)
        return rules_broken(backend, "no frame that could come now");
    has_fd = backend->passed >= 0 &&
             backend->passed_at <= begin + sizeof(frame) + frame.bytes;
    if (answer_check(backend,
                     weave_answer_take(&backend->answer, &frame, has_fd)) < 0)
        return -1;
    backend->at += sizeof(frame);
    if (frame.type != WEAVE_FRAME_CANCELLED &&
        frame.type != WEAVE_FRAME_REFUSED)
        backend->heard = 1;
    return handlers[frame.type](backend, &frame);
}

/* Takes one frame. 0: more will come; 1: the answer is complete; or -1 and
 * backend->end. */
static int frame_take(backend_t *backend)
{
    int rc = bytes_need(backend, sizeof(weave_frame_t));

    if (rc == 0)
        rc = frame_handle(backend);
    /* a descriptor that came in the middle of a frame */
    if (rc == 0 && backend->passed >= 0 &&
        backend->passed_at <= taken_count(backend))
        return rules_broken(backend, "a descriptor that belongs to no file");
    return rc;
}

void backend_receive(backend_t *backend)
{
    int rc;

    backend->data = backend->buffer;
    backend->room = sizeof(backend->buffer);
    backend->at = backend->len = 0;
    backend->received = backend->passed_at = 0;
    backend->receipts = 0;
    backend->outcome = WEAVE_RUN_DONE;
    weave_answer_begin(&backend->answer, backend->conn->number,
                       backend_is_streamed(backend),
                       backend->exchange->r->header_only);
    do
        rc = frame_take(backend);
    while (rc == 0);
    if (rc == 1) {
        backend->end = BACKEND_DONE;
        backend->reusable = backend->at == backend->len;
    }
    if (backend->passed >= 0) {
        backend->reusable = 0;
        close(backend->passed);
    }
    backend->passed = -1;
}
