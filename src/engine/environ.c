/* SPDX-License-Identifier: Apache-2.0 */
/* environ.c: creates the environ of a request from a prototype */
#include "engine.h"

#include <string.h>

/* Clients of one site send the same values again and again: the last value of
 * each key is kept if it is short and no secret. */
#define KEPT_BYTES 256

typedef struct {
    PyObject *name;
    int keep;
    int fixed;       /* 1: the prototype holds its last value */
    PyObject *value; /* the last one, or NULL */
    uint32_t value_len;
    char bytes[KEPT_BYTES]; /* `value` as the host gave it */
} known_t;

static const struct {
    const char *name;
    int keep;
} known_names[] = {
#define X(id, name, header, keep) {name, keep},
    WEAVE_VARS(X)
#undef X
};

/* Keys that each request has, mostly with the value of the request before: they
 * cost a comparison instead of an entry. Since the prototype has them, its copy
 * is also large enough for the other keys. */
static const weave_var_e fixed_keys[] = {
    WEAVE_VAR_REQUEST_METHOD, WEAVE_VAR_SCRIPT_NAME,     WEAVE_VAR_QUERY_STRING,
    WEAVE_VAR_REQUEST_SCHEME, WEAVE_VAR_SERVER_NAME,     WEAVE_VAR_SERVER_PORT,
    WEAVE_VAR_SERVER_ADDR,    WEAVE_VAR_SERVER_PROTOCOL, WEAVE_VAR_REMOTE_ADDR,
    WEAVE_VAR_DOCUMENT_ROOT,  WEAVE_VAR_URL_SCHEME,
};

/* Keys that each request has, with a different value each time. */
static const weave_var_e expected_keys[] = {
    WEAVE_VAR_PATH_INFO,
    WEAVE_VAR_REQUEST_URI,
    WEAVE_VAR_REMOTE_PORT,
};

static known_t known[WEAVE_VAR_COUNT];
static PyObject *prototype;

/* Steals `value`, which may be NULL with an exception set. */
static int prototype_put(const char *name, PyObject *value)
{
    PyObject *key = PyUnicode_InternFromString(name);
    int rc = key && value ? PyDict_SetItem(prototype, key, value) : -1;

    Py_XDECREF(key);
    Py_XDECREF(value);
    return rc;
}

static PyObject *latin1_decode(const char *text)
{
    return PyUnicode_DecodeLatin1(text, strlen(text), NULL);
}

static int prototype_put_configured(void)
{
    const char *const *at = engine_app->environ;

    for (; at && at[0]; at += 2)
        if (prototype_put(at[0], latin1_decode(at[1])) < 0)
            return -1;
    return 0;
}

/* Adds what is the same for all requests (PEP 3333, "environ Variables"). */
static int prototype_put_all(void)
{
    if (prototype_put("wsgi.version", Py_BuildValue("(ii)", 1, 0)) < 0 ||
        prototype_put("wsgi.errors", Py_NewRef(engine_support_errors())) < 0 ||
        prototype_put("wsgi.multithread",
                      PyBool_FromLong(engine_app->multithread)) < 0 ||
        prototype_put("wsgi.multiprocess",
                      PyBool_FromLong(engine_app->multiprocess)) < 0 ||
        prototype_put("wsgi.run_once", PyBool_FromLong(0)) < 0 ||
        prototype_put("wsgi.input_terminated", PyBool_FromLong(1)) < 0 ||
        prototype_put("wsgi.file_wrapper",
                      Py_NewRef((PyObject *)&engine_file_wrapper_type)) < 0 ||
        prototype_put("GATEWAY_INTERFACE", latin1_decode("CGI/1.1")) < 0 ||
        prototype_put("SERVER_SOFTWARE", latin1_decode(engine_app->software)) <
            0 ||
        prototype_put("wsgi.input", Py_NewRef(Py_None)) < 0)
        return -1;
    if (engine_app->ini && prototype_put("weave.ini", PyUnicode_DecodeFSDefault(
                                                          engine_app->ini)) < 0)
        return -1;
    return prototype_put_configured();
}

