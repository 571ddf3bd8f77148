/* SPDX-License-Identifier: Apache-2.0 */
/* executor.c: the threads that run requests
 *
 * An ordinary request is epoll_wait, recvmsg, sendmsg. An executor waits for
 * nothing else: half a frame stays with its connection, and the control thread
 * sends to slow readers. */
#include "executor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control.h"

/* Says who has the connection now. */
typedef enum {
    KEEP,   /* this executor */
    GONE,   /* nobody: it is closed */
    HANDED, /* the pump */
} fate_e;

/* ---- decoding ---- */

static int vars_reserve(executor_t *executor, uint32_t count)
{
    size_t room = count < 128 ? 128 : count;
    weave_var_t *grown;

    if (count <= executor->vars_room)
        return 0;
    grown = realloc(executor->vars, room * sizeof(*grown));
    if (!grown)
        return -1;
    executor->vars = grown;
    executor->vars_room = room;
    return 0;
}

/* Finds the number of an environ key, and sets *NAME to NULL then: weaved sends
 * keys by their names only. */
static uint32_t var_key_find(const char **name)
{
    static const char *const names[] = {
#define X(id, text, header, keep) text,
        WEAVE_VARS(X)
#undef X
    };
    uint32_t key;

    for (key = 0; *name && key < WEAVE_VAR_COUNT; key++)
        if (!strcmp(names[key], *name)) {
            *name = NULL;
            return key;
        }
    return WEAVE_VAR_OTHER;
}

static int vars_decode(executor_t *executor, weave_frame_cursor_t *cursor,
                       uint32_t count)
{
    uint32_t i;

    /* checked before memory is reserved: each takes so much of the frame */
    if (count > (size_t)(cursor->end - cursor->at) /
                    (sizeof(weave_frame_var_t) + 1) ||
        vars_reserve(executor, count) < 0)
        return -1;
    for (i = 0; i < count; i++) {
        weave_var_t *var = &executor->vars[i];
        weave_frame_var_t wire;

        if (weave_frame_var_next(cursor, &wire, &var->name, &var->value) !=
            WEAVE_FRAME_OK)
            return -1;
        if (wire.key == WEAVE_FRAME_VAR_NAMED)
            wire.key = var_key_find(&var->name);
        if (wire.key > WEAVE_VAR_OTHER ||
            (wire.key == WEAVE_VAR_OTHER) != (var->name != NULL))
            return -1;
        var->key = wire.key;
        var->value_len = wire.value_bytes;
    }
    return 0;
}

static int body_decode(executor_t *executor, const weave_frame_t *frame,
                       const weave_frame_request_t *fixed,
                       const weave_frame_cursor_t *cursor)
{
    weave_request_t *request = &executor->request;
    int with_file = frame->flags & WEAVE_FRAME_FD;

    if (fixed->inline_bytes != (size_t)(cursor->end - cursor->at) ||
        (with_file && (executor->connection->in.passed < 0 ||
                       fixed->file_bytes < 0 || fixed->inline_bytes)))
        return -1;
    request->body = cursor->at;
    request->body_len = fixed->inline_bytes;
    executor->file_at = 0;
    executor->file_bytes = with_file ? fixed->file_bytes : 0;
    request->body_complete =
        (frame->flags & WEAVE_FRAME_BODY_HERE) && !executor->file_bytes;
    return 0;
}

static int request_decode(executor_t *executor, connection_t *connection,
                          const weave_frame_t *frame, const char *payload)
{
    weave_request_t *request = &executor->request;
    weave_frame_cursor_t cursor;
    weave_frame_request_t fixed;

    if (!weave_frame_open(&cursor, payload, frame->bytes, sizeof(fixed)))
        return -1;
    memcpy(&fixed, payload, sizeof(fixed));
    if (vars_decode(executor, &cursor, fixed.vars) < 0)
        return -1;
    executor->connection = connection;
    executor->number = frame->number;
    executor->body_ended = executor->body_problem = 0;
    executor->lines = (weave_answer_lines_t){0, 0};
    executor->head_len = 0;
    request->host = executor;
    request->vars = executor->vars;
    request->vars_count = fixed.vars;
    request->content_length = fixed.content_length;
    request->head_only = frame->flags & WEAVE_FRAME_HEAD_ONLY ? 1 : 0;
    return body_decode(executor, frame, &fixed, &cursor);
}

/* ---- ends of connections ---- */

static fate_e connection_end(connection_t *connection, const char *why)
{
    connection_close(connection, why);
    return GONE;
}

