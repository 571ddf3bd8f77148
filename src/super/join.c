/* SPDX-License-Identifier: Apache-2.0 */
/* join.c: says HELLO to a worker that another weaved has started
 *
 * The answer is a WELCOME, and behind it come control messages: the connection
 * becomes the control channel of this weaved. */
#include "join.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_handshake.h"
#include "weave_socket.h"

#define JOIN_US (2 * SUPER_SECOND)

struct super_join_t {
    const super_join_events_t *events;
    int fd;
    super_watch_t watch;
    super_timer_t limit;
    weave_welcome_part_t part;
};

void super_join_end(super_worker_t *worker)
{
    super_join_t *join = worker->join;

    if (!join)
        return;
    worker->join = NULL;
    super_watch_cancel(&join->watch);
    super_timer_cancel(&join->limit);
    if (join->fd >= 0)
        close(join->fd);
    weave_welcome_drop(&join->part);
    free(join);
}

static void join_fail(super_worker_t *worker, const char *why)
{
    const super_join_events_t *events = worker->join->events;

    super_join_end(worker);
    events->failed(worker, why);
}

static void join_timed_out(void *data)
{
    join_fail(data, "it does not answer");
}

/* ---- the WELCOME ---- */

static void welcome_take(super_worker_t *worker, const weave_welcome_t *welcome)
{
    super_join_t *join = worker->join;
    const super_join_events_t *events = join->events;
    int fd = join->fd;

    if (join->part.board_fd >= 0 &&
        weave_board_map(&worker->board, join->part.board_fd, 0) != APR_SUCCESS)
        worker->board = NULL;
    super_watch_cancel(&join->watch);
    join->fd = -1;
    super_join_end(worker);
    events->joined(worker, welcome, fd);
}

/* Reads the WELCOME, and nothing of the control messages behind it. */
static void join_event(void *data, uint32_t events)
{
    super_worker_t *worker = data;
    super_join_t *join = worker->join;
    weave_welcome_t welcome;
    apr_status_t rv =
        weave_welcome_receive(&welcome, &join->part, join->fd, MSG_DONTWAIT);

    (void)events;
    if (rv == APR_SUCCESS)
        welcome_take(worker, &welcome);
    else if (rv == EBADMSG || rv == EPROTO)
        join_fail(worker, "its answer is no WELCOME, or of another version"
                          " of mod_weave");
    else if (!APR_STATUS_IS_EAGAIN(rv))
        join_fail(worker, "it has closed the connection");
}

/* ---- the HELLO ---- */

static apr_status_t hello_send(super_worker_t *worker)
{
    weave_hello_frame_t out = weave_hello_make(
        WEAVE_ROLE_SUPERVISOR, &worker->generation->app->secret);
    super_join_t *join = worker->join;
    apr_status_t rv = weave_socket_connect(&join->fd, worker->socket, geteuid(),
                                           WEAVE_SOCKET_NONBLOCK);

    if (rv != APR_SUCCESS)
        return rv;
    if (weave_fd_send(join->fd, &out, sizeof(out), -1, MSG_DONTWAIT) !=
        sizeof(out))
        return errno;
    return super_watch_set(&join->watch, join->fd, EPOLLIN, join_event, worker);
}

void super_join_start(super_worker_t *worker, const super_join_events_t *events)
{
    super_join_t *join = calloc(1, sizeof(*join));
    apr_status_t rv;
    char why[120];

    if (!join) {
        events->failed(worker, "there is no memory left");
        return;
    }
    worker->join = join;
    join->events = events;
    join->part = WEAVE_WELCOME_NOTHING;
    join->part.careful = 1;
    join->fd = -1;
    rv = hello_send(worker);
    if (rv == APR_SUCCESS)
        super_timer_set(&join->limit, JOIN_US, join_timed_out, worker);
    else if (rv == ECONNREFUSED && worker->state == SUPER_LEAVING)
        super_join_end(worker); /* its listener is closed already */
    else
        join_fail(worker, apr_strerror(rv, why, sizeof(why)));
}
