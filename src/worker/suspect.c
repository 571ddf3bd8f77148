/* SPDX-License-Identifier: Apache-2.0 */
/* suspect.c: requests that were running when another worker died
 *
 * One of them may have killed it, and would kill this worker too. So they run
 * one after the other: when it happens, the innocent ones have not begun, and
 * httpd sends them to a third worker. */
#include "executor.h"

/* A suspect waits no longer for those before it, which seem to be harmless. */
#define WAIT_S 2

static struct {
    pthread_mutex_t lock;
    pthread_cond_t left;
    int inside;
} suspect = {.lock = PTHREAD_MUTEX_INITIALIZER};

int suspects_start(void)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc)
        return rc;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&suspect.left, &attr);
    pthread_condattr_destroy(&attr);
    return rc;
}

int suspect_enter(void)
{
    struct timespec until;
    int rc = 0, alone;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    parking_leave();
    pthread_mutex_lock(&suspect.lock);
    while (suspect.inside && rc == 0)
        rc = pthread_cond_timedwait(&suspect.left, &suspect.lock, &until);
    alone = !suspect.inside;
    suspect.inside = 1;
    pthread_mutex_unlock(&suspect.lock);
    parking_return();
    return alone;
}

void suspect_leave(void)
{
    pthread_mutex_lock(&suspect.lock);
    suspect.inside = 0;
    pthread_cond_signal(&suspect.left);
    pthread_mutex_unlock(&suspect.lock);
}
