/* SPDX-License-Identifier: Apache-2.0 */
/* operation.c: what httpd and weavectl can ask of weaved, and the answers */
#include "control.h"

#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "app.h"
#include "worker.h"
#include "weave_version.h"

/* ---- status ---- */

static const char *const worker_states[] = {
    [SUPER_STARTING] = "starting", [SUPER_WARMING] = "warming up",
    [SUPER_WAITING] = "waiting",   [SUPER_READY] = "ready",
    [SUPER_LEAVING] = "draining",  [SUPER_ENDING] = "ending",
};
static const char *const generation_states[] = {
    [SUPER_COMING] = "starting",
    [SUPER_SERVING] = "serving",
    [SUPER_DRAINING] = "draining",
};
#define PROVEN "proven"
static const char *const app_states[] = {
    [WEAVE_APP_NONE] = "draining",
    [WEAVE_APP_STARTING] = "starting",
    [WEAVE_APP_SERVING] = "serving",
    [WEAVE_APP_FAILED] = "failed",
};

static void number_put(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

static json_t *worker_status(const super_worker_t *worker, apr_pool_t *pool)
{
    static const weave_board_t none;
    const weave_board_t *board = worker->board ? worker->board : &none;
    super_load_t load = super_worker_load(worker);
    json_t *object =
        json_pack("{s:I, s:s, s:o, s:o}", "pid", (json_int_t)worker->pid,
                  "state", worker_states[worker->state], "python",
                  weave_control_text(worker->python, pool), "socket",
                  weave_control_text(worker->socket, pool));

    number_put(
        object, "uptime_s",
        (uint64_t)((weave_clock_us() - worker->started_us) / SUPER_SECOND));
    number_put(object, "running", load.running);
    number_put(object, "queued", load.queued);
    number_put(object, "connections", atomic_load(&board->connections));
    number_put(object, "requests", atomic_load(&board->requests));
    number_put(object, "refused", atomic_load(&board->refused));
    number_put(object, "timeouts", atomic_load(&board->timeouts));
    number_put(object, "busy_us", atomic_load(&board->busy_us));
    number_put(object, "rss_bytes", super_process_rss(worker->pid));
    number_put(object, "generation", worker->generation->number);
    return object;
}

/* Adds where the code of GENERATION is. */
static void release_put(json_t *object, const super_generation_t *generation,
                        apr_pool_t *pool)
{
    const weave_spec_t *spec = generation->spec;
    const char *virtualenv =
        spec && spec->virtualenv && *spec->virtualenv ? spec->virtualenv : NULL;
    const char *code = virtualenv ? virtualenv : spec ? spec->script : NULL;

    json_object_set_new(object, "virtualenv",
                        weave_control_text(virtualenv, pool));
    json_object_set_new(
        object, "release",
        weave_control_text(weave_release_name(code, pool), pool));
}

static json_t *generation_status(const super_generation_t *generation,
                                 apr_pool_t *pool)
{
    json_t *workers = json_array(), *object;
    int proven = generation->proven && generation->state == SUPER_COMING;
    const super_worker_t *worker;

    for (worker = generation->workers; worker; worker = worker->next)
        json_array_append_new(workers, worker_status(worker, pool));
    object = json_pack(
        "{s:I, s:s, s:b, s:I, s:i, s:I, s:o}", "number",
        (json_int_t)generation->number, "state",
        proven ? PROVEN : generation_states[generation->state], "candidate",
        generation == generation->app->candidate.generation, "ini_hash",
        (json_int_t)(generation->spec ? generation->spec->ini_hash : 0),
        "warmup_status", generation->warmup_status, "warmup_ms",
        (json_int_t)(generation->warmup_us / 1000), "workers", workers);
    release_put(object, generation, pool);
    return object;
}

static json_t *app_status(const super_app_t *app, apr_pool_t *pool)
{
    uint32_t state = app->wanted
                         ? atomic_load(&super.roster->apps[app->index].state)
                         : WEAVE_APP_NONE;
    json_t *generations = json_array();
    const super_generation_t *generation;

    for (generation = app->generations; generation;
         generation = generation->next)
        json_array_insert_new(generations, 0,
                              generation_status(generation, pool));
    return json_pack(
        "{s:I, s:s, s:o, s:I, s:s, s:I, s:o, s:I, s:o}", "app",
        (json_int_t)app->index, "ini", app->name, "ini_read",
        weave_control_text(app->spec ? app->spec->ini : NULL, pool), "ini_hash",
        (json_int_t)(app->spec ? app->spec->ini_hash : 0), "state",
        app_states[state <= WEAVE_APP_FAILED ? state : WEAVE_APP_FAILED],
        "generation", (json_int_t)(app->serving ? app->serving->number : 0),
        "generations", generations, "failed_generation",
        (json_int_t)app->failed_number, "last_error",
        weave_control_text(app->last_error, pool));
}

static json_t *status_make(apr_pool_t *pool)
{
    json_t *apps = json_array();
    const super_app_t *app;

    for (app = super.apps; app; app = app->next)
        json_array_insert_new(apps, 0, app_status(app, pool));
    return json_pack("{s:s, s:I, s:o, s:b, s:o, s:o}", "version", WEAVE_VERSION,
                     "pid", (json_int_t)getpid(), "runtime_dir",
                     weave_control_text(super.dir, pool), "runtime_dir_closed",
                     super.dir_closed, "error_log",
                     weave_control_text(super_log_path(pool), pool),
                     "applications", apps);
}

/* ---- operations ---- */

typedef struct call_t {
    const json_t *request;
    super_caller_t *caller;
    int pass;
    json_t *answer; /* NULL: {"ok":true} */
    int is_later;   /* 1: the caller is answered later */
    apr_pool_t *pool;
} call_t;

/* Sets call->answer, or returns a message in the call's pool. */
typedef const char *operation_fn(call_t *call);

static const char *op_want(call_t *call)
{
    return super_want_apply(call->pass, call->pool);
}

static const char *op_ping(call_t *call)
{
    (void)call;
    return NULL;
}

static const char *op_log(call_t *call)
{
    return super_log_set(call->pass) < 0 ? "no log came with the request"
                                         : NULL;
}

static const char *op_reload(call_t *call)
{
    return super_release_reload(
        json_string_value(json_object_get(call->request, "app")), call->pool);
}

/* Returns the text NAME of the request; "": it is missing, or is none. */
static const char *text_get(const call_t *call, const char *name)
{
    const char *text = json_string_value(json_object_get(call->request, name));

    return text ? text : "";
}

static const char *op_candidate(call_t *call)
{
    const weave_link_t link = {text_get(call, "link"),
                               text_get(call, "leads_to")};
    const char *problem;
    super_app_t *app;

    if (*link.path != '/' || *link.leads_to != '/')
        return "\"link\" and \"leads_to\" must be absolute paths";
    app = super_release_find(&problem, text_get(call, "app"), call->pool);
    if (app)
        problem = super_candidate_start(app, &link, call->caller, call->pool);
    call->is_later = !problem;
    return problem;
}

static const char *op_switch(call_t *call)
{
    super_switched_t switched;
    const char *problem =
        super_release_switch(&switched, text_get(call, "app"), call->pool);

    if (!problem)
        call->answer = json_pack("{s:b, s:I, s:I}", "ok", 1, "generation",
                                 (json_int_t)switched.generation, "finishing",
                                 (json_int_t)switched.finishing);
    return problem;
}

static const char *op_status(call_t *call)
{
    call->answer =
        json_pack("{s:b, s:o}", "ok", 1, "status", status_make(call->pool));
    return NULL;
}

static const char *op_stop(call_t *call)
{
    (void)call;
    super_end_begin();
    return NULL;
}

static const struct {
    const char *name;
    operation_fn *fn;
    int is_httpds; /* 1: only httpd may ask for it */
} operations[] = {
    {"want", op_want, 1},           {"log", op_log, 1},
    {"reload", op_reload, 0},       {"status", op_status, 0},
    {"candidate", op_candidate, 0}, {"switch", op_switch, 0},
    {"stop", op_stop, 1},           {"ping", op_ping, 0},
};

static const char *operation_run(call_t *call, const char *op)
{
    int is_httpd = super_caller_is_httpd(call->caller);
    const json_t *version = json_object_get(call->request, "version");
    size_t i;

    if (!json_is_integer(version) ||
        json_integer_value(version) != WEAVE_CONTROL_VERSION)
        return "this weaved is of another version of mod_weave than the"
               " program that asks: stop httpd and start it again";
    if (super.ending)
        return "weaved is ending: httpd has stopped";
    for (i = 0; i < sizeof(operations) / sizeof(*operations); i++)
        if (!strcmp(op, operations[i].name))
            return is_httpd || !operations[i].is_httpds
                       ? operations[i].fn(call)
                       : "only httpd may ask weaved for that";
    return apr_psprintf(call->pool, "weaved does not know the operation %.100s",
                        op);
}

json_t *super_operation_answer(const json_t *request, super_caller_t *caller,
                               int pass)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *problem;
    call_t call = {.request = request, .caller = caller, .pass = pass};

    op = op ? op : "(none)";
    apr_pool_create(&call.pool, super.pool);
    /* programs ask for these every few seconds */
    if (strcmp(op, "ping") != 0 && strcmp(op, "status") != 0)
        super_log(NULL, WEAVE_LINE_DEBUG, "%s asks for \"%.40s\"",
                  super_caller_is_httpd(caller) ? "httpd" : "weavectl", op);
    problem = operation_run(&call, op);
    if (problem) {
        super_log(NULL, WEAVE_LINE_DEBUG, "weaved refuses that: %.1000s",
                  problem);
        json_decref(call.answer);
        call.answer = json_pack("{s:b, s:o}", "ok", 0, "error",
                                weave_control_text(problem, call.pool));
    }
    else if (!call.answer && !call.is_later)
        call.answer = json_pack("{s:b}", "ok", 1);
    apr_pool_destroy(call.pool);
    return call.answer;
}
