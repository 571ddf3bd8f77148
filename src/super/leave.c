/* SPDX-License-Identifier: Apache-2.0 */
/* leave.c: the ways in which a worker ends */
#include "worker.h"

#include <signal.h>

static void state_set_ending(super_worker_t *worker)
{
    worker->state = SUPER_ENDING;
    super_timer_cancel(&worker->limit);
    super_timer_cancel(&worker->grace);
}

void super_worker_kill(super_worker_t *worker)
{
    if (worker->state != SUPER_ENDING)
        super_worker_log(worker, WEAVE_LINE_DEBUG, "is killed");
    state_set_ending(worker);
    super_client_end(worker);
    super_worker_publish(worker, WEAVE_WORKER_FREE);
    super_pidfd_kill(worker->pidfd, SIGKILL);
}

/* Tells WORKER to drain or to quit. Before it is joined it gets SIGTERM, which
 * drains it unless the application has a handler for that. */
static void worker_tell(super_worker_t *worker, const char *op)
{
    super_worker_log(worker, WEAVE_LINE_DEBUG, "is told to %s by %s", op,
                     worker->unjoined ? "SIGTERM" : "its channel");
    if (worker->unjoined)
        super_pidfd_kill(worker->pidfd, SIGTERM);
    else
        super_channel_send_op(&worker->channel, op);
}

void super_worker_quit(super_worker_t *worker)
{
    state_set_ending(worker);
    super_worker_publish(worker, WEAVE_WORKER_DRAINING);
    worker_tell(worker, "quit");
}

/* what a request gets beyond its timeout before its worker is killed */
#define GRACE_US (5 * SUPER_SECOND)

/* how long a worker may drain whose application is not wanted any more, and
 * whose own limit only the last weaved knew */
#define UNTOLD_US (600 * SUPER_SECOND)

static const weave_spec_t *worker_spec(const super_worker_t *worker)
{
    return worker->generation->spec ? worker->generation->spec
                                    : worker->generation->app->spec;
}

static void drain_timed_out(void *data)
{
    super_worker_t *worker = data;
    super_load_t load = super_worker_load(worker);

    super_worker_log(worker, WEAVE_LINE_ERROR,
                     "WEAVE0072: has not finished in the time that a request"
                     " may take; it is killed, and with it %u requests that"
                     " run and %u that wait",
                     load.running, load.queued);
    super_worker_kill(worker);
}

/* Counts the threads of WORKER that have a request, and those whose request is
 * over its time. What a worker writes into its board decides only its own end.
 */
static void busy_count(const super_worker_t *worker, unsigned *busy,
                       unsigned *hopeless)
{
    const weave_spec_t *spec = worker_spec(worker);
    int64_t now = weave_clock_us();
    int i, threads = (int)weave_spec_int(spec, WEAVE_WORKERS_THREADS);

    *busy = *hopeless = 0;
    for (i = 0; i < threads && i < WEAVE_BOARD_THREADS; i++) {
        int64_t since = atomic_load(&worker->board->thread[i].since_us);

        *busy += since != 0;
        *hopeless +=
            since &&
            since < now - weave_spec_int(spec, WEAVE_LIMITS_REQUEST_TIMEOUT);
    }
}

/* Kills a stuck worker once only requests over their time are left in it. */
static void stuck_poll(void *data)
{
    super_worker_t *worker = data;
    unsigned busy, hopeless;

    busy_count(worker, &busy, &hopeless);
    if (busy > hopeless || super_worker_load(worker).queued) {
        super_timer_set(&worker->grace, SUPER_SECOND / 2, stuck_poll, worker);
        return;
    }
    super_worker_log(worker, WEAVE_LINE_ERROR,
                     "WEAVE0073: is killed: it has only requests left that are"
                     " over limits.request_timeout: %u",
                     hopeless);
    super_worker_kill(worker);
}

void super_worker_drain_limit_set(super_worker_t *worker)
{
    const weave_spec_t *spec = worker_spec(worker);

    if (worker->state != SUPER_LEAVING || worker->limit.link)
        return;
    if (!spec) { /* adopted: if it is wanted, its spec comes with `want` */
        if (!worker->generation->app->wanted)
            super_timer_set(&worker->limit, UNTOLD_US, drain_timed_out, worker);
        return;
    }
    super_timer_set(&worker->limit,
                    weave_spec_int(spec, WEAVE_LIMITS_REQUEST_TIMEOUT) +
                        GRACE_US,
                    drain_timed_out, worker);
    if (worker->stuck && worker->board)
        super_timer_set(&worker->grace, SUPER_SECOND / 2, stuck_poll, worker);
}

void super_worker_drain(super_worker_t *worker)
{
    worker->state = SUPER_LEAVING;
    super_timer_cancel(&worker->grace);
    super_worker_publish(worker, WEAVE_WORKER_DRAINING);
    worker_tell(worker, "drain");
    super_worker_drain_limit_set(worker);
}
