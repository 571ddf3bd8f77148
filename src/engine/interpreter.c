/* SPDX-License-Identifier: Apache-2.0 */
/* interpreter.c: one isolated interpreter for one application */
#include "engine.h"

#include <stdio.h>

const weave_app_t *engine_app;
const weave_host_t *engine_host;

/* Returns a text in static storage. */
static const char *status_text(const char *what, PyStatus status)
{
    static char text[512];

    snprintf(text, sizeof(text), "%s: %s%s%s", what,
             status.func ? status.func : "", status.func ? ": " : "",
             status.err_msg ? status.err_msg : "Python gives no reason");
    return text;
}

/* Prepares an isolated interpreter that starts as the virtualenv's own python
 * would. Without `executable`, sys.prefix and sys.executable are wrong
 * (PEP 587, "Isolated Configuration"). */
static PyStatus config_prepare(PyConfig *config)
{
    const char *name =
        engine_app->script ? engine_app->script : engine_app->module;
    const char *python =
        engine_app->python ? engine_app->python : ENGINE_PYTHON_EXECUTABLE;
    wchar_t *argv0 = NULL;
    PyStatus status;

    PyConfig_InitIsolatedConfig(config);
    config->parse_argv = 0;
    config->install_signal_handlers = 0;
    config->pathconfig_warnings = 0;
    status = PyConfig_SetBytesString(config, &config->program_name, python);
    if (PyStatus_Exception(status))
        return status;
    status = PyConfig_SetBytesString(config, &config->executable, python);
    if (PyStatus_Exception(status))
        return status;
    argv0 = Py_DecodeLocale(name, NULL);
    if (!argv0)
        return PyStatus_NoMemory();
    status = PyWideStringList_Append(&config->argv, argv0);
    PyMem_RawFree(argv0);
    return status;
}

const char *engine_interpreter_start(void)
{
    PyPreConfig pre;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1;
    status = Py_PreInitialize(&pre);
    if (PyStatus_Exception(status))
        return status_text("Python does not start", status);
    status = config_prepare(&config);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return status_text("Python does not start", status);
    return NULL;
}
