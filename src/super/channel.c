/* SPDX-License-Identifier: Apache-2.0 */
/* channel.c: a control channel, for which the event loop waits */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_MAX (2 * (size_t)WEAVE_CONTROL_LINE_MAX)
#define MESSAGES_A_TURN 16

/* The channel whose messages are handed out. NULL once the receiver of a
 * message has closed it; it may be freed then. */
static super_channel_t *reading;

static void out_drop(super_channel_t *channel)
{
    free(channel->out);
    channel->out = NULL;
    channel->out_len = channel->out_sent = 0;
}

static void channel_events(void *data, uint32_t events);

static apr_status_t watch_update(super_channel_t *channel)
{
    return super_watch_set(&channel->watch, channel->control.fd,
                           EPOLLIN | (channel->out ? EPOLLOUT : 0),
                           channel_events, channel);
}

apr_status_t super_channel_open(super_channel_t *channel, int fd,
                                super_bounds_t bounds,
                                super_message_fn *on_message,
                                super_closed_fn *on_closed, void *data)
{
    apr_status_t rv;

    *channel = (super_channel_t){.control = {.fd = fd,
                                             .line_max = bounds.line_bytes,
                                             .passes = bounds.passes},
                                 .bounds = bounds,
                                 .on_message = on_message,
                                 .on_closed = on_closed,
                                 .data = data};
    rv = watch_update(channel);
    if (rv != APR_SUCCESS)
        super_channel_close(channel);
    return rv;
}

void super_channel_close(super_channel_t *channel)
{
    if (channel->closed)
        return;
    channel->closed = 1;
    if (reading == channel)
        reading = NULL;
    super_watch_cancel(&channel->watch);
    super_timer_cancel(&channel->again);
    out_drop(channel);
    weave_control_close(&channel->control);
}

static void channel_fail(super_channel_t *channel, const char *why)
{
    super_channel_close(channel);
    channel->on_closed(channel->data, why);
}

/* Sends what is left. Returns APR_EAGAIN when the rest must wait. Another error
 * drops it: the reading side finds that, too. */
static apr_status_t out_send(super_channel_t *channel)
{
    while (channel->out_sent < channel->out_len) {
        long put = weave_fd_send(
            channel->control.fd, channel->out + channel->out_sent,
            channel->out_len - channel->out_sent, -1, MSG_DONTWAIT);

        if (put < 0 && APR_STATUS_IS_EAGAIN(errno))
            return APR_EAGAIN;
        if (put < 0 && errno != EINTR)
            break;
        channel->out_sent += put > 0 ? (size_t)put : 0;
    }
    out_drop(channel);
    return APR_SUCCESS;
}

/* Appends LEN bytes of TEXT and a newline to what is left to be sent. */
static apr_status_t out_append(super_channel_t *channel, const char *text,
                               size_t len)
{
    size_t left = channel->out_len - channel->out_sent;
    char *out;

    if (left + len + 1 > KEPT_MAX)
        return APR_ENOSPC;
    out = malloc(left + len + 1);
    if (!out)
        return APR_ENOMEM;
    if (left)
        memcpy(out, channel->out + channel->out_sent, left);
    memcpy(out + left, text, len);
    out[left + len] = '\n';
    out_drop(channel);
    channel->out = out;
    channel->out_len = left + len + 1;
    return APR_SUCCESS;
}

apr_status_t super_channel_send(super_channel_t *channel, const json_t *message)
{
    apr_status_t rv;
    char *text;

    if (channel->closed)
        return APR_SUCCESS;
    text = json_dumps(message, JSON_COMPACT);
    rv = text ? out_append(channel, text, strlen(text)) : APR_ENOMEM;
    free(text);
    return rv == APR_SUCCESS && APR_STATUS_IS_EAGAIN(out_send(channel))
               ? watch_update(channel)
               : rv;
}

apr_status_t super_channel_send_op(super_channel_t *channel, const char *op)
{
    json_t *message = json_pack("{s:s}", "op", op);
    apr_status_t rv = super_channel_send(channel, message);

    json_decref(message);
    return rv;
}

/* Takes one message. Returns 1 where there may be another one. */
static int message_take(super_channel_t *channel)
{
    json_t *message = NULL;
    int pass = -1;
    apr_status_t rv =
        weave_control_receive(&channel->control, &message, &pass, 0);

    if (rv == APR_EOF)
        channel_fail(channel, NULL);
    else if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv))
        channel_fail(channel, "has sent a line that is no control message");
    if (rv != APR_SUCCESS)
        return 0;
    if (channel->bounds.messages && channel->taken >= channel->bounds.messages)
        channel_fail(channel, "sends more control messages than it may");
    else
        channel->on_message(channel->data, message, pass);
    json_decref(message);
    if (pass >= 0)
        close(pass);
    if (reading != channel)
        return 0;
    channel->taken++;
    return 1;
}

static void channel_read_again(void *data)
{
    super_channel_read(data);
}

/* epoll does not report whole lines that are in memory already: a timer takes
 * them in the next turn, after all other channels. */
void super_channel_read(super_channel_t *channel)
{
    int count = 0;

    if (channel->closed)
        return;
    reading = channel;
    while (count < MESSAGES_A_TURN && message_take(channel))
        count++;
    if (count == MESSAGES_A_TURN && weave_control_has_line(&channel->control))
        super_timer_set(&channel->again, 0, channel_read_again, channel);
}

static void channel_events(void *data, uint32_t events)
{
    super_channel_t *channel = data;

    if ((events & EPOLLOUT) && !APR_STATUS_IS_EAGAIN(out_send(channel)))
        watch_update(channel);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        super_channel_read(channel);
}
