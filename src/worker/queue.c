/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c: requests that wait for an executor
 *
 * The lock comes before nothing else but the state of a connection. */
#include "worker.h"

static struct {
    pthread_mutex_t lock;
    connection_t *first, *last;
    _Atomic uint32_t count;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint32_t queue_count(void)
{
    return atomic_load(&queue.count);
}

static void counted(int change)
{
    uint32_t now = atomic_load(&queue.count) + (uint32_t)change;

    atomic_store(&queue.count, now);
    atomic_store(&worker.board->queued, now);
}

int queue_push(connection_t *connection)
{
    int state = CONNECTION_BUSY, rc = 0;

    pthread_mutex_lock(&queue.lock);
    if (queue.count >= (uint32_t)worker.spec->queue_length) {
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
        counted(1);
    }
    pthread_mutex_unlock(&queue.lock);
    if (rc == 0 && atomic_load(&worker.idle) > 0)
        executors_kick();
    return rc;
}

/* With the lock: the one behind BEFORE (NULL: the first). */
static void unlink_behind(connection_t *before, connection_t *connection)
{
    if (before)
        before->next_queued = connection->next_queued;
    else
        queue.first = connection->next_queued;
    if (queue.last == connection)
        queue.last = before;
    atomic_store(&connection->state, CONNECTION_BUSY);
    counted(-1);
}

connection_t *queue_pop(void)
{
    connection_t *connection;

    if (!atomic_load_explicit(&queue.count, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&queue.lock);
    connection = queue.first;
    if (connection)
        unlink_behind(NULL, connection);
    pthread_mutex_unlock(&queue.lock);
    return connection;
}

static int take_locked(connection_t *connection)
{
    connection_t *before = NULL, *at = queue.first;

    while (at && at != connection) {
        before = at;
        at = at->next_queued;
    }
    if (at)
        unlink_behind(before, at);
    return at != NULL;
}

int queue_take(connection_t *connection)
{
    int taken;

    pthread_mutex_lock(&queue.lock);
    taken = take_locked(connection);
    pthread_mutex_unlock(&queue.lock);
    return taken;
}

int queue_look(connection_t *connection)
{
    int taken = 0;

    pthread_mutex_lock(&queue.lock);
    if (atomic_load(&connection->state) == CONNECTION_QUEUED &&
        !input_is_waiting(connection))
        taken = take_locked(connection);
    pthread_mutex_unlock(&queue.lock);
    return taken;
}