static fate_e request_refuse(connection_t *connection)
{
    connection_refuse(connection);
    return GONE;
}

/* ---- running ---- */

static void request_begin(executor_t *executor, connection_t *connection)
{
    weave_board_t *board = worker.board;
    weave_board_thread_t *shown = &board->thread[executor->index];
    uint32_t number = executor->number;

    pthread_mutex_lock(&connection->lock);
    connection->current = number;
    connection->head_left = connection->ended = 0;
    pthread_mutex_unlock(&connection->lock);
    /* slot, number and executor->request stay while `since_us` does */
    atomic_store_explicit(&shown->slot, connection->slot, memory_order_relaxed);
    atomic_store_explicit(&shown->number, number, memory_order_relaxed);
    atomic_store_explicit(&shown->since_us, weave_clock_us(),
                          memory_order_release);
    executor->beside = (int)atomic_fetch_add_explicit(&board->running, 1,
                                                      memory_order_relaxed) -
                       parking_away();
    /* a client whose connection closes reads there what had begun */
    atomic_store(&board->started[connection->slot], number);
}

static void request_count(int64_t took_us)
{
    weave_board_t *board = worker.board;
    uint64_t done =
        atomic_fetch_add_explicit(&board->requests, 1, memory_order_relaxed);

    atomic_fetch_add_explicit(&board->busy_us, (uint64_t)took_us,
                              memory_order_relaxed);
    if (done + 1 ==
        (uint64_t)weave_spec_int(worker.spec, WEAVE_WORKERS_MAX_REQUESTS))
        channel_successor_ask(WEAVE_REPORT_RECYCLE,
                              "workers.max_requests is reached");
}

/* Returns 1 when the pump has to send the rest of the answer. */
static int request_end(executor_t *executor, connection_t *connection,
                       int *broken)
{
    weave_board_thread_t *shown = &worker.board->thread[executor->index];
    int64_t since =
        atomic_load_explicit(&shown->since_us, memory_order_relaxed);
    int pumped;

    atomic_store_explicit(&shown->since_us, 0, memory_order_release);
    atomic_fetch_sub_explicit(&worker.board->running, 1, memory_order_relaxed);
    request_count(weave_clock_us() - since);
    pthread_mutex_lock(&connection->lock);
    connection->current = 0;
    *broken = connection->broken;
    pumped = connection->pumped = !connection->broken && connection->first;
    if (pumped) {
        input_keep(connection); /* the pump must not keep the scratch buffer */
        events_arm(connection);
    }
    pthread_mutex_unlock(&connection->lock);
    return pumped;
}

static fate_e request_run(executor_t *executor, connection_t *connection)
{
    int outcome, broken;

    request_begin(executor, connection);
    outcome = worker.engine->run(&executor->request);
    if (worker.forked) /* by the application: its parent goes on here */
        _exit(0);
    if (!connection->ended && outcome != WEAVE_RUN_GONE)
        answer_end(executor, outcome);
    if (connection->in.passed >= 0) {
        close(connection->in.passed);
        connection->in.passed = -1;
    }
    if (request_end(executor, connection, &broken))
        return HANDED;
    if (!broken && outcome != WEAVE_RUN_GONE)
        return KEEP;
    return connection_end(connection, "the client did not wait for its answer");
}

/* ---- connections ---- */

static fate_e request_take(executor_t *executor, connection_t *connection,
                           const weave_frame_t *frame, const char *payload)
{
    fate_e fate;

    if (connection->hung_up)
        return connection_end(connection, "the client has left");
    if (input_behind(connection, frame) == INPUT_CANCELLED)
        return intake_answer(connection, frame, WEAVE_FRAME_CANCELLED) == 0
                   ? KEEP
                   : connection_end(connection, "the client does not read");
    if (request_decode(executor, connection, frame, payload) < 0)
        return request_refuse(connection);
    input_skip(connection, frame);
    fate = request_run(executor, connection);
    if (fate == KEEP && atomic_load(&worker.draining))
        connection_shut(connection);
    return fate;
}

/* Takes a request that another worker may have died of: it waits for others of
 * its kind before. */
static fate_e suspect_take(executor_t *executor, connection_t *connection)
{
    int alone = suspect_enter();
    fate_e fate = GONE;
    const char *payload;
    weave_frame_t frame;

    PROCESS_DEBUG("connection %u has a request that may have killed another"
                  " worker: it runs %s",
                  connection->slot, alone ? "alone" : "beside others");
    input_is_waiting(connection); /* reads a CANCEL that has come meanwhile */
    if (input_next(connection, &frame, &payload) == INPUT_FRAME)
        fate = request_take(executor, connection, &frame, payload);
    else
        connection_close(connection, "the client has closed it");
    if (alone)
        suspect_leave();
    return fate;
}

