/* SPDX-License-Identifier: Apache-2.0 */
/* run.c: answers one request
 *
 * For an ordinary answer, a list of a few bytes, the engine takes the GIL once:
 * it gives back all that belongs to Python before it sends the bytes. */
#include "engine.h"

#include <string.h>

#define SMALL_BYTES 8192 /* an answer up to this size is copied */
#define PLAN_PIECES 16
#define CHAIN_MOST 16 /* exceptions in a chain of causes that are looked at */

PyObject *engine_application;

/* Requests in the application, also those that have given the GIL back there.
 * Changed with the GIL. */
static int inside;

/* The part of an answer that is sent after the GIL was given back. */
typedef struct {
    int ready; /* 1: send these pieces and then the end of the answer */
    weave_piece_t pieces[PLAN_PIECES];
    size_t count;
    char small[SMALL_BYTES];
} plan_t;

/* ---- ends ---- */

static int is_bodiless(const engine_request_t *request)
{
    return request->in->head_only || request->head.status == 204 ||
           request->head.status == 304;
}

/* Compares the length of the whole body with the Content-Length. Returns
 * WEAVE_RUN_DONE; or logs that it is too short and returns WEAVE_RUN_CUT. */
static int length_check(engine_request_t *request, int64_t bytes)
{
    int64_t promised = request->head.content_length;

    if (promised < 0 || bytes >= promised || is_bodiless(request))
        return WEAVE_RUN_DONE;
    engine_log(
        WEAVE_LOG_ERROR,
        "WEAVE0042: the application set a Content-Length of %lld bytes and gave"
        " only %lld: the client gets a cut answer, or 502 if nothing was sent",
        (long long)promised, (long long)bytes);
    return WEAVE_RUN_CUT;
}

/* Returns 1 for an answer that would be cut, but of which nothing was sent yet:
 * the client gets an error status instead. */
static int is_unsent(const engine_request_t *request, int outcome)
{
    return outcome == WEAVE_RUN_CUT && !request->head_out;
}

static void plan_drop(plan_t *plan)
{
    size_t i;

    for (i = 0; i < plan->count; i++)
        if (plan->pieces[i].owner)
            engine_owner_release(plan->pieces[i].owner);
    plan->count = 0;
}

/* Sends the rest of an answer and its end. Called without the GIL. Returns the
 * request's outcome. */
static int end_send(engine_request_t *request, plan_t *plan, int outcome)
{
    weave_io_e io;

    if (is_unsent(request, outcome)) {
        plan_drop(plan);
        return 502;
    }
    io = engine_body_send(request, plan->pieces, plan->count,
                          outcome == WEAVE_RUN_DONE ? WEAVE_SEND_LAST
                                                    : WEAVE_SEND_FLUSH);
    return io == WEAVE_IO_OK ? outcome : WEAVE_RUN_GONE;
}

/* ---- exceptions ---- */

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

/* Ends a request whose application has raised the exception that is set: logs
 * and clears it. Returns a weave_run_e or the status of the answer. */
static int raised_end(engine_request_t *request)
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
            : "WEAVE0040: the application failed",
        NULL, 0);
    return request->head_out ? WEAVE_RUN_CUT : 500;
}

/* ---- lists and tuples: the whole body is known ---- */

static int chunk_check(PyObject *chunk)
{
    if (!PyBytes_Check(chunk)) {
        PyErr_Format(PyExc_TypeError,
                     "the application's iterable must give bytes, not %.100s",
                     Py_TYPE(chunk)->tp_name);
        return -1;
    }
    return 0;
}

/* Copies the first `allowed` bytes of the chunks into one piece. */
static void plan_copy(plan_t *plan, PyObject *const *chunks, Py_ssize_t count,
                      size_t allowed)
{
    size_t len = 0;
    Py_ssize_t i;

    for (i = 0; i < count && len < allowed; i++) {
        size_t size = (size_t)PyBytes_GET_SIZE(chunks[i]);

        size = size < allowed - len ? size : allowed - len;
        memcpy(plan->small + len, PyBytes_AS_STRING(chunks[i]), size);
        len += size;
    }
    plan->pieces[0] = (weave_piece_t){plan->small, len, NULL};
    plan->count = len > 0;
}

/* Adds a chunk without copying it, as far as *allowed goes, and lowers
 * *allowed. */
static int plan_add(plan_t *plan, PyObject *chunk, size_t *allowed)
{
    size_t size = (size_t)PyBytes_GET_SIZE(chunk);
    weave_piece_t *piece = &plan->pieces[plan->count];

    piece->len = size < *allowed ? size : *allowed;
    if (piece->len == 0)
        return 0;
    piece->data = PyBytes_AS_STRING(chunk);
    piece->owner = engine_owner_new(chunk);
    if (!piece->owner)
        return -1;
    plan->count++;
    *allowed -= piece->len;
    return 0;
}

