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
#include <apr_strings.h>

#include "weave_control.h"

#define BLOCK 65536      /* of an answer on its way through */
#define RECEIPTS_LOOK 16 /* after so many, a look at the clock */

/* ---- receiving ---- */

static int ended(client_t *client, client_end_e end)
{
    client->end = end;
    return -1;
}

/* Ends the request of a worker that breaks the rules: another attempt would
 * meet the same. */
static int broken(client_t *client, const char *what)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, client->exchange->r,
                  "WEAVE0136: the worker (pid %u) has sent what it must not"
                  " (%s): the connection to it is closed, and its request ends",
                  mod_weave_link_pid(client->link), what);
    return ended(client, CLIENT_BROKEN);
}

/* Breaks off where there is a PROBLEM, as weave_answer_take() says it: 0, or -1
 * and client->end. */
static int answer_check(client_t *client, const char *problem)
{
    return problem ? broken(client, problem) : 0;
}

static int at_end(client_t *client)
{
    return ended(client,
                 client_has_started(client) ? CLIENT_LOST : CLIENT_UNSTARTED);
}

/* Keeps the descriptor that came with the last bytes: 0, or -1 and
 * client->end. A read ends behind the bytes that a descriptor came with
 * (unix(7)): it belongs to the frame that has the last of them. */
static int passed_keep(client_t *client, int passed)
{
    if (passed == WEAVE_FD_MANY)
        return broken(client, "descriptors that cannot be taken");
    if (client->passed >= 0) {
        close(passed);
        return broken(client, "more descriptors than one");
    }
    client->passed = passed;
    client->passed_at = client->received;
    return 0;
}

/* Tells how many of all bytes that were received have been taken. */
static apr_uint64_t taken_count(const client_t *client)
{
    return client->received - (client->len - client->at);
}

/* Notes whether our client has taken a part: 0, or -1 and client->end. Only
 * that, and a question for the body, show that the worker goes on: with lines
 * for the log alone, or a byte now and then, it would have this thread for
 * ever.
 */
static int given(client_t *client, weave_io_e io)
{
    client->silent_until = 0;
    return io == WEAVE_IO_OK ? 0 : ended(client, CLIENT_GONE);
}

static int flush(client_t *client)
{
    client->flush_due = 0;
    return given(client, mod_weave_body_send(client->exchange, NULL, 0,
                                             WEAVE_SEND_FLUSH));
}

/* Up to ROOM bytes: how many, or -1 and client->end. What the application
 * wants flushed leaves only when nothing else is here already. */
static ssize_t receive(client_t *client, char *to, apr_size_t room)
{
    for (;;) {
        int passed;
        long got = weave_fd_receive(client->link->fd, to, room, &passed,
                                    client->flush_due ? MSG_DONTWAIT : 0);

        if (got > 0)
            client->received += (apr_uint64_t)got;
        if (passed != -1 && passed_keep(client, passed) < 0)
            return -1;
        if (got > 0)
            return ++client->receipts % RECEIPTS_LOOK ||
                           client_is_in_time(client)
                       ? got
                       : -1;
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return at_end(client);
        if (errno == EINTR)
            continue;
        if (client->flush_due) {
            if (flush(client) < 0)
                return -1;
            continue;
        }
        if (!client_wait(client, POLLIN))
            return -1;
    }
}

/* Makes sure that WANT bytes are there. 0, or -1 and client->end. */
static int need(client_t *client, apr_size_t want)
{
    while (client->len - client->at < want) {
        ssize_t got;

        if (client->at) {
            client->len -= client->at;
            memmove(client->data, client->data + client->at, client->len);
            client->at = 0;
        }
        if (want > client->room) {
            char *larger = apr_palloc(client->exchange->r->pool, want);

            memcpy(larger, client->data, client->len);
            client->data = larger;
            client->room = want;
        }
        got = receive(client, client->data + client->len,
                      client->room - client->len);
        if (got < 0)
            return -1;
        client->len += (apr_size_t)got;
    }
    return 0;
}

/* ---- the body ---- */

/* LEFT bytes, the first of which may have arrived, block by block. */
static int body_through(client_t *client, apr_size_t left, int flags)
{
    apr_bucket_alloc_t *list = client->exchange->r->connection->bucket_alloc;

    while (left) {
        apr_size_t size = left < BLOCK ? left : BLOCK, len;
        char *block = apr_bucket_alloc(size, list);

        len = client->len - client->at < size ? client->len - client->at : size;
        memcpy(block, client->data + client->at, len);
        client->at += len;
        while (len < size) {
            ssize_t got = receive(client, block + len, size - len);

            if (got < 0) {
                apr_bucket_free(block);
                return -1;
            }
            len += (apr_size_t)got;
        }
        left -= size;
        if (given(client, mod_weave_block_send(client->exchange, block, size,
                                               left ? 0 : flags)) < 0)
            return -1;
    }
    return 0;
}

