/* SPDX-License-Identifier: Apache-2.0 */
/* output.c: sends frames to a client
 *
 * A thread that sends waits for a reader that makes progress. What a slower one
 * leaves is kept, some in memory, then in a file, and the control thread sends
 * it. Only when that is full, too, does the thread wait. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_control.h"

#define STALL_MS 20
#define PACE_BYTES (160 << 10) /* a reader that takes so much in that time */
#define MEMORY_BYTES (3 << 19) /* for one connection, with its socket */
#define FILE_BLOCK 65536
#define PUMP_BYTES (1 << 20) /* then others are served */

/* ---- parts that wait ---- */

static void chunk_free(connection_t *connection, chunk_t *chunk)
{
    if (chunk->data)
        connection->memory -= chunk->len;
    if (chunk->owner)
        worker.engine->release(chunk->owner);
    if (chunk->pass >= 0)
        close(chunk->pass);
    free(chunk);
}

void output_break(connection_t *connection)
{
    chunk_t *chunk = connection->first, *next;

    for (; chunk; chunk = next) {
        next = chunk->next;
        chunk_free(connection, chunk);
    }
    connection->first = connection->last = NULL;
    connection->memory = 0;
    connection->broken = 1;
    spool_close(connection);
}

static void chunk_append(connection_t *connection, chunk_t *chunk)
{
    if (connection->last)
        connection->last->next = chunk;
    else
        connection->first = chunk;
    connection->last = chunk;
}

/* Keeps a part in memory. Copies it where it has no owner. */
static int part_keep_in_memory(connection_t *connection,
                               const struct iovec *part, void *owner, int pass)
{
    chunk_t *chunk = malloc(sizeof(*chunk) + (owner ? 0 : part->iov_len));

    if (!chunk)
        return -1;
    *chunk = (chunk_t){.data = part->iov_base,
                       .len = part->iov_len,
                       .owner = owner,
                       .pass = -1};
    if (!owner)
        chunk->data = memcpy(chunk + 1, part->iov_base, part->iov_len);
    if (pass >= 0) {
        chunk->pass = fcntl(pass, F_DUPFD_CLOEXEC, 0);
        if (chunk->pass < 0) {
            free(chunk);
            return -1;
        }
    }
    connection->memory += part->iov_len;
    chunk_append(connection, chunk);
    return 0;
}

static int part_keep_in_file(connection_t *connection, const struct iovec *part)
{
    chunk_t *last = connection->last, *chunk;
    int64_t at = connection->spool_end;

    if (spool_write(connection, part->iov_base, part->iov_len) < 0)
        return -1;
    if (last && !last->data && last->at + (int64_t)last->len == at) {
        last->len += part->iov_len;
        return 0;
    }
    chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        return -1;
    chunk->len = part->iov_len;
    chunk->at = at;
    chunk->pass = -1;
    chunk_append(connection, chunk);
    return 0;
}

/* Returns how much may be kept in memory. The socket has less than was asked
 * for where net.core.wmem_max is small; see weave_socket_room_set(). */
static size_t memory_most(const connection_t *connection)
{
    int room = 0;
    socklen_t bytes = sizeof(room);

    getsockopt(connection->fd, SOL_SOCKET, SO_SNDBUF, &room, &bytes);
    room -= room / 9; /* the kernel's own structures */
    return room < OUTPUT_BYTES ? (size_t)(MEMORY_BYTES - room)
                               : MEMORY_BYTES - OUTPUT_BYTES;
}

/* Keeps PART, or releases its owner when it is empty or in the file. Returns 0,
 * or -1 when no more can be kept. */
static int part_keep(connection_t *connection, const struct iovec *part,
                     void *owner, int pass)
{
    if (!part->iov_len) {
        if (owner)
            worker.engine->release(owner);
        return 0;
    }
    if (connection->memory + part->iov_len <= memory_most(connection) ||
        pass >= 0)
        return part_keep_in_memory(connection, part, owner, pass);
    if (part_keep_in_file(connection, part) < 0)
        return -1;
    if (owner)
        worker.engine->release(owner);
    return 0;
}

/* ---- sending ---- */

/* Sends some of CHUNK. Returns how much; 0 when there is no room, -1 when the
 * peer is gone. */
