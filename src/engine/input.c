/* SPDX-License-Identifier: Apache-2.0 */
/* input.c: wsgi.input (PEP 3333, "Input and Error Streams") */
#include "engine.h"

#include <string.h>

#define INPUT_BLOCK 65536       /* bytes that the host is asked for at once */
#define INPUT_TRUSTED (1 << 20) /* bytes allocated for a Content-Length */

typedef struct {
    PyObject_HEAD engine_request_t *request; /* NULL after it was answered */
    PyObject *block;                         /* bytes read ahead, or NULL */
    Py_ssize_t block_at;
    int at_end;
} input_t;

static PyTypeObject input_type;
PyObject *engine_input_key;

/* ---- bytes from the host ---- */

static const char *const io_errors[] = {
    [-WEAVE_IO_GONE] = "the client went away",
    [-WEAVE_IO_TOO_LARGE] = "the request body is over LimitRequestBody",
    [-WEAVE_IO_TIMEOUT] = "the client was too slow to send its body",
    [-WEAVE_IO_BAD] = "the request body is malformed",
};

/* Sets the exception for a weave_io_e. */
static void input_raise(engine_request_t *request, int io)
{
    if (!request->io)
        request->io = io;
    PyErr_SetString(io == WEAVE_IO_GONE ? engine_client_gone
                                        : engine_body_error,
                    io_errors[-io]);
}

/* Reads up to `size` bytes into `buffer`, from the host or what it has given
 * with the request. Returns their count, 0 at the end, or -1 with an exception.
 */
static Py_ssize_t input_fetch(input_t *self, char *buffer, size_t size)
{
    engine_request_t *request = self->request;
    const weave_request_t *in = request->in;
    size_t left = in->body_len - request->taken;
    PyThreadState *tstate;
    ssize_t got;

    if (left) {
        size = size < left ? size : left;
        memcpy(buffer, in->body + request->taken, size);
        request->taken += size;
        request->read += (int64_t)size;
        return (Py_ssize_t)size;
    }
    if (self->at_end || in->body_complete)
        return 0;
    if (request->io) {
        input_raise(request, request->io);
        return -1;
    }
    tstate = engine_gil_pause();
    got = engine_host->body_read(in->host, buffer, size);
    engine_gil_resume(tstate);
    if (got < 0) {
        input_raise(request, (int)got);
        return -1;
    }
    self->at_end = got == 0;
    request->read += got;
    return got;
}

/* Reads ahead unless there are such bytes. Returns 1, 0 at the end, or -1 with
 * an exception. */
static int input_read_ahead(input_t *self)
{
    PyObject *block;
    Py_ssize_t got;

    if (self->block)
        return 1;
    block = PyBytes_FromStringAndSize(NULL, INPUT_BLOCK);
    if (!block)
        return -1;
    got = input_fetch(self, PyBytes_AS_STRING(block), INPUT_BLOCK);
    if (got <= 0) {
        Py_DECREF(block);
        return (int)got;
    }
    if (_PyBytes_Resize(&block, got) < 0)
        return -1;
    self->block = block;
    self->block_at = 0;
    return 1;
}

/* Copies bytes that were read ahead, at most `size`, and returns their count.
 */
static Py_ssize_t input_take_ahead(input_t *self, char *buffer, Py_ssize_t size)
{
    Py_ssize_t left = PyBytes_GET_SIZE(self->block) - self->block_at;

    size = size < left ? size : left;
    memcpy(buffer, PyBytes_AS_STRING(self->block) + self->block_at, size);
    self->block_at += size;
    if (size == left)
        Py_CLEAR(self->block);
    return size;
}

/* ---- read ---- */

/* Returns how many bytes to allocate first for a read of up to `size` bytes:
 * the Content-Length, up to a bound, since a client may send any number. */
static Py_ssize_t input_first_size(const input_t *self, Py_ssize_t size)
{
    const engine_request_t *request = self->request;
    int64_t announced = request->in->content_length - request->read;
    Py_ssize_t room = INPUT_BLOCK;

    if (announced <= 0 && request->in->content_length >= 0)
        room = 512; /* enough to find the end */
    else if (announced > INPUT_BLOCK)
        room =
            announced < INPUT_TRUSTED ? (Py_ssize_t)announced : INPUT_TRUSTED;
    else if (announced > 0)
        room = (Py_ssize_t)announced;
    return size < room ? size : room;
}

