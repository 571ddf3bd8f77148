/* SPDX-License-Identifier: Apache-2.0 */
/* control.h: the control thread: its events, its channel to weaved, and the
 * work that it does */
#ifndef CONTROL_H
#define CONTROL_H

#include <jansson.h>
#include <sys/epoll.h>

#include "connection.h"
#include "weave_control.h"
#include "weave_report.h"

/* events.c: what the thread waits for */
typedef enum event_e {
    EVENT_LISTEN,
    EVENT_CHANNEL,
    EVENT_LIFELINE,
    EVENT_WAKE,
    EVENT_PENDING, /* of a pending_t (handshake.c) */
    EVENT_PUMP     /* of a connection that can be written */
} event_e;

/* Makes the set, with EVENT_WAKE in it. Returns 0 or an errno. */
int events_open(void);
/* Watches FD for input. Returns 0, or -1 and errno. The control thread, or
 * before it runs. */
int events_watch(int fd, event_e kind, const void *pointer);
void events_unwatch(int fd);
/* Waits TIMEOUT_MS at most (-1: for ever). Returns the number of events. */
int events_wait(struct epoll_event *events, int most, int timeout_ms);
event_e event_kind(const struct epoll_event *event);
void *event_pointer(const struct epoll_event *event);

/* Raises EVENT_WAKE. Any thread; async-signal-safe. */
void events_wake(void);
void events_wake_clear(void);
/* Raises one EVENT_PUMP when CONNECTION can be written. With its lock. */
void events_arm(connection_t *connection);
void events_disarm(connection_t *connection);

/* channel.c: messages between this worker and weaved */
/* Takes CONTROL, with what has arrived in it. Before there are threads. */
void channel_open(const weave_control_t *control);
/* Returns the next message that is here, or NULL. The caller owns it. The
 * control thread. */
json_t *channel_receive(void);
/* Makes FD the channel, of a new weaved (-1: none), and tells it again what it
 * must know. The control thread. */
void channel_replace(int fd);

/* Sends weave_report_make(KIND, TEXT), and with it the descriptor PASS (-1:
 * none). Any thread, as what follows. */
void channel_report(weave_report_e kind, const char *text, int pass);
/* Asks for a successor of this worker. KIND and WHY are sent once, and none
 * after WEAVE_REPORT_STUCK: weaved counts reports. WHY is not copied. */
void channel_successor_ask(weave_report_e kind, const char *why);

/* Closes it in a process that the application has forked. */
void channel_fork_close(void);

/* control.c */
/* Starts the thread. It takes CONTROL_CHANNEL with what has arrived in it.
 * Returns 0 or an errno. */
int control_start(const weave_control_t *control_channel);
/* Has this worker drain, then end. Any thread; async-signal-safe. */
void control_drain_request(void);

/* intake.c: reads in place of the executors while all are busy */
/* Reads what CONNECTION, which the caller owns, has, without running it:
 * requests go to the queue. */
void intake_read(connection_t *connection);
/* Answers the request FRAME with a frame of TYPE, CANCELLED or REFUSED, and
 * takes it away. Returns 0, or -1 when the client does not read. */
int intake_answer(connection_t *connection, const weave_frame_t *frame,
                  weave_frame_type_e type);
/* Takes what waits in the executors' epoll set. */
void intake_poll(void);
/* Shuts down all idle connections. */
void intake_drain(void);

/* handshake.c: accept() and HELLO */
void handshake_start(void);
/* Accepts some of the connections that wait. */
void handshake_accept(void);
/* Handles EVENT_PENDING. */
void handshake_event(void *data);
/* Closes connections that say nothing, and the oldest of too many. Never called
 * while events are handled, which may belong to them. Returns when to call it
 * again. */
int64_t handshake_tick(int64_t now_us);
/* Accepts the last ones, and closes the listening socket. */
void handshake_stop(void);
int handshake_is_done(void); /* 1: none is under way */
/* Closes the descriptors there, in a process that the application has forked.
 */
void handshake_fork_close(void);

/* timeout.c */
/* Ends requests that are over their time. Returns when to call it again. */
int64_t timeout_tick(int64_t now_us);
/* Watches workers.max_rss, and gives back memory that an idle worker keeps.
 * Returns when to call it again. */
int64_t memory_tick(int64_t now_us);

/* parking.c */
/* Wakes an executor where all stand still. Returns when to call it again. */
int64_t parking_tick(int64_t now_us);
/* Has executors wake each other: this thread is about to wait. */
void parking_watch_end(void);
/* Says whether an executor is parked: it can be woken. */
int parking_has_parked(void);

/* stacks.c */
/* Returns a descriptor for faulthandler. What it writes there in a crash goes
 * into the log. Called once, after Python has started. */
int stacks_open(void);
/* Makes that descriptor standard error, in a process that the application has
 * forked. */
void stacks_fork(void);
/* Writes the stacks of all threads into the log. */
void stacks_show(void);

#endif
