/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEAVE_FILE_H
#define WEAVE_FILE_H

/**
 * Reads small files whose folder may belong to somebody with fewer rights.
 *
 * Use it for every file that root, httpd's parent or weaved reads. Whatever
 * stands in the place of the file, also when it is exchanged at that moment,
 * the call returns at once:
 *
 *  - Only a regular file is ever opened. A FIFO, a device or a socket is looked
 *    at through an O_PATH descriptor, which does nothing to it, and the file is
 *    then opened through that descriptor. So nothing can come between the look
 *    and the opening.
 *  - It is opened with O_NONBLOCK: a lease of its owner delays nothing.
 *  - No more is read than the caller allows.
 *
 * /proc must be mounted.
 */

#include <sys/stat.h>

#include <apr_errno.h>
#include <apr_pools.h>

/** The status for what is no regular file, and for a file that is too long. */
#define WEAVE_FILE_OTHER APR_EBADPATH
#define WEAVE_FILE_LONG EFBIG

typedef struct weave_file_t {
    char *data;         /* ends in a NUL that is not counted */
    apr_size_t bytes;   /* may be more or less than status.st_size */
    struct stat status; /* of the open descriptor */
} weave_file_t;

/**
 * Opens NAME for reading, below the folder DIR (a descriptor, or AT_FDCWD).
 * *fd and *status (may be NULL) are set on success; the caller closes *fd.
 * Returns WEAVE_FILE_OTHER, or what the system says.
 */
apr_status_t weave_file_open(int *fd, struct stat *status, int dir,
                             const char *name);

/**
 * Reads all of such a file into POOL. Returns WEAVE_FILE_LONG when it has more
 * than MOST bytes; otherwise as weave_file_open.
 */
apr_status_t weave_file_read(weave_file_t *file, int dir, const char *name,
                             apr_size_t most, apr_pool_t *pool);

/** Says what RV of weave_file_read means, to be put behind the file's name:
 *  "cannot be read: ...", "not a regular file", "larger than 1 MiB". */
const char *weave_file_error_text(apr_status_t rv, apr_size_t most,
                                  apr_pool_t *pool);

#endif