static int prototype_put_keys(const weave_var_e *keys, size_t count, int fixed)
{
    size_t i;

    for (i = 0; i < count; i++) {
        known[keys[i]].fixed = fixed;
        if (prototype_put(known_names[keys[i]].name, latin1_decode("")) < 0)
            return -1;
    }
    return 0;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

int engine_environ_start(void)
{
    int i;

    for (i = 0; i < WEAVE_VAR_COUNT; i++) {
        known[i].keep = known_names[i].keep;
        known[i].name = PyUnicode_InternFromString(known_names[i].name);
        if (!known[i].name)
            return -1;
    }
    prototype = PyDict_New();
    if (!prototype ||
        prototype_put_keys(fixed_keys, COUNT(fixed_keys), 1) < 0 ||
        prototype_put_keys(expected_keys, COUNT(expected_keys), 0) < 0)
        return -1;
    return prototype_put_all();
}

/* Returns 1 when the value is the one that is kept. */
static int is_kept(const known_t *key, const weave_var_t *var)
{
    return key->value && key->value_len == var->value_len &&
           memcmp(key->bytes, var->value, var->value_len) == 0;
}

/* Returns a new reference to the value of a known key. */
static PyObject *known_value(known_t *key, const weave_var_t *var)
{
    PyObject *value;

    if (!key->keep || var->value_len > KEPT_BYTES)
        return PyUnicode_DecodeLatin1(var->value, var->value_len, NULL);
    if (is_kept(key, var))
        return Py_NewRef(key->value);
    value = PyUnicode_DecodeLatin1(var->value, var->value_len, NULL);
    if (value) {
        Py_XDECREF(key->value);
        key->value = Py_NewRef(value);
        key->value_len = var->value_len;
        memcpy(key->bytes, var->value, var->value_len);
    }
    return value;
}

static int environ_add(PyObject *environ, const weave_var_t *var)
{
    PyObject *name, *value;
    int rc = -1;

    if (var->key < WEAVE_VAR_COUNT) {
        name = Py_NewRef(known[var->key].name);
        value = known_value(&known[var->key], var);
    }
    else {
        name = latin1_decode(var->name);
        value = PyUnicode_DecodeLatin1(var->value, var->value_len, NULL);
    }
    if (name && value)
        rc = PyDict_SetItem(environ, name, value);
    Py_XDECREF(name);
    Py_XDECREF(value);
    return rc;
}

/* Stores a request's value of a fixed key in the prototype. */
static int prototype_update(const weave_var_t *var)
{
    known_t *key = &known[var->key];
    PyObject *value;
    int rc;

    if (is_kept(key, var))
        return 0;
    value = known_value(key, var);
    rc = value ? PyDict_SetItem(prototype, key->name, value) : -1;
    /* too long to be kept: the next request must not match the old value */
    if (rc == 0 && key->value != value)
        Py_CLEAR(key->value);
    Py_XDECREF(value);
    return rc;
}

static int is_fixed(const weave_var_t *var)
{
    return var->key < WEAVE_VAR_COUNT && known[var->key].fixed;
}

PyObject *engine_environ_new(const weave_request_t *in)
{
    PyObject *environ;
    size_t i;

    for (i = 0; i < in->vars_count; i++)
        if (is_fixed(&in->vars[i]) && prototype_update(&in->vars[i]) < 0)
            return NULL;
    environ = PyDict_Copy(prototype);
    if (!environ)
        return NULL;
    for (i = 0; i < in->vars_count; i++)
        if (!is_fixed(&in->vars[i]) && environ_add(environ, &in->vars[i]) < 0) {
            Py_DECREF(environ);
            return NULL;
        }
    return environ;
}
