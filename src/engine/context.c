/* SPDX-License-Identifier: Apache-2.0 */
/* context.c: each request gets a context of its own (PEP 567, contextvars)
 *
 * It is new and empty, as that of each thread of socketserver.ThreadingMixIn. A
 * copy of the thread's context would contain values that finalizers have set,
 * or the page that includes this answer. */
#include "engine.h"

int engine_context_enter(engine_context_t *context)
{
    context->own = PyContext_New();
    if (!context->own)
        return -1;
    /* owned: leaving another context may drop it */
    context->outer = PyThreadState_Get()->context;
    Py_XINCREF(context->outer);
    if (PyContext_Enter(context->own) == 0)
        return 0;
    Py_CLEAR(context->own);
    Py_CLEAR(context->outer);
    return -1;
}

/* Leaves the context that the thread is in. Returns 0; or -1 when it cannot be
 * left, because PyContext_Enter() was never called for it. */
static int current_exit(PyThreadState *tstate)
{
    PyObject *current = tstate->context;
    int rc;

    if (!current)
        return -1;
    Py_INCREF(current);
    rc = PyContext_Exit(current);
    Py_DECREF(current);
    if (rc < 0)
        PyErr_Clear();
    return rc;
}

/* Brings the thread back to the context in which the request began. */
static void outer_restore(const engine_context_t *context)
{
    PyThreadState *tstate = PyThreadState_Get();
    PyObject *current;

    while (tstate->context != context->outer && current_exit(tstate) == 0)
        ;
    current = tstate->context;
    if (current == context->outer)
        return;
    Py_XINCREF(context->outer);
    tstate->context = context->outer;
    tstate->context_ver++; /* invalidates the cache of ContextVar.get() */
    Py_XDECREF(current);
}

void engine_context_exit(engine_context_t *context)
{
    if (PyContext_Exit(context->own) < 0) {
        PyErr_Clear();
        outer_restore(context);
        engine_log(WEAVE_LOG_WARNING,
                   "WEAVE0210: the application has entered a context without"
                   " leaving it, or left one that it had not entered: the"
                   " thread's own context is restored");
    }
    Py_CLEAR(context->own);
    Py_CLEAR(context->outer);
}
