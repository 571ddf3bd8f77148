/* SPDX-License-Identifier: Apache-2.0 */
/* smooth.c: a graceful restart without a pause
 *
 * On `graceful`, event and worker stop accepting in all old children at once,
 * and the parent starts new ones only when an old one has left or a sleep of
 * 1 s is over. That sleep (apr_sleep(), a select()) ends early when a signal
 * with a handler arrives. So a timer raises SIGURG, which is ignored by
 * default, every 10 ms until the first new child is there, for 2 s at most.
 *
 * Not SIGCHLD, and no handler that stays: this module is unloaded at the next
 * restart, and httpd paces the starts of children that crash by that sleep. */
#include "parent.h"

#include <signal.h>
#include <time.h>

#define TICK_NS 10000000L
#define TICKS_MOST 200

static timer_t timer;
static int armed; /* 1: the timer and the handler are there */
static volatile sig_atomic_t ticks;

static void disarm_timer(void)
{
    static const struct itimerspec never;

    timer_settime(timer, 0, &never, NULL);
}

static void on_tick(int signum)
{
    (void)signum;
    if (++ticks >= TICKS_MOST)
        disarm_timer(); /* async-signal-safe (POSIX) */
}

static apr_status_t smooth_end(void *unused)
{
    (void)unused;
    if (!armed)
        return APR_SUCCESS;
    armed = 0;
    timer_delete(timer);
    signal(SIGURG, SIG_DFL); /* one that is pending is ignored */
    return APR_SUCCESS;
}

void mod_weave_smooth_start(apr_pool_t *pconf, server_rec *s)
{
    static const struct itimerspec often = {{0, TICK_NS}, {0, TICK_NS}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGURG};
    struct sigaction action = {.sa_handler = on_tick};

    if (!mod_weave_server_get(s)->smooth || armed)
        return;
    ticks = 0;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return;
    armed = 1;
    apr_pool_cleanup_register(pconf, NULL, smooth_end, apr_pool_cleanup_null);
    sigaction(SIGURG, &action, NULL);
    timer_settime(timer, 0, &often, NULL);
}

void mod_weave_smooth_status(server_rec *s, pid_t pid, ap_generation_t gen,
                             int slot, mpm_child_status status)
{
    (void)s;
    (void)pid;
    (void)gen;
    (void)slot;
    if (status == MPM_CHILD_STARTED)
        smooth_end(NULL);
}
