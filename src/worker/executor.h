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
