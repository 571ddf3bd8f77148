/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c: descriptors and timers
 *
 * The loop takes one event at a time. Its function may close or free anything:
 * there is no rest of a batch that could still name it. epoll takes turns among
 * the descriptors that are ready. */
#include "loop.h"

#include <errno.h>
#include <stddef.h>

#include "weave_clock.h"

static int epoll = -1;
static int leaving;
static super_timer_t *timers;

apr_status_t super_loop_init(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    return epoll < 0 ? errno : APR_SUCCESS;
}

apr_status_t super_watch_set(super_watch_t *watch, int fd, uint32_t events,
                             super_watch_fn *fn, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int operation = watch->set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    *watch = (super_watch_t){1, fd, fn, data};
    if (epoll_ctl(epoll, operation, fd, &event) == 0)
        return APR_SUCCESS;
    watch->set = 0;
    return errno;
}

void super_watch_cancel(super_watch_t *watch)
{
    if (watch->set)
        epoll_ctl(epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->set = 0;
}

void super_timer_cancel(super_timer_t *timer)
{
    if (!timer->link)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->link = NULL;
}

/* The list of timers is in the order of their times. */
void super_timer_set(super_timer_t *timer, int64_t delay_us, super_timer_fn *fn,
                     void *data)
{
    super_timer_t **at = &timers;

    super_timer_cancel(timer);
    timer->due_us = weave_clock_us() + delay_us;
    timer->fn = fn;
    timer->data = data;
    while (*at && (*at)->due_us <= timer->due_us)
        at = &(*at)->next;
    timer->next = *at;
    timer->link = at;
    if (timer->next)
        timer->next->link = &timer->next;
    *at = timer;
}

static void timers_run(void)
{
    int64_t now = weave_clock_us();

    while (timers && timers->due_us <= now) {
        super_timer_t *timer = timers;

        super_timer_cancel(timer);
        timer->fn(timer->data);
    }
}

static int timers_wait_ms(void)
{
    int64_t left;

    if (!timers)
        return -1;
    left = timers->due_us - weave_clock_us();
    if (left <= 0)
        return 0;
    return left < 60000000 ? (int)((left + 999) / 1000) : 60000;
}

void super_loop_end(void)
{
    leaving = 1;
}

void super_loop_run(void)
{
    while (!leaving) {
        struct epoll_event event;
        int got = epoll_wait(epoll, &event, 1, timers_wait_ms());

        if (got > 0) {
            super_watch_t *watch = event.data.ptr;

            watch->fn(watch->data, event.events);
        }
        if (!leaving)
            timers_run();
    }
}
