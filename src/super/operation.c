/* SPDX-License-Identifier: Apache-2.0 */
/* operation.c: what httpd and weavectl can ask of weaved, and the answers */
#include "operation.h"

#include <string.h>

#include <apr_strings.h>

#include "control.h"
#include "end.h"
#include "log.h"
#include "release.h"

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
               ? apr_psprintf(pool, "no log came with the request")
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
        wrong = super_release_reload(app, pool);
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

static const char *op_stop(json_t **answer, const json_t *request, int pass,
                           apr_pool_t *pool)
{
    (void)answer;
    (void)request;
    (void)pass;
    (void)pool;
    super_end_begin();
    return NULL;
}

static const struct {
    const char *name;
    operation_fn *fn;
    int is_httpds; /* 1: only httpd may ask for it */
} operations[] = {
    {"want", op_want, 1},     {"log", op_log, 1},   {"reload", op_reload, 0},
    {"status", op_status, 0}, {"stop", op_stop, 1}, {"ping", op_ping, 0},
};

static const char *operation_run(json_t **answer, int is_httpd,
                                 const json_t *request, int pass,
                                 apr_pool_t *pool)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const json_t *version = json_object_get(request, "version");
    size_t i;

    if (!json_is_integer(version) ||
        json_integer_value(version) != WEAVE_CONTROL_VERSION)
        return "this weaved is of another version of mod_weave than the"
               " program that asks: stop httpd and start it again";
    if (super.ending)
        return "weaved is ending: httpd has stopped";
    for (i = 0; op && i < sizeof(operations) / sizeof(*operations); i++)
        if (!strcmp(op, operations[i].name))
            return is_httpd || !operations[i].is_httpds
                       ? operations[i].fn(answer, request, pass, pool)
                       : "only httpd may ask weaved for that";
    return apr_psprintf(pool, "weaved does not know the operation %.100s",
                        op ? op : "(none)");
}

/* Logs what is asked for, but not what programs ask for every few seconds. */
static void operation_log(const json_t *request, int is_httpd)
{
    const char *op = json_string_value(json_object_get(request, "op"));

    if (op && strcmp(op, "ping") != 0 && strcmp(op, "status") != 0)
        super_log(NULL, WEAVE_LINE_DEBUG, "%s asks for \"%.40s\"",
                  is_httpd ? "httpd" : "weavectl", op);
}

json_t *super_operation_answer(const json_t *request, int is_httpd, int pass)
{
    const char *problem;
    json_t *answer = NULL;
    apr_pool_t *pool;

    apr_pool_create(&pool, super.pool);
    operation_log(request, is_httpd);
    problem = operation_run(&answer, is_httpd, request, pass, pool);
    if (problem) {
        super_log(NULL, WEAVE_LINE_DEBUG, "weaved refuses that: %.1000s",
                  problem);
        json_decref(answer);
        answer = json_pack("{s:b, s:o}", "ok", 0, "error",
                           weave_control_text(problem, pool));
    }
    if (!answer)
        answer = json_pack("{s:b}", "ok", 1);
    json_object_set(answer, "number", json_object_get(request, "number"));
    apr_pool_destroy(pool);
    return answer;
}
