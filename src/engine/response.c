/* SPDX-License-Identifier: Apache-2.0 */
/* response.c: start_response() and write() (PEP 3333), and sending the body */
#include "engine.h"

#include <stddef.h>

PyObject *engine_client_gone;
PyObject *engine_body_error;

typedef struct {
    PyObject_HEAD vectorcallfunc vectorcall;
    engine_request_t *request; /* NULL after it was answered */
} start_response_t;

static PyTypeObject start_response_type;

/* ---- the body ---- */

void engine_overflow_report(engine_request_t *request)
{
    if (request->overflow != 1)
        return;
    request->overflow = 2;
    engine_log(WEAVE_LOG_ERROR,
               "WEAVE0043: the application gave more than its Content-Length"
               " of %lld bytes: the rest was dropped",
               (long long)request->head.content_length);
}

size_t engine_body_clip(engine_request_t *request, size_t len)
{
    int64_t promised = request->head.content_length;
    uint64_t left;

    if (promised < 0)
        return len;
    left = (uint64_t)(promised - request->body_bytes);
    if (len <= left)
        return len;
    if (!request->overflow && !request->file)
        request->overflow = 1;
    return (size_t)left;
}

weave_io_e engine_body_send(engine_request_t *request,
                            const weave_piece_t *pieces, size_t count,
                            int flags)
{
    size_t i;

    if (!request->head_out)
        engine_host->head_send(request->in->host, &request->head);
    request->head_out = 1;
    for (i = 0; i < count; i++)
        request->body_bytes += (int64_t)pieces[i].len;
    return engine_host->body_send(request->in->host, pieces, count, flags);
}

/* The host copies smaller chunks; larger ones are kept alive for it. */
#define OWNED_BYTES 16384

/* Sends as much of the chunk as the Content-Length allows. */
static int chunk_hand_over(engine_request_t *request, PyObject *chunk)
{
    weave_piece_t piece = {PyBytes_AS_STRING(chunk), 0, NULL};
    PyThreadState *tstate;
    weave_io_e io;

    piece.len = engine_body_clip(request, (size_t)PyBytes_GET_SIZE(chunk));
    if (piece.len == 0)
        return 0;
    if (piece.len >= OWNED_BYTES && !(piece.owner = engine_owner_new(chunk)))
        return -1;
    Py_INCREF(chunk);
    tstate = engine_gil_pause();
    io = engine_body_send(request, &piece, 1, WEAVE_SEND_FLUSH);
    engine_gil_resume(tstate);
    Py_DECREF(chunk);
    if (io == WEAVE_IO_OK)
        return 0;
    request->io = io;
    PyErr_SetString(engine_client_gone, "the client went away");
    return -1;
}

int engine_head_check(const engine_request_t *request, size_t bytes)
{
    if (request->head.status)
        return 0;
    PyErr_SetString(PyExc_RuntimeError,
                    bytes ? "the application gave a body before it called"
                            " start_response()"
                          : "the application never called start_response()");
    return -1;
}

int engine_chunk_send(engine_request_t *request, PyObject *chunk)
{
    int rc;

    if (engine_head_check(request, 1) < 0)
        return -1;
    if (request->ended) {
        PyErr_SetString(PyExc_RuntimeError,
                        "write() was called after the answer had ended");
        return -1;
    }
    rc = chunk_hand_over(request, chunk);
    if (rc == 0)
        engine_overflow_report(request);
    return rc;
}

