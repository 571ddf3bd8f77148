/* SPDX-License-Identifier: Apache-2.0 */
/* weave_counters.c: what httpd's children count */
#include "weave_counters.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_exec.h"
#include "weave_file.h"
#include "weave_folder.h"
#include "weave_utf8.h"

#define FRESH WEAVE_COUNTERS_FILE ".new" /* what it is made as */

_Static_assert(offsetof(weave_counters_t, bytes) ==
                   offsetof(weave_memory_t, bytes),
               "shared memory");

/* ---- making ---- */

static weave_counters_t *counters_map(int fd)
{
    int flags = MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0);
    weave_counters_t *counters =
        mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, flags, fd, 0);

    if (counters == MAP_FAILED)
        return NULL;
    counters->magic = WEAVE_COUNTERS_MAGIC;
    counters->version = WEAVE_COUNTERS_VERSION;
    counters->bytes = sizeof(*counters);
    counters->parent = (uint32_t)getpid();
    return counters;
}

weave_counters_t *weave_counters_anonymous(void)
{
    return counters_map(-1);
}

void weave_counters_unmap(weave_counters_t *counters)
{
    munmap(counters, sizeof(*counters));
}

static int counters_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_SETLK, &lock);
}

/* Makes the file below FOLDER. All of its room is taken at once: a mapping
 * without it would kill whoever writes there on a full disk. Returns the
 * descriptor, or -1 and errno. */
static int counters_file_make(weave_counters_t **counters, int folder)
{
    weave_counters_t *made = NULL;
    int fd, error;

    unlinkat(folder, FRESH, 0);
    fd = openat(folder, FRESH, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    error = posix_fallocate(fd, 0, sizeof(**counters));
    if (!error && (counters_lock(fd) < 0 || !(made = counters_map(fd))))
        error = errno;
    if (!error && renameat(folder, FRESH, folder, WEAVE_COUNTERS_FILE) < 0)
        error = errno;
    if (!error) {
        *counters = made;
        return fd;
    }
    if (made)
        weave_counters_unmap(made);
    unlinkat(folder, FRESH, 0);
    close(fd);
    errno = error;
    return -1;
}

const char *weave_counters_create(weave_counters_t **counters, int *fd,
                                  long *holder, const char *dir,
                                  apr_pool_t *pool)
{
    const char *problem = NULL;
    weave_folder_t folder;
    int made = -1;

    *holder = 0;
    if (weave_folder_open(&folder, &problem, dir, geteuid(), 0, pool) !=
        APR_SUCCESS)
        return problem;
    problem = weave_folder_check_status(dir, &folder.status, pool);
    if (!problem)
        *holder = weave_counters_holder(dir, pool);
    if (*holder > 0)
        problem = apr_psprintf(pool, "%s is in use by the httpd with pid %ld",
                               dir, *holder);
    if (!problem)
        made = counters_file_make(counters, folder.fd);
    if (!problem && made < 0)
        problem =
            apr_psprintf(pool, "%s/" WEAVE_COUNTERS_FILE " cannot be made: %s",
                         dir, strerror(errno));
    close(folder.fd);
    if (!problem)
        *fd = made;
    return problem;
}

void weave_counters_clear(weave_counters_t *counters, uint32_t slot)
{
    memset(&counters->rows[slot], 0, sizeof(weave_counters_row_t));
    atomic_store(&counters->logged_since[1 + slot], 0);
}

/* ---- reading ---- */

static int counters_is_ours(const weave_counters_t *counters)
{
    return counters->magic == WEAVE_COUNTERS_MAGIC &&
           counters->version == WEAVE_COUNTERS_VERSION &&
           counters->bytes == sizeof(*counters);
}

const char *weave_counters_read(weave_counters_t **counters, const char *dir,
                                apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir, "/" WEAVE_COUNTERS_FILE, NULL);
    weave_counters_t *copy;
    weave_file_t file = {0};
    long holder;
    apr_status_t rv =
        weave_file_read(&file, AT_FDCWD, path, sizeof(*copy), pool);

    *counters = NULL;
    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv))
        return NULL;
    if (rv != APR_SUCCESS && rv != WEAVE_FILE_LONG)
        return apr_psprintf(pool, "%s: %s", path,
                            weave_file_error_text(rv, 0, pool));
    copy = apr_pcalloc(pool, sizeof(*copy) + _Alignof(weave_counters_t));
    copy = (void *)APR_ALIGN((uintptr_t)copy, _Alignof(weave_counters_t));
    if (file.bytes == sizeof(*copy))
        memcpy(copy, file.data, sizeof(*copy));
    if (!counters_is_ours(copy))
        return apr_pstrcat(pool, path,
                           " is damaged, or of another version of mod_weave:"
                           " stop httpd and start it again",
                           NULL);
    /* whose processes have other numbers there than here, or none */
    holder = weave_counters_holder(dir, pool);
    if (holder && holder != (long)copy->parent)
        atomic_fetch_add(&copy->without_slot, 1);
    *counters = copy;
    return NULL;
}

