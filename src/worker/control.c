/* SPDX-License-Identifier: Apache-2.0 */
/* control.c: the thread that never enters Python
 *
 * It accepts, talks with weaved, watches over time, and does for the executors
 * what would hold them. It works however stuck Python is. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "weave_control.h"

#define EVENTS 64
#define LOOK_US 20000
#define DRAIN_US 50000
#define RETRY_US 1000
#define SEND_MS 1000
#define STACK_BYTES (256 * 1024)
#define KIND_SHIFT 56

static struct {
    int epoll_fd, wake_fd;
    pthread_mutex_t lock; /* of sending */
    weave_control_t channel;
    /* what a new weaved must hear again; under `lock` */
    const char *replace_why; /* NULL: nothing */
    weave_report_e replace_kind;
    atomic_int drain_wanted;
    connection_t *retry; /* those that somebody else was sending on */
    int64_t look_us;     /* when to look around; 0: executors are idle */
    int64_t drain_us;    /* when to look for idle connections; 0: no drain */
    int64_t exit_us;     /* when to leave, whatever Python does; 0: not yet */
} control = {.epoll_fd = -1,
             .wake_fd = -1,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .channel.fd = -1};

/* ---- for everybody ---- */

void control_wake(void)
{
    static const uint64_t one = 1;
    int error = errno;

    if (write(control.wake_fd, &one, sizeof(one)) < 0)
        errno = error; /* full: it is awake */
}

void control_drain_soon(void)
{
    atomic_store(&control.drain_wanted, 1);
    control_wake();
}

static void send_with(json_t *message, int pass)
{
    pthread_mutex_lock(&control.lock);
    if (control.channel.fd >= 0)
        weave_control_send(control.channel.fd, message, pass, SEND_MS);
    pthread_mutex_unlock(&control.lock);
    json_decref(message);
}

void control_send(json_t *message)
{
    send_with(message, -1);
}

void control_say_ready(void)
{
    control_send(weave_report_make(WEAVE_REPORT_READY, worker.engine->python));
}

/* Each kind is said once, and none after STUCK: weaved counts reports. */
void control_recycle(weave_report_e kind, const char *why)
{
    int first;

    pthread_mutex_lock(&control.lock);
    first = !control.replace_why || control.replace_kind < kind;
    if (first) {
        control.replace_kind = kind;
        control.replace_why = why;
    }
    pthread_mutex_unlock(&control.lock);
    if (first)
        control_send(weave_report_make(kind, why));
}

uint64_t control_event(int kind, const void *pointer)
{
    return (uint64_t)kind << KIND_SHIFT | (uintptr_t)pointer;
}

/* ---- the pump ---- */

void control_arm(connection_t *connection)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT,
                                .data.u64 =
                                    control_event(EVENT_PUMP, connection)};

    if (epoll_ctl(control.epoll_fd,
                  connection->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  connection->fd, &event) == 0)
        connection->armed = 1;
}

