/* SPDX-License-Identifier: Apache-2.0 */
/* wakeup.c: what it costs this machine to wake a thread that sleeps. Two
 * threads hand a futex to and fro, both on one core, then each on a core of its
 * own. Prints the µs of a hand-over, median of the batches, as one line of
 * JSON.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 9, HANDOVERS = 1000 };

static atomic_int turn;

/* Sleeps until it is the turn of MINE, gives it to the other one, and wakes
 * that. */
static void *hand_over(void *mine)
{
    int self = mine ? 1 : 0, i;

    for (i = 0; i < HANDOVERS / 2; i++) {
        while (atomic_load(&turn) != self)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !self, NULL);
        atomic_store(&turn, !self);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
    }
    return NULL;
}

static int by_value(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return (difference > 0) - (difference < 0);
}

static double handover_us(const int cores[2])
{
    double us[BATCHES];
    int batch, i;

    for (batch = 0; batch < BATCHES; batch++) {
        struct timespec before, after;
        pthread_t threads[2];

        clock_gettime(CLOCK_MONOTONIC, &before);
        for (i = 0; i < 2; i++) {
            pthread_attr_t attr;
            cpu_set_t set;

            CPU_ZERO(&set);
            CPU_SET(cores[i], &set);
            pthread_attr_init(&attr);
            pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
            if (pthread_create(&threads[i], &attr, hand_over, i ? &turn : NULL))
                exit(1);
            pthread_attr_destroy(&attr);
        }
        for (i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        clock_gettime(CLOCK_MONOTONIC, &after);
        us[batch] = ((double)(after.tv_sec - before.tv_sec) * 1e9 +
                     (double)(after.tv_nsec - before.tv_nsec)) /
                    1000 / HANDOVERS;
    }
    qsort(us, BATCHES, sizeof(*us), by_value);
    return us[BATCHES / 2];
}

int main(void)
{
    int cores[2] = {-1, -1}, core, found = 0;
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return 1;
    for (core = 0; core < CPU_SETSIZE && found < 2; core++)
        if (CPU_ISSET(core, &allowed))
            cores[found++] = core;
    printf("{\"one_core_us\": %.2f", handover_us((int[]){cores[0], cores[0]}));
    if (found == 2)
        printf(", \"two_cores_us\": %.2f", handover_us(cores));
    puts("}");
    return 0;
}