/* The rest of a HEAD, or a DATA. 1: that was the last of it. */
static int body(client_t *client, apr_size_t bytes, int flags)
{
    int send_flags = flags & WEAVE_FRAME_LAST ? WEAVE_SEND_LAST : 0, rc;

    if (client->len - client->at >= bytes) {
        weave_piece_t piece = {client->data + client->at, bytes, NULL};

        client->at += bytes;
        rc = given(client, mod_weave_body_send(client->exchange, &piece,
                                               bytes ? 1 : 0, send_flags));
    }
    else {
        rc = body_through(client, bytes, send_flags);
    }
    if (flags & WEAVE_FRAME_FLUSH)
        client->flush_due = 1;
    return rc < 0 ? -1 : (flags & WEAVE_FRAME_LAST) != 0;
}

/* ---- frames ---- */

static int on_head(client_t *client, const weave_frame_t *frame)
{
    weave_frame_head_t fixed;
    weave_head_t head;

    if (need(client, sizeof(fixed)) < 0)
        return -1;
    memcpy(&fixed, client->data + client->at, sizeof(fixed));
    if (answer_check(client,
                     weave_answer_head(&client->answer, frame, &fixed)) < 0)
        return -1;
    if (need(client, sizeof(fixed) + fixed.strings) < 0)
        return -1;
    if (client_head_decode(&head, &fixed,
                           client->data + client->at + sizeof(fixed),
                           client->exchange->r->pool) < 0)
        return broken(client, "a head that is no head");
    mod_weave_head_send(client->exchange, &head);
    client->at += sizeof(fixed) + fixed.strings;
    return body(client, frame->bytes - sizeof(fixed) - fixed.strings,
                frame->flags);
}

static int on_data(client_t *client, const weave_frame_t *frame)
{
    return body(client, frame->bytes, frame->flags);
}

