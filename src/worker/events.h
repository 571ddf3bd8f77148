/* SPDX-License-Identifier: Apache-2.0 */
/* events.h: what the control thread waits for */
#ifndef EVENTS_H
#define EVENTS_H

#include <sys/epoll.h>

#include "connection.h"

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

/* Closes the descriptors here, in a process that the application has forked. */
void events_fork_close(void);

#endif
