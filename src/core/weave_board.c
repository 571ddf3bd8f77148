/* SPDX-License-Identifier: Apache-2.0 */
/* weave_board.c: shared memory with one writer */
#include "weave_board.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "weave_fd.h"

#define READ_TRIES 100000
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* What errno says; never APR_SUCCESS. */
static apr_status_t errno_status(void)
{
    return errno ? errno : APR_EGENERAL;
}

static apr_status_t memory_map(void **memory, int fd, size_t bytes,
                               int writable)
{
    int prot = PROT_READ | (writable ? PROT_WRITE : 0);
    void *mapped = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);

    if (mapped == MAP_FAILED)
        return errno_status();
    *memory = mapped;
    return APR_SUCCESS;
}

/* Makes BYTES of sealed, zeroed memory that begins with a weave_memory_t. */
static apr_status_t memory_create(int *fd, void **memory, const char *name,
                                  size_t bytes, uint32_t magic,
                                  uint32_t version)
{
    int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    apr_status_t rv = APR_SUCCESS;

    if (made < 0)
        return errno_status();
    if (fchmod(made, 0644) < 0 || ftruncate(made, (off_t)bytes) < 0 ||
        fcntl(made, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0)
        rv = errno_status();
    if (rv == APR_SUCCESS)
        rv = memory_map(memory, made, bytes, 1);
    if (rv != APR_SUCCESS) {
        close(made);
        return rv;
    }
    *(weave_memory_t *)*memory =
        (weave_memory_t){magic, version, (uint32_t)bytes};
    *fd = made;
    return APR_SUCCESS;
}

/* Could a mapping of BYTES shrink under its reader? */
static apr_status_t size_check(int fd, size_t bytes)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS)
        return APR_EMISMATCH;
    if (fstat(fd, &status) < 0)
        return errno_status();
    return (size_t)status.st_size == bytes ? APR_SUCCESS : APR_EMISMATCH;
}

static apr_status_t sealed_map(void **memory, int fd, size_t bytes,
                               uint32_t magic, uint32_t version, int writable)
{
    void *mapped = NULL;
    const weave_memory_t *head;
    apr_status_t rv = size_check(fd, bytes);

    if (rv == APR_SUCCESS)
        rv = memory_map(&mapped, fd, bytes, writable);
    if (!mapped)
        return rv;
    head = mapped;
    if (head->magic != magic || head->version != version ||
        head->bytes != bytes) {
        munmap(mapped, bytes);
        return APR_EMISMATCH;
    }
    *memory = mapped;
    return APR_SUCCESS;
}

_Static_assert(offsetof(weave_roster_t, bytes) ==
                       offsetof(weave_memory_t, bytes) &&
                   offsetof(weave_board_t, bytes) ==
                       offsetof(weave_memory_t, bytes),
               "shared memory");

apr_status_t weave_roster_create(int *fd, weave_roster_t **roster)
{
    return memory_create(fd, (void **)roster, "weave-roster", sizeof(**roster),
                         WEAVE_ROSTER_MAGIC, WEAVE_ROSTER_VERSION);
}

apr_status_t weave_board_create(int *fd, weave_board_t **board,
                                uint32_t threads)
{
    apr_status_t rv =
        memory_create(fd, (void **)board, "weave-board", sizeof(**board),
                      WEAVE_BOARD_MAGIC, WEAVE_BOARD_VERSION);

    if (rv == APR_SUCCESS)
        (*board)->threads = threads;
    return rv;
}

apr_status_t weave_roster_map(weave_roster_t **roster, int fd, int writable)
{
    return sealed_map((void **)roster, fd, sizeof(**roster), WEAVE_ROSTER_MAGIC,
                      WEAVE_ROSTER_VERSION, writable);
}

apr_status_t weave_board_map(weave_board_t **board, int fd, int writable)
{
    return sealed_map((void **)board, fd, sizeof(**board), WEAVE_BOARD_MAGIC,
                      WEAVE_BOARD_VERSION, writable);
}

void weave_roster_unmap(weave_roster_t *roster)
{
    munmap(roster, sizeof(*roster));
}

void weave_board_unmap(weave_board_t *board)
{
    munmap(board, sizeof(*board));
}

apr_status_t weave_memory_reopen(int *opened, int fd, int writable)
{
    int made = weave_fd_reopen(fd, writable ? O_RDWR : O_RDONLY);

    if (made < 0)
        return errno_status();
    *opened = made;
    return APR_SUCCESS;
}

static long roster_futex(const _Atomic uint32_t *word, int operation,
                         uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

void weave_roster_worker_get(weave_roster_worker_t *copy,
                             const weave_roster_t *roster, uint32_t worker)
{
    const weave_roster_worker_t *entry = &roster->workers[worker];
    uint32_t serial;
    int tries = 0;

    do {
        serial = atomic_load(&entry->serial);
        memcpy(copy, entry, sizeof(*copy));
        atomic_thread_fence(memory_order_acquire);
    } while (((serial & 1) || serial != atomic_load(&entry->serial)) &&
             ++tries < READ_TRIES);
    if (tries == READ_TRIES) /* weaved died in the middle */
        atomic_store(&copy->state, WEAVE_WORKER_FREE);
    copy->socket[sizeof(copy->socket) - 1] = '\0';
}

void weave_roster_wait(const weave_roster_t *roster, uint32_t app,
                       uint32_t seen, int64_t timeout_us)
{
    struct timespec timeout = {timeout_us / 1000000,
                               timeout_us % 1000000 * 1000};

    if (timeout_us > 0)
        roster_futex(&roster->apps[app].event, FUTEX_WAIT, seen, &timeout);
}

void weave_roster_worker_set(weave_roster_t *roster, uint32_t worker,
                             const weave_roster_worker_t *entry)
{
    weave_roster_worker_t *to = &roster->workers[worker];
    uint32_t serial = atomic_load(&to->serial) | 1;

    /* one that died in the middle has left it odd: it goes on from there */
    atomic_store(&to->serial, serial);
    atomic_thread_fence(memory_order_release);
    memcpy((char *)to + sizeof(to->serial),
           (const char *)entry + sizeof(entry->serial),
           sizeof(*to) - sizeof(to->serial));
    atomic_store(&to->serial, serial + 1);
}

void weave_roster_app_set(weave_roster_t *roster, uint32_t app, uint32_t state,
                          uint32_t generation)
{
    atomic_store(&roster->apps[app].generation, generation);
    atomic_store(&roster->apps[app].state, state);
    weave_roster_wake(roster, app);
}

void weave_roster_wake(weave_roster_t *roster, uint32_t app)
{
    atomic_fetch_add(&roster->apps[app].event, 1);
    roster_futex(&roster->apps[app].event, FUTEX_WAKE, INT_MAX, NULL);
}
