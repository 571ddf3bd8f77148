/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h: the one event loop of weaved
 *
 * Everything runs on one thread, from here. A watch and a timer are parts of
 * what they belong to; a zeroed one is idle, and an idle one may be freed. Any
 * function that is called from here may cancel, free or start any other. */
#ifndef SUPER_LOOP_H
#define SUPER_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include <apr_errno.h>

#define SUPER_SECOND INT64_C(1000000) /* all times here are in microseconds */

/* EVENTS are EPOLLIN, EPOLLOUT and what epoll adds. */
typedef void super_watch_fn(void *data, uint32_t events);

typedef struct super_watch_t {
    int set; /* 1: `fd`, which stays the owner's, is watched */
    int fd;
    super_watch_fn *fn;
    void *data;
} super_watch_t;

typedef void super_timer_fn(void *data);

typedef struct super_timer_t {
    struct super_timer_t *next, **link; /* link NULL: idle */
    int64_t due_us;                     /* weave_clock_us() */
    super_timer_fn *fn;
    void *data;
} super_timer_t;

apr_status_t super_loop_init(void);
/* Runs until super_loop_end() is called. */
void super_loop_run(void);
void super_loop_end(void);

/* Watches FD for EVENTS, or changes the events of the one it watches. */
apr_status_t super_watch_set(super_watch_t *watch, int fd, uint32_t events,
                             super_watch_fn *fn, void *data);
/* Ends that. Call it before the descriptor is closed. */
void super_watch_cancel(super_watch_t *watch);

/* Calls FN once, after DELAY_US. A timer that is set already is set again. */
void super_timer_set(super_timer_t *timer, int64_t delay_us, super_timer_fn *fn,
                     void *data);
void super_timer_cancel(super_timer_t *timer);

#endif
