/* SPDX-License-Identifier: Apache-2.0 */
/* events.c: the epoll set of the control thread */
#include "control.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KIND_SHIFT 56

static uint64_t event_encode(event_e kind, const void *pointer)
{
    return (uint64_t)kind << KIND_SHIFT | (uintptr_t)pointer;
}

event_e event_kind(const struct epoll_event *event)
{
    return (event_e)(event->data.u64 >> KIND_SHIFT);
}

void *event_pointer(const struct epoll_event *event)
{
    return (void *)(uintptr_t)(event->data.u64 & ((1ULL << KIND_SHIFT) - 1));
}

int events_open(void)
{
    worker.events_fd = epoll_create1(EPOLL_CLOEXEC);
    worker.events_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker.events_fd < 0 || worker.events_wake_fd < 0 ||
        events_watch(worker.events_wake_fd, EVENT_WAKE, NULL) < 0)
        return errno;
    return 0;
}

int events_watch(int fd, event_e kind, const void *pointer)
{
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u64 = event_encode(kind, pointer)};

    return epoll_ctl(worker.events_fd, EPOLL_CTL_ADD, fd, &event);
}

void events_unwatch(int fd)
{
    epoll_ctl(worker.events_fd, EPOLL_CTL_DEL, fd, NULL);
}

int events_wait(struct epoll_event *events, int most, int timeout_ms)
{
    int got = epoll_wait(worker.events_fd, events, most, timeout_ms);

    if (got < 0 && errno != EINTR)
        process_descriptors_lost();
    return got;
}

void events_wake(void)
{
    static const uint64_t one = 1;
    int error = errno;

    if (write(worker.events_wake_fd, &one, sizeof(one)) < 0)
        errno = error; /* full: it is awake */
}

void events_wake_clear(void)
{
    uint64_t count;

    if (read(worker.events_wake_fd, &count, sizeof(count)) < 0)
        return; /* it was cleared before */
}

void events_arm(connection_t *connection)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT,
                                .data.u64 =
                                    event_encode(EVENT_PUMP, connection)};

    if (epoll_ctl(worker.events_fd,
                  connection->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  connection->fd, &event) == 0)
        connection->armed = 1;
}

void events_disarm(connection_t *connection)
{
    events_unwatch(connection->fd);
    connection->armed = 0;
}