long weave_counters_holder(const char *dir, apr_pool_t *pool)
{
    const char *path = apr_pstrcat(pool, dir, "/" WEAVE_COUNTERS_FILE, NULL);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int fd = -1;
    apr_status_t rv = weave_file_open(&fd, NULL, AT_FDCWD, path);

    if (rv != APR_SUCCESS) {
        errno = rv;
        return APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv) ? 0 : -1;
    }
    if (fcntl(fd, F_GETLK, &lock) < 0)
        lock.l_pid = -1;
    close(fd);
    if (lock.l_type == F_UNLCK)
        return 0;
    /* one that lives where its number means nothing here has none */
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

/* ---- children ---- */

weave_counters_child_t *weave_counters_child(weave_counters_t *counters)
{
    int32_t self = (int32_t)getpid();
    int i, slot;

    for (i = 0; i < WEAVE_COUNTERS_CHILDREN; i++) {
        weave_counters_child_t *child =
            &counters->children[(self + i) % WEAVE_COUNTERS_CHILDREN];
        int32_t pid = atomic_load(&child->pid);

        if (pid && pid != self && (kill(pid, 0) == 0 || errno != ESRCH))
            continue;
        if (!atomic_compare_exchange_strong(&child->pid, &pid, self))
            continue;
        atomic_store(&child->failed, 0);
        for (slot = 0; slot < WEAVE_ROSTER_APPS; slot++) {
            atomic_store(&child->admitted[slot], 0);
            atomic_store(&child->spooled[slot], 0);
        }
        return child;
    }
    atomic_fetch_add(&counters->without_slot, 1);
    return NULL;
}

/* Does PID run, and for PARENT (httpd -X: as such)? Its number may be another
 * process's by now. The children of a parent that was killed are anybody's. */
static int child_is_serving(long pid, long parent, int orphaned)
{
    long its = parent;

    return !weave_process_is_gone(pid, &its) &&
           (orphaned || its == parent || pid == parent);
}

int64_t weave_counters_admitted(const weave_counters_t *counters, uint32_t slot)
{
    long parent = (long)counters->parent;
    int i, orphaned = weave_process_is_gone(parent, NULL);
    int64_t sum = 0;

    if (atomic_load(&counters->without_slot))
        return -1;
    for (i = 0; i < WEAVE_COUNTERS_CHILDREN; i++) {
        const weave_counters_child_t *child = &counters->children[i];
        uint32_t admitted = atomic_load(&child->admitted[slot]);

        if (admitted &&
            child_is_serving(atomic_load(&child->pid), parent, orphaned))
            sum += admitted;
    }
    return sum;
}

/* ---- failures ---- */

void weave_counters_fail(weave_counters_t *counters,
                         weave_counters_child_t *child, const char *text)
{
    if (!counters || !child)
        return;
    if (text)
        apr_cpystrn(counters->failure, text, sizeof(counters->failure));
    atomic_store(&child->failed, text != NULL);
}

int weave_counters_failed(const char **text, const weave_counters_t *counters,
                          apr_pool_t *pool)
{
    long parent = (long)counters->parent;
    int i, count = 0, orphaned = weave_process_is_gone(parent, NULL);

    for (i = 0; i < WEAVE_COUNTERS_CHILDREN; i++) {
        const weave_counters_child_t *child = &counters->children[i];

        count += atomic_load(&child->failed) &&
                 child_is_serving(atomic_load(&child->pid), parent, orphaned);
    }
    if (count) /* any child can write there: it is taken once */
        *text = weave_utf8_escape_text(
            apr_pstrmemdup(pool, counters->failure, sizeof(counters->failure)),
            pool);
    return count;
}

/* ---- spooled bodies ---- */

/* Is the sum of all children more than MOST? Nobody is trusted: a sum does not
 * wrap around. LIVING: those that are gone are not in it. */
static int spooled_is_more(const weave_counters_t *counters, uint32_t slot,
                           uint64_t most, int living)
{
    long parent = (long)counters->parent;
    int i, orphaned = living && weave_process_is_gone(parent, NULL);
    uint64_t sum = 0;

    for (i = 0; i < WEAVE_COUNTERS_CHILDREN; i++) {
        const weave_counters_child_t *child = &counters->children[i];
        int32_t pid = atomic_load_explicit(&child->pid, memory_order_relaxed);
        uint64_t its = pid ? atomic_load(&child->spooled[slot]) : 0;

        if (!its || (living && !child_is_serving(pid, parent, orphaned)))
            continue;
        if (its > most - sum)
            return 1;
        sum += its;
    }
    return 0;
}

int weave_counters_spool(const weave_counters_t *counters,
                         weave_counters_child_t *child, uint32_t slot,
                         uint64_t bytes, uint64_t most)
{
    if (bytes > most)
        return -1;
    /* first: of two who come at once, both may be refused, never neither */
    atomic_fetch_add(&child->spooled[slot], bytes);
    if (!spooled_is_more(counters, slot, most, 0) ||
        !spooled_is_more(counters, slot, most, 1))
        return 0;
    atomic_fetch_sub(&child->spooled[slot], bytes);
    return -1;
}
