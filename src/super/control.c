/* SPDX-License-Identifier: Apache-2.0 */
/* control.c: the connections on which httpd and weavectl ask weaved
 *
 * httpd has a socket pair of its own. weavectl connects to a socket in the
 * runtime directory; each of its connections is bounded in time, in size and in
 * number. */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weave_fd.h"

#define CALLERS_MAX 64
/* bounds of one connection of weavectl: time and messages */
#define CALLER_US (60 * SUPER_SECOND)
#define CALLER_MESSAGES 16

struct super_caller_t {
    super_channel_t channel;
    super_timer_t limit;
    int httpd; /* 1: the socket pair with httpd; 0: a connection of weavectl */
    const json_t *number; /* borrowed: of the request that is being answered */
    json_t *held_number;  /* of the one that is answered later; or NULL */
    void (*gone)(void *data); /* NULL: nothing is held for it */
    void *data;
};

static super_watch_t listener;
static super_timer_t listener_timer; /* running: the listener is not watched */
static super_caller_t httpd = {.httpd = 1};
static super_request_fn *request_answer;
static int callers;

static void answer_send(super_caller_t *caller, json_t *answer,
                        const json_t *number)
{
    if (number)
        json_object_set_new(answer, "number", json_deep_copy(number));
    super_channel_send(&caller->channel, answer);
    json_decref(answer);
}

static void caller_message(void *data, json_t *request, int pass)
{
    super_caller_t *caller = data;
    json_t *answer;

    caller->number = json_object_get(request, "number");
    answer = request_answer(request, caller, pass);
    if (answer)
        answer_send(caller, answer, caller->number);
    caller->number = NULL;
}

static void caller_closed(void *data, const char *why)
{
    super_caller_t *caller = data;

    if (why)
        super_log(NULL, WEAVE_LINE_INFO,
                  "a control connection is closed: the other end %s", why);
    if (caller->httpd)
        return; /* the lifeline tells when httpd is gone */
    super_timer_cancel(&caller->limit);
    if (caller->gone)
        caller->gone(caller->data);
    json_decref(caller->held_number);
    callers--;
    free(caller);
}

static void caller_timed_out(void *data)
{
    super_caller_t *caller = data;

    super_channel_close(&caller->channel);
    caller_closed(caller, "takes too long");
}

static void limit_begin(super_caller_t *caller)
{
    if (!caller->channel.closed)
        super_timer_set(&caller->limit, CALLER_US, caller_timed_out, caller);
}

int super_caller_is_httpd(const super_caller_t *caller)
{
    return caller->httpd;
}

int super_caller_hold(super_caller_t *caller, void (*gone)(void *data),
                      void *data)
{
    if (caller->gone || caller->httpd)
        return -1;
    caller->gone = gone;
    caller->data = data;
    caller->held_number = json_deep_copy(caller->number);
    super_timer_cancel(&caller->limit);
    return 0;
}

void super_caller_release(super_caller_t *caller)
{
    caller->gone = NULL;
    json_decref(caller->held_number);
    caller->held_number = NULL;
    limit_begin(caller);
}

void super_caller_answer(super_caller_t *caller, json_t *answer)
{
    answer_send(caller, answer, caller->held_number);
    limit_begin(caller);
}

static void listener_event(void *data, uint32_t events);

static int peer_is_allowed(int fd)
{
    long uid = -1, pid;

    return weave_socket_peer(fd, &uid, &pid) == APR_SUCCESS &&
           (uid == 0 || uid == (long)geteuid());
}

static void listener_resume(void *data)
{
    (void)data;
    if (super_watch_set(&listener, listener.fd, EPOLLIN, listener_event,
                        NULL) != APR_SUCCESS)
        super_timer_set(&listener_timer, SUPER_SECOND, listener_resume, NULL);
}

static void listener_event(void *data, uint32_t events)
{
    int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    const char *refused;
    super_caller_t *caller;

    (void)data;
    (void)events;
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* without a free descriptor, epoll would report the same connection
         * again and again */
        super_watch_cancel(&listener);
        super_timer_set(&listener_timer, SUPER_SECOND, listener_resume, NULL);
    }
    if (fd < 0)
        return;
    refused = callers >= CALLERS_MAX ? "there are too many"
              : peer_is_allowed(fd)  ? NULL
                                     : "it is of another user";
    if (refused)
        super_log(NULL, WEAVE_LINE_DEBUG,
                  "a connection to the control socket is refused: %s", refused);
    caller = refused ? NULL : calloc(1, sizeof(*caller));
    if (!caller) {
        close(fd);
        return;
    }
    callers++;
    if (super_channel_open(&caller->channel, fd,
                           (super_bounds_t){WEAVE_CONTROL_ASK_MAX,
                                            CALLER_MESSAGES, WEAVE_PASS_NONE},
                           caller_message, caller_closed,
                           caller) != APR_SUCCESS)
        caller_closed(caller, NULL);
    else
        limit_begin(caller);
}

apr_status_t super_control_listen(int fd)
{
    apr_status_t rv =
        super_watch_set(&listener, fd, EPOLLIN, listener_event, NULL);

    if (rv != APR_SUCCESS)
        close(fd);
    return rv;
}

void super_control_unlisten(void)
{
    if (!listener.set && !listener_timer.link)
        return;
    super_timer_cancel(&listener_timer);
    super_watch_cancel(&listener);
    close(listener.fd);
}

apr_status_t super_control_open(int fd, super_request_fn *fn)
{
    request_answer = fn;
    return super_channel_open(
        &httpd.channel, fd,
        (super_bounds_t){WEAVE_CONTROL_ASK_MAX, 0, WEAVE_PASS_ANY},
        caller_message, caller_closed, &httpd);
}
