/* SPDX-License-Identifier: Apache-2.0 */
/* host.c: this worker as the engine's host: turns answers into frames
 *
 * The engine calls it from one thread for each request, but for log(). A
 * process that the application has forked must not touch a connection, which
 * its parent goes on to use. */
#include "executor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the request body ---- */

static ssize_t body_file_read(executor_t *executor, char *buffer, size_t size)
{
    int64_t left = executor->file_bytes - executor->file_at;
    ssize_t got;

    if (left <= 0)
        return 0;
    got = pread(executor->connection->in.passed, buffer,
                (int64_t)size < left ? size : (size_t)left, executor->file_at);
    if (got <= 0)
        return WEAVE_IO_GONE;
    executor->file_at += got;
    return got;
}

/* Reads the head of a BODY. A CANCEL comes too late here and is skipped. */
static int body_head_read(executor_t *executor, weave_frame_t *frame)
{
    connection_t *connection = executor->connection;

    do {
        if (input_receive_exactly(connection, (char *)frame, sizeof(*frame)) <
                0 ||
            weave_frame_decode(frame, (char *)frame, sizeof(*frame)) !=
                WEAVE_FRAME_OK)
            return -1;
    } while (frame->type == WEAVE_FRAME_CANCEL);
    return frame->type == WEAVE_FRAME_BODY && frame->number == executor->number
               ? 0
               : -1;
}

static ssize_t body_block_read(executor_t *executor, char *buffer, size_t size)
{
    weave_frame_body_t body;
    weave_frame_t frame;
    size_t len;

    if (body_head_read(executor, &frame) < 0)
        return WEAVE_IO_GONE;
    len = frame.bytes - sizeof(body);
    if (len > size ||
        input_receive_exactly(executor->connection, (char *)&body,
                              sizeof(body)) < 0 ||
        input_receive_exactly(executor->connection, buffer, len) < 0)
        return WEAVE_IO_GONE;
    if (body.error)
        return body.error >= WEAVE_IO_BAD && body.error < 0 ? body.error
                                                            : WEAVE_IO_GONE;
    return (ssize_t)len;
}

static ssize_t body_read(void *host, char *buffer, size_t size)
{
    executor_t *executor = host;
    connection_t *connection = executor->connection;
    weave_frame_read_t want = {0};
    ssize_t got;

    if (worker.forked)
        return WEAVE_IO_GONE;
    if (executor->file_bytes)
        return body_file_read(executor, buffer, size);
    if (executor->body_problem || executor->body_ended || !size)
        return executor->body_problem;
    if (size > WEAVE_FRAME_DATA_MAX)
        size = WEAVE_FRAME_DATA_MAX;
    want.bytes = (uint32_t)size;
    pthread_mutex_lock(&connection->lock);
    got = output_frame_locked(connection, WEAVE_FRAME_READ, executor->number,
                              &want, sizeof(want), 1);
    pthread_mutex_unlock(&connection->lock);
    if (got == WEAVE_IO_OK)
        got = body_block_read(executor, buffer, size);
    if (got < 0)
        executor->body_problem = (int)got;
    executor->body_ended = got == 0;
    return got;
}

/* ---- the head ---- */

static size_t head_size(const weave_head_t *head)
{
    size_t size = strlen(head->reason) + 1, i;

    for (i = 0; i < head->headers_count; i++)
        size +=
            strlen(head->headers[i].name) + strlen(head->headers[i].value) + 2;
    return size;
}

static int head_reserve(executor_t *executor, size_t size)
{
    char *grown;

    if (size <= executor->head_room)
        return 0;
    grown = realloc(executor->head, size);
    if (!grown)
        return -1;
    executor->head = grown;
    executor->head_room = size;
    return 0;
}

/* Encodes the head. Its frame is filled in when it leaves, since the length of
 * the body that goes with it is known only then. */
static void head_send(void *host, const weave_head_t *head)
{
    executor_t *executor = host;
    size_t strings = head_size(head), i;
    weave_frame_head_t fixed = {head->content_length, head->status,
                                (uint32_t)head->headers_count,
                                (uint32_t)strings, 0};
    char *to;

    if (head_reserve(executor,
                     sizeof(weave_frame_t) + sizeof(fixed) + strings) < 0) {
        pthread_mutex_lock(&executor->connection->lock);
        output_break(executor->connection);
        pthread_mutex_unlock(&executor->connection->lock);
        return;
    }
    to = executor->head + sizeof(weave_frame_t);
    memcpy(to, &fixed, sizeof(fixed));
    to = stpcpy(to + sizeof(fixed), head->reason) + 1;
    for (i = 0; i < head->headers_count; i++) {
        to = stpcpy(to, head->headers[i].name) + 1;
        to = stpcpy(to, head->headers[i].value) + 1;
    }
    executor->head_len = (size_t)(to - executor->head);
}

/* ---- the answer ---- */

