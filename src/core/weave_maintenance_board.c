/* SPDX-License-Identifier: Apache-2.0 */
/* weave_maintenance_board.c: maintenance in shared memory: rows */
#include "weave_maintenance_board.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How often a reader looks at once, how often after a pause, and the first of
 * these, each of which is twice the one before: 25 ms in all. */
#define LOOKS_AT_ONCE 100
#define LOOKS_LATER 9
#define PAUSE_US 50

/* ---- making and mapping ---- */

_Static_assert(offsetof(weave_maintenance_board_t, bytes) ==
                   offsetof(weave_memory_t, bytes),
               "shared memory");

apr_status_t weave_maintenance_board_create(int *fd,
                                            weave_maintenance_board_t **board)
{
    apr_status_t rv = weave_memory_create(
        fd, (void **)board, WEAVE_MAINTENANCE_MEMORY, sizeof(**board),
        WEAVE_MAINTENANCE_MAGIC, WEAVE_MAINTENANCE_BOARD_VERSION);

    if (rv != APR_SUCCESS)
        return rv;
    atomic_store(&(*board)->epoch, 1);
    (*board)->pid = (uint32_t)getpid();
    (*board)->tally_fd = -1;
    return APR_SUCCESS;
}

apr_status_t weave_maintenance_board_map(weave_maintenance_board_t **board,
                                         int fd, int writable)
{
    return weave_memory_map((void **)board, fd, sizeof(**board),
                            WEAVE_MAINTENANCE_MAGIC,
                            WEAVE_MAINTENANCE_BOARD_VERSION, writable);
}

void weave_maintenance_board_unmap(weave_maintenance_board_t *board)
{
    munmap(board, sizeof(*board));
}

/* ---- rows ---- */

static void text_end(char *text, size_t bytes)
{
    text[bytes - 1] = '\0';
}

/* 0: somebody has been writing. */
static int row_copy(weave_maintenance_t *copy,
                    const weave_maintenance_row_t *from)
{
    uint32_t serial = atomic_load(&from->serial);

    if (serial & 1)
        return 0;
    memcpy(copy, &from->word, sizeof(*copy));
    atomic_thread_fence(memory_order_acquire);
    return serial == atomic_load(&from->serial);
}

/* A writer is done within a microsecond, unless it has lost its processor: then
 * it gets it back within milliseconds, and an ON meanwhile would be a 503 for
 * nothing. So a reader waits for as long as that takes, but asleep: where the
 * writer is dead, each request until somebody writes again waits, and pays with
 * a dozen system calls. To remember the serial of a dead one would spare the
 * wait, too; it is not worth a memory that must tell boards apart. */
void weave_maintenance_row_get(weave_maintenance_t *copy,
                               const weave_maintenance_board_t *board,
                               uint32_t row)
{
    const weave_maintenance_row_t *from = &board->rows[row];
    int looks;

    for (looks = 1; !row_copy(copy, from); looks++) {
        if (looks == LOOKS_AT_ONCE + LOOKS_LATER) {
            memset(copy, 0, sizeof(*copy));
            copy->mode = WEAVE_MAINTENANCE_ON;
            break;
        }
        if (looks >= LOOKS_AT_ONCE)
            apr_sleep(PAUSE_US << (looks - LOOKS_AT_ONCE));
    }
    text_end(copy->by, sizeof(copy->by));
    text_end(copy->message, sizeof(copy->message));
}

void weave_maintenance_row_set(weave_maintenance_board_t *board, uint32_t row,
                               const weave_maintenance_t *word)
{
    weave_maintenance_row_t *to = &board->rows[row];
    uint32_t serial = atomic_load(&to->serial) | 1;

    /* readers need not wait for nothing */
    if (!(atomic_load(&to->serial) & 1) &&
        memcmp(&to->word, word, sizeof(*word)) == 0)
        return;
    /* one that died in the middle has left it odd: it goes on from there */
    atomic_store(&to->serial, serial);
    atomic_thread_fence(memory_order_release);
    /* as an OFF it is an answer alone: nobody may die with it too long there */
    if (word->mode != WEAVE_MAINTENANCE_OFF)
        atomic_store(&to->mode, word->mode);
    to->word = *word;
    atomic_store(&to->mode, word->mode);
    atomic_store(&to->serial, serial + 1);
}

void weave_maintenance_turn(weave_maintenance_board_t *board)
{
    if (atomic_fetch_add(&board->epoch, 1) == UINT32_MAX)
        atomic_fetch_add(&board->epoch, 1);
}

void weave_maintenance_publish(weave_maintenance_board_t *board,
                               const apr_array_header_t *entries)
{
    int64_t now = apr_time_now();
    weave_maintenance_t word;
    uint32_t row;

    for (row = 0; row < WEAVE_MAINTENANCE_ROWS; row++) {
        weave_maintenance_word_of(&word, entries, board, row, now);
        weave_maintenance_row_set(board, row, &word);
    }
    weave_maintenance_turn(board);
}
