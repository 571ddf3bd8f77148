/* SPDX-License-Identifier: Apache-2.0 */
/* parking.c: how many executors wait for requests
 *
 * Python runs one thread at a time. An executor that wakes for a request while
 * another one has the GIL wakes in vain: it waits again, and its wake-ups cost
 * more than a short request. So few executors go round (leader and followers),
 * the others are parked, and the one that was parked last is woken first. More
 * go round as soon as the application gives the GIL back while it works, that
 * is, waits for something: an executor that gets the GIL sees how many others
 * are inside the application, and those wait. An executor that waits outside
 * Python, such as for a reader, is away, and does not count.
 *
 * The last executor that waits for events wakes a parked one when it goes.
 * After many wake-ups in vain, executors wake no other one: the control thread
 * watches instead, and wakes one when all of them stand still. */
#include "control.h"
#include "executor.h"

#define WATCH_US 1000   /* between two looks */
#define WINDOW_LOOKS 16 /* in so many it ends, with fewer events */
#define WIDTH_US 100000 /* a need for executors is remembered, in a watch */
#define VAIN_MOST 16    /* wake-ups in vain within that time */
#define ALONE 1         /* executors that go round, while watched */
#define PAIR 2          /* and otherwise */

static struct {
    pthread_mutex_t lock;
    executor_t *parked;             /* the last one first */
    atomic_int going;               /* executors neither parked nor away */
    atomic_int resting;             /* those that are parked */
    atomic_int away;                /* those that wait outside Python */
    _Alignas(64) atomic_int width;  /* so many may be going */
    atomic_int peak;                /* that were needed in this window */
    atomic_int watched;             /* 1: the control thread watches */
    atomic_int vain;                /* wake-ups in vain in this window */
    _Atomic int64_t vain_us;        /* when that window began */
    _Alignas(64) atomic_uint taken; /* events that executors have taken */
    /* of the control thread */
    unsigned taken_before, taken_window;
    int looks;
    int64_t look_us, width_us;
} parking = {.lock = PTHREAD_MUTEX_INITIALIZER, .width = PAIR, .peak = ALONE};

/* ---- parking ---- */

void parking_start(int executors)
{
    atomic_store(&parking.going, executors);
}

static int is_needed(void)
{
    return atomic_load(&parking.going) <= atomic_load(&parking.width) ||
           queue_count() ||
           (!atomic_load(&parking.watched) && !atomic_load(&worker.idle));
}

void parking_enter(executor_t *executor)
{
    if (atomic_load_explicit(&parking.going, memory_order_relaxed) <=
        atomic_load_explicit(&parking.width, memory_order_relaxed))
        return;
    pthread_mutex_lock(&parking.lock);
    executor->next_parked = parking.parked;
    parking.parked = executor;
    /* one that takes an event from now on finds this one, or was seen here */
    if (is_needed()) {
        parking.parked = executor->next_parked;
    }
    else {
        atomic_fetch_sub(&parking.going, 1);
        atomic_fetch_add(&parking.resting, 1);
        executor->is_parked = 1;
        while (executor->is_parked)
            pthread_cond_wait(&executor->unparked, &parking.lock);
    }
    pthread_mutex_unlock(&parking.lock);
}

/* Wakes the executor that was parked last. Returns 0 when there is none. */
static int executor_unpark(void)
{
    executor_t *executor;

    pthread_mutex_lock(&parking.lock);
    executor = parking.parked;
    if (executor) {
        parking.parked = executor->next_parked;
        executor->is_parked = 0;
        atomic_fetch_sub(&parking.resting, 1);
        atomic_fetch_add(&parking.going, 1);
        pthread_cond_signal(&executor->unparked);
    }
    pthread_mutex_unlock(&parking.lock);
    return executor != NULL;
}

void parking_wake(void)
{
    if (atomic_load(&worker.idle) > 0)
        queue_executor_wake();
    else
        executor_unpark();
}

int parking_has_parked(void)
{
    return atomic_load(&parking.resting) > 0;
}

void parking_leave(void)
{
    atomic_fetch_add(&parking.away, 1);
    atomic_fetch_sub(&parking.going, 1);
}

