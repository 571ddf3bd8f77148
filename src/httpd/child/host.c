/* SPDX-License-Identifier: Apache-2.0 */
/* host.c: httpd as the engine's host in embedded mode
 *
 * A process that the application has forked comes here, too, on its way back
 * from the engine. Its parent answers the request: it ends, and does nothing
 * else with what it shares with httpd. */
#include "exchange.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <http_main.h>

#include "weave_line.h"

static struct {
    int ini_fd; /* where the application reads its sync.ini, or -1 */
    int forked; /* 1: this is a process that the application has forked */
} host_state = {.ini_fd = -1};

void mod_weave_host_leave_fork(void)
{
    if (host_state.forked)
        _exit(0);
}

static void fork_note(void)
{
    host_state.forked = 1;
}

static void fork_close(void)
{
    mod_weave_fork_close(host_state.ini_fd);
}

/* Calls nothing of httpd there: its logs are closed, or somebody else's. */
static void log_line(void *host, int level, const char *text, size_t len)
{
    if (!host_state.forked)
        mod_weave_log(host, level, text, len);
    else if (APLOG_MODULE_IS_LEVEL(ap_server_conf, APLOG_MODULE_INDEX, level))
        weave_line_write(2, level, NULL, text, len);
}

static ssize_t body_read(void *host, char *buffer, size_t size)
{
    return host_state.forked ? WEAVE_IO_GONE
                             : mod_weave_body_read(host, buffer, size);
}

static void head_send(void *host, const weave_head_t *head)
{
    if (!host_state.forked)
        mod_weave_head_send(host, head);
}

static weave_io_e body_send(void *host, const weave_piece_t *pieces,
                            size_t count, int flags)
{
    mod_weave_host_leave_fork();
    return mod_weave_body_send(host, pieces, count, flags);
}

static weave_io_e file_send(void *host, int fd, int64_t offset, int64_t length)
{
    mod_weave_host_leave_fork();
    return mod_weave_file_send(host, fd, offset, length);
}

static const weave_host_t embedded_host = {WEAVE_ENGINE_ABI,
                                           sizeof(weave_host_t),
                                           body_read,
                                           head_send,
                                           body_send,
                                           file_send,
                                           log_line,
                                           fork_close,
                                           NULL};

const weave_host_t *mod_weave_host_start(const char *ini)
{
    if (sscanf(ini, "/proc/self/fd/%d", &host_state.ini_fd) != 1)
        host_state.ini_fd = -1;
    pthread_atfork(NULL, NULL, fork_note);
    return &embedded_host;
}
