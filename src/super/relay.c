/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c: what a worker writes to its standard output and error
 *
 * Workers have a pipe there, not httpd's log, which they could truncate, block
 * or fill. weaved reads it at a bounded rate, in turns with all others; a
 * worker that writes more waits. A line that the worker has formatted stays as
 * it is, any other one gets a prefix with its pid and its application: no
 * worker can write in the name of another.
 *
 * The worker holds a reading end, too, so that the pipe outlives weaved, and
 * hands it to the next weaved. weaved opens its own reading end anew: a worker
 * that changes the flags of its end cannot make weaved wait. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 4096 /* in one turn */
/* bytes of the log in a second, for each worker and for all together */
#define RATE_EACH (1024 * 1024)
#define RATE_ALL (4 * 1024 * 1024)
#define SAVED_MAX RATE_EACH
#define PAUSE_LEAST_US (SUPER_SECOND / 50)
/* how long a line may lack its end: a thread that writes one in parts may get
 * no processor for a while */
#define UNFINISHED_US (5 * SUPER_SECOND)
/* of the log, for the rest that is read before a worker is judged */
#define REST_BYTES (512 * 1024)
#define NAME_BYTES 200

/* relays that outlive their worker, for one application */
#define ORPHANS_MAX 8

struct super_relay_t {
    super_relay_t *next; /* of the relays that outlive their worker */
    int is_orphan;
    long pid;   /* of the worker */
    char *name; /* of its application; malloc */
    int fd;
    int ended; /* 1: no process has it open for writing any more */
    super_watch_t watch;
    super_timer_t pause; /* running: it has used up its rate */
    super_timer_t unfinished;
    int64_t saved; /* bytes that it may write now; below 0: it has borrowed */
    int64_t saved_us;
    size_t len; /* of `data`: a line without its end */
    char data[WEAVE_LINE_BYTES];
};

static int relays;
static super_relay_t *orphans;

static void relay_event(void *data, uint32_t events);
static void unfinished_event(void *data);

/* ---- lines ---- */

/* Makes what stands before a line that the worker has not formatted. */
static size_t prefix_make(char *prefix, const super_relay_t *relay)
{
    const char *name = relay->name;
    size_t at = weave_line_begin(prefix, 3, relay->pid);

    at = (size_t)(stpcpy(prefix + at, "[app ") - prefix);
    at = weave_line_append(prefix, at, at + NAME_BYTES, &name,
                           name + strlen(name), 1);
    return (size_t)(stpcpy(prefix + at, "] ") - prefix);
}

static void line_pass(super_relay_t *relay, const char *text, size_t len)
{
    size_t own = weave_line_prefix_bytes(text, len, relay->pid), put = 0;
    char prefix[WEAVE_LINE_BYTES];

    if (len && text[len - 1] == '\r')
        len--;
    if (own)
        put = super_log_write(text, own, text + own, len - own, 0);
    else if (len)
        put = super_log_write(prefix, prefix_make(prefix, relay), text, len, 1);
    relay->saved -= (int64_t)put + 1; /* empty lines count, too */
}

static void unfinished_pass(super_relay_t *relay)
{
    super_timer_cancel(&relay->unfinished);
    if (relay->len)
        line_pass(relay, relay->data, relay->len);
    relay->len = 0;
}

static void lines_pass(super_relay_t *relay)
{
    const char *from = relay->data, *newline;
    size_t left = relay->len;

    while ((newline = memchr(from, '\n', left)) != NULL) {
        line_pass(relay, from, (size_t)(newline - from));
        left -= (size_t)(newline + 1 - from);
        from = newline + 1;
    }
    memmove(relay->data, from, left);
    relay->len = left;
    if (left == sizeof(relay->data))
        unfinished_pass(relay);
    else if (left)
        super_timer_set(&relay->unfinished, UNFINISHED_US, unfinished_event,
                        relay);
    else
        super_timer_cancel(&relay->unfinished);
}

/* Reads once. Returns 1 where there may be more; 0: not now, or never
 * (`ended`). */
static int relay_read(super_relay_t *relay)
{
    size_t room = sizeof(relay->data) - relay->len;
    ssize_t got = read(relay->fd, relay->data + relay->len,
                       room < READ_BYTES ? room : READ_BYTES);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    relay->ended = got <= 0;
    if (relay->ended)
        return 0;
    relay->len += (size_t)got;
    lines_pass(relay);
    return 1;
}

/* weaved itself may have been late, or the relay pauses: the rest of the line
 * may be in the pipe. */
static void unfinished_event(void *data)
{
    super_relay_t *relay = data;

    if (relay->pause.link)
        super_timer_set(&relay->unfinished, UNFINISHED_US, unfinished_event,
                        relay);
    else if (!relay_read(relay))
        unfinished_pass(relay);
}

/* ---- its rate ---- */

static int64_t relay_rate(void)
{
    int64_t part = RATE_ALL / (relays ? relays : 1);

    return part < RATE_EACH ? part : RATE_EACH;
}