/* Reads up to `size` bytes from the block or the host, as input_fetch(). */
static Py_ssize_t input_read_once(input_t *self, char *buffer, Py_ssize_t size)
{
    return self->block ? input_take_ahead(self, buffer, size)
                       : input_fetch(self, buffer, (size_t)size);
}

/* Reads more into *bytes, which is full, and makes it larger. Returns the count
 * of new bytes, 0 at the end, or -1 with an exception. */
static Py_ssize_t input_grow(input_t *self, PyObject **bytes, Py_ssize_t size)
{
    char more[4096];
    Py_ssize_t len = PyBytes_GET_SIZE(*bytes), room, got;

    room = size - len < (Py_ssize_t)sizeof(more) ? size - len
                                                 : (Py_ssize_t)sizeof(more);
    got = input_read_once(self, more, room);
    if (got <= 0)
        return got;
    room = len > size / 2 ? size : len * 2;
    if (room < len + got)
        room = len + got;
    if (_PyBytes_Resize(bytes, room) < 0)
        return -1;
    memcpy(PyBytes_AS_STRING(*bytes) + len, more, (size_t)got);
    return got;
}

/* Reads `size` bytes, or fewer at the end. */
static PyObject *input_read_size(input_t *self, Py_ssize_t size)
{
    PyObject *bytes =
        PyBytes_FromStringAndSize(NULL, input_first_size(self, size));
    Py_ssize_t len = 0, room, got = 1;

    while (bytes && len < size && got > 0) {
        room = PyBytes_GET_SIZE(bytes);
        if (len == room)
            got = input_grow(self, &bytes, size);
        else
            got = input_read_once(self, PyBytes_AS_STRING(bytes) + len,
                                  room - len);
        if (got > 0)
            len += got;
    }
    if (got < 0)
        Py_CLEAR(bytes);
    if (bytes && len < PyBytes_GET_SIZE(bytes))
        _PyBytes_Resize(&bytes, len);
    return bytes;
}

/* Parses the optional size of read(), readline() and readlines(). None and
 * negative numbers mean all. */
static int size_parse(const char *format, PyObject *args, Py_ssize_t *size)
{
    PyObject *given = Py_None;

    if (!PyArg_ParseTuple(args, format, &given))
        return -1;
    *size = PY_SSIZE_T_MAX;
    if (given == Py_None)
        return 0;
    *size = PyNumber_AsSsize_t(given, PyExc_OverflowError);
    if (*size == -1 && PyErr_Occurred())
        return -1;
    if (*size < 0)
        *size = PY_SSIZE_T_MAX;
    return 0;
}

/* Returns the whole body in the common case that it came with the request. */
static PyObject *input_read_whole(engine_request_t *request)
{
    const weave_request_t *in = request->in;
    size_t at = request->taken;

    request->taken = in->body_len;
    return PyBytes_FromStringAndSize(in->body + at, in->body_len - at);
}

static PyObject *input_read_locked(input_t *self, Py_ssize_t size)
{
    const weave_request_t *in = self->request->in;

    if (in->body_complete && !self->block &&
        (size_t)size >= in->body_len - self->request->taken)
        return input_read_whole(self->request);
    return input_read_size(self, size);
}

/* Calls METHOD with the request's lock held. */
static PyObject *input_call_locked(PyObject *object, Py_ssize_t size,
                                   PyObject *(*method)(input_t *, Py_ssize_t))
{
    input_t *self = (input_t *)object;
    engine_request_t *request =
        engine_request_lock(&self->request, "wsgi.input");
    PyObject *result;

    if (!request)
        return NULL;
    result = method(self, size);
    engine_request_unlock(request);
    return result;
}

static PyObject *input_read(PyObject *object, PyObject *args)
{
    Py_ssize_t size;

    if (size_parse("|O:read", args, &size) < 0)
        return NULL;
    return input_call_locked(object, size, input_read_locked);
}

/* ---- lines ---- */

