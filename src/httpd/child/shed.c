/* SPDX-License-Identifier: Apache-2.0 */
/* shed.c: too many slots busy, so clients are asked to come less often
 *
 * Each child looks a few times a second at most, on a request's own thread,
 * and smooths what it sees: a short burst is what the queue is for. Once past
 * limits.backoff_at it goes on until clearly below, or headers would come and
 * go with every request. */
#include "backend.h"

#include <stdatomic.h>

#include <ap_mpm.h>
#include <http_main.h>
#include <scoreboard.h>

#define SAMPLE_US APR_TIME_C(250000)
#define SMOOTH_US 5e6   /* time constant */
#define STEP_US 1e6     /* of the time before it, a look says so much */
#define FORGET_US 6e7   /* nobody has looked for so long: begin anew */
#define HYSTERESIS 0.85 /* of the threshold; below it is over */

static struct shed_t {
    _Atomic int64_t next; /* look; whoever moves it looks */
    atomic_int shedding;
    /* of whoever looks */
    int64_t last;
    double busy; /* smoothed, 0 to 1 */
} sheds[WEAVE_ROSTER_APPS];

/* In embedded mode the slots are httpd's own: those of its children of now,
 * which may have any slot where there is room for more than serve. */
static double busy_httpd(void)
{
    int slots_most = 0, daemons = 0, threads = 0, generation = 0, busy = 0, i,
        j;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &slots_most);
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &daemons);
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    ap_mpm_query(AP_MPMQ_GENERATION, &generation);
    threads = threads > 0 ? threads : 1;
    for (i = 0; i < slots_most; i++) {
        const process_score *process = ap_get_scoreboard_process(i);

        if (!process || !process->pid || process->generation != generation)
            continue;
        for (j = 0; j < threads; j++) {
            const worker_score *slot =
                ap_get_scoreboard_worker_from_indexes(i, j);

            busy += slot && slot->status >= SERVER_BUSY_READ &&
                    slot->status <= SERVER_BUSY_DNS;
        }
    }
    return daemons > 0 ? (double)busy / (daemons * threads) : 0;
}

static void load_sample(struct shed_t *shed, const mod_weave_mount_t *mount,
                        int64_t now)
{
    double at = (double)weave_conf_int(mount->conf, WEAVE_LIMITS_BACKOFF_AT);
    double busy =
        mount->app->embedded ? busy_httpd() : backend_pool_busy(mount->app);
    double passed = (double)(now - shed->last);
    int shedding = atomic_load(&shed->shedding);

    /* a child that nobody has asked for a while sees the first second of a
     * burst, not what was before it */
    if (busy > shed->busy && passed > STEP_US && passed <= FORGET_US)
        passed = STEP_US;
    if (passed < 0 || passed > FORGET_US)
        shed->busy = 0;
    else
        shed->busy += (busy - shed->busy) * passed / (passed + SMOOTH_US);
    shed->last = now;
    at /= 100; /* 1: never */
    atomic_store(&shed->shedding,
                 at < 1 && shed->busy >= (shedding ? at * HYSTERESIS : at));
    if (shedding != atomic_load(&shed->shedding))
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, ap_server_conf,
                     "the application of %s: %.0f %% of the slots are busy: %s",
                     mount->app->ini, shed->busy * 100,
                     shedding ? "clients may come as they like again"
                              : "clients are asked to come less often");
}

int mod_weave_is_shedding(const mod_weave_mount_t *mount)
{
    struct shed_t *shed;
    int64_t now, next;

    if (!mount->app || mount->app->slot < 0)
        return 0;
    shed = &sheds[mount->app->slot];
    next = atomic_load_explicit(&shed->next, memory_order_relaxed);
    now = weave_clock_us();
    if (now >= next &&
        atomic_compare_exchange_strong(&shed->next, &next, now + SAMPLE_US))
        load_sample(shed, mount, now);
    return atomic_load_explicit(&shed->shedding, memory_order_relaxed);
}
