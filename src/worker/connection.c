/* SPDX-License-Identifier: Apache-2.0 */
/* connection.c: the slots of connections, and their owners
 *
 * Slots are never freed: an event may be on its way to an executor when its
 * connection closes. `epoch` tells the connection of that event from the next
 * one in the slot. */
#include "control.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_fd.h"

/* A client reads started[slot] after its connection has closed: so long the
 * slot stays unused. */
#define REST_US 1000000

static struct {
    pthread_mutex_t lock;
    connection_t *slots[WEAVE_BOARD_SLOTS];
    _Atomic uint32_t used; /* slots that were ever taken */
    /* those that are free again, the one that is longest free first */
    uint32_t free[WEAVE_BOARD_SLOTS];
    uint32_t free_first, free_count;
    int64_t freed_us[WEAVE_BOARD_SLOTS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

connection_t *connection_at(uint32_t slot)
{
    return table.slots[slot];
}

uint32_t connection_slots(void)
{
    return atomic_load(&table.used);
}

static connection_t *slot_create(void)
{
    uint32_t slot = atomic_load(&table.used);
    connection_t *made = calloc(1, sizeof(*made));

    if (!made)
        return NULL;
    made->slot = slot;
    made->fd = made->spool_fd = made->in.passed = -1;
    pthread_mutex_init(&made->lock, NULL);
    table.slots[slot] = made;
    atomic_store(&table.used, slot + 1);
    return made;
}

static connection_t *slot_acquire(void)
{
    connection_t *found = NULL;
    uint32_t slot;

    pthread_mutex_lock(&table.lock);
    slot = table.free[table.free_first];
    if (table.used < WEAVE_BOARD_SLOTS &&
        (!table.free_count ||
         table.freed_us[slot] + REST_US > weave_clock_us())) {
        found = slot_create();
    }
    else if (table.free_count) {
        found = table.slots[slot];
        table.free_first = (table.free_first + 1) % WEAVE_BOARD_SLOTS;
        table.free_count--;
    }
    pthread_mutex_unlock(&table.lock);
    return found;
}

static void slot_release(connection_t *connection)
{
    uint32_t at;

    pthread_mutex_lock(&table.lock);
    at = (table.free_first + table.free_count++) % WEAVE_BOARD_SLOTS;
    table.free[at] = connection->slot;
    table.freed_us[connection->slot] = weave_clock_us();
    pthread_mutex_unlock(&table.lock);
}

connection_t *connection_open(int fd)
{
    connection_t *connection = slot_acquire();

    if (!connection)
        return NULL;
    atomic_store(&worker.board->started[connection->slot], 0);
    atomic_fetch_add(&worker.board->connections, 1);
    connection->fd = fd;
    weave_socket_room_set(fd, OUTPUT_BYTES);
    connection->shut = connection->hung_up = 0;
    connection->broken = connection->pumped = connection->armed = 0;
    connection->current = connection->cut = 0;
    connection->in = (input_t){.passed = -1};
    atomic_store(&connection->abandon, 0);
    atomic_fetch_add(&connection->epoch, 1);
    atomic_store(&connection->state, CONNECTION_BUSY);
    return connection;
}

void connection_close(connection_t *connection, const char *why)
{
    int fd = connection->fd;

    PROCESS_DEBUG("connection %u is closed: %s", connection->slot, why);
    pthread_mutex_lock(&connection->lock);
    output_break(connection);
    connection->current = 0;
    if (connection->armed)
        events_disarm(connection);
    /* a forked process of the application may have it open, too */
    epoll_ctl(worker.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    connection->fd = -1;
    pthread_mutex_unlock(&connection->lock);
    close(fd);
    input_drop(connection);
    atomic_store(&connection->state, CONNECTION_FREE);
    slot_release(connection);
    if (atomic_fetch_sub(&worker.board->connections, 1) == 1 &&
        atomic_load(&worker.draining))
        events_wake();
}

void connection_refuse(connection_t *connection)
{
    weave_line_say(WEAVE_LOG_ERROR,
                   "WEAVE0095: a client broke the rules of the wire: its"
                   " connection is closed");
    connection_close(connection, "the client broke the rules");
}

int connection_claim(connection_t *connection)
{
    int state = atomic_load(&connection->state);

    for (;;)
        switch (state) {
        case CONNECTION_IDLE:
            if (atomic_compare_exchange_weak(&connection->state, &state,
                                             CONNECTION_BUSY))
                return 1;
            break;
        case CONNECTION_BUSY:
            if (atomic_compare_exchange_weak(&connection->state, &state,
                                             CONNECTION_AGAIN))
                return 0;
            break;
        case CONNECTION_QUEUED:
            if (queue_take(connection, 0))
                return 1;
            state = atomic_load(&connection->state);
            break;
        default:
            return 0;
        }
}

int connection_release(connection_t *connection)
{
    int state = CONNECTION_BUSY;

    if (atomic_compare_exchange_strong(&connection->state, &state,
                                       CONNECTION_IDLE))
        return 1;
    atomic_store(&connection->state, CONNECTION_BUSY);
    return 0;
}

/* Requests that the client has sent before are still served, and its next one
 * fails to be sent: neither side can be in doubt about any. */
void connection_shut(connection_t *connection)
{
    if (connection->shut)
        return;
    connection->shut = 1;
    connection->in.drained = 0;
    shutdown(connection->fd, SHUT_RD);
}
