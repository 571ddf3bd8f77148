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

#define ASKERS_MAX 64
/* how long a connection of weavectl's may last, and what it may say */
#define ASKER_US (60 * SUPER_SECOND)
#define ASKER_MESSAGES 16

typedef struct asker_t {
    super_channel_t channel;
    super_timer_t limit;
    int httpd; /* 1: the socket pair with httpd; 0: one of many */
} asker_t;

static super_watch_t listener;
static super_timer_t later; /* running: the listener is not watched */
static asker_t httpd = {.httpd = 1};
static int askers;

/* ---- the operations ---- */

/* Each sets *answer, or returns a message in POOL. */
typedef const char *operation_fn(json_t **answer, const json_t *request,
                                 int pass, apr_pool_t *pool);

static const char *op_want(json_t **answer, const json_t *request, int pass,
                           apr_pool_t *pool)
{
    (void)answer;
    (void)request;
    return super_want(pass, pool);
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
    return super_log_take(pass) < 0
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
    *answer = json_pack("{s:b, s:o}", "ok", 1, "status", super_status(pool));
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

static const char *operate(json_t **answer, const asker_t *asker,
                           const json_t *request, int pass, apr_pool_t *pool)
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
            return asker->httpd || !operations[i].is_httpds
                       ? operations[i].fn(answer, request, pass, pool)
                       : "only httpd itself may ask that of weaved";
    return apr_psprintf(pool, "weaved does not know the operation %.100s",
                        op ? op : "(none)");
}

/* ---- requests ---- */

static void asker_message(void *data, json_t *request, int *pass)
{
    asker_t *asker = data;
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *problem;
    json_t *answer = NULL;
    apr_pool_t *pool;

    apr_pool_create(&pool, super.pool);
    problem = operate(&answer, asker, request, *pass, pool);
    if (problem) {
        json_decref(answer);
        answer = json_pack("{s:b, s:o}", "ok", 0, "error",
                           weave_control_text(problem, pool));
    }
    if (!answer)
        answer = json_pack("{s:b}", "ok", 1);
    json_object_set(answer, "number", json_object_get(request, "number"));
    super_channel_send(&asker->channel, answer, -1);
    json_decref(answer);
    apr_pool_destroy(pool);
    if (!problem && op && !strcmp(op, "stop"))
        super_end();
}

static void asker_closed(void *data, const char *why)
{
    asker_t *asker = data;

    if (why)
        super_say(NULL, 6, "who asks weaved %s", why);
    if (asker->httpd)
        return; /* the lifeline tells when it is gone */
    super_timer_cancel(&asker->limit);
    askers--;
    free(asker);
}

static void asker_too_slow(void *data)
{
    asker_t *asker = data;

    super_channel_close(&asker->channel);
    asker_closed(asker, "takes too long");
}

/* ---- connections ---- */

static void listener_event(void *data, uint32_t events);

static void listen_again(void *data)
{
    (void)data;
    super_watch(&listener, listener.fd, EPOLLIN, listener_event, NULL);
}

static int may_ask(int fd)
{
    long uid = -1, pid;

    return weave_socket_peer(fd, &uid, &pid) == APR_SUCCESS &&
           (uid == 0 || uid == (long)geteuid());
}

/* No descriptors left: epoll would tell of the same one for ever. */
static void listener_pause(void)
{
    super_unwatch(&listener);
    super_timer_set(&later, SUPER_SECOND, listen_again, NULL);
}

static void listener_event(void *data, uint32_t events)
{
    int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    asker_t *asker;

    (void)data;
    (void)events;
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        listener_pause();
    if (fd < 0)
        return;
    asker =
        may_ask(fd) && askers < ASKERS_MAX ? calloc(1, sizeof(*asker)) : NULL;
    if (!asker) {
        close(fd);
        return;
    }
    askers++;
    if (super_channel_open(&asker->channel, fd,
                           (super_bounds_t){WEAVE_CONTROL_ASK_MAX,
                                            ASKER_MESSAGES, WEAVE_PASS_NONE},
                           asker_message, asker_closed, asker) != APR_SUCCESS)
        asker_closed(asker, NULL);
    else
        super_timer_set(&asker->limit, ASKER_US, asker_too_slow, asker);
}

apr_status_t super_ask_listen(int fd)
{
    apr_status_t rv = super_watch(&listener, fd, EPOLLIN, listener_event, NULL);

    if (rv != APR_SUCCESS)
        close(fd);
    return rv;
}

void super_ask_unlisten(void)
{
    if (!listener.set && !later.link)
        return;
    super_timer_cancel(&later);
    super_unwatch(&listener);
    close(listener.fd);
}

apr_status_t super_ask_httpd(int fd)
{
    return super_channel_open(
        &httpd.channel, fd,
        (super_bounds_t){WEAVE_CONTROL_ASK_MAX, 0, WEAVE_PASS_ANY},
        asker_message, asker_closed, &httpd);
}