static int is_readable_file(int fd)
{
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    struct stat status;

    return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY &&
           fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static int on_file(client_t *client, const weave_frame_t *frame)
{
    weave_frame_file_t file;
    int fd, rc;

    if (need(client, sizeof(file)) < 0)
        return -1;
    memcpy(&file, client->data + client->at, sizeof(file));
    client->at += sizeof(file);
    if (answer_check(client, weave_answer_file(&client->answer, frame, &file)) <
        0)
        return -1;
    if (!is_readable_file(client->passed))
        return broken(client, "a file that is none");
    fd = client->passed;
    client->passed = -1;
    rc = given(client,
               mod_weave_file_give(
                   client->exchange, fd, file.offset, file.length,
                   frame->flags & WEAVE_FRAME_LAST ? WEAVE_SEND_LAST : 0));
    if (frame->flags & WEAVE_FRAME_FLUSH)
        client->flush_due = 1;
    return rc < 0 ? -1 : (frame->flags & WEAVE_FRAME_LAST) != 0;
}

static int on_end(client_t *client, const weave_frame_t *frame)
{
    weave_frame_end_t end;

    (void)frame;
    if (need(client, sizeof(end)) < 0)
        return -1;
    memcpy(&end, client->data + client->at, sizeof(end));
    client->at += sizeof(end);
    client->outcome = end.outcome;
    if (end.outcome < WEAVE_RUN_CUT ||
        (end.outcome > 0 && (end.outcome < 400 || end.outcome > 599)))
        return broken(client, "an end that is none");
    if (end.outcome == WEAVE_RUN_DONE)
        return answer_check(client, weave_answer_end(&client->answer)) < 0 ||
                       given(client, mod_weave_body_send(client->exchange, NULL,
                                                         0, WEAVE_SEND_LAST)) <
                           0
                   ? -1
                   : 1;
    if (client->exchange->head_sent)
        client->outcome = WEAVE_RUN_CUT;
    return 1;
}

static int on_log(client_t *client, const weave_frame_t *frame)
{
    weave_frame_log_t log;
    const char *text;

    if (need(client, frame->bytes) < 0)
        return -1;
    memcpy(&log, client->data + client->at, sizeof(log));
    text = client->data + client->at + sizeof(log);
    mod_weave_log(client->exchange, (int)(log.level & 7), text,
                  frame->bytes - sizeof(log));
    client->at += frame->bytes;
    return 0;
}

struct client_block_t {
    weave_frame_t frame;
    weave_frame_body_t body;
    char data[BLOCK];
};

/* The application reads its input as it comes (wsgi.stream_input). A worker
 * that does not take it any more has said why, or is dead: reading on shows. */
static int on_read(client_t *client, const weave_frame_t *frame)
{
    struct client_block_t *answer = client->block;
    weave_frame_read_t wanted;
    ssize_t got;

    (void)frame;
    if (!answer)
        answer = client->block =
            apr_palloc(client->exchange->r->pool, sizeof(*answer));
    if (need(client, sizeof(wanted)) < 0)
        return -1;
    memcpy(&wanted, client->data + client->at, sizeof(wanted));
    client->at += sizeof(wanted);
    client->streamed = 1;
    /* who waits for that may send nothing before */
    if (client->flush_due && flush(client) < 0)
        return -1;
    got = mod_weave_body_read(
        client->exchange, answer->data,
        wanted.bytes && wanted.bytes < BLOCK ? wanted.bytes : BLOCK);
    answer->body = (weave_frame_body_t){got < 0 ? (int32_t)got : 0, 0};
    client->silent_until = 0;
    if (got <= 0)
        weave_answer_read_end(&client->answer);
    if (got < 0)
        got = 0;
    answer->frame = weave_frame_make(WEAVE_FRAME_BODY, 0,
                                     sizeof(answer->body) + (size_t)got,
                                     client->link->number);
    if (client_send_small(client, answer,
                          sizeof(answer->frame) + sizeof(answer->body) +
                              (size_t)got) < 0)
        return client->end == CLIENT_UNSTARTED ? 0 : -1;
    return 0;
}

static int on_unstarted(client_t *client, const weave_frame_t *frame)
{
    if (client_has_started(client))
        return broken(client, "a refusal after it has begun");
    client->reusable = client->at == client->len;
    return ended(client, frame->type == WEAVE_FRAME_REFUSED ? CLIENT_REFUSED
                                                            : CLIENT_LATE);
}

static int (*const handlers[WEAVE_FRAME_TYPES])(client_t *,
                                                const weave_frame_t *) = {
    [WEAVE_FRAME_CANCELLED] = on_unstarted,
    [WEAVE_FRAME_REFUSED] = on_unstarted,
    [WEAVE_FRAME_READ] = on_read,
    [WEAVE_FRAME_HEAD] = on_head,
    [WEAVE_FRAME_DATA] = on_data,
    [WEAVE_FRAME_FILE] = on_file,
    [WEAVE_FRAME_END] = on_end,
    [WEAVE_FRAME_LOG] = on_log,
};

/* Takes the frame whose head is here: as frame_take(). */
static int frame_handle(client_t *client)
{
    apr_uint64_t begin = taken_count(client);
    weave_frame_t frame;
    int has_fd;

    if (weave_frame_decode(&frame, client->data + client->at,
                           client->len - client->at) != WEAVE_FRAME_OK)
        return broken(client, "no frame that could come now");
    has_fd = client->passed >= 0 &&
             client->passed_at <= begin + sizeof(frame) + frame.bytes;
    if (answer_check(client,
                     weave_answer_take(&client->answer, &frame, has_fd)) < 0)
        return -1;
    client->at += sizeof(frame);
    if (frame.type != WEAVE_FRAME_CANCELLED &&
        frame.type != WEAVE_FRAME_REFUSED)
        client->heard = 1;
    return handlers[frame.type](client, &frame);
}

/* 0: more will come, 1: that was the answer, or -1 and client->end. */
static int frame_take(client_t *client)
{
    int rc = need(client, sizeof(weave_frame_t));

    if (rc == 0)
        rc = frame_handle(client);
    /* one that came in the middle of a frame */
    if (rc == 0 && client->passed >= 0 &&
        client->passed_at <= taken_count(client))
        return broken(client, "a descriptor that belongs to no file");
    return rc;
}

void client_receive(client_t *client)
{
    int rc;

    client->data = client->buffer;
    client->room = sizeof(client->buffer);
    client->at = client->len = 0;
    client->received = client->passed_at = 0;
    client->receipts = 0;
    client->outcome = WEAVE_RUN_DONE;
    weave_answer_begin(&client->answer, client->link->number,
                       client_is_streamed(client),
                       client->exchange->r->header_only);
    do
        rc = frame_take(client);
    while (rc == 0);
    if (rc == 1) {
        client->end = CLIENT_DONE;
        client->reusable = client->at == client->len;
    }
    if (client->passed >= 0) {
        client->reusable = 0;
        close(client->passed);
    }
    client->passed = -1;
}