static PyObject *write_call(PyObject *self, PyObject *chunk)
{
    engine_request_t *request;
    int rc;

    if (!PyBytes_Check(chunk)) {
        PyErr_Format(PyExc_TypeError,
                     "write() argument must be bytes, not %.100s",
                     Py_TYPE(chunk)->tp_name);
        return NULL;
    }
    request =
        engine_request_lock(&((start_response_t *)self)->request, "write()");
    if (!request)
        return NULL;
    rc = engine_chunk_send(request, chunk);
    engine_request_unlock(request);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef write_method = {"write", write_call, METH_O,
                                   "write(bytes): sends them at once."};

/* ---- start_response ---- */

static int is_exc_info(PyObject *exc_info)
{
    return exc_info && exc_info != Py_None;
}

/* Raises the application's own exception: the head was sent already, so no
 * error page can replace the answer. */
static void exc_info_raise(PyObject *exc_info)
{
    PyObject *value = PyTuple_GET_ITEM(exc_info, 1);

    if (PyExceptionInstance_Check(value))
        PyErr_SetRaisedException(Py_NewRef(value));
    else
        PyErr_SetString(PyExc_TypeError, "exc_info holds no exception");
}

/* Checks the arguments of start_response() and sets the head. The caller holds
 * the request's lock. */
static int head_accept(engine_request_t *request, PyObject *status,
                       PyObject *headers, PyObject *exc_info)
{
    if (is_exc_info(exc_info)) {
        if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3) {
            PyErr_SetString(PyExc_TypeError,
                            "exc_info must be what sys.exc_info() returns");
            return -1;
        }
        if (request->head_out) {
            exc_info_raise(exc_info);
            return -1;
        }
    }
    else if (request->head.status) {
        PyErr_SetString(PyExc_RuntimeError,
                        "start_response() was called twice without exc_info");
        return -1;
    }
    return engine_head_set(request, status, headers);
}

static PyObject *start_response_apply(PyObject *self, PyObject *status,
                                      PyObject *headers, PyObject *exc_info)
{
    engine_request_t *request = engine_request_lock(
        &((start_response_t *)self)->request, "start_response()");
    int rc;

    if (!request)
        return NULL;
    rc = head_accept(request, status, headers, exc_info);
    engine_request_unlock(request);
    return rc < 0 ? NULL : PyCFunction_New(&write_method, self);
}

/* Calls it with arguments that are not just two or three positional ones. */
static PyObject *start_response_call_keywords(PyObject *self,
                                              PyObject *const *args,
                                              Py_ssize_t count, PyObject *names)
{
    static char *words[] = {"status", "headers", "exc_info", NULL};
    PyObject *tuple = PyTuple_New(count), *dict = PyDict_New();
    PyObject *status, *headers, *exc_info = NULL, *result = NULL;
    Py_ssize_t i, named = names ? PyTuple_GET_SIZE(names) : 0;

    if (!tuple || !dict)
        goto leave;
    for (i = 0; i < count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    for (i = 0; i < named; i++)
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), args[count + i]) <
            0)
            goto leave;
    if (PyArg_ParseTupleAndKeywords(tuple, dict, "OO|O:start_response", words,
                                    &status, &headers, &exc_info))
        result = start_response_apply(self, status, headers, exc_info);
leave:
    Py_XDECREF(tuple);
    Py_XDECREF(dict);
    return result;
}

static PyObject *start_response_call(PyObject *self, PyObject *const *args,
                                     size_t nargsf, PyObject *names)
{
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);

    if (!names && (count == 2 || count == 3))
        return start_response_apply(self, args[0], args[1],
                                    count == 3 ? args[2] : NULL);
    return start_response_call_keywords(self, args, count, names);
}

static void start_response_dealloc(PyObject *self)
{
    PyObject_Free(self);
}

static PyTypeObject start_response_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "weave.StartResponse",
    .tp_doc = "start_response(status, headers, exc_info=None) -> write",
    .tp_basicsize = sizeof(start_response_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_dealloc = start_response_dealloc,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(start_response_t, vectorcall),
};

int engine_response_start(void)
{
    engine_client_gone = PyErr_NewExceptionWithDoc(
        "weave.ClientGone", "The client went away before its answer.",
        PyExc_OSError, NULL);
    engine_body_error = PyErr_NewExceptionWithDoc(
        "weave.BodyError", "The client sent no proper request body.",
        PyExc_OSError, NULL);
    if (!engine_client_gone || !engine_body_error)
        return -1;
    return PyType_Ready(&start_response_type);
}

PyObject *engine_start_response_acquire(engine_request_t *request)
{
    engine_thread_t *thread = request->thread;
    start_response_t *self = (start_response_t *)thread->spare_start_response;

    thread->spare_start_response = NULL;
    if (!self)
        self = PyObject_New(start_response_t, &start_response_type);
    if (!self)
        return NULL;
    self->vectorcall = start_response_call;
    self->request = request;
    return (PyObject *)self;
}

void engine_start_response_release(engine_request_t *request, PyObject *self)
{
    ((start_response_t *)self)->request = NULL;
    if (Py_REFCNT(self) == 1 && !request->thread->spare_start_response)
        request->thread->spare_start_response = self;
    else
        Py_DECREF(self);
}
