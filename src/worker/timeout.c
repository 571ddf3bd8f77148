/* SPDX-License-Identifier: Apache-2.0 */
/* timeout.c: ends requests that take too long, and watches the memory */
#include "control.h"

#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "executor.h"

#define MEMORY_US 5000000
#define GROWN_BYTES (32 << 20) /* then it is worth a look */

/* Logs a request that is over its time. With the lock of its connection: the
 * executor cannot change the request. */
static void overdue_log(const executor_t *executor, int64_t took_us)
{
    const weave_request_t *request = &executor->request;

    weave_line_say(WEAVE_LOG_ERROR,
                   "WEAVE0099: %.32s %.512s%.1024s has taken more than %.1f s"
                   " (limits.request_timeout): its client gets 504, or a cut"
                   " answer; the stacks of all threads follow",
                   request_var(request, WEAVE_VAR_REQUEST_METHOD),
                   request_var(request, WEAVE_VAR_SCRIPT_NAME),
                   request_var(request, WEAVE_VAR_PATH_INFO),
                   (double)took_us / 1000000);
}

/* Answers 504, or cuts an answer that has begun. With the lock. A client that
 * has half a frame can only be cut. */
static void overdue_answer(connection_t *connection, uint32_t number)
{
    weave_frame_end_t end = {connection->head_left ? WEAVE_RUN_CUT : 504, 0};

    if (!connection->broken && !connection->first)
        output_frame_locked(connection, WEAVE_FRAME_END, number, &end,
                            sizeof(end), 0);
    output_break(connection);
    shutdown(connection->fd, SHUT_RDWR);
}

/* Ends request NUMBER for its client. Returns 1 unless it was over before. */
static int request_abandon(executor_t *executor, connection_t *connection,
                           uint32_t number, int64_t took_us)
{
    const weave_board_thread_t *shown = &worker.board->thread[executor->index];
    int still;

    /* a thread that waits for the reader with the lock lets go of it */
    atomic_store(&connection->abandon, number);
    pthread_mutex_lock(&connection->lock);
    still = atomic_load(&shown->slot) == connection->slot &&
            atomic_load(&shown->number) == number &&
            connection->current == number && !connection->ended &&
            connection->fd >= 0;
    /* it waited for its reader until then, and ends soon */
    if (connection->cut == number &&
        weave_clock_us() <
            connection->cut_us +
                weave_spec_int(worker.spec, WEAVE_LIMITS_REQUEST_TIMEOUT))
        still = 0;
    if (still) {
        overdue_log(executor, took_us);
        overdue_answer(connection, number);
        connection->current = 0; /* only once */
    }
    pthread_mutex_unlock(&connection->lock);
    return still;
}

static int64_t executor_check(executor_t *executor, int64_t now_us)
{
    const weave_board_thread_t *shown = &worker.board->thread[executor->index];
    int64_t since =
        atomic_load_explicit(&shown->since_us, memory_order_acquire);
    int64_t due =
        since + weave_spec_int(worker.spec, WEAVE_LIMITS_REQUEST_TIMEOUT);
    uint32_t number = atomic_load(&shown->number);
    uint32_t slot = atomic_load(&shown->slot);

    if (!since)
        return INT64_MAX;
    if (due > now_us)
        return due;
    if (atomic_load(&shown->since_us) == since &&
        request_abandon(executor, connection_at(slot), number,
                        now_us - since)) {
        atomic_fetch_add(&worker.board->timeouts, 1);
        stacks_show();
        channel_successor_ask(WEAVE_REPORT_STUCK, "a request is over its time");
    }
    return INT64_MAX;
}

int64_t timeout_tick(int64_t now_us)
{
    /* requests that begin after this are not due before */
    int64_t limit = weave_spec_int(worker.spec, WEAVE_LIMITS_REQUEST_TIMEOUT);
    int64_t next = now_us + limit, due;
    int threads = (int)weave_spec_int(worker.spec, WEAVE_WORKERS_THREADS);
    int i;

    if (limit <= 0)
        return INT64_MAX;
    for (i = 0; i < threads; i++) {
        due = executor_check(&worker.executors[i], now_us);
        if (due < next)
            next = due;
    }
    return next;
}

/* Returns the resident memory; 0 when it is not known, for want of a
 * descriptor. */
static int64_t rss_bytes(void)
{
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;
    char text[128];
    char *end;

    if (fd >= 0) {
        got = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    if (got <= 0)
        return 0;
    text[got] = '\0';
    strtoll(text, &end, 10); /* the first number is the whole size */
    return strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static void rss_check(int64_t rss)
{
    int64_t most = weave_spec_int(worker.spec, WEAVE_WORKERS_MAX_RSS);

    if (most > 0 && rss > most)
        channel_successor_ask(WEAVE_REPORT_RECYCLE,
                              "workers.max_rss is reached");
}

/* Gives what malloc() keeps free back to the system: where the worker has grown
 * since the last time, and once after no request has run for a while. */
static void memory_trim(int64_t rss)
{
    static uint64_t seen, trimmed;
    static int64_t kept;
    uint64_t requests = atomic_load(&worker.board->requests);
    int is_idle = requests == seen && !atomic_load(&worker.board->running);

    seen = requests;
    if (rss <= kept + GROWN_BYTES && (!is_idle || requests == trimmed))
        return;
    trimmed = is_idle ? requests : trimmed;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    kept = rss_bytes();
}

int64_t memory_tick(int64_t now_us)
{
    static int64_t next_us;
    int64_t rss;

    if (now_us >= next_us) {
        next_us = now_us + MEMORY_US;
        rss = rss_bytes();
        rss_check(rss);
        memory_trim(rss);
    }
    return next_us;
}
