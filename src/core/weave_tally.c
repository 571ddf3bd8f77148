/* SPDX-License-Identifier: Apache-2.0 */
/* weave_tally.c: what httpd's children count */
#include "weave_tally.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_process.h"
#include "weave_utf8.h"

#define MEMORY "weave-tally" /* its name */

/* ---- making and mapping ---- */

_Static_assert(offsetof(weave_tally_t, bytes) ==
                   offsetof(weave_memory_t, bytes),
               "shared memory");

apr_status_t weave_tally_create(int *fd, weave_tally_t **tally)
{
    return weave_memory_create(fd, (void **)tally, MEMORY, sizeof(**tally),
                               WEAVE_TALLY_MAGIC, WEAVE_TALLY_VERSION);
}

apr_status_t weave_tally_map(weave_tally_t **tally, int fd, int writable)
{
    return weave_memory_map((void **)tally, fd, sizeof(**tally),
                            WEAVE_TALLY_MAGIC, WEAVE_TALLY_VERSION, writable);
}

void weave_tally_unmap(weave_tally_t *tally)
{
    munmap(tally, sizeof(*tally));
}

static apr_status_t tally_forget(void *tally)
{
    weave_tally_unmap(tally);
    return APR_SUCCESS;
}

static weave_tally_t *tally_at(const char *path, uid_t owner)
{
    int fd = weave_process_open(path, MEMORY, owner, 0, 0);
    weave_tally_t *tally = NULL;

    if (fd < 0)
        return NULL;
    if (weave_tally_map(&tally, fd, 0) != APR_SUCCESS)
        tally = NULL;
    close(fd);
    return tally;
}

const weave_tally_t *weave_tally_open(const weave_maintenance_board_t *board,
                                      apr_pool_t *pool)
{
    const apr_array_header_t *holders;
    weave_tally_t *tally;
    struct stat status;
    int i;

    if (stat(board->state_dir, &status) < 0)
        return NULL;
    tally = tally_at(
        apr_psprintf(pool, "/proc/%u/fd/%d", board->pid, board->tally_fd),
        status.st_uid);

    /* children have it under the same number */
    holders = tally ? NULL : weave_maintenance_holders(board, pool);
    for (i = 0; holders && !tally && i < holders->nelts; i++)
        tally = tally_at(apr_psprintf(pool, "/proc/%ld/fd/%d",
                                      APR_ARRAY_IDX(holders, i, long),
                                      board->tally_fd),
                         status.st_uid);
    if (tally)
        apr_pool_cleanup_register(pool, tally, tally_forget,
                                  apr_pool_cleanup_null);
    return tally;
}

/* ---- answers ---- */

void weave_tally_sum(weave_tally_row_t *sum, const weave_tally_t *tally,
                     uint32_t place)
{
    int stripe, kind;

    memset(sum, 0, sizeof(*sum));
    for (stripe = 0; stripe < WEAVE_TALLY_STRIPES; stripe++) {
        const weave_tally_row_t *row = &tally->rows[stripe][place];
        int64_t load_us = atomic_load(&row->load_us);

        for (kind = 0; kind < WEAVE_REFUSED_KINDS; kind++)
            sum->refused[kind] += atomic_load(&row->refused[kind]);
        sum->backoff += atomic_load(&row->backoff);
        sum->backoff_load += atomic_load(&row->backoff_load);
        if (load_us > sum->load_us)
            sum->load_us = load_us;
    }
}

/* ---- children ---- */

weave_tally_child_t *weave_tally_seat(weave_tally_t *tally)
{
    int32_t self = (int32_t)getpid();
    int i, app;

    for (i = 0; i < WEAVE_TALLY_CHILDREN; i++) {
        weave_tally_child_t *child =
            &tally->children[(self + i) % WEAVE_TALLY_CHILDREN];
        int32_t pid = atomic_load(&child->pid);

        if (pid && pid != self && (kill(pid, 0) == 0 || errno != ESRCH))
            continue;
        if (!atomic_compare_exchange_strong(&child->pid, &pid, self))
            continue;
        atomic_store(&child->running, 0);
        atomic_store(&child->failed, 0);
        for (app = 0; app < WEAVE_ROSTER_APPS; app++)
            atomic_store(&tally->spooled[child - tally->children][app], 0);
        return child;
    }
    atomic_fetch_add(&tally->unseated, 1);
    return NULL;
}

