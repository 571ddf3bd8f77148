/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CLOCK_H
#define WEAVE_CLOCK_H

/**
 * Reads the clock for all durations. It is never set, so a step of the wall
 * clock makes no wait shorter or longer. All processes of a machine read the
 * same clock, so shared memory may contain its times. Use the wall clock,
 * apr_time_now(), only for times that people and files see: log lines, headers,
 * and the times of maintenance.
 */

#include <stdint.h>
#include <time.h>

/** Returns microseconds since a moment that is the same until the machine is
 *  started again. Any thread, async-signal-safe. */
static inline int64_t weave_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/** Returns the time until UNTIL_US in milliseconds, rounded up, for poll(); 0:
 *  it has come. */
static inline int weave_clock_left_ms(int64_t until_us)
{
    int64_t left = until_us - weave_clock_us();

    return left > 0 ? (int)((left + 999) / 1000) : 0;
}

#endif