/* A batch that is put together. The head of each frame stays in `frames` until
 * it has left. */
typedef struct {
    executor_t *executor;
    batch_t batch;
    weave_frame_t frames[BATCH_PARTS];
    int last; /* 1: the batch ends the answer */
    weave_io_e io;
} writer_t;

static void writer_flush(writer_t *writer)
{
    connection_t *connection = writer->executor->connection;
    batch_t *batch = &writer->batch;

    if (batch->count) {
        pthread_mutex_lock(&connection->lock);
        writer->io = output_send_locked(connection, batch, 1);
        connection->head_left = 1;
        /* an answer that has ended is never over its time */
        connection->ended |= writer->last;
        pthread_mutex_unlock(&connection->lock);
    }
    batch->count = 0;
}

static void writer_part(writer_t *writer, const void *data, size_t len,
                        void *owner)
{
    batch_t *batch = &writer->batch;

    batch->parts[batch->count] = (struct iovec){(void *)data, len};
    batch->owners[batch->count++] = owner;
}

static void writer_begin(writer_t *writer, executor_t *executor)
{
    writer->executor = executor;
    writer->batch.count = 0;
    writer->batch.pass = -1;
    writer->last = 0;
    writer->io = WEAVE_IO_OK;
}

static void writer_frame(writer_t *writer, weave_frame_type_e type, int flags,
                         size_t bytes)
{
    weave_frame_t *frame = &writer->frames[writer->batch.count];

    *frame = weave_frame_make(type, flags, bytes, writer->executor->number);
    writer_part(writer, frame, sizeof(*frame), NULL);
}

/* Adds the head, and announces INLINE_BYTES of the body in its frame. */
static void writer_head(writer_t *writer, int flags, size_t inline_bytes)
{
    executor_t *executor = writer->executor;
    size_t bytes = executor->head_len - sizeof(weave_frame_t) + inline_bytes;
    weave_frame_t frame =
        weave_frame_make(WEAVE_FRAME_HEAD, flags, bytes, executor->number);

    memcpy(executor->head, &frame, sizeof(frame));
    writer_part(writer, executor->head, executor->head_len, NULL);
    executor->head_len = 0;
}

static int flags_encode(int flags)
{
    return (flags & WEAVE_SEND_LAST ? WEAVE_FRAME_LAST : 0) |
           (flags & WEAVE_SEND_FLUSH ? WEAVE_FRAME_FLUSH : 0);
}

static void pieces_release(const weave_piece_t *pieces, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (pieces[i].owner)
            worker.engine->release(pieces[i].owner);
}

/* Adds TOTAL bytes of PIECES as DATA frames that are not too large. */
static void writer_data(writer_t *writer, const weave_piece_t *pieces,
                        size_t count, size_t total, int flags)
{
    size_t frame_left = 0, at = 0, i = 0;

    while (i < count) {
        size_t len = pieces[i].len - at;

        if (!frame_left && total) {
            /* keeps a frame and its parts in one write where it can */
            if (writer->batch.count > BATCH_PARTS - 20)
                writer_flush(writer);
            frame_left =
                total < WEAVE_FRAME_DATA_MAX ? total : WEAVE_FRAME_DATA_MAX;
            total -= frame_left;
            writer_frame(writer, WEAVE_FRAME_DATA, total ? 0 : flags,
                         frame_left);
        }
        len = len < frame_left ? len : frame_left;
        if (writer->batch.count == BATCH_PARTS)
            writer_flush(writer);
        frame_left -= len;
        at += len;
        if (at == pieces[i].len) {
            writer_part(writer, pieces[i].data + at - len, len,
                        pieces[i].owner);
            i++;
            at = 0;
        }
        else {
            writer_part(writer, pieces[i].data + at - len, len, NULL);
        }
    }
}

static weave_io_e body_send(void *host, const weave_piece_t *pieces,
                            size_t count, int flags)
{
    executor_t *executor = host;
    size_t total = 0, i;
    writer_t writer;

    if (worker.forked) {
        pieces_release(pieces, count);
        return WEAVE_IO_GONE;
    }
    for (i = 0; i < count; i++)
        total += pieces[i].len;
    /* the head waits for more; an END that follows ends the answer, too */
    if (!total && !(flags && executor->head_len)) {
        pieces_release(pieces, count);
        return WEAVE_IO_OK;
    }
    writer_begin(&writer, executor);
    if (executor->head_len && total <= INLINE_BYTES && count < BATCH_PARTS) {
        writer_head(&writer, flags_encode(flags), total);
        for (i = 0; i < count; i++)
            writer_part(&writer, pieces[i].data, pieces[i].len,
                        pieces[i].owner);
    }
    else {
        if (executor->head_len)
            writer_head(&writer, 0, 0);
        writer_data(&writer, pieces, count, total, flags_encode(flags));
    }
    writer.last = flags & WEAVE_SEND_LAST;
    writer_flush(&writer);
    return writer.io;
}

