/* SPDX-License-Identifier: Apache-2.0 */
/* spool.c: the unlinked file for what a slow reader leaves */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes in the files of all connections. */
static _Atomic int64_t the_bytes;

/* Returns the share of limits.spool_total that each worker of the application
 * has, so that none uses up what another one needs. */
static int64_t spool_share(void)
{
    return weave_spec_int(worker.spec, WEAVE_LIMITS_SPOOL_TOTAL) /
           weave_spec_int(worker.spec, WEAVE_WORKERS_PROCESSES);
}

static const char *spool_folder(void)
{
    const char *dir = weave_spec_str(worker.spec, WEAVE_LIMITS_SPOOL_DIR);
    const char *set = getenv("TMPDIR");

    if (*dir)
        return dir;
    return set && *set ? set : "/tmp";
}

static int spool_open(void)
{
    char path[4096];
    int fd = open(spool_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof(path), "%s/weave.XXXXXX", spool_folder());
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Logs once in a process, so that a full disk does not fill the log. */
static void failure_log(void)
{
    static atomic_int logged;
    int error = errno;

    if (!atomic_exchange(&logged, 1))
        weave_line_say(WEAVE_LOG_ERROR,
                       "WEAVE0094: answers to slow clients cannot be kept in"
                       " %s: %s: from now on a thread waits for each such"
                       " client",
                       spool_folder(), strerror(error));
}

/* Logs once in a process that all files together are full. A single file at
 * limits.spool_max is expected. */
static void share_log(void)
{
    static atomic_int logged;

    if (!atomic_exchange(&logged, 1))
        weave_line_say(WEAVE_LOG_WARNING,
                       "WEAVE0192: answers to slow clients fill the share of"
                       " limits.spool_total that this worker has (%lld bytes):"
                       " from now on a thread waits for each further one",
                       (long long)spool_share());
}

/* Counts LEN bytes more. Returns 0, or -1 when they are too many. */
static int bytes_add(const connection_t *connection, int64_t len)
{
    if (connection->spool_end + len >
        weave_spec_int(worker.spec, WEAVE_LIMITS_SPOOL_MAX))
        return -1;
    if (atomic_fetch_add(&the_bytes, len) + len <= spool_share())
        return 0;
    atomic_fetch_sub(&the_bytes, len);
    share_log();
    return -1;
}

/* Appends LEN bytes to the file. Returns 0, or -1 and errno. */
static int file_append(connection_t *connection, const char *data, size_t len)
{
    size_t done = 0;

    if (connection->spool_fd < 0)
        connection->spool_fd = spool_open();
    while (connection->spool_fd >= 0 && done < len) {
        ssize_t written = pwrite(connection->spool_fd, data + done, len - done,
                                 connection->spool_end + (int64_t)done);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        done += (size_t)written;
    }
    return done == len ? 0 : -1;
}

int spool_write(connection_t *connection, const char *data, size_t len)
{
    if (connection->spool_failed || bytes_add(connection, (int64_t)len) < 0)
        return -1;
    if (file_append(connection, data, len) < 0) {
        failure_log();
        atomic_fetch_sub(&the_bytes, (int64_t)len);
        connection->spool_failed = 1;
        return -1;
    }
    connection->spool_end += (int64_t)len;
    return 0;
}

void spool_close(connection_t *connection)
{
    if (connection->spool_fd >= 0)
        close(connection->spool_fd);
    connection->spool_fd = -1;
    atomic_fetch_sub(&the_bytes, connection->spool_end);
    connection->spool_end = 0;
    connection->spool_failed = 0;
}
