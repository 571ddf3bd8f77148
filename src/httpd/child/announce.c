/* SPDX-License-Identifier: Apache-2.0 */
/* announce.c: what weavectl has said, in the log
 *
 * weavectl has no log, and the parent sleeps; so the first child that sees
 * another epoch logs what has changed, for all of them. */
#include "mod_weave.h"

#include <apr_strings.h>
#include <http_main.h>

/* What follows the mode. */
static const char *details(const weave_maintenance_t *word, apr_pool_t *pool)
{
    char until[APR_CTIME_LEN];

    if (word->mode == WEAVE_MAINTENANCE_OFF)
        return "";
    if (!word->until_us)
        return apr_pstrcat(pool, " until it is taken back, by ", word->by,
                           NULL);
    apr_ctime(until, word->until_us);
    return apr_pstrcat(pool, " until ", until, ", by ", word->by, NULL);
}

static void announce_row(apr_uint32_t row, apr_pool_t *pool)
{
    const weave_maintenance_board_t *board = mod_weave_board();
    weave_maintenance_t word;
    apr_int64_t since;

    weave_maintenance_row_get(&word, board, row);
    since = word.mode == WEAVE_MAINTENANCE_OFF ? 0 : word.since_us;
    if (atomic_exchange(&mod_weave_tally_all()->logged_since[row], since) ==
            since ||
        (word.until_us && word.until_us <= apr_time_now()))
        return;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf,
                 "WEAVE0156: maintenance of %s: weavectl says %s%s",
                 row == WEAVE_MAINTENANCE_ALL ? "all applications"
                                              : board->ini[row - 1],
                 weave_maintenance_mode_name(word.mode), details(&word, pool));
}

void mod_weave_announce(apr_uint32_t epoch)
{
    static _Atomic apr_uint32_t seen;
    weave_tally_t *tally = mod_weave_tally_all();
    apr_uint32_t row, logged;
    apr_pool_t *pool;

    if (atomic_load_explicit(&seen, memory_order_relaxed) == epoch)
        return;
    atomic_store_explicit(&seen, epoch, memory_order_relaxed);
    logged = atomic_load(&tally->logged_epoch);
    if (logged == epoch ||
        !atomic_compare_exchange_strong(&tally->logged_epoch, &logged, epoch) ||
        apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return;
    for (row = 0; row < WEAVE_MAINTENANCE_ROWS; row++)
        announce_row(row, pool);
    apr_pool_destroy(pool);
}
