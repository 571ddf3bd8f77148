/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h: requests that wait for an executor. Any thread. */
#ifndef QUEUE_H
#define QUEUE_H

#include "connection.h"

/* The event of worker.wake_fd in the executors' epoll set. */
#define QUEUE_WAKE UINT64_MAX

/* Appends a connection that has a whole REQUEST in its input. Returns 0 when
 * the queue owns it; 1 when there was another event: the caller looks again;
 * -1 when the queue is full. */
int queue_push(connection_t *connection);
/* Returns the first one, owned by the caller; NULL when there is none, which
 * costs one load. */
connection_t *queue_pop(void);
/* Takes CONNECTION out. Returns 1 when the caller owns it now. */
int queue_take(connection_t *connection);
/* Takes CONNECTION, which has an event, out where its request is not wanted any
 * more. Returns 1 then: the caller owns it and reads from it. */
int queue_check(connection_t *connection);
uint32_t queue_count(void);
/* Wakes at most one executor that waits for an event; there need be none. */
void queue_executor_wake(void);

#endif