static ssize_t chunk_send(const connection_t *connection, chunk_t *chunk)
{
    char block[FILE_BLOCK / 4];
    const char *data = chunk->data;
    size_t len = chunk->len;
    ssize_t sent;

    if (!data) {
        len = len < sizeof(block) ? len : sizeof(block);
        sent = pread(connection->spool_fd, block, len, chunk->at);
        if (sent <= 0)
            return -1;
        data = block;
        len = (size_t)sent;
    }
    do
        sent =
            weave_fd_send(connection->fd, data, len, chunk->pass, MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    return sent;
}

void output_pump(connection_t *connection)
{
    size_t done = 0;
    chunk_t *chunk;
    ssize_t sent;

    while (!connection->broken && (chunk = connection->first) &&
           done < PUMP_BYTES) {
        sent = chunk_send(connection, chunk);
        if (sent == 0)
            return;
        if (sent < 0) {
            output_break(connection);
            return;
        }
        if (chunk->pass >= 0)
            close(chunk->pass);
        chunk->pass = -1;
        done += (size_t)sent;
        chunk->len -= (size_t)sent;
        if (chunk->data) {
            chunk->data += sent;
            connection->memory -= (size_t)sent;
        }
        else {
            chunk->at += sent;
        }
        if (!chunk->len) {
            connection->first = chunk->next;
            if (!connection->first)
                connection->last = NULL;
            chunk_free(connection, chunk);
        }
    }
    if (!connection->first && connection->spool_fd >= 0)
        spool_close(connection);
}

static ssize_t parts_send(const connection_t *connection, batch_t *batch,
                          int at)
{
    struct msghdr message = {.msg_iov = batch->parts + at,
                             .msg_iovlen = (size_t)(batch->count - at)};
    ssize_t sent;

    do
        sent = batch->pass >= 0
                   ? weave_fd_send(connection->fd, batch->parts[at].iov_base,
                                   batch->parts[at].iov_len, batch->pass,
                                   MSG_DONTWAIT)
                   : sendmsg(connection->fd, &message,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/* Takes SENT bytes off the batch. Returns the first part that has bytes left.
 */
static int batch_advance(batch_t *batch, int at, size_t sent)
{
    if (sent)
        batch->pass = -1;
    while (at < batch->count && sent >= batch->parts[at].iov_len) {
        sent -= batch->parts[at].iov_len;
        if (batch->owners[at])
            worker.engine->release(batch->owners[at]);
        batch->owners[at] = NULL;
        at++;
    }
    if (at < batch->count) {
        batch->parts[at].iov_base = (char *)batch->parts[at].iov_base + sent;
        batch->parts[at].iov_len -= sent;
    }
    return at;
}

/* Returns 1 when the request that sends is over its time. With the lock. */
static int is_abandoned(const connection_t *connection)
{
    return connection->current &&
           atomic_load(&connection->abandon) == connection->current;
}

/* Returns how many bytes in the socket the reader has not taken. */
static int unread_count(const connection_t *connection)
{
    int unread = 0;

    ioctl(connection->fd, TIOCOUTQ, &unread);
    return unread;
}

/* Waits a while for room. Returns 1 when there is some: poll() says so only
 * when three quarters of the socket are free. */
static int room_wait(const connection_t *connection)
{
    struct pollfd wait = {connection->fd, POLLOUT, 0};
    int unread = unread_count(connection), has_room;

    parking_leave();
    has_room = poll(&wait, 1, STALL_MS) > 0;
    parking_return();
    return has_room || unread - unread_count(connection) >= PACE_BYTES;
}

/* Sends while the reader keeps up. Returns the first part that is left. */
static int batch_send(connection_t *connection, batch_t *batch, int at,
                      int patient)
{
    while (at < batch->count && !connection->broken) {
        ssize_t sent = parts_send(connection, batch, at);

        if (sent >= 0)
            at = batch_advance(batch, at, (size_t)sent);
        else if (errno != EAGAIN)
            output_break(connection);
        else if (is_abandoned(connection) || !patient || !room_wait(connection))
            break;
    }
    return at;
}

/* Waits for the reader, since nothing more can be kept. */
static void pump_wait(connection_t *connection)
{
    if (is_abandoned(connection)) {
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0101: a client has not read its answer until"
                       " limits.request_timeout: the answer is cut");
        atomic_fetch_add(&worker.board->timeouts, 1);
        connection->cut = connection->current;
        connection->cut_us = weave_clock_us();
        output_break(connection);
    }
    else if (room_wait(connection) || !connection->first)
        output_pump(connection);
}

static void batch_keep(connection_t *connection, batch_t *batch, int at,
                       int patient)
{
    while (at < batch->count && !connection->broken) {
        if (part_keep(connection, &batch->parts[at], batch->owners[at],
                      batch->pass) == 0) {
            batch->owners[at] = NULL;
            batch->pass = -1;
            at++;
        }
        else if (!patient) {
            output_break(connection); /* half a frame may be out */
        }
        else {
            pump_wait(connection);
            if (!connection->first)
                at = batch_send(connection, batch, at, 1);
        }
    }
}

weave_io_e output_send_locked(connection_t *connection, batch_t *batch,
                              int patient)
{
    int at = 0, i;

    if (connection->first)
        output_pump(connection);
    if (!connection->first)
        at = batch_send(connection, batch, 0, patient);
    if (at < batch->count && !connection->broken)
        batch_keep(connection, batch, at, patient);
    for (i = at; i < batch->count; i++)
        if (batch->owners[i])
            worker.engine->release(batch->owners[i]);
    if (connection->first && !connection->broken)
        events_arm(connection);
    return connection->broken ? WEAVE_IO_GONE : WEAVE_IO_OK;
}

weave_io_e output_frame_locked(connection_t *connection,
                               weave_frame_type_e type, uint32_t number,
                               const void *payload, size_t bytes, int patient)
{
    weave_frame_t frame = weave_frame_make(type, 0, bytes, number);
    batch_t batch;

    batch.count = bytes ? 2 : 1;
    batch.pass = -1;
    batch.owners[0] = batch.owners[1] = NULL;
    batch.parts[0] = (struct iovec){&frame, sizeof(frame)};
    batch.parts[1] = (struct iovec){(void *)payload, bytes};
    return output_send_locked(connection, &batch, patient);
}

weave_io_e output_reply(connection_t *connection, weave_frame_type_e type,
                        uint32_t number)
{
    weave_io_e io;

    pthread_mutex_lock(&connection->lock);
    io = output_frame_locked(connection, type, number, NULL, 0, 0);
    if (connection->first) {
        output_break(connection);
        io = WEAVE_IO_GONE;
    }
    pthread_mutex_unlock(&connection->lock);
    return io;
}
