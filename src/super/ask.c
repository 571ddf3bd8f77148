/* SPDX-License-Identifier: Apache-2.0 */
/* ask.c: who asks weaved for something, and the answers */
#include "super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

#include "weave_socket.h"

#define CALLERS_MAX 64
/* how long a connection of weavectl's may last, and what it may say */
#define CALLER_US (60 * SUPER_SECOND)
#define CALLER_MESSAGES 16

typedef struct caller_t {
    super_channel_t channel;
    super_timer_t limit;
    int httpd; /* 1: the socket pair with httpd; 0: one of many */
} caller_t;

static super_watch_t listener;
static super_timer_t listener_timer; /* running: the listener is not watched */
static caller_t httpd = {.httpd = 1};
static int callers;

/* ---- the operations ---- */

/* Each sets *answer, or returns a message in POOL. */
typedef const char *operation_fn(json_t **answer, const json_t *request,
                                 int pass, apr_pool_t *pool);

static const char *op_want(json_t **answer, const json_t *request, int pass,
                           apr_pool_t *pool)
{
    (void)answer;
    (void)request;
    return super_want_apply(pass, pool);
}

static const char *op_ping(json_t **answer, const json_t *request, int pass,
                           apr_pool_t *pool)
{
    (void)answer;
    (void)request;
    (void)pass;
    (void)pool;
    return NULL;
}

static const char *op_log(json_t **answer, const json_t *request, int pass,
                          apr_pool_t *pool)
{
    (void)answer;
    (void)request;
    return super_log_set(pass) < 0
               ? apr_psprintf(pool, "no descriptor of a log came with it")
               : NULL;
}

static void reload_add(json_t *answer, const super_app_t *app)
{
    json_t *list = json_object_get(answer, "generations");

    if (app->coming)
        json_array_append_new(list, json_pack("{s:s, s:I}", "ini", app->name,
                                              "number",
                                              (json_int_t)app->coming->number));
}

static const char *op_reload(json_t **answer, const json_t *request, int pass,
                             apr_pool_t *pool)
{
    const json_t *name = json_object_get(request, "app");
    const char *ini = json_string_value(name), *problem = NULL;
    super_app_t *app;
    int found = 0;

    (void)pass;
    *answer = json_pack("{s:b, s:[]}", "ok", 1, "generations");
    for (app = super.apps; app; app = app->next) {
        const char *wrong;

        if (!app->wanted || !app->spec || (ini && strcmp(app->name, ini) != 0))
            continue;
        found = 1;
        wrong = super_app_reload(app, pool);
        if (wrong && !problem)
            problem = wrong;
        reload_add(*answer, app);
    }
    if (!found)
        problem = ini ? apr_psprintf(pool,
                                     "%s: httpd has no such application in"
                                     " worker processes: `weavectl status`"
                                     " lists what there is",
                                     ini)
                      : "httpd has no WeaveApp in worker processes";
    return problem;
}

static const char *op_status(json_t **answer, const json_t *request, int pass,
                             apr_pool_t *pool)
{
    (void)request;
    (void)pass;
    *answer =
        json_pack("{s:b, s:o}", "ok", 1, "status", super_status_json(pool));
    return NULL;
}

/* The answer comes first. */
static const char *op_stop(json_t **answer, const json_t *request, int pass,
                           apr_pool_t *pool)
{
    (void)answer;
    (void)request;
    (void)pass;
    (void)pool;
    return NULL;
}

static const struct {
    const char *name;
    operation_fn *fn;
    int is_httpds; /* 1: weavectl has no use for it */
} operations[] = {
    {"want", op_want, 1},     {"log", op_log, 1},   {"reload", op_reload, 0},
    {"status", op_status, 0}, {"stop", op_stop, 1}, {"ping", op_ping, 0},
};

static const char *operation_run(json_t **answer, const caller_t *caller,
                                 const json_t *request, int pass,
                                 apr_pool_t *pool)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const json_t *version = json_object_get(request, "version");
    size_t i;

    if (!json_is_integer(version) ||
        json_integer_value(version) != WEAVE_CONTROL_VERSION)
        return "this weaved is of another version of mod_weave than who asks:"
               " stop httpd and start it again";
    if (super.ending)
        return "weaved is ending: httpd has stopped";
    for (i = 0; op && i < sizeof(operations) / sizeof(*operations); i++)
        if (!strcmp(op, operations[i].name))
            return caller->httpd || !operations[i].is_httpds
                       ? operations[i].fn(answer, request, pass, pool)
                       : "only httpd itself may ask that of weaved";
    return apr_psprintf(pool, "weaved does not know the operation %.100s",
                        op ? op : "(none)");
}

/* ---- requests ---- */

static void caller_message(void *data, json_t *request, int *pass)
{
    caller_t *caller = data;
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *problem;
    json_t *answer = NULL;
    apr_pool_t *pool;

    apr_pool_create(&pool, super.pool);
    problem = operation_run(&answer, caller, request, *pass, pool);
    if (problem) {
        json_decref(answer);
        answer = json_pack("{s:b, s:o}", "ok", 0, "error",
                           weave_control_text(problem, pool));
    }
    if (!answer)
        answer = json_pack("{s:b}", "ok", 1);
    json_object_set(answer, "number", json_object_get(request, "number"));
    super_channel_send(&caller->channel, answer, -1);
    json_decref(answer);
    apr_pool_destroy(pool);
    if (!problem && op && !strcmp(op, "stop"))
        super_end_begin();
}

static void caller_closed(void *data, const char *why)
{
    caller_t *caller = data;

    if (why)
        super_log(NULL, 6, "who asks weaved %s", why);
    if (caller->httpd)
        return; /* the lifeline tells when it is gone */
    super_timer_cancel(&caller->limit);
    callers--;
    free(caller);
}

static void caller_timed_out(void *data)
{
    caller_t *caller = data;

    super_channel_close(&caller->channel);
    caller_closed(caller, "takes too long");
}

/* ---- connections ---- */

static void listener_event(void *data, uint32_t events);

static void listener_resume(void *data)
{
    (void)data;
    super_watch_set(&listener, listener.fd, EPOLLIN, listener_event, NULL);
}

static int peer_is_allowed(int fd)
{
    long uid = -1, pid;

    return weave_socket_peer(fd, &uid, &pid) == APR_SUCCESS &&
           (uid == 0 || uid == (long)geteuid());
}

/* No descriptors left: epoll would tell of the same one for ever. */
static void listener_pause(void)
{
    super_watch_cancel(&listener);
    super_timer_set(&listener_timer, SUPER_SECOND, listener_resume, NULL);
}

static void listener_event(void *data, uint32_t events)
{
    int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    caller_t *caller;

    (void)data;
    (void)events;
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        listener_pause();
    if (fd < 0)
        return;
    caller = peer_is_allowed(fd) && callers < CALLERS_MAX
                 ? calloc(1, sizeof(*caller))
                 : NULL;
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
        super_timer_set(&caller->limit, CALLER_US, caller_timed_out, caller);
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

apr_status_t super_control_httpd(int fd)
{
    return super_channel_open(
        &httpd.channel, fd,
        (super_bounds_t){WEAVE_CONTROL_ASK_MAX, 0, WEAVE_PASS_ANY},
        caller_message, caller_closed, &httpd);
}