/* Joins the many small chunks of a large answer into one. */
static int plan_join(plan_t *plan, PyObject *chunks, size_t allowed)
{
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *joined =
        empty ? PyObject_CallMethod(empty, "join", "(O)", chunks) : NULL;
    int rc = joined ? plan_add(plan, joined, &allowed) : -1;

    Py_XDECREF(empty);
    Py_XDECREF(joined);
    return rc;
}

/* Checks all chunks, then plans the pieces to send. */
static int plan_build(engine_request_t *request, plan_t *plan, PyObject *result,
                      PyObject *const *chunks, Py_ssize_t count)
{
    size_t total = 0;
    Py_ssize_t i;

    for (i = 0; i < count; i++) {
        if (chunk_check(chunks[i]) < 0)
            return -1;
        total += (size_t)PyBytes_GET_SIZE(chunks[i]);
    }
    if (engine_head_check(request, total) < 0)
        return -1;
    /* an empty answer to HEAD does not tell the length that GET would have */
    if (request->head.content_length < 0 && !request->head_out &&
        !(is_bodiless(request) && total == 0))
        request->head.content_length = (int64_t)total;
    total = engine_body_clip(request, total);
    if (total <= SMALL_BYTES) {
        plan_copy(plan, chunks, count, total);
        return 0;
    }
    if (count > PLAN_PIECES)
        return plan_join(plan, result, total);
    for (i = 0; i < count; i++)
        if (plan_add(plan, chunks[i], &total) < 0)
            return -1;
    return 0;
}

static int sequence_answer(engine_request_t *request, plan_t *plan,
                           PyObject *result)
{
    PyObject *const *chunks = PyList_CheckExact(result)
                                  ? ((PyListObject *)result)->ob_item
                                  : ((PyTupleObject *)result)->ob_item;
    int64_t bytes = request->body_bytes;
    size_t i;

    if (plan_build(request, plan, result, chunks, Py_SIZE(result)) < 0) {
        plan_drop(plan);
        return raised_end(request);
    }
    plan->ready = 1;
    /* only now, because it gives the GIL away: another thread of the
     * application could change the list meanwhile */
    engine_overflow_report(request);
    for (i = 0; i < plan->count; i++)
        bytes += (int64_t)plan->pieces[i].len;
    return length_check(request, bytes);
}

/* ---- files ---- */

static int file_answer(engine_request_t *request, plan_t *plan, int fd,
                       int64_t offset, int64_t length)
{
    void *host = request->in->host;
    engine_request_t *holder = request;
    int64_t allowed;
    PyThreadState *tstate;
    weave_io_e io;
    int outcome;

    if (engine_head_check(request, 0) < 0)
        return raised_end(request);
    if (request->head.content_length < 0 && !request->head_out)
        request->head.content_length = length;
    /* a file that has grown is no mistake of the application */
    allowed = request->head.content_length - request->body_bytes;
    if (request->head.content_length < 0 || allowed > length)
        allowed = length;
    outcome = length_check(request, request->body_bytes + allowed);
    if (is_unsent(request, outcome))
        return 502;
    engine_request_lock(&holder, "");
    request->ended = 1;
    tstate = engine_gil_pause();
    io = engine_body_send(request, NULL, 0, 0);
    if (io == WEAVE_IO_OK)
        io = engine_host->file_send(host, fd, offset, allowed);
    engine_gil_resume(tstate);
    engine_request_unlock(request);
    plan->ready = io == WEAVE_IO_OK;
    return io == WEAVE_IO_OK ? outcome : WEAVE_RUN_GONE;
}

/* ---- other iterables ---- */

/* Sets the Content-Length when len() of the iterable is 1: its only chunk is
 * the whole answer (PEP 3333, "Handling the Content-Length Header"). */
static void length_derive(engine_request_t *request, PyObject *result,
                          PyObject *chunk)
{
    Py_ssize_t len;

    if (request->head_out || request->head.content_length >= 0 ||
        !request->head.status || !Py_TYPE(result)->tp_as_sequence ||
        !Py_TYPE(result)->tp_as_sequence->sq_length)
        return;
    len = PyObject_Length(result);
    if (len < 0)
        PyErr_Clear();
    if (len == 1)
        request->head.content_length = PyBytes_GET_SIZE(chunk);
}

/* Returns 1 when a file was sent up to its Content-Length, where reading stops
 * (PEP 3333, "Optional Platform-Specific File Handling"). */
static int is_file_sent(const engine_request_t *request)
{
    return request->file && request->head.content_length >= 0 &&
           request->body_bytes >= request->head.content_length;
}

static int chunk_send(engine_request_t *request, PyObject *result,
                      PyObject *chunk)
{
    engine_request_t *holder = request;
    int rc;

    if (chunk_check(chunk) < 0)
        return -1;
    if (PyBytes_GET_SIZE(chunk) == 0)
        return 0;
    length_derive(request, result, chunk);
    engine_request_lock(&holder, "");
    rc = engine_chunk_send(request, chunk);
    engine_request_unlock(request);
    return rc;
}

