/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h: the one event loop of weaved, and control channels in it
 *
 * Everything runs on one thread, from here. A watch and a timer are parts of
 * what they belong to; a zeroed one is idle, and an idle one may be freed. Any
 * function that is called from here may cancel, free or start any other. */
#ifndef SUPER_LOOP_H
#define SUPER_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include <apr_errno.h>
#include <jansson.h>

#include "weave_control.h"

#define SUPER_SECOND INT64_C(1000000) /* all times here are in microseconds */

/* EVENTS are EPOLLIN, EPOLLOUT and what epoll adds. */
typedef void super_watch_fn(void *data, uint32_t events);

typedef struct super_watch_t {
    int set; /* 1: `fd`, which stays the owner's, is watched */
    int fd;
    super_watch_fn *fn;
    void *data;
} super_watch_t;

typedef void super_timer_fn(void *data);

typedef struct super_timer_t {
    struct super_timer_t *next, **link; /* link NULL: idle */
    int64_t due_us;                     /* weave_clock_us() */
    super_timer_fn *fn;
    void *data;
} super_timer_t;

apr_status_t super_loop_init(void);
/* Runs until super_loop_end() is called. */
void super_loop_run(void);
void super_loop_end(void);

/* Watches FD for EVENTS, or changes the events of the one it watches. */
apr_status_t super_watch_set(super_watch_t *watch, int fd, uint32_t events,
                             super_watch_fn *fn, void *data);
/* Ends that. Call it before the descriptor is closed. */
void super_watch_cancel(super_watch_t *watch);

/* Calls FN once, after DELAY_US. A timer that is set already is set again. */
void super_timer_set(super_timer_t *timer, int64_t delay_us, super_timer_fn *fn,
                     void *data);
void super_timer_cancel(super_timer_t *timer);

/* channel.c: weave_control.h without waiting */

/* Takes a message and the descriptor that came with it (-1: none). Both are
 * borrowed. */
typedef void super_message_fn(void *data, json_t *message, int pass);
/* Learns that the channel has been closed: WHY is NULL at its end, otherwise
 * what the other side has done wrong. Called once. */
typedef void super_closed_fn(void *data, const char *why);

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
    long taken; /* messages so far */
    char *out;  /* malloc: lines that are not sent yet; NULL: none */
    size_t out_len, out_sent;
    int closed; /* 1: nothing is called any more */
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
