/* SPDX-License-Identifier: Apache-2.0 */
/* input.c: turns bytes of a socket into whole frames
 *
 * An ordinary request is read into the scratch buffer of its executor and never
 * copied. Half a frame is kept with its connection. */
#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_control.h"

#define KEPT_BYTES 4096 /* the smallest read from a socket */

void input_begin(connection_t *connection, char *scratch, int short_is_empty)
{
    input_t *in = &connection->in;

    in->drained = 0;
    in->short_is_empty = short_is_empty;
    if (in->data)
        return;
    in->at = in->len = 0;
    in->data = scratch;
    in->room = scratch ? INPUT_BYTES : 0;
    in->borrowed = scratch != NULL;
}

void input_drop(connection_t *connection)
{
    input_t *in = &connection->in;

    if (!in->borrowed)
        free(in->data);
    if (in->passed >= 0)
        close(in->passed);
    *in = (input_t){.passed = -1};
}

/* Makes room for SIZE bytes from `at` on. Returns 0, or -1 without memory. */
static int room_reserve(input_t *in, size_t size)
{
    size_t left = in->len - in->at;
    char *grown;

    if (!in->borrowed && in->at) {
        memmove(in->data, in->data + in->at, left);
        in->at = 0;
        in->len = left;
    }
    if (in->room - in->at >= size)
        return 0;
    if (in->borrowed) {
        grown = malloc(size);
        if (grown)
            memcpy(grown, in->data + in->at, left);
    }
    else {
        grown = realloc(in->data, size);
    }
    if (!grown)
        return -1;
    in->data = grown;
    in->room = size;
    in->at = 0;
    in->len = left;
    in->borrowed = 0;
    return 0;
}

void input_keep(connection_t *connection)
{
    input_t *in = &connection->in;
    size_t left = in->len - in->at;

    if (!left) {
        if (!in->borrowed)
            free(in->data);
        in->data = NULL;
        in->at = in->len = in->room = 0;
        in->borrowed = 0;
    }
    else if (in->borrowed) {
        char *copy = malloc(left + KEPT_BYTES);

        if (copy)
            memcpy(copy, in->data + in->at, left);
        else
            in->eof = 1; /* what is left is lost, and reading ends */
        in->data = copy;
        in->at = 0;
        in->len = copy ? left : 0;
        in->room = copy ? left + KEPT_BYTES : 0;
        in->borrowed = 0;
    }
}

int input_receive(connection_t *connection)
{
    input_t *in = &connection->in;
    size_t room;
    int pass;
    long got;

    if (in->eof || (in->len == in->room &&
                    room_reserve(in, in->len - in->at + KEPT_BYTES) < 0))
        return 0;
    room = in->room - in->len;
    do
        got = weave_fd_receive(connection->fd, in->data + in->len, room, &pass,
                               MSG_DONTWAIT, 0);
    while (got < 0 && errno == EINTR);
    if (pass >= 0) {
        if (in->passed >= 0)
            close(in->passed);
        in->passed = pass;
    }
    in->drained =
        got < 0 || (in->short_is_empty && (size_t)got < room && pass < 0);
    if (got > 0) {
        in->len += (size_t)got;
        return 1;
    }
    in->eof = got == 0 || errno != EAGAIN;
    if (in->eof && !connection->shut)
        connection->hung_up = 1;
    return 0;
}

void input_peer_check(connection_t *connection)
{
    struct pollfd peer = {connection->fd, 0, 0};

    if (poll(&peer, 1, 0) > 0 && (peer.revents & POLLHUP))
        connection->hung_up = 1;
}

void input_problem_log(weave_frame_status_e status)
{
    if (status == WEAVE_FRAME_OTHER_VERSION)
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0092: a client speaks another version of"
                       " mod_weave: its connection is closed; restart httpd");
    else
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0093: a client has sent bytes that are no frame"
                       " of mod_weave: its connection is closed");
}

static input_e frame_decode(connection_t *connection, weave_frame_t *frame,
                            const char **payload)
{
    input_t *in = &connection->in;
    size_t left = in->len - in->at;
    weave_frame_status_e status =
        weave_frame_decode(frame, in->data + in->at, left);

    if (status == WEAVE_FRAME_MORE)
        return INPUT_NOTHING;
    if (status != WEAVE_FRAME_OK) {
        input_problem_log(status);
        return INPUT_BAD;
    }
    if (left - sizeof(*frame) < frame->bytes) {
        /* the whole frame in one piece, and a CANCEL after it */
        size_t whole = 2 * sizeof(*frame) + frame->bytes;

        return room_reserve(in, whole) < 0 ? INPUT_BAD : INPUT_NOTHING;
    }
    *payload = in->data + in->at + sizeof(*frame);
    return INPUT_FRAME;
}

input_e input_next(connection_t *connection, weave_frame_t *frame,
                   const char **payload)
{
    input_t *in = &connection->in;
    input_e got;

    for (;;) {
        got = in->len > in->at ? frame_decode(connection, frame, payload)
                               : INPUT_NOTHING;
        if (got != INPUT_NOTHING)
            return got;
        if (in->eof)
            return INPUT_END;
        if (in->drained)
            return INPUT_NOTHING;
        if (!input_receive(connection) && !in->eof && !in->drained)
            return INPUT_BAD; /* no memory */
    }
}

void input_skip(connection_t *connection, const weave_frame_t *frame)
{
    connection->in.at += sizeof(*frame) + frame->bytes;
    if (connection->in.at == connection->in.len)
        connection->in.at = connection->in.len = 0;
}

input_behind_e input_behind(connection_t *connection,
                            const weave_frame_t *frame)
{
    const input_t *in = &connection->in;
    size_t at = in->at + sizeof(*frame) + frame->bytes;
    weave_frame_t next;

    switch (weave_frame_decode(&next, in->data + at, in->len - at)) {
    case WEAVE_FRAME_MORE:
        return INPUT_ALONE;
    case WEAVE_FRAME_OK:
        return next.type == WEAVE_FRAME_CANCEL && next.number == frame->number
                   ? INPUT_CANCELLED
                   : INPUT_EXCESS;
    default:
        return INPUT_EXCESS;
    }
}

int input_is_waiting(connection_t *connection)
{
    input_t *in = &connection->in;
    const char *payload;
    weave_frame_t frame;

    /* one read takes a whole CANCEL, and a byte more */
    if (input_next(connection, &frame, &payload) != INPUT_FRAME ||
        room_reserve(in, 3 * sizeof(frame) + frame.bytes) < 0)
        return 0;
    input_receive(connection);
    return !connection->hung_up &&
           input_behind(connection, &frame) == INPUT_ALONE;
}

int input_receive_exactly(connection_t *connection, char *to, size_t len)
{
    input_t *in = &connection->in;
    size_t here = in->len - in->at;
    struct pollfd wait = {connection->fd, POLLIN, 0};

    here = here < len ? here : len;
    memcpy(to, in->data + in->at, here);
    in->at += here;
    while (here < len) {
        ssize_t got = recv(connection->fd, to + here, len - here, MSG_DONTWAIT);

        if (got > 0)
            here += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return -1;
        else
            poll(&wait, 1, -1);
    }
    return 0;
}
