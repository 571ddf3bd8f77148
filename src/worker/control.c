/* SPDX-License-Identifier: Apache-2.0 */
/* control.c: the thread that never enters Python
 *
 * It accepts connections, obeys weaved, ends requests that are over their time,
 * and sends to slow readers in place of the executors. It works however stuck
 * Python is. */
#include "control.h"

#include <string.h>
#include <unistd.h>

#define EVENTS 64
#define INTAKE_US 20000
#define DRAIN_US 50000
#define RETRY_US 1000
#define STACK_BYTES (256 * 1024)

static struct {
    atomic_int drain_wanted;
    connection_t *retry; /* those that another thread was sending on */
    int64_t intake_us;   /* when to poll; 0: executors are idle */
    int64_t drain_us;    /* when to shut down idle connections; 0: no drain */
    int64_t exit_us;     /* when to end, whatever Python does; 0: not yet */
} control;

void control_drain_request(void)
{
    atomic_store(&control.drain_wanted, 1);
    events_wake();
}

static void pump_retry_later(connection_t *connection)
{
    if (connection->retries)
        return;
    connection->retries = 1;
    connection->next_retry = control.retry;
    control.retry = connection;
}

static void connection_pump(connection_t *connection)
{
    int mine = 0, broken;

    /* a thread that holds the lock may wait for the reader */
    if (pthread_mutex_trylock(&connection->lock) != 0) {
        pump_retry_later(connection);
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
        events_arm(connection);
    }
    pthread_mutex_unlock(&connection->lock);
    if (!mine)
        return;
    if (broken) {
        connection_close(connection, "the client does not take its answer");
        return;
    }
    if (atomic_load(&worker.draining))
        connection_shut(connection);
    intake_read(connection);
}

static int64_t pump_retry_tick(int64_t now_us)
{
    connection_t *connection = control.retry, *next;

    control.retry = NULL;
    for (; connection; connection = next) {
        next = connection->next_retry;
        connection->retries = 0;
        connection_pump(connection);
    }
    return control.retry ? now_us + RETRY_US : INT64_MAX;
}

static void worker_quit(const char *why)
{
    static const uint64_t one = 1;

    if (control.exit_us)
        return;
    PROCESS_DEBUG("this worker ends: %s", why);
    control.exit_us = weave_clock_us() + STOP_US;
    if (write(worker.stop_fd, &one, sizeof(one)) < 0)
        _exit(0);
}

static void drain_begin(void)
{
    if (atomic_exchange(&worker.draining, 1))
        return;
    handshake_stop();
    control.drain_us = weave_clock_us();
    PROCESS_DEBUG("draining %u connections",
                  atomic_load(&worker.board->connections));
}

static int64_t drain_tick(int64_t now_us)
{
    if (!control.drain_us || control.exit_us)
        return INT64_MAX;
    if (control.drain_us <= now_us) {
        intake_drain();
        control.drain_us = now_us + DRAIN_US;
    }
    if (handshake_is_done() && !atomic_load(&worker.board->connections))
        worker_quit("it is drained");
    return control.drain_us;
}

static void order_obey(const json_t *message)
{
    const char *op = json_string_value(json_object_get(message, "op"));

    if (!op)
        return;
    PROCESS_DEBUG("weaved orders: %s", op);
    if (!strcmp(op, "drain"))
        drain_begin();
    else if (!strcmp(op, "quit"))
        worker_quit("weaved wants it");
    else if (!strcmp(op, "stacks"))
        stacks_show();
}

static void orders_take(void)
{
    json_t *message;

    while ((message = channel_receive()) != NULL) {
        order_obey(message);
        json_decref(message);
    }
}

static int executor_is_free(void)
{
    return atomic_load(&worker.idle) > 0 || parking_has_parked();
}

static int64_t intake_tick(int64_t now_us)
{
    if (!control.intake_us) {
        if (!atomic_load(&worker.saturated))
            return INT64_MAX;
        control.intake_us = now_us + INTAKE_US;
    }
    if (control.intake_us > now_us)
        return control.intake_us;
    control.intake_us = now_us + INTAKE_US;
    if (executor_is_free()) {
        atomic_store(&worker.saturated, 0);
        /* an executor that became busy just before has not raised it */
        if (executor_is_free()) {
            control.intake_us = 0;
            return INT64_MAX;
        }
        atomic_store(&worker.saturated, 1);
    }
    intake_poll();
    return control.intake_us;
}

static void event_handle(const struct epoll_event *event)
{
    switch (event_kind(event)) {
    case EVENT_LISTEN:
        handshake_accept();
        break;
    case EVENT_CHANNEL:
        orders_take();
        break;
    case EVENT_LIFELINE: /* no process of httpd is left */
        events_unwatch(worker.lifeline_fd);
        worker_quit("httpd has ended");
        break;
    case EVENT_WAKE:
        events_wake_clear();
        if (atomic_exchange(&control.drain_wanted, 0))
            drain_begin();
        break;
    case EVENT_PENDING:
        handshake_event(event_pointer(event));
        break;
    case EVENT_PUMP:
        connection_pump(event_pointer(event));
        break;
    }
}

static int64_t earlier_of(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* Does what is due. Returns for how many milliseconds nothing will be; -1:
 * until there is an event. */
static int timers_run(void)
{
    int64_t now = weave_clock_us(), next, left;

    if (control.exit_us && control.exit_us <= now)
        _exit(0);
    next = earlier_of(handshake_tick(now), pump_retry_tick(now));
    next = earlier_of(next, parking_tick(now));
    next = earlier_of(next, intake_tick(now));
    next = earlier_of(next, drain_tick(now));
    if (control.exit_us)
        next = earlier_of(next, control.exit_us);
    if (atomic_load(&worker.ready)) {
        next = earlier_of(next, memory_tick(now));
        next = earlier_of(next, timeout_tick(now));
    }
    if (next == INT64_MAX)
        return -1;
    left = (next - weave_clock_us() + 999) / 1000;
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static void *control_loop(void *unused)
{
    struct epoll_event events[EVENTS];
    int got, i;

    (void)unused;
    orders_take(); /* they may have come together with the order to start */
    for (;;) {
        got = events_wait(events, EVENTS, timers_run());
        for (i = 0; i < got; i++)
            event_handle(&events[i]);
    }
    return NULL;
}

int control_start(const weave_control_t *control_channel)
{
    int rv = events_open();

    if (rv)
        return rv;
    events_watch(worker.lifeline_fd, EVENT_LIFELINE, NULL);
    channel_open(control_channel);
    handshake_start();
    return process_thread_start(control_loop, NULL, STACK_BYTES,
                                "weave-control");
}