static PyObject *input_line_read(input_t *self, Py_ssize_t size)
{
    PyObject *line = PyBytes_FromStringAndSize(NULL, 0), *part;
    int more = line ? 1 : -1, ended = 0;

    while (more > 0 && !ended && PyBytes_GET_SIZE(line) < size) {
        const char *from, *newline;
        Py_ssize_t len, room = size - PyBytes_GET_SIZE(line);

        more = input_read_ahead(self);
        if (more <= 0)
            break;
        from = PyBytes_AS_STRING(self->block) + self->block_at;
        len = PyBytes_GET_SIZE(self->block) - self->block_at;
        len = len < room ? len : room;
        newline = memchr(from, '\n', len);
        if (newline)
            len = newline - from + 1;
        ended = newline != NULL;
        part = PyBytes_FromStringAndSize(NULL, len);
        if (part)
            input_take_ahead(self, PyBytes_AS_STRING(part), len);
        PyBytes_ConcatAndDel(&line, part);
        if (!line)
            return NULL;
    }
    if (more < 0)
        Py_CLEAR(line);
    return line;
}

static PyObject *input_readline(PyObject *object, PyObject *args)
{
    Py_ssize_t size;

    if (size_parse("|O:readline", args, &size) < 0)
        return NULL;
    return input_call_locked(object, size, input_line_read);
}

static PyObject *input_lines_read(input_t *self, Py_ssize_t hint)
{
    PyObject *lines = PyList_New(0), *line;
    Py_ssize_t total = 0, len;
    int rc = 0;

    while (lines && rc == 0 && total < hint) {
        line = input_line_read(self, PY_SSIZE_T_MAX);
        len = line ? PyBytes_GET_SIZE(line) : 0;
        rc = !line ? -1 : len ? PyList_Append(lines, line) : 1;
        total += len;
        Py_XDECREF(line);
    }
    if (rc < 0)
        Py_CLEAR(lines);
    return lines;
}

static PyObject *input_readlines(PyObject *object, PyObject *args)
{
    Py_ssize_t hint;

    if (size_parse("|O:readlines", args, &hint) < 0)
        return NULL;
    /* as in io.IOBase, no hint or 0 means all */
    return input_call_locked(object, hint ? hint : PY_SSIZE_T_MAX,
                             input_lines_read);
}

static PyObject *input_next(PyObject *object)
{
    PyObject *line = input_call_locked(object, PY_SSIZE_T_MAX, input_line_read);

    if (line && PyBytes_GET_SIZE(line) == 0)
        Py_CLEAR(line);
    return line;
}

/* ---- the type ---- */

static PyObject *input_close(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE; /* the stream is the server's (PEP 3333) */
}

static void input_dealloc(PyObject *object)
{
    Py_XDECREF(((input_t *)object)->block);
    PyObject_Free(object);
}

static PyMethodDef input_methods[] = {
    {"read", input_read, METH_VARARGS, "read([size]) -> bytes"},
    {"readline", input_readline, METH_VARARGS, "readline([size]) -> bytes"},
    {"readlines", input_readlines, METH_VARARGS, "readlines([hint]) -> list"},
    {"close", input_close, METH_NOARGS, "Does nothing."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject input_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "weave.Input",
    .tp_doc = "The body of a request.",
    .tp_basicsize = sizeof(input_t),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = input_dealloc,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = input_next,
    .tp_methods = input_methods,
};

int engine_input_start(void)
{
    engine_input_key = PyUnicode_InternFromString("wsgi.input");
    return engine_input_key ? PyType_Ready(&input_type) : -1;
}

PyObject *engine_input_acquire(engine_request_t *request)
{
    input_t *self = (input_t *)request->thread->spare_input;

    request->thread->spare_input = NULL;
    if (!self)
        self = PyObject_New(input_t, &input_type);
    if (!self)
        return NULL;
    self->request = request;
    self->block = NULL;
    self->at_end = 0;
    return (PyObject *)self;
}

void engine_input_release(engine_request_t *request, PyObject *input)
{
    input_t *self = (input_t *)input;

    self->request = NULL;
    Py_CLEAR(self->block);
    if (Py_REFCNT(input) == 1 && !request->thread->spare_input)
        request->thread->spare_input = input;
    else
        Py_DECREF(input);
}
