/* SPDX-License-Identifier: Apache-2.0 */
/* weave_file.c: reads a file that others can exchange at any moment */
#include "weave_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_fd.h"

#define MORE_BYTES 4096 /* read more of a file that is longer than st_size */

apr_status_t weave_file_open(int *fd, struct stat *status, int dir,
                             const char *name)
{
    int found = openat(dir, name, O_PATH | O_CLOEXEC), made = -1;
    apr_status_t rv = WEAVE_FILE_OTHER;
    struct stat seen;

    if (found < 0)
        return errno;
    if (fstat(found, &seen) < 0) {
        rv = errno;
    }
    else if (S_ISREG(seen.st_mode)) {
        made = weave_fd_reopen(found, O_RDONLY | O_NONBLOCK);
        rv = made < 0 ? errno : APR_SUCCESS;
    }
    close(found);
    if (rv != APR_SUCCESS)
        return rv;
    *fd = made;
    if (status)
        *status = seen;
    return APR_SUCCESS;
}

/* Reads until the end, or until there are ROOM bytes. */
static apr_status_t file_read_some(weave_file_t *file, int fd, apr_size_t room)
{
    while (file->bytes < room) {
        ssize_t got = read(fd, file->data + file->bytes, room - file->bytes);

        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0)
            file->bytes += (apr_size_t)got;
    }
    return APR_SUCCESS;
}

/* Reads one byte more than the size of the file, to see whether it goes on. */
static apr_status_t file_read_all(weave_file_t *file, int fd, apr_size_t most,
                                  apr_pool_t *pool)
{
    apr_size_t room = (apr_size_t)file->status.st_size + 1;
    apr_status_t rv;

    if ((apr_uint64_t)file->status.st_size > most)
        return WEAVE_FILE_LONG;
    for (;;) {
        char *data = apr_palloc(pool, room + 1);

        if (file->bytes)
            memcpy(data, file->data, file->bytes);
        file->data = data;
        rv = file_read_some(file, fd, room);
        if (rv != APR_SUCCESS || file->bytes < room)
            break;
        if (room > most)
            return WEAVE_FILE_LONG;
        room = 2 * room + MORE_BYTES;
        if (room > most + 1)
            room = most + 1;
    }
    file->data[file->bytes] = '\0';
    return rv;
}

apr_status_t weave_file_read(weave_file_t *file, int dir, const char *name,
                             apr_size_t most, apr_pool_t *pool)
{
    weave_file_t made = {0};
    apr_status_t rv;
    int fd = -1;

    rv = weave_file_open(&fd, &made.status, dir, name);
    if (rv != APR_SUCCESS)
        return rv;
    rv = file_read_all(&made, fd, most, pool);
    close(fd);
    if (rv == APR_SUCCESS)
        *file = made;
    return rv;
}

apr_uint64_t weave_file_stamp(const struct stat *status)
{
    apr_uint64_t parts[] = {status->st_dev, status->st_ino,
                            (apr_uint64_t)status->st_size,
                            (apr_uint64_t)status->st_mtim.tv_sec,
                            (apr_uint64_t)status->st_mtim.tv_nsec};
    apr_uint64_t hash = APR_UINT64_C(14695981039346656037);
    apr_size_t i;

    for (i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        hash = (hash ^ parts[i]) * APR_UINT64_C(1099511628211);
    return hash | 1;
}

int weave_file_write(int fd, const char *data, apr_size_t bytes)
{
    while (bytes) {
        ssize_t put = write(fd, data, bytes);

        if (put < 0 && errno != EINTR)
            return -1;
        if (put > 0) {
            data += put;
            bytes -= (apr_size_t)put;
        }
    }
    return 0;
}

static const char *size_text(apr_size_t bytes, apr_pool_t *pool)
{
    static const char *const units[] = {"bytes", "KiB", "MiB"};
    int i = 0;

    while (i < 2 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    return apr_psprintf(pool, "%" APR_SIZE_T_FMT " %s", bytes, units[i]);
}

const char *weave_file_error_text(apr_status_t rv, apr_size_t most,
                                  apr_pool_t *pool)
{
    char why[120];

    if (rv == WEAVE_FILE_OTHER)
        return "not a regular file";
    if (rv == WEAVE_FILE_LONG)
        return apr_pstrcat(pool, "larger than ", size_text(most, pool), NULL);
    return apr_pstrcat(
        pool, "cannot be read: ", apr_strerror(rv, why, sizeof(why)), NULL);
}
