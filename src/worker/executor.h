/* SPDX-License-Identifier: Apache-2.0 */
/* executor.h: the threads that run requests (executor.c), and what they run
 * them with (host.c, suspect.c) */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "connection.h"
#include "weave_answer.h"

/* A thread, and the request that it runs: weave_request_t.host. The thread's
 * record of the board (timeout.c) says when that has begun. */
struct executor_t {
    unsigned index;
    char *buffer; /* INPUT_BYTES */
    weave_var_t *vars;
    size_t vars_room;
    weave_request_t request;
    connection_t *connection;
    uint32_t number;
    int beside; /* requests of other executors that ran when it began */
    /* under the lock of parking.c */
    pthread_cond_t unparked;
    int is_parked;
    executor_t *next_parked;
    int64_t file_at, file_bytes; /* of a spooled body; file_bytes 0: none */
    int body_ended;
    int body_problem;           /* weave_io_e */
    weave_answer_lines_t lines; /* that went to the client */
    size_t head_len;            /* of `head`: it has not left */
    char *head;
    size_t head_room;
};

/* executor.c */
/* Starts all executors. Returns 0 or an errno. */
int executors_start(void);

/* parking.c: how many executors wait for events, and which wakes */
/* Says how many there are, before they run. */
void parking_start(int executors);
/* Returns how many executors wait outside Python. */
int parking_away(void);
/* Returns when the executor that calls it may wait for an event; until then it
 * sleeps where enough others do. */
void parking_enter(executor_t *executor);
/* Notes that an executor has an event; OTHERS_WAIT 0: no other one waits for
 * the next. Wakes one then, where that is worth its cost. */
void parking_event_taken(int others_wait);
/* Wakes an executor for the queue, if there is one that sleeps. Any thread. */
void parking_wake(void);
/* Notes what an executor has found when it got the GIL: when it took its
 * request, at SINCE_US, BESIDE others ran, and INSIDE of them wait within the
 * application. */
void parking_python_entered(int beside, int inside, int64_t since_us);

/* host.c */
extern const weave_host_t worker_host;
/* Sends what the client still has to get when run() has returned OUTCOME. */
void answer_end(executor_t *executor, int outcome);
/* Returns the value of KEY in REQUEST; "" when it has none. */
const char *request_var(const weave_request_t *request, uint32_t key);

/* suspect.c */
/* Returns 0 or an errno. */
int suspects_start(void);
/* Waits until no other thread is inside, for 2 s at most. Returns 1 when the
 * caller has to call suspect_leave(). */
int suspect_enter(void);
void suspect_leave(void);

#endif
