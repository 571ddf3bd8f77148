/* SPDX-License-Identifier: Apache-2.0 */
/* hidden.c: memory of the parent that its children do not get */
#include "hidden.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weave_file.h"

#ifndef MADV_WIPEONFORK /* Linux 4.14 */
#define MADV_WIPEONFORK 18
#endif

/* Zeroed memory of at least one byte more than LEN. Where the kernel cannot
 * give a child empty memory, the child gets none. */
static int hidden_make(mod_weave_hidden_t *hidden, apr_size_t len)
{
    apr_size_t page = (apr_size_t)sysconf(_SC_PAGESIZE);
    mod_weave_hidden_t made = {
        .len = len, .bytes = (len / page + 1) * page, .owner = getpid()};

    made.text = mmap(NULL, made.bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made.text == MAP_FAILED)
        return -1;
    if (madvise(made.text, made.bytes, MADV_WIPEONFORK) < 0 &&
        madvise(made.text, made.bytes, MADV_DONTFORK) < 0) {
        munmap(made.text, made.bytes);
        return -1;
    }
    madvise(made.text, made.bytes, MADV_DONTDUMP);
    *hidden = made;
    return 0;
}

static void hidden_clear(mod_weave_hidden_t *hidden)
{
    if (hidden->text && hidden->owner == getpid())
        munmap(hidden->text, hidden->bytes);
    *hidden = (mod_weave_hidden_t){.text = NULL};
}

int mod_weave_hidden_set(mod_weave_hidden_t *hidden,
                         const mod_weave_hidden_t *text)
{
    mod_weave_hidden_t made = {.text = NULL};

    if (text && text->text) {
        if (hidden_make(&made, text->len) < 0)
            return -1;
        memcpy(made.text, text->text, text->len);
    }
    hidden_clear(hidden);
    *hidden = made;
    return 0;
}

int mod_weave_hidden_read(mod_weave_hidden_t *hidden, int fd)
{
    struct stat status;
    apr_size_t got = 0;

    hidden_clear(hidden);
    if (fstat(fd, &status) < 0 ||
        hidden_make(hidden, (apr_size_t)status.st_size) < 0)
        return -1;
    while (got < hidden->len) {
        ssize_t more =
            pread(fd, hidden->text + got, hidden->len - got, (off_t)got);

        if (more == 0 || (more < 0 && errno != EINTR))
            break;
        got += more > 0 ? (apr_size_t)more : 0;
    }
    if (got == hidden->len)
        return 0;
    hidden_clear(hidden);
    return -1;
}

char *mod_weave_hidden_copy(apr_size_t *bytes, int fd, apr_pool_t *pool)
{
    struct stat status;
    char *data;

    if (fstat(fd, &status) < 0)
        return NULL;
    *bytes = (apr_size_t)status.st_size;
    data = apr_pcalloc(pool, *bytes + 1);
    return pread(fd, data, *bytes, 0) == (ssize_t)*bytes ? data : NULL;
}

int mod_weave_hidden_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && fchmod(fd, 0600) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int mod_weave_hidden_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS,
                 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

int mod_weave_hidden_show(const char *name, const char *text, apr_size_t bytes,
                          apr_uid_t uid)
{
    int fd = mod_weave_hidden_file(name);

    if (fd >= 0 && (weave_file_write(fd, text, bytes) < 0 ||
                    mod_weave_hidden_seal(fd) < 0 || fchmod(fd, 0400) < 0 ||
                    (geteuid() == 0 && fchown(fd, uid, (gid_t)-1) < 0))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

apr_status_t mod_weave_fd_close(void *fd)
{
    close((int)(intptr_t)fd);
    return APR_SUCCESS;
}
