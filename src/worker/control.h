/* SPDX-License-Identifier: Apache-2.0 */
/* control.h: the control thread (control.c), and the work that it calls */
#ifndef CONTROL_H
#define CONTROL_H

#include "connection.h"
#include "weave_control.h"

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
/* Closes connections that say nothing. Returns when to call it again. */
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
/* Watches workers.max_rss. Returns when to call it again. */
int64_t rss_tick(int64_t now_us);

/* stacks.c */
/* Writes the stacks of all threads into the log. */
void stacks_show(void);

#endif
