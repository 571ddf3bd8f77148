/* SPDX-License-Identifier: Apache-2.0 */
/* intake.c: the control thread reads while all executors are busy
 *
 * It finds what waits in their epoll set. So a request that is called back, or
 * for which the queue is full, is answered in time. */
#include "control.h"
#include "executor.h"

#include <sys/epoll.h>

#define EVENTS 64
#define FRAMES_MOST 4 /* of one connection at a time */

int intake_answer(connection_t *connection, const weave_frame_t *frame,
                  weave_frame_type_e type)
{
    uint32_t number = frame->number;

    input_skip(connection, frame);
    PROCESS_DEBUG("request %u of connection %u is %s", number, connection->slot,
                  type == WEAVE_FRAME_REFUSED ? "refused: the queue is full"
                                              : "called back");
    if (type == WEAVE_FRAME_REFUSED)
        atomic_fetch_add(&worker.board->refused, 1);
    return output_reply(connection, type, number) == WEAVE_IO_OK ? 0 : -1;
}

/* Puts a request into the queue. Returns 1 when the queue owns the connection,
 * 0 to go on with it, -1 to close it, and -2 to log and close it. */
static int request_enqueue(connection_t *connection, const weave_frame_t *frame)
{
    if (connection->hung_up)
        return -1;
    switch (input_behind(connection, frame)) {
    case INPUT_CANCELLED:
        return intake_answer(connection, frame, WEAVE_FRAME_CANCELLED);
    case INPUT_EXCESS:
        return -2;
    default:
        break;
    }
    switch (queue_push(connection)) {
    case 0:
        parking_wake();
        return 1;
    case 1: /* it may have been called back */
        input_receive(connection);
        return 0;
    default:
        return intake_answer(connection, frame, WEAVE_FRAME_REFUSED);
    }
}

/* Takes the frames that are there. Returns 1 when the caller does not own the
 * connection any more. All others wait meanwhile, so a client that sends on and
 * on is closed: httpd has a request of its own elsewhere then. */
static int frames_take(connection_t *connection)
{
    const char *payload;
    weave_frame_t frame;
    int rc = 0, frames;

    for (frames = 0; rc == 0; frames++) {
        if (frames == FRAMES_MOST) {
            rc = -2;
            break;
        }
        switch (input_next(connection, &frame, &payload)) {
        case INPUT_FRAME:
            if (frame.type == WEAVE_FRAME_REQUEST)
                rc = request_enqueue(connection, &frame);
            else if (frame.type == WEAVE_FRAME_CANCEL)
                input_skip(connection, &frame);
            else
                rc = -2;
            break;
        case INPUT_NOTHING:
            input_keep(connection);
            return 0;
        default:
            rc = -1;
        }
    }
    if (rc == -2)
        connection_refuse(connection);
    else if (rc < 0)
        connection_close(connection, "the client has closed it, or left");
    return 1;
}

void intake_read(connection_t *connection)
{
    do {
        input_begin(connection, NULL, 0);
        if (frames_take(connection))
            return;
    } while (!connection_release(connection));
}

static void event_read(const struct epoll_event *event)
{
    connection_t *connection = connection_at((uint32_t)event->data.u64);

    if (atomic_load(&connection->state) == CONNECTION_QUEUED) {
        if (!queue_take(connection, 1))
            return;
    }
    else if (!connection_claim(connection)) {
        return;
    }
    if ((event->events & EPOLLHUP) &&
        atomic_load(&connection->epoch) == event->data.u64 >> 32)
        connection->hung_up = 1;
    intake_read(connection);
}

void intake_poll(void)
{
    struct epoll_event events[EVENTS];
    int got, i, woken = 0;

    do {
        got = epoll_wait(worker.epoll_fd, events, EVENTS, 0);
        for (i = 0; i < got; i++)
            if (events[i].data.u64 == QUEUE_WAKE)
                woken = 1;
            else
                event_read(&events[i]);
    } while (got == EVENTS);
    /* that event was for an executor, which may sleep beside a full queue */
    if (woken)
        parking_wake();
}

void intake_drain(void)
{
    uint32_t slots = connection_slots(), i;
    int idle;

    for (i = 0; i < slots; i++) {
        connection_t *connection = connection_at(i);

        idle = CONNECTION_IDLE;
        if (!atomic_compare_exchange_strong(&connection->state, &idle,
                                            CONNECTION_BUSY))
            continue;
        connection_shut(connection);
        intake_read(connection);
    }
}