/* Runs all requests that are there. Returns KEEP when nothing is left. */
static fate_e requests_take(executor_t *executor, connection_t *connection)
{
    fate_e fate = KEEP;
    const char *payload;
    weave_frame_t frame;

    while (fate == KEEP) {
        switch (input_next(connection, &frame, &payload)) {
        case INPUT_FRAME:
            if (frame.type == WEAVE_FRAME_REQUEST)
                fate =
                    frame.flags & WEAVE_FRAME_SUSPECT
                        ? suspect_take(executor, connection)
                        : request_take(executor, connection, &frame, payload);
            else if (frame.type == WEAVE_FRAME_CANCEL)
                input_skip(connection, &frame); /* it comes too late */
            else
                fate = request_refuse(connection);
            break;
        case INPUT_NOTHING:
            input_keep(connection);
            return KEEP;
        case INPUT_END:
            return connection_end(connection, "the client has closed it");
        case INPUT_BAD:
            return connection_end(connection, "no frame came, or no memory");
        }
    }
    return fate;
}

static void connection_serve(executor_t *executor, connection_t *connection,
                             int short_is_empty)
{
    do {
        input_begin(connection, executor->buffer, short_is_empty);
        if (requests_take(executor, connection) != KEEP)
            return;
        short_is_empty = 0;
    } while (!connection_release(connection));
}

/* ---- the loop ---- */

static connection_t *event_take(int *short_is_empty)
{
    struct epoll_event event;
    connection_t *connection;
    int got, idle;

    atomic_fetch_add(&worker.idle, 1);
    /* an executor takes from the queue first; what is queued later wakes it */
    got = queue_count() ? 0 : epoll_wait(worker.epoll_fd, &event, 1, -1);
    if (got < 0 && errno != EINTR)
        process_descriptors_lost();
    idle = atomic_fetch_sub(&worker.idle, 1);
    parking_event_taken(idle > 1);
    if (got <= 0 || event.data.u64 == QUEUE_WAKE)
        return NULL;
    connection = connection_at((uint32_t)event.data.u64);
    if (!connection_claim(connection))
        return NULL;
    *short_is_empty = !(event.events & (EPOLLHUP | EPOLLRDHUP));
    /* an event of the connection before in this slot says nothing */
    if ((event.events & EPOLLHUP) &&
        atomic_load(&connection->epoch) == event.data.u64 >> 32)
        connection->hung_up = 1;
    return connection;
}

static void *executor_loop(void *data)
{
    executor_t *executor = data;
    connection_t *connection;
    int short_is_empty;

    process_signals_unblock();
    for (;;) {
        short_is_empty = 0;
        connection = queue_pop();
        if (connection) {
            /* reads a CANCEL that has come meanwhile */
            input_begin(connection, executor->buffer, 0);
            input_receive(connection);
            if (connection->shut)
                input_peer_check(connection);
            if (queue_count())
                parking_wake();
        }
        else {
            parking_enter(executor);
            connection = event_take(&short_is_empty);
        }
        if (connection)
            connection_serve(executor, connection, short_is_empty);
    }
    return NULL;
}

int executors_start(void)
{
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET,
                               .data.u64 = QUEUE_WAKE};
    int threads = (int)weave_spec_int(worker.spec, WEAVE_WORKERS_THREADS), i,
        rv = 0;

    worker.executors = calloc((size_t)threads, sizeof(*worker.executors));
    if (!worker.executors)
        return ENOMEM;
    parking_start(threads);
    /* pages of it that no executor has used cost nothing */
    worker.executors->buffer = malloc((size_t)threads * INPUT_BYTES);
    if (!worker.executors->buffer)
        return ENOMEM;
    rv = suspects_start();
    epoll_ctl(worker.epoll_fd, EPOLL_CTL_ADD, worker.wake_fd, &wake);
    for (i = 0; i < threads && rv == 0; i++) {
        executor_t *executor = &worker.executors[i];

        executor->index = (unsigned)i;
        pthread_cond_init(&executor->unparked, NULL);
        executor->buffer = worker.executors->buffer + (size_t)i * INPUT_BYTES;
        rv = process_thread_start(executor_loop, executor, 0, "weave-executor");
    }
    return rv;
}