static int chunks_send(engine_request_t *request, PyObject *result)
{
    PyObject *chunks = PyObject_GetIter(result), *chunk;
    int rc = chunks ? 0 : -1;

    while (rc == 0 && !is_file_sent(request) && (chunk = PyIter_Next(chunks))) {
        rc = chunk_send(request, result, chunk);
        Py_DECREF(chunk);
    }
    Py_XDECREF(chunks);
    if (rc == 0 && PyErr_Occurred())
        rc = -1;
    return rc < 0 ? -1 : engine_head_check(request, 0);
}

static int iterable_answer(engine_request_t *request, plan_t *plan,
                           PyObject *result)
{
    engine_request_t *holder = request;

    if (PyBytes_Check(result) || PyUnicode_Check(result)) {
        PyErr_Format(PyExc_TypeError,
                     "the application must return an iterable of bytes such"
                     " as [b'...'], not %.100s",
                     Py_TYPE(result)->tp_name);
        return raised_end(request);
    }
    request->file = Py_IS_TYPE(result, &engine_file_wrapper_type);
    if (chunks_send(request, result) < 0)
        return raised_end(request);
    if (!request->head_out && request->head.content_length < 0 &&
        !is_bodiless(request))
        request->head.content_length = 0;
    engine_request_lock(&holder, "");
    request->ended = 1;
    engine_request_unlock(request);
    plan->ready = 1;
    return length_check(request, request->body_bytes);
}

static int result_answer(engine_request_t *request, plan_t *plan,
                         PyObject *result)
{
    PyObject *closed;
    int outcome, fd;
    int64_t offset, length;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result))
        return sequence_answer(request, plan, result);
    if (Py_IS_TYPE(result, &engine_file_wrapper_type) &&
        engine_file_is_plain(result, &fd, &offset, &length))
        outcome = file_answer(request, plan, fd, offset, length);
    else
        outcome = iterable_answer(request, plan, result);
    /* PEP 3333 wants it once, whatever happened. The end of the answer is not
     * sent yet, so lines that close() logs belong to the request */
    closed = engine_object_close(result);
    if (!closed)
        engine_support_report(
            "WEAVE0045: close() of the application's iterable failed", NULL, 0);
    Py_XDECREF(closed);
    return outcome;
}

/* ---- the request ---- */

static int application_call(engine_request_t *request, plan_t *plan)
{
    PyObject *environ = engine_environ_new(request->in);
    PyObject *input = environ ? engine_input_acquire(request) : NULL;
    PyObject *start = input ? engine_start_response_acquire(request) : NULL;
    PyObject *result = NULL;
    engine_request_t *holder = request;
    int outcome;

    if (start && PyDict_SetItem(environ, engine_input_key, input) == 0) {
        PyObject *args[] = {NULL, environ, start};

        result = PyObject_Vectorcall(engine_application, args + 1,
                                     2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    outcome =
        result ? result_answer(request, plan, result) : raised_end(request);
    Py_XDECREF(result);
    Py_XDECREF(environ);
    /* another thread may be reading or writing just now */
    engine_request_lock(&holder, "");
    if (start)
        engine_start_response_release(request, start);
    if (input)
        engine_input_release(request, input);
    engine_request_unlock(request);
    return outcome;
}

static void application_enter(const engine_request_t *request)
{
    if (engine_host->python_entered)
        engine_host->python_entered(request->in->host, inside);
    inside++;
}

static int application_call_in_context(engine_request_t *request, plan_t *plan)
{
    engine_context_t context;
    int outcome;

    if (engine_context_enter(&context) < 0)
        return raised_end(request);
    outcome = application_call(request, plan);
    engine_context_exit(&context);
    return outcome;
}

/* May be called inside itself: a request that includes another one
 * (mod_include) runs it on its own thread. */
int engine_run(const weave_request_t *in)
{
    engine_thread_t *thread = engine_thread_self();
    engine_request_t request, *outer;
    plan_t plan;
    int outcome = 500, outer_level;

    if (!thread)
        return outcome;
    memset(&request, 0, offsetof(engine_request_t, arena));
    request.in = in;
    request.thread = thread;
    request.head.content_length = -1;
    request.lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    plan.ready = 0;
    plan.count = 0;
    outer = thread->request;
    outer_level = thread->log_level;
    thread->request = &request;
    thread->log_level = 0;
    if (engine_gil_take()) {
        application_enter(&request);
        outcome = application_call_in_context(&request, &plan);
        engine_request_await_users(&request);
        engine_log_flush(thread);
        inside--;
        engine_gil_give();
        if (plan.ready)
            outcome = end_send(&request, &plan, outcome);
    }
    engine_head_clear(&request);
    thread->request = outer;
    thread->log_level = outer_level;
    return outcome;
}