void control_disarm(connection_t *connection)
{
    epoll_ctl(control.epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->armed = 0;
}

static void retry_later(connection_t *connection)
{
    if (connection->retries)
        return;
    connection->retries = 1;
    connection->next_retry = control.retry;
    control.retry = connection;
}

static void pump(connection_t *connection)
{
    int mine = 0, broken;

    /* whoever has the lock may wait for the reader with it */
    if (pthread_mutex_trylock(&connection->lock) != 0) {
        retry_later(connection);
        return;
    }
    if (connection->first)
        output_pump(connection);
    broken = connection->broken;
    if (!connection->first && connection->pumped) {
        connection->pumped = 0;
        mine = 1;
    }
    else if (connection->first) {
        control_arm(connection);
    }
    pthread_mutex_unlock(&connection->lock);
    if (!mine)
        return;
    if (broken) {
        connection_close(connection);
        return;
    }
    if (atomic_load(&worker.draining))
        connection_shut(connection);
    look_at(connection);
}

static int64_t retry_tick(int64_t now_us)
{
    connection_t *connection = control.retry, *next;

    control.retry = NULL;
    for (; connection; connection = next) {
        next = connection->next_retry;
        connection->retries = 0;
        pump(connection);
    }
    return control.retry ? now_us + RETRY_US : INT64_MAX;
}

/* ---- the end ---- */

static void quit(void)
{
    static const uint64_t one = 1;

    if (control.exit_us)
        return;
    control.exit_us = weave_clock_us() + STOP_US;
    if (write(worker.stop_fd, &one, sizeof(one)) < 0)
        _exit(0);
}

static void drain(void)
{
    if (atomic_exchange(&worker.draining, 1))
        return;
    handshake_stop();
    control.drain_us = weave_clock_us();
}

static int64_t drain_tick(int64_t now_us)
{
    if (!control.drain_us || control.exit_us)
        return INT64_MAX;
    if (control.drain_us <= now_us) {
        look_drain();
        control.drain_us = now_us + DRAIN_US;
    }
    if (handshake_is_done() && !atomic_load(&worker.board->connections))
        quit();
    return control.drain_us;
}

/* ---- weaved ---- */

static void obey(const json_t *message)
{
    const char *op = json_string_value(json_object_get(message, "op"));

    if (!op)
        return;
    if (!strcmp(op, "drain"))
        drain();
    else if (!strcmp(op, "quit"))
        quit();
    else if (!strcmp(op, "stacks"))
        stacks_show();
}

static void channel_read(void)
{
    json_t *message;
    apr_status_t rv;
    int passed;

    while (control.channel.fd >= 0) {
        rv = weave_control_receive(&control.channel, &message, &passed, 0);
        if (rv == APR_SUCCESS) {
            obey(message);
            json_decref(message);
            if (passed >= 0)
                close(passed);
            continue;
        }
        if (APR_STATUS_IS_EAGAIN(rv))
            return;
        /* weaved has died, or lost its mind: another one will come */
        control_replace(-1);
    }
}

static void watch(int fd, int kind)
{
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u64 = control_event(kind, NULL)};

    epoll_ctl(control.epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void control_replace(int fd)
{
    weave_report_e kind;
    const char *why;

    pthread_mutex_lock(&control.lock);
    if (control.channel.fd >= 0)
        epoll_ctl(control.epoll_fd, EPOLL_CTL_DEL, control.channel.fd, NULL);
    weave_control_close(&control.channel);
    control.channel.fd = fd;
    kind = control.replace_kind;
    why = control.replace_why;
    pthread_mutex_unlock(&control.lock);
    if (fd < 0)
        return;
    watch(fd, EVENT_CONTROL);
    send_with(weave_report_make(WEAVE_REPORT_LOG, NULL), worker.log_fd);
    if (atomic_load(&worker.ready))
        control_say_ready();
    if (why)
        control_send(weave_report_make(kind, why));
}

/* ---- the loop ---- */

static int64_t look_tick(int64_t now_us)
{
    if (!control.look_us) {
        if (!atomic_load(&worker.saturated))
            return INT64_MAX;
        control.look_us = now_us + LOOK_US;
    }
    if (control.look_us > now_us)
        return control.look_us;
    control.look_us = now_us + LOOK_US;
    if (atomic_load(&worker.idle) > 0) {
        atomic_store(&worker.saturated, 0);
        /* one that became busy just before has seen the flag still up */
        if (atomic_load(&worker.idle) > 0) {
            control.look_us = 0;
            return INT64_MAX;
        }
        atomic_store(&worker.saturated, 1);
    }
    look_around();
    return control.look_us;
}

static void clear_wake(void)
{
    uint64_t count;

    if (read(control.wake_fd, &count, sizeof(count)) < 0)
        return; /* somebody was faster than the event */
    if (atomic_exchange(&control.drain_wanted, 0))
        drain();
}

static void handle(const struct epoll_event *event)
{
    uint64_t data = event->data.u64;
    void *pointer = (void *)(uintptr_t)(data & ((1ULL << KIND_SHIFT) - 1));

    switch (data >> KIND_SHIFT) {
    case EVENT_LISTEN:
        handshake_accept();
        break;
    case EVENT_CONTROL:
        channel_read();
        break;
    case EVENT_LIFELINE: /* httpd is gone, every process of it */
        epoll_ctl(control.epoll_fd, EPOLL_CTL_DEL, worker.lifeline_fd, NULL);
        quit();
        break;
    case EVENT_WAKE:
        clear_wake();
        break;
    case EVENT_PENDING:
        handshake_event(pointer);
        break;
    default:
        pump(pointer);
    }
}

static int64_t least(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* What is due, and how long nothing will be. */
static int tick(void)
{
    int64_t now = weave_clock_us(), next, left;

    if (control.exit_us && control.exit_us <= now)
        _exit(0);
    next = control.exit_us ? control.exit_us : INT64_MAX;
    next = least(next, handshake_tick(now));
    next = least(next, retry_tick(now));
    next = least(next, look_tick(now));
    next = least(next, drain_tick(now));
    if (control.exit_us)
        next = least(next, control.exit_us);
    next = least(next, rss_tick(now));
    if (atomic_load(&worker.ready))
        next = least(next, timeout_tick(now));
    if (next == INT64_MAX)
        return -1;
    left = (next - weave_clock_us() + 999) / 1000;
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static void *loop(void *unused)
{
    struct epoll_event events[EVENTS];
    int got, i;

    (void)unused;
    channel_read(); /* what came behind the first line */
    for (;;) {
        got = epoll_wait(control.epoll_fd, events, EVENTS, tick());
        if (got < 0 && errno != EINTR)
            worker_descriptors_lost();
        for (i = 0; i < got; i++)
            handle(&events[i]);
    }
    return NULL;
}

int control_start(weave_control_t *channel)
{
    control.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    control.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control.epoll_fd < 0 || control.wake_fd < 0)
        return errno;
    watch(control.wake_fd, EVENT_WAKE);
    watch(worker.lifeline_fd, EVENT_LIFELINE);
    control.channel = *channel;
    watch(channel->fd, EVENT_CONTROL);
    handshake_start(control.epoll_fd);
    return worker_thread_start(loop, NULL, STACK_BYTES, "weave-control");
}

void control_fork_child(void)
{
    close(control.epoll_fd);
    close(control.wake_fd);
    close(control.channel.fd);
}
