/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_CLOCK_H
#define WEAVE_CLOCK_H

/**
 * The clock of every duration: timeouts, deadlines, pauses, ages.
 *
 * It is never set, so a step of the wall clock (NTP, an administrator, a
 * suspended machine) ends no wait and makes none longer. All processes of a
 * machine read the same one, and it may go through shared memory. The wall
 * clock, apr_time_now(), is for what people and files see: log lines, headers,
 * and the times of maintenance.
 */

#include <stdint.h>
#include <time.h>

/** Returns microseconds since some moment that stays the same until the
 *  machine starts anew. */
static inline int64_t weave_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