static void saved_update(super_relay_t *relay)
{
    int64_t now = weave_clock_us(), gone = now - relay->saved_us;

    /* SAVED_MAX is reached long before, and a longer time would overflow */
    gone = gone < 3600 * SUPER_SECOND ? gone : 3600 * SUPER_SECOND;
    relay->saved += gone * relay_rate() / SUPER_SECOND;
    relay->saved_us = now;
    if (relay->saved > SAVED_MAX)
        relay->saved = SAVED_MAX;
}

static void relay_resume(void *data)
{
    super_relay_t *relay = data;

    if (super_watch_set(&relay->watch, relay->fd, EPOLLIN, relay_event,
                        relay) != APR_SUCCESS)
        super_timer_set(&relay->pause, SUPER_SECOND, relay_resume, relay);
}

static void relay_free(super_relay_t *relay)
{
    super_relay_t **at = &orphans;

    while (*at && *at != relay)
        at = &(*at)->next;
    if (*at)
        *at = relay->next;
    relays--;
    super_watch_cancel(&relay->watch);
    super_timer_cancel(&relay->pause);
    super_timer_cancel(&relay->unfinished);
    if (relay->fd >= 0)
        close(relay->fd);
    free(relay->name);
    free(relay);
}

static void relay_event(void *data, uint32_t events)
{
    super_relay_t *relay = data;
    int64_t pause;

    (void)events;
    saved_update(relay);
    relay_read(relay);
    if (relay->ended) {
        super_watch_cancel(&relay->watch);
        unfinished_pass(relay);
        if (relay->is_orphan)
            relay_free(relay);
        return;
    }
    if (relay->saved > 0)
        return;
    super_watch_cancel(&relay->watch);
    pause = (READ_BYTES - relay->saved) * SUPER_SECOND / relay_rate();
    super_timer_set(&relay->pause,
                    pause > PAUSE_LEAST_US ? pause : PAUSE_LEAST_US,
                    relay_resume, relay);
}

/* ---- its beginning and its end ---- */

apr_status_t super_relay_pipe_make(super_pipe_t *made)
{
    int ends[2];

    *made = (super_pipe_t){-1, -1, -1};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    made->read_fd = ends[0];
    made->write_fd = ends[1];
    made->say_fd = weave_fd_reopen(ends[1], O_WRONLY | O_NONBLOCK);
    return made->say_fd >= 0 ? APR_SUCCESS : errno;
}

void super_relay_pipe_close(const super_pipe_t *made)
{
    if (made->read_fd >= 0)
        close(made->read_fd);
    if (made->write_fd >= 0)
        close(made->write_fd);
    if (made->say_fd >= 0)
        close(made->say_fd);
}

/* Tells whether FD is a pipe without a name. A FIFO may be in a file system
 * that a user serves (FUSE), and an open could wait for that user. */
static int is_pipe(int fd)
{
    char path[64], what[16] = "";

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, what, sizeof(what) - 1) > 0 &&
           !strncmp(what, "pipe:[", 6);
}

apr_status_t super_relay_start(super_worker_t *worker, int read_fd)
{
    super_relay_t *relay;
    apr_status_t rv;

    if (!is_pipe(read_fd))
        return APR_EINVAL;
    relay = calloc(1, sizeof(*relay));
    if (!relay)
        return APR_ENOMEM;
    relays++;
    relay->pid = (long)worker->pid;
    relay->saved = SAVED_MAX;
    relay->saved_us = weave_clock_us();
    relay->name = strdup(worker->generation->app->name);
    relay->fd = weave_fd_reopen(read_fd, O_RDONLY | O_NONBLOCK);
    if (relay->fd < 0)
        rv = errno;
    else if (!relay->name)
        rv = APR_ENOMEM;
    else
        rv = super_watch_set(&relay->watch, relay->fd, EPOLLIN, relay_event,
                             relay);
    if (rv == APR_SUCCESS)
        worker->relay = relay;
    else
        relay_free(relay);
    return rv;
}

void super_relay_flush(super_worker_t *worker)
{
    super_relay_t *relay = worker->relay;
    int64_t least;

    if (!relay)
        return;
    least = relay->saved - REST_BYTES;
    while (relay->saved > least && relay_read(relay))
        ;
    unfinished_pass(relay);
}

static int orphans_count(const char *name)
{
    const super_relay_t *relay;
    int count = 0;

    for (relay = orphans; relay; relay = relay->next)
        count += !strcmp(relay->name, name);
    return count;
}

/* Goes on reading while programs that the worker has started may write. */
void super_relay_end(super_worker_t *worker)
{
    super_relay_t *relay = worker->relay;

    if (!relay)
        return;
    worker->relay = NULL;
    if (relay->ended || orphans_count(relay->name) >= ORPHANS_MAX) {
        relay_free(relay);
        return;
    }
    relay->is_orphan = 1;
    relay->next = orphans;
    orphans = relay;
}
