/* SPDX-License-Identifier: Apache-2.0 */
/* file.c: wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File
 * Handling") */
#include "engine.h"

#include <structmember.h>
#include <sys/stat.h>

typedef struct {
    PyObject_HEAD PyObject *filelike;
    PyObject *blksize;
    int iterated; /* 1: its bytes were read by iteration */
} file_wrapper_t;

/* The types that return the bytes of their descriptor. Other types with a
 * fileno() may return different ones: gzip.GzipFile does, and so does a file
 * that is open for writing, from its buffer. */
static PyObject *file_io, *buffered_reader;

static PyObject *wrapper_new(PyTypeObject *type, PyObject *args,
                             PyObject *keywords)
{
    static char *words[] = {"filelike", "blksize", NULL};
    PyObject *filelike, *blksize = NULL;
    file_wrapper_t *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:file_wrapper", words,
                                     &filelike, &blksize))
        return NULL;
    self = (file_wrapper_t *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->filelike = Py_NewRef(filelike);
    self->blksize = blksize ? Py_NewRef(blksize) : PyLong_FromLong(65536);
    if (!self->blksize)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int wrapper_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((file_wrapper_t *)object)->filelike);
    Py_VISIT(((file_wrapper_t *)object)->blksize);
    return 0;
}

static int wrapper_clear(PyObject *object)
{
    Py_CLEAR(((file_wrapper_t *)object)->filelike);
    Py_CLEAR(((file_wrapper_t *)object)->blksize);
    return 0;
}

static void wrapper_dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    wrapper_clear(object);
    Py_TYPE(object)->tp_free(object);
}

static PyObject *wrapper_iter(PyObject *object)
{
    ((file_wrapper_t *)object)->iterated = 1;
    return Py_NewRef(object);
}

static PyObject *wrapper_next(PyObject *object)
{
    file_wrapper_t *self = (file_wrapper_t *)object;
    PyObject *block =
        PyObject_CallMethod(self->filelike, "read", "O", self->blksize);

    self->iterated = 1;
    /* an empty str ends it too; the caller refuses any other str */
    if (block && PyObject_Length(block) <= 0)
        Py_CLEAR(block);
    return block;
}

PyObject *engine_object_close(PyObject *object)
{
    PyObject *close = PyObject_GetAttrString(object, "close"), *result;

    if (!close && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    result = close ? PyObject_CallNoArgs(close) : NULL;
    Py_XDECREF(close);
    return result;
}

static PyObject *wrapper_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    return engine_object_close(((file_wrapper_t *)object)->filelike);
}

static PyMethodDef wrapper_methods[] = {
    {"close", wrapper_close, METH_NOARGS, "Closes the file."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef wrapper_members[] = {
    {"filelike", T_OBJECT, offsetof(file_wrapper_t, filelike), READONLY, NULL},
    {"blksize", T_OBJECT, offsetof(file_wrapper_t, blksize), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject engine_file_wrapper_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "weave.FileWrapper",
    .tp_doc = "file_wrapper(filelike, blksize=65536): an answer from a file",
    .tp_basicsize = sizeof(file_wrapper_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = wrapper_new,
    .tp_dealloc = wrapper_dealloc,
    .tp_traverse = wrapper_traverse,
    .tp_clear = wrapper_clear,
    .tp_iter = wrapper_iter,
    .tp_iternext = wrapper_next,
    .tp_methods = wrapper_methods,
    .tp_members = wrapper_members,
};

int engine_file_start(void)
{
    PyObject *io = PyImport_ImportModule("io");

    if (!io)
        return -1;
    file_io = PyObject_GetAttrString(io, "FileIO");
    buffered_reader = PyObject_GetAttrString(io, "BufferedReader");
    Py_DECREF(io);
    if (!file_io || !buffered_reader)
        return -1;
    return PyType_Ready(&engine_file_wrapper_type);
}

/* Returns 1 for a file such as open(path, "rb") returns. */
static int is_plain_file(PyObject *filelike)
{
    PyObject *type = (PyObject *)Py_TYPE(filelike), *raw;
    int plain;

    if (type == file_io)
        return 1;
    if (type != buffered_reader)
        return 0;
    raw = PyObject_GetAttrString(filelike, "raw");
    plain = raw && (PyObject *)Py_TYPE(raw) == file_io;
    Py_XDECREF(raw);
    return plain;
}

/* Calls a method that returns a number. -1 with an exception on failure. */
static int64_t file_number_get(PyObject *filelike, const char *method)
{
    PyObject *number = PyObject_CallMethod(filelike, method, NULL);
    int64_t value = number ? PyLong_AsLongLong(number) : -1;

    Py_XDECREF(number);
    return value;
}

int engine_file_is_plain(PyObject *wrapper, int *fd, int64_t *offset,
                         int64_t *length)
{
    file_wrapper_t *self = (file_wrapper_t *)wrapper;
    struct stat status;

    if (self->iterated || !is_plain_file(self->filelike))
        goto no;
    *fd = (int)file_number_get(self->filelike, "fileno");
    /* bytes that the application has read are not sent again */
    *offset = *fd < 0 ? -1 : file_number_get(self->filelike, "tell");
    if (*offset < 0 || fstat(*fd, &status) < 0 || !S_ISREG(status.st_mode))
        goto no;
    /* files of /proc have a size of 0, but are not empty */
    if (status.st_size <= *offset)
        goto no;
    *length = status.st_size - *offset;
    return 1;
no:
    PyErr_Clear(); /* reading the file will raise what is wrong */
    return 0;
}
