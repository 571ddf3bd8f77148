/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: the record of functions that a host looks up in this object */
#include "engine.h"

static int parts_start(void)
{
    if (engine_spawn_start() < 0 || engine_support_start() < 0 ||
        engine_file_start() < 0 || engine_response_start() < 0 ||
        engine_input_start() < 0)
        return -1;
    return engine_environ_start();
}

static const char *engine_start(const weave_app_t *app,
                                const weave_host_t *host)
{
    engine_thread_t *thread = engine_thread_self();
    const char *problem;

    if (host->abi != WEAVE_ENGINE_ABI || host->size != sizeof(*host))
        return "this engine and its host are of different versions of"
               " mod_weave: install them together";
    if (!thread)
        return "out of memory";
    engine_app = app;
    engine_host = host;
    problem = engine_interpreter_start();
    if (problem)
        return problem;
    thread->tstate = PyThreadState_Get();
    if (parts_start() < 0) {
        PyErr_Print(); /* descriptor 2 is httpd's error log */
        problem = "Python has started, but support.py has failed";
    }
    engine_gil_give();
    return problem;
}

static const char *engine_load(void)
{
    static char line[1024];
    engine_thread_t *thread = engine_gil_take();
    const char *problem = NULL;

    if (!thread)
        return "out of memory";
    if (engine_support_call(&engine_application, "load", "()") < 0) {
        engine_support_report("WEAVE0047: the application cannot be imported",
                              line, sizeof(line));
        problem = line;
    }
    engine_log_flush(thread);
    engine_gil_give();
    return problem;
}

static void engine_finish(void)
{
    engine_thread_t *thread = engine_gil_take();

    if (!thread)
        return;
    if (engine_support_call(NULL, "finish", "()") < 0)
        PyErr_Clear();
    engine_log_flush(thread);
    engine_gil_keep();
}

__attribute__((visibility("default"))) const weave_engine_t weave_engine = {
    .magic = WEAVE_ENGINE_MAGIC,
    .abi = WEAVE_ENGINE_ABI,
    .size = sizeof(weave_engine_t),
    .python = ENGINE_PYTHON,
    .executable = ENGINE_PYTHON_EXECUTABLE,
    .runtime_version = Py_GetVersion,
    .start = engine_start,
    .load = engine_load,
    .run = engine_run,
    .release = engine_owner_release,
    .finish = engine_finish,
    .is_running = engine_thread_is_running,
    .wait = engine_signals_wait,
    .stacks_on = engine_stacks_on,
};
