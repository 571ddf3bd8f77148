/* SPDX-License-Identifier: Apache-2.0 */
/* status.c: what weavectl status shows */
#include "operation.h"

#include <unistd.h>

#include "log.h"
#include "process.h"

#include "weave_version.h"
#include "worker.h"

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

static void board_put(json_t *object, const super_worker_t *worker)
{
    const weave_board_t *board = worker->board;
    unsigned running, queued;

    super_worker_load_get(worker, &running, &queued);
    number_put(object, "running", running);
    number_put(object, "queued", queued);
    number_put(object, "connections",
               board ? atomic_load(&board->connections) : 0);
    number_put(object, "requests", board ? atomic_load(&board->requests) : 0);
    number_put(object, "refused", board ? atomic_load(&board->refused) : 0);
    number_put(object, "timeouts", board ? atomic_load(&board->timeouts) : 0);
    number_put(object, "busy_us", board ? atomic_load(&board->busy_us) : 0);
}

static json_t *worker_status(const super_worker_t *worker, apr_pool_t *pool)
{
    json_t *object = json_object();

    number_put(object, "pid", (uint64_t)worker->pid);
    json_object_set_new(object, "state",
                        json_string(worker_states[worker->state]));
    json_object_set_new(object, "python",
                        weave_control_text(worker->python, pool));
    json_object_set_new(object, "socket", json_string(worker->socket));
    number_put(
        object, "uptime_s",
        (uint64_t)((weave_clock_us() - worker->started_us) / SUPER_SECOND));
    board_put(object, worker);
    number_put(object, "rss_bytes", super_process_rss(worker->pid));
    number_put(object, "generation", worker->generation->number);
    return object;
}

/* Returns the hash by which weavectl knows which version of the sync.ini SPEC
 * was made of; 0: not known. */
static json_int_t spec_hash(const weave_spec_t *spec)
{
    return spec ? (json_int_t)spec->ini_hash : 0;
}

static json_t *generation_status(const super_generation_t *generation,
                                 apr_pool_t *pool)
{
    json_t *workers = json_array();
    const super_worker_t *worker;

    for (worker = generation->workers; worker; worker = worker->next)
        json_array_append_new(workers, worker_status(worker, pool));
    return json_pack("{s:I, s:s, s:I, s:o}", "number",
                     (json_int_t)generation->number, "state",
                     generation_states[generation->state], "ini_hash",
                     spec_hash(generation->spec), "workers", workers);
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
        spec_hash(app->spec), "state",
        app_states[state <= WEAVE_APP_FAILED ? state : WEAVE_APP_FAILED],
        "generation", (json_int_t)(app->serving ? app->serving->number : 0),
        "generations", generations, "failed_generation",
        (json_int_t)app->failed_number, "last_error",
        weave_control_text(app->last_error, pool));
}

json_t *super_status_json(apr_pool_t *pool)
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