void parking_return(void)
{
    atomic_fetch_add(&parking.going, 1);
    atomic_fetch_sub(&parking.away, 1);
}

int parking_away(void)
{
    return atomic_load_explicit(&parking.away, memory_order_relaxed);
}

/* ---- who wakes whom ---- */

static void saturation_raise(void)
{
    if (!atomic_load_explicit(&worker.saturated, memory_order_relaxed) &&
        !atomic_exchange(&worker.saturated, 1))
        events_wake();
}

void parking_event_taken(int others_wait)
{
    atomic_fetch_add_explicit(&parking.taken, 1, memory_order_relaxed);
    if (!others_wait && !atomic_load(&parking.watched) && !executor_unpark())
        saturation_raise();
}

static void width_raise(int want)
{
    int threads = (int)weave_spec_int(worker.spec, WEAVE_WORKERS_THREADS);

    want = want < threads ? want : threads;
    if (atomic_load_explicit(&parking.peak, memory_order_relaxed) < want)
        atomic_store_explicit(&parking.peak, want, memory_order_relaxed);
    if (atomic_load_explicit(&parking.width, memory_order_relaxed) < want)
        atomic_store(&parking.width, want);
}

static void vain_count(int64_t since_us)
{
    if (since_us -
            atomic_load_explicit(&parking.vain_us, memory_order_relaxed) >
        WIDTH_US) {
        atomic_store_explicit(&parking.vain_us, since_us, memory_order_relaxed);
        atomic_store_explicit(&parking.vain, 0, memory_order_relaxed);
    }
    if (atomic_fetch_add_explicit(&parking.vain, 1, memory_order_relaxed) ==
            VAIN_MOST &&
        !atomic_exchange(&parking.watched, 1))
        events_wake();
}

void parking_python_entered(int beside, int inside, int64_t since_us)
{
    int watched = atomic_load_explicit(&parking.watched, memory_order_relaxed);

    if (inside) {
        width_raise(inside + (watched ? ALONE : PAIR));
        /* this request may wait there, too */
        if (watched && !atomic_load(&worker.idle) &&
            atomic_load(&parking.going) <= inside + 1)
            executor_unpark();
    }
    if (beside > inside && !watched)
        vain_count(since_us);
}

/* ---- the control thread ---- */

static void watch_begin(int64_t now_us)
{
    parking.taken_window = parking.taken_before =
        atomic_load_explicit(&parking.taken, memory_order_relaxed);
    parking.looks = 0;
    parking.width_us = now_us;
    parking.look_us = now_us + WATCH_US;
    atomic_store(&parking.peak, ALONE);
    atomic_store(&parking.width, ALONE);
}

void parking_watch_end(void)
{
    if (!atomic_load(&parking.watched))
        return;
    parking.look_us = 0;
    if (atomic_load(&parking.width) < PAIR)
        atomic_store(&parking.width, PAIR);
    atomic_store(&parking.vain, 0);
    atomic_store(&parking.watched, 0);
    /* an executor that took an event just before has woken no other one */
    if (!atomic_load(&worker.idle) && !executor_unpark())
        saturation_raise();
}

/* Ends the watch where there is not much to do. */
static void window_count(unsigned taken)
{
    if (++parking.looks < WINDOW_LOOKS)
        return;
    if (taken - parking.taken_window < WINDOW_LOOKS)
        parking_watch_end();
    parking.looks = 0;
    parking.taken_window = taken;
}

int64_t parking_tick(int64_t now_us)
{
    unsigned taken;

    if (!atomic_load(&parking.watched))
        return INT64_MAX;
    if (!parking.look_us)
        watch_begin(now_us);
    if (now_us < parking.look_us)
        return parking.look_us;
    parking.look_us = now_us + WATCH_US;
    taken = atomic_load_explicit(&parking.taken, memory_order_relaxed);
    if (taken == parking.taken_before && !atomic_load(&worker.idle) &&
        !executor_unpark())
        saturation_raise();
    parking.taken_before = taken;
    if (now_us - parking.width_us > WIDTH_US) {
        parking.width_us = now_us;
        atomic_store(&parking.width, atomic_exchange(&parking.peak, ALONE));
    }
    window_count(taken);
    return parking.look_us ? parking.look_us : INT64_MAX;
}
