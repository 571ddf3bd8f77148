/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FILE_H
#define WEAVE_FILE_H

/**
 * Reads small files whose folder may belong to a user with fewer rights: every
 * file that root, httpd's parent or weaved reads. Whatever is at the path, also
 * when it is exchanged at that moment, the call returns at once. Only a regular
 * file is ever opened for reading: its type is checked through an O_PATH
 * descriptor, which has no effect on a FIFO, a device or a socket, and the file
 * is then opened through this descriptor, with O_NONBLOCK, so that a lease of
 * its owner does not delay it. /proc must be mounted. Any thread.
 */

#include <sys/stat.h>

#include <apr_errno.h>
#include <apr_pools.h>

/** The statuses when it is no regular file, and when it is too long. */
#define WEAVE_FILE_OTHER APR_EBADPATH
#define WEAVE_FILE_LONG EFBIG

typedef struct weave_file_t {
    char *data;         /* ends in a NUL that is not counted */
    apr_size_t bytes;   /* may be more or less than status.st_size */
    struct stat status; /* of the open descriptor */
} weave_file_t;

/** Opens NAME for reading, below the folder DIR (a descriptor, or AT_FDCWD).
 *  On success sets *fd, which the caller closes, and *status (may be NULL).
 *  Otherwise returns WEAVE_FILE_OTHER or the system's error. */
apr_status_t weave_file_open(int *fd, struct stat *status, int dir,
                             const char *name);

/** Reads all of such a file into POOL. Returns WEAVE_FILE_LONG when it has more
 *  than MOST bytes, or the statuses of weave_file_open. */
apr_status_t weave_file_read(weave_file_t *file, int dir, const char *name,
                             apr_size_t most, apr_pool_t *pool);

/** Returns a number greater than 0, which does not depend on the content, for
 *  the identity, size and time of change of a file. */
apr_uint64_t weave_file_stamp(const struct stat *status);

/** Writes all of DATA to FD. Returns 0, or -1 and errno. */
int weave_file_write(int fd, const char *data, apr_size_t bytes);

/** Returns a text for RV of weave_file_read, to append to the file's name:
 *  "cannot be read: ...", "not a regular file", "larger than 1 MiB". */
const char *weave_file_error_text(apr_status_t rv, apr_size_t most,
                                  apr_pool_t *pool);

#endif
