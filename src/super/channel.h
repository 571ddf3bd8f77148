/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h: a control channel in the event loop
 *
 * weave_control.h without waiting: what the other end does not take now is
 * kept for it, up to a bound. */
#ifndef SUPER_CHANNEL_H
#define SUPER_CHANNEL_H

#include <jansson.h>

#include "loop.h"
#include "weave_control.h"

/* Takes a message, which is borrowed. *pass is the descriptor that came with it
 * (-1: none). It is closed afterwards, unless the function keeps it and sets
 * *pass to -1. */
typedef void super_message_fn(void *data, json_t *message, int *pass);
/* Learns that the channel has been closed: WHY is NULL at its end, otherwise
 * what the other side has done wrong. Called once. */
typedef void super_closed_fn(void *data, const char *why);

typedef struct super_line_t super_line_t;

/* Bounds of what the other end may send. */
typedef struct super_bounds_t {
    size_t line_bytes; /* of the longest line */
    long messages;     /* in all; 0: without a bound */
    weave_pass_e passes;
} super_bounds_t;

typedef struct super_channel_t {
    weave_control_t control;
    super_watch_t watch;
    super_timer_t again; /* running: messages are left for the next turn */
    super_bounds_t bounds;
    long taken;          /* messages so far */
    super_line_t *lines; /* not yet sent */
    size_t kept;         /* bytes in them */
    int closed;          /* 1: nothing is called any more */
    super_message_fn *on_message;
    super_closed_fn *on_closed;
    void *data;
} super_channel_t;

/* Opens a channel on FD, which is the channel's from now on, in any case. It is
 * closed when the other end sends more than BOUNDS allow. */
apr_status_t super_channel_open(super_channel_t *channel, int fd,
                                super_bounds_t bounds,
                                super_message_fn *on_message,
                                super_closed_fn *on_closed, void *data);

/* Sends MESSAGE. A closed channel drops it. Returns APR_ENOSPC where the other
 * end takes nothing. */
apr_status_t super_channel_send(super_channel_t *channel,
                                const json_t *message);
/* Sends {"op":OP}. */
apr_status_t super_channel_send_op(super_channel_t *channel, const char *op);

/* Reads what has arrived, at most as much as in one turn. Call it before the
 * end of the other process is judged. */
void super_channel_read(super_channel_t *channel);

/* Closes the channel without calling on_closed. May be called twice. */
void super_channel_close(super_channel_t *channel);

#endif