static weave_io_e file_send(void *host, int fd, int64_t offset, int64_t length)
{
    executor_t *executor = host;
    weave_frame_file_t file = {offset, length};
    char data[sizeof(weave_frame_t) + sizeof(file)];
    weave_frame_t frame = weave_frame_make(WEAVE_FRAME_FILE, WEAVE_FRAME_FD,
                                           sizeof(file), executor->number);
    writer_t writer;

    if (worker.forked)
        return WEAVE_IO_GONE;
    writer_begin(&writer, executor);
    if (executor->head_len) {
        writer_head(&writer, 0, 0);
        writer_flush(&writer);
        if (writer.io != WEAVE_IO_OK)
            return writer.io;
    }
    memcpy(data, &frame, sizeof(frame));
    memcpy(data + sizeof(frame), &file, sizeof(file));
    writer_part(&writer, data, sizeof(data), NULL);
    writer.batch.pass = fd;
    writer_flush(&writer);
    return writer.io;
}

/* ---- its end ---- */

void answer_end(executor_t *executor, int outcome)
{
    weave_frame_end_t end = {outcome, 0};
    writer_t writer;

    writer_begin(&writer, executor);
    if (executor->head_len && outcome == WEAVE_RUN_DONE) {
        writer_head(&writer, WEAVE_FRAME_LAST, 0);
    }
    else {
        if (executor->head_len && outcome == WEAVE_RUN_CUT)
            writer_head(&writer, 0, 0);
        writer_frame(&writer, WEAVE_FRAME_END, 0, sizeof(end));
        writer_part(&writer, &end, sizeof(end), NULL);
    }
    writer.last = 1;
    writer_flush(&writer);
}

/* ---- the log ---- */

static int log_send(executor_t *executor, int level, const char *text,
                    size_t len)
{
    weave_frame_log_t fixed = {(uint32_t)level, 0};
    weave_frame_t frame = weave_frame_make(
        WEAVE_FRAME_LOG, 0, sizeof(fixed) + len, executor->number);
    connection_t *connection = executor->connection;
    batch_t batch;
    int rc = -1;

    batch.parts[0] = (struct iovec){&frame, sizeof(frame)};
    batch.parts[1] = (struct iovec){&fixed, sizeof(fixed)};
    batch.parts[2] = (struct iovec){(void *)text, len};
    batch.owners[0] = batch.owners[1] = batch.owners[2] = NULL;
    batch.count = 3;
    batch.pass = -1;
    pthread_mutex_lock(&connection->lock);
    /* a frame that has begun to leave must leave whole; with more lines than
     * that the client would end the request */
    if (!connection->broken && !connection->ended &&
        connection->memory < INLINE_BYTES &&
        weave_answer_line_count(&executor->lines, len) == 0)
        rc = output_send_locked(connection, &batch, 0) == WEAVE_IO_OK ? 0 : -1;
    pthread_mutex_unlock(&connection->lock);
    return rc;
}

const char *request_var(const weave_request_t *request, uint32_t key)
{
    size_t i;

    for (i = 0; i < request->vars_count; i++)
        if (request->vars[i].key == key)
            return request->vars[i].value;
    return "";
}

/* Writes "192.0.2.7:4711" to TEXT, for lines that httpd's children do not log.
 * Returns TEXT, or NULL outside a request. */
static const char *client_format(char *text, size_t size,
                                 const executor_t *executor)
{
    if (!executor)
        return NULL;
    snprintf(text, size, "%s:%s",
             request_var(&executor->request, WEAVE_VAR_REMOTE_ADDR),
             request_var(&executor->request, WEAVE_VAR_REMOTE_PORT));
    return text;
}

static void log_line(void *host, int level, const char *text, size_t len)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char client[80];

    if (len > WEAVE_FRAME_LINE_MAX)
        len = WEAVE_FRAME_LINE_MAX;
    if (host && !worker.forked && log_send(host, level, text, len) == 0)
        return;
    if (level > worker.spec->log_level)
        return;
    /* a line may be longer than a pipe takes in one piece */
    if (!worker.forked)
        pthread_mutex_lock(&lock);
    weave_line_write(2, level, client_format(client, sizeof(client), host),
                     text, len);
    if (!worker.forked)
        pthread_mutex_unlock(&lock);
}

/* ---- Python ---- */

static void python_entered(void *host, int inside)
{
    const executor_t *executor = host;
    const weave_board_thread_t *shown = &worker.board->thread[executor->index];

    if (executor->beside || inside)
        parking_python_entered(
            executor->beside, inside,
            atomic_load_explicit(&shown->since_us, memory_order_relaxed));
}

/* No forked(): fork.c handles every fork of the process, also those that Python
 * does not know of. */
const weave_host_t worker_host = {WEAVE_ENGINE_ABI, sizeof(weave_host_t),
                                  body_read,        head_send,
                                  body_send,        file_send,
                                  log_line,         NULL,
                                  python_entered};
