/* SPDX-License-Identifier: Apache-2.0 */
/* channel.c: a control channel, for which the event loop waits */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_MAX (2 * (size_t)WEAVE_CONTROL_LINE_MAX)
#define MESSAGES_A_TURN 16

struct super_line_t {
    super_line_t *next;
    char *text; /* with its newline, without a NUL */
    size_t len, sent;
};

/* The channel whose messages are handed out. NULL once the receiver of a
 * message has closed it; it may be freed then. */
static super_channel_t *reading;

static void line_free(super_line_t *line)
{
    free(line->text);
    free(line);
}

static void lines_drop(super_channel_t *channel)
{
    while (channel->lines) {
        super_line_t *line = channel->lines;

        channel->lines = line->next;
        line_free(line);
    }
    channel->kept = 0;
}

static void channel_events(void *data, uint32_t events);

static apr_status_t watch_update(super_channel_t *channel)
{
    return super_watch_set(&channel->watch, channel->control.fd,
                           EPOLLIN | (channel->lines ? EPOLLOUT : 0),
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
    lines_drop(channel);
    weave_control_close(&channel->control);
}

static void channel_fail(super_channel_t *channel, const char *why)
{
    super_channel_close(channel);
    channel->on_closed(channel->data, why);
}

/* ---- writing ---- */

/* APR_EAGAIN: the rest must wait. */
static apr_status_t line_send(super_channel_t *channel, super_line_t *line)
{
    while (line->sent < line->len) {
        long put = weave_fd_send(channel->control.fd, line->text + line->sent,
                                 line->len - line->sent, -1, MSG_DONTWAIT);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        line->sent += (size_t)put;
        channel->kept -= (size_t)put;
    }
    return APR_SUCCESS;
}

static apr_status_t lines_send(super_channel_t *channel)
{
    while (channel->lines) {
        super_line_t *line = channel->lines;
        apr_status_t rv = line_send(channel, line);

        if (rv != APR_SUCCESS)
            return rv;
        channel->lines = line->next;
        line_free(line);
    }
    return APR_SUCCESS;
}

static super_line_t *line_make(const json_t *message)
{
    super_line_t *line = calloc(1, sizeof(*line));

    if (!line)
        return NULL;
    line->text = json_dumps(message, JSON_COMPACT);
    if (!line->text) {
        free(line);
        return NULL;
    }
    line->len = strlen(line->text);
    line->text[line->len++] = '\n'; /* instead of its NUL */
    return line;
}

apr_status_t super_channel_send(super_channel_t *channel, const json_t *message)
{
    super_line_t *line, **last = &channel->lines;
    apr_status_t rv;

    if (channel->closed)
        return APR_SUCCESS;
    line = line_make(message);
    if (!line)
        return APR_ENOMEM;
    if (channel->kept + line->len > KEPT_MAX) {
        line_free(line);
        return APR_ENOSPC;
    }
    while (*last)
        last = &(*last)->next;
    *last = line;
    channel->kept += line->len;
    rv = lines_send(channel);
    if (APR_STATUS_IS_EAGAIN(rv))
        return watch_update(channel);
    lines_drop(channel); /* none, or the reading side finds the error */
    return APR_SUCCESS;
}

apr_status_t super_channel_send_op(super_channel_t *channel, const char *op)
{
    json_t *message = json_pack("{s:s}", "op", op);
    apr_status_t rv = super_channel_send(channel, message);

    json_decref(message);
    return rv;
}

/* ---- reading ---- */

static void channel_read_again(void *data)
{
    super_channel_read(data);
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
        channel->on_message(channel->data, message, &pass);
    json_decref(message);
    if (pass >= 0)
        close(pass);
    if (reading != channel)
        return 0;
    channel->taken++;
    return 1;
}

/* epoll does not report whole lines that are in memory already: a timer takes
 * them in the next turn, after all other channels. */
static void messages_read(super_channel_t *channel)
{
    int count = 0;

    reading = channel;
    while (count < MESSAGES_A_TURN && message_take(channel))
        count++;
    if (count == MESSAGES_A_TURN && weave_control_has_line(&channel->control))
        super_timer_set(&channel->again, 0, channel_read_again, channel);
}

void super_channel_read(super_channel_t *channel)
{
    if (!channel->closed)
        messages_read(channel);
}

static void channel_events(void *data, uint32_t events)
{
    super_channel_t *channel = data;

    if (events & EPOLLOUT) {
        apr_status_t rv = lines_send(channel);

        if (!APR_STATUS_IS_EAGAIN(rv)) {
            lines_drop(channel); /* none, or the other end is gone */
            watch_update(channel);
        }
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        messages_read(channel);
}
