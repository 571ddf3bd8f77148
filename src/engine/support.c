/* SPDX-License-Identifier: Apache-2.0 */
/* support.c: runs support.py and calls into it */
#include "engine.h"

#include <stdarg.h>
#include <string.h>

/* The text of support.py: the Makefile compiles it in. */
extern const char engine_support_py[];

static PyObject *globals; /* the global names of support.py */

/* forked(): tells the host that this is a process that Python has forked. */
static PyObject *host_forked(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (engine_host->forked)
        engine_host->forked();
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"write", engine_log_write, METH_VARARGS, NULL},
    {"level", engine_log_level, METH_O, NULL},
    {"forked", host_forked, METH_NOARGS, NULL},
    {"spawn", engine_spawn, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_weave",
    .m_size = -1,
    .m_methods = methods,
};

static int module_add_text(PyObject *module, const char *name, const char *text)
{
    PyObject *value =
        text ? PyUnicode_DecodeFSDefault(text) : Py_NewRef(Py_None);
    int rc = value ? PyObject_SetAttrString(module, name, value) : -1;

    Py_XDECREF(value);
    return rc;
}

static int module_add_list(PyObject *module, const char *name,
                           const char *const *texts)
{
    PyObject *list = PyList_New(0), *item;
    int rc = list ? 0 : -1;

    for (; rc == 0 && texts && *texts; texts++) {
        item = PyUnicode_DecodeFSDefault(*texts);
        rc = item ? PyList_Append(list, item) : -1;
        Py_XDECREF(item);
    }
    if (rc == 0)
        rc = PyObject_SetAttrString(module, name, list);
    Py_XDECREF(list);
    return rc;
}

static PyObject *module_create(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (!module)
        return NULL;
    if (module_add_text(module, "script", engine_app->script) < 0 ||
        module_add_text(module, "module", engine_app->module) < 0 ||
        module_add_text(module, "callable", engine_app->callable) < 0 ||
        module_add_list(module, "python_path", engine_app->python_path) < 0 ||
        PyModule_AddIntConstant(module, "own_signals",
                                engine_app->own_signals) < 0)
        Py_CLEAR(module);
    return module;
}

int engine_support_start(void)
{
    PyObject *module = module_create(), *code = NULL, *result = NULL;
    PyObject *name = PyUnicode_InternFromString("_weave");

    globals = module && name ? PyDict_New() : NULL;
    if (globals &&
        PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()) ==
            0 &&
        PyDict_SetItemString(globals, "_weave", module) == 0 &&
        PyDict_SetItemString(globals, "__name__", name) == 0)
        code =
            Py_CompileString(engine_support_py, "<mod_weave>", Py_file_input);
    if (code)
        result = PyEval_EvalCode(code, globals, globals);
    Py_XDECREF(code);
    Py_XDECREF(name);
    Py_XDECREF(module);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

PyObject *engine_support_errors(void)
{
    return PyDict_GetItemString(globals, "sys_stderr");
}

int engine_support_call(PyObject **result, const char *name, const char *format,
                        ...)
{
    PyObject *function = PyDict_GetItemString(globals, name); /* borrowed */
    PyObject *args, *got;
    va_list values;

    va_start(values, format);
    args = Py_VaBuildValue(format, values);
    va_end(values);
    got = args ? PyObject_CallObject(function, args) : NULL;
    Py_XDECREF(args);
    if (!got)
        return -1;
    if (result)
        *result = got;
    else
        Py_DECREF(got);
    return 0;
}

/* Writes to `line` the line of a traceback that names the error, cut between
 * two characters where it is too long. */
static void error_line_write(char *line, size_t size, PyObject *error)
{
    const char *text = Py_TYPE(error)->tp_name;
    PyObject *made = NULL;
    size_t len;

    if (engine_support_call(&made, "error_line", "(O)", error) < 0)
        PyErr_Clear();
    else if (PyBytes_Check(made))
        text = PyBytes_AS_STRING(made);
    len = strlen(text);
    if (len >= size)
        len = engine_utf8_start(text, size - 1);
    memcpy(line, text, len);
    line[len] = '\0';
    Py_XDECREF(made);
}

void engine_support_report(const char *what, char *line, size_t size)
{
    PyObject *error = PyErr_GetRaisedException();

    if (!error)
        return;
    if (line)
        error_line_write(line, size, error);
    /* our lines must not continue a line of the application */
    engine_log_flush(engine_thread_self());
    if (engine_support_call(NULL, "report", "(sO)", what, error) < 0) {
        PyErr_Clear();
        engine_log(WEAVE_LOG_ERROR, "%s: %s", what, Py_TYPE(error)->tp_name);
    }
    Py_DECREF(error);
}
