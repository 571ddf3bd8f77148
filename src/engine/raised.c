/* SPDX-License-Identifier: Apache-2.0 */
/* raised.c: ends a request whose application has raised an exception */
#include "engine.h"

#define CHAIN_MOST 16 /* exceptions in a chain of causes that are looked at */

/* Returns the HTTP status for a weave_io_e. */
static int io_status(int io)
{
    switch (io) {
    case WEAVE_IO_TOO_LARGE:
        return 413;
    case WEAVE_IO_TIMEOUT:
        return 408;
    default:
        return 400;
    }
}

/* Returns the exception that a framework has wrapped in this one, as a new
 * reference; or NULL. */
static PyObject *exception_cause(PyObject *error)
{
    PyObject *cause = PyException_GetCause(error);

    return cause ? cause : PyException_GetContext(error);
}

/* Returns 1 when the exception that is set, or one that it wraps, is ours: then
 * the client has caused it, and the application has not failed. */
static int is_clients_fault(const engine_request_t *request)
{
    PyObject *raised, *error, *cause;
    int depth, found = 0;

    if (request->io == WEAVE_IO_OK)
        return 0;
    raised = PyErr_GetRaisedException();
    error = Py_NewRef(raised);
    for (depth = 0; error && !found && depth < CHAIN_MOST; depth++) {
        found = PyErr_GivenExceptionMatches(error, engine_client_gone) ||
                PyErr_GivenExceptionMatches(error, engine_body_error);
        cause = exception_cause(error);
        Py_DECREF(error);
        error = cause;
    }
    Py_XDECREF(error);
    PyErr_SetRaisedException(raised);
    return found;
}

int engine_raised_end(engine_request_t *request)
{
    if (is_clients_fault(request)) {
        PyErr_Clear();
        engine_log(WEAVE_LOG_DEBUG, "the client ended the request early");
        if (request->io == WEAVE_IO_GONE)
            return WEAVE_RUN_GONE;
        return request->head_out ? WEAVE_RUN_CUT : io_status(request->io);
    }
    engine_support_report(
        request->head_out
            ? "WEAVE0041: the application failed after its answer had"
              " begun: the connection is cut"
            : "WEAVE0040: the application failed");
    return request->head_out ? WEAVE_RUN_CUT : 500;
}