/* Does PID run, and for PARENT (httpd -X: as such)? Its number may be another
 * process's by now. Of a parent that was killed the children are anybody's. */
static int is_serving(long pid, long parent, int orphaned)
{
    long its = parent;

    return !weave_process_is_gone(pid, &its) &&
           (orphaned || its == parent || pid == parent);
}

int64_t weave_tally_running(const weave_tally_t *tally, long parent)
{
    int i, orphaned = weave_process_is_gone(parent, NULL);
    int64_t sum = 0;

    if (atomic_load(&tally->unseated))
        return -1;
    for (i = 0; i < WEAVE_TALLY_CHILDREN; i++) {
        const weave_tally_child_t *child = &tally->children[i];
        uint32_t running = atomic_load(&child->running);

        if (running && is_serving(atomic_load(&child->pid), parent, orphaned))
            sum += running;
    }
    return sum;
}

/* ---- failures ---- */

void weave_tally_fail(weave_tally_t *tally, weave_tally_child_t *seat,
                      const char *text)
{
    if (!tally || !seat)
        return;
    if (text)
        apr_cpystrn(tally->failure, text, sizeof(tally->failure));
    atomic_store(&seat->failed, text != NULL);
}

int weave_tally_failed(const char **text, const weave_tally_t *tally,
                       long parent, apr_pool_t *pool)
{
    int i, count = 0, orphaned = weave_process_is_gone(parent, NULL);

    for (i = 0; i < WEAVE_TALLY_CHILDREN; i++) {
        const weave_tally_child_t *child = &tally->children[i];

        count += atomic_load(&child->failed) &&
                 is_serving(atomic_load(&child->pid), parent, orphaned);
    }
    if (count) /* any child can write there: it is taken once */
        *text = weave_utf8_escape_text(
            apr_pstrmemdup(pool, tally->failure, sizeof(tally->failure)), pool);
    return count;
}

/* ---- spooled bodies ---- */

static _Atomic uint64_t *spooled_by(weave_tally_t *tally,
                                    const weave_tally_child_t *seat,
                                    uint32_t place)
{
    return &tally->spooled[seat - tally->children][place];
}

/* Is the sum of all children more than MOST? Nobody is trusted: a sum does not
 * wrap around. PARENT 0: those that are gone are in it. */
static int is_more(weave_tally_t *tally, uint32_t place, uint64_t most,
                   long parent)
{
    int i, orphaned = parent && weave_process_is_gone(parent, NULL);
    uint64_t sum = 0;

    for (i = 0; i < WEAVE_TALLY_CHILDREN; i++) {
        const weave_tally_child_t *child = &tally->children[i];
        int32_t pid = atomic_load_explicit(&child->pid, memory_order_relaxed);
        uint64_t its = pid ? atomic_load(spooled_by(tally, child, place)) : 0;

        if (!its || (parent && !is_serving(pid, parent, orphaned)))
            continue;
        if (its > most - sum)
            return 1;
        sum += its;
    }
    return 0;
}

int weave_tally_spool(weave_tally_t *tally, const weave_tally_child_t *seat,
                      uint32_t place, uint64_t bytes, uint64_t most,
                      long parent)
{
    if (bytes > most)
        return -1;
    /* first: of two who come at once, both may be refused, never neither */
    atomic_fetch_add(spooled_by(tally, seat, place), bytes);
    if (!is_more(tally, place, most, 0) || !is_more(tally, place, most, parent))
        return 0;
    weave_tally_unspool(tally, seat, place, bytes);
    return -1;
}

void weave_tally_unspool(weave_tally_t *tally, const weave_tally_child_t *seat,
                         uint32_t place, uint64_t bytes)
{
    atomic_fetch_sub(spooled_by(tally, seat, place), bytes);
}
