/* SPDX-License-Identifier: Apache-2.0 */
/* compat.h: hides the differences between CPython 3.8 and 3.13. No other file
 * of the engine tests the version. */
#ifndef ENGINE_COMPAT_H
#define ENGINE_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if PY_VERSION_HEX < 0x03080000
#error "mod_weave needs Python 3.8 or later"
#endif
#ifdef Py_GIL_DISABLED
#error "the free-threaded build of Python is not supported"
#endif

#if PY_VERSION_HEX < 0x03090000
#define PyObject_Vectorcall _PyObject_Vectorcall
#define PyObject_CallNoArgs(callable) PyObject_CallObject(callable, NULL)
#define Py_IS_TYPE(object, type) (Py_TYPE(object) == (type))
/* Vectorcall of a static type is spelled differently in 3.8. */
#define Py_TPFLAGS_HAVE_VECTORCALL _Py_TPFLAGS_HAVE_VECTORCALL
#endif

#if PY_VERSION_HEX < 0x030a0000
static inline PyObject *Py_NewRef(PyObject *object)
{
    Py_INCREF(object);
    return object;
}
#endif

/* From 3.12 on, the exception that is set is one object. */
#if PY_VERSION_HEX < 0x030c0000
static inline PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (!type)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
}

static inline void PyErr_SetRaisedException(PyObject *exception)
{
    PyObject *type = Py_NewRef((PyObject *)Py_TYPE(exception));

    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}
#endif

#endif
