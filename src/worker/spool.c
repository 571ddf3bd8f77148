/* SPDX-License-Identifier: Apache-2.0 */
/* spool.c: the unlinked file for what a slow reader leaves */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weave_line.h"

#define SPOOL_BYTES (1LL << 30) /* of one connection */

static const char *folder(void)
{
    const char *set = getenv("TMPDIR");

    if (*worker.spec->spool_dir)
        return worker.spec->spool_dir;
    return set && *set ? set : "/tmp";
}

static int spool_open(void)
{
    char path[4096];
    int fd = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof(path), "%s/weave.XXXXXX", folder());
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Once for a process: a full disk must not fill the log. */
static void complain(void)
{
    static atomic_int said;
    int error = errno;

    if (!atomic_exchange(&said, 1))
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0094: answers to slow readers cannot be kept in"
                       " %s: %s: a thread waits for each of them instead",
                       folder(), strerror(error));
}

int spool_write(connection_t *connection, const char *data, size_t len)
{
    size_t done = 0;

    if (connection->spool_failed)
        return -1;
    if (connection->spool_fd < 0)
        connection->spool_fd = spool_open();
    while (connection->spool_fd >= 0 && done < len) {
        ssize_t put = pwrite(connection->spool_fd, data + done, len - done,
                             connection->spool_end + (int64_t)done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    if (done == len) {
        connection->spool_end += (int64_t)len;
        return 0;
    }
    complain();
    connection->spool_failed = 1;
    return -1;
}

int spool_is_full(const connection_t *connection, size_t len)
{
    return connection->spool_end + (int64_t)len > SPOOL_BYTES;
}

void spool_close(connection_t *connection)
{
    if (connection->spool_fd >= 0)
        close(connection->spool_fd);
    connection->spool_fd = -1;
    connection->spool_end = 0;
    connection->spool_failed = 0;
}
