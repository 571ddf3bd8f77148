/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c: requests that wait for an executor
 *
 * A thread that holds the lock takes no other one; it changes only the state of
 * a connection. */
#include "connection.h"

#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    connection_t *first, *last;
    _Atomic uint32_t count;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

void queue_executor_wake(void)
{
    static const uint64_t one = 1;

    if (write(worker.wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: one wakes */
}

uint32_t queue_count(void)
{
    return atomic_load(&queue.count);
}

static void count_change(int change)
{
    uint32_t now = atomic_load(&queue.count) + (uint32_t)change;

    atomic_store(&queue.count, now);
    atomic_store(&worker.board->queued, now);
}

int queue_push(connection_t *connection)
{
    int state = CONNECTION_BUSY, rc = 0;

    pthread_mutex_lock(&queue.lock);
    if (queue.count >=
        (uint32_t)weave_spec_int(worker.spec, WEAVE_LIMITS_QUEUE_LENGTH)) {
        rc = -1;
    }
    else if (!atomic_compare_exchange_strong(&connection->state, &state,
                                             CONNECTION_QUEUED)) {
        atomic_store(&connection->state, CONNECTION_BUSY);
        rc = 1;
    }
    else {
        connection->next_queued = NULL;
        if (queue.last)
            queue.last->next_queued = connection;
        else
            queue.first = connection;
        queue.last = connection;
        count_change(1);
    }
    pthread_mutex_unlock(&queue.lock);
    return rc;
}

/* Takes out CONNECTION, which follows BEFORE (NULL: it is the first). With the
 * lock. */
static void queue_unlink(connection_t *before, connection_t *connection)
{
    if (before)
        before->next_queued = connection->next_queued;
    else
        queue.first = connection->next_queued;
    if (queue.last == connection)
        queue.last = before;
    atomic_store(&connection->state, CONNECTION_BUSY);
    count_change(-1);
}

connection_t *queue_pop(void)
{
    connection_t *connection;

    if (!atomic_load_explicit(&queue.count, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&queue.lock);
    connection = queue.first;
    if (connection)
        queue_unlink(NULL, connection);
    pthread_mutex_unlock(&queue.lock);
    return connection;
}

int queue_take(connection_t *connection, int only_unwanted)
{
    connection_t *before = NULL, *at;

    pthread_mutex_lock(&queue.lock);
    for (at = queue.first; at && at != connection; at = at->next_queued)
        before = at;
    if (at && only_unwanted && input_is_waiting(at))
        at = NULL;
    if (at)
        queue_unlink(before, at);
    pthread_mutex_unlock(&queue.lock);
    return at != NULL;
}
