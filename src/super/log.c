/* SPDX-License-Identifier: Apache-2.0 */
/* log.c: httpd's error log, which must not hold up weaved
 *
 * httpd writes to the same descriptor, so weaved must not change its flags. A
 * regular file takes all that is written. A pipe, as to rotatelogs, is opened
 * once more, so that no write waits for its reader; a line for which there is
 * no room is dropped and counted. */
#include "super.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define NUMBER_BYTES 11 /* of "WEAVE", four digits, a colon and a blank */
#define RETRY_US SUPER_SECOND

static struct {
    int fd;
    int is_socket;
    int may_wait; /* 1: a write could wait, so poll() is asked before */
    size_t room;  /* of a line that it takes in one piece */
    unsigned long dropped;
    super_timer_t retry;  /* running: the next try to log how many */
    size_t left_at, left; /* of `line`: what it has not taken yet */
    char line[WEAVE_LINE_BYTES];
} out = {.fd = 2, .room = WEAVE_LINE_BYTES};

void super_log_open(void)
{
    struct stat status = {0};

    if (out.fd != 2)
        close(out.fd);
    out.fd = 2;
    fstat(2, &status);
    out.is_socket = S_ISSOCK(status.st_mode);
    out.may_wait = !S_ISREG(status.st_mode) && !out.is_socket;
    out.room = S_ISREG(status.st_mode) ? WEAVE_LINE_BYTES : PIPE_BUF;
    out.left = 0;
    if (!out.may_wait)
        return;
    out.fd = weave_fd_reopen(2, O_WRONLY | O_APPEND | O_NONBLOCK);
    out.may_wait = out.fd < 0;
    if (out.fd < 0)
        out.fd = 2;
}

const char *super_log_path(apr_pool_t *pool)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/fd/2", path, sizeof(path));

    return len > 0 && len < PATH_MAX && *path == '/' &&
                   strncmp(path, "/dev/", 5) != 0
               ? apr_pstrmemdup(pool, path, (apr_size_t)len)
               : NULL;
}

int super_log_set(int fd)
{
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        return -1;
    super_log_open();
    return 0;
}

/* Does as write(), without waiting. Where `may_wait` is 1, LEN is at most
 * PIPE_BUF: a pipe that poll() calls writable has room for that. */
static ssize_t out_write(const char *data, size_t len)
{
    struct pollfd can = {out.fd, POLLOUT, 0};

    if (out.is_socket)
        return send(out.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (out.may_wait && poll(&can, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(out.fd, data, len);
}

/* Writes the rest of the last line. Returns 0 when nothing is left of it,
 * otherwise -1. */
static int rest_write(void)
{
    while (out.left) {
        ssize_t put = out_write(out.line + out.left_at, out.left);

        if (put <= 0 && errno != EINTR)
            return -1;
        if (put > 0) {
            out.left_at += (size_t)put;
            out.left -= (size_t)put;
        }
    }
    return 0;
}

/* Writes a line, or begins to. Returns -1 where nothing of it was taken. */
static int line_write(const char *line, size_t len)
{
    ssize_t put;

    do
        put = rest_write() < 0 ? -1 : out_write(line, len);
    while (put < 0 && errno == EINTR);
    if (put <= 0)
        return -1;
    if ((size_t)put < len) {
        out.left_at = 0;
        out.left = len - (size_t)put;
        memcpy(out.line, line + put, out.left);
    }
    return 0;
}

static int dropped_log(void)
{
    char line[WEAVE_LINE_BYTES], text[160];
    size_t len;

    if (!out.dropped)
        return 0;
    len = (size_t)snprintf(text, sizeof(text),
                           "WEAVE0171: %lu lines were dropped here: the"
                           " program that reads this log is too slow, or its"
                           " disk is full",
                           out.dropped);
    if (line_write(line, weave_line_format(line, WEAVE_LINE_WARNING, NULL, text,
                                           len)) < 0)
        return -1;
    out.dropped = 0;
    return 0;
}

static void log_retry(void *data)
{
    (void)data;
    if (rest_write() < 0 || dropped_log() < 0)
        super_timer_set(&out.retry, RETRY_US, log_retry, NULL);
}

static void line_put(const char *line, size_t len)
{
    if (dropped_log() < 0 || line_write(line, len) < 0)
        out.dropped++;
    if ((out.dropped || out.left) && !out.retry.link)
        super_timer_set(&out.retry, RETRY_US, log_retry, NULL);
}

size_t super_log_write(const char *prefix, size_t prefix_len, const char *text,
                       size_t len, int whole)
{
    char line[WEAVE_LINE_BYTES];
    const char *end = text + len;
    size_t all = 0;

    memcpy(line, prefix, prefix_len);
    do {
        size_t at =
            weave_line_append(line, prefix_len, out.room, &text, end, whole);

        line[at++] = '\n';
        line_put(line, at);
        all += at;
    } while (text < end);
    return all;
}

void super_log_line(int level, long pid, const char *text, size_t len)
{
    char prefix[WEAVE_LINE_BYTES];
    size_t prefix_len = weave_line_begin(prefix, level, pid);

    super_log_write(prefix, prefix_len, text, len, 1);
}

super_t super = {.socket_gid = -1};

static int is_shown(const super_app_t *app, int level)
{
    return app->spec && level <= app->spec->log_level;
}

/* httpd shows notices always. */
static int is_logged(const super_app_t *app, int level)
{
    const super_app_t *any = super.apps;

    if (level <= WEAVE_LINE_NOTICE)
        return 1;
    if (app)
        return is_shown(app, level);
    while (any && !is_shown(any, level))
        any = any->next;
    return any != NULL;
}

void super_log(const super_app_t *app, int level, const char *format, ...)
{
    char text[WEAVE_LINE_BYTES];
    va_list args;

    if (!is_logged(app, level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    super_log_line(level, 0, text, strlen(text));
}

void super_worker_log(const super_worker_t *worker, int level,
                      const char *format, ...)
{
    const super_app_t *app = worker->generation->app;
    int number = strncmp(format, "WEAVE", 5) ? 0 : NUMBER_BYTES;
    char text[WEAVE_LINE_BYTES];
    va_list args;

    if (!is_logged(app, level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format + number, args);
    va_end(args);
    super_log(app, level, "%.*sworker %ld of %s%s%s", number, format,
              (long)worker->pid, app->name, *text == ',' ? "" : " ", text);
}
