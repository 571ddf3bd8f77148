/* SPDX-License-Identifier: Apache-2.0 */
/* head.c: checks and copies the status and headers of an answer
 *
 * The rules are those of PEP 3333, "The start_response() callable" and "Other
 * HTTP Features", and RFC 9110 section 5. No Python code runs before all is
 * copied, except the repr() in an error message: so the lists cannot change
 * meanwhile. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    size_t len;
    const char *name;
} hop_by_hop[] = {
#define HOP(name)                                                              \
    {                                                                          \
        sizeof(name) - 1, name                                                 \
    }
    HOP("connection"),
    HOP("keep-alive"),
    HOP("proxy-authenticate"),
    HOP("proxy-authorization"),
    HOP("te"),
    HOP("trailer"),
    HOP("trailers"),
    HOP("transfer-encoding"),
    HOP("upgrade"),
#undef HOP
};

/* Returns the bytes of a str of ISO-8859-1 characters (borrowed), and sets
 * *len. NULL, with an exception that begins with `what`, for any other object.
 */
static const char *text_bytes(PyObject *text, const char *what, size_t *len)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", what,
                     Py_TYPE(text)->tp_name);
        return NULL;
    }
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        PyErr_Format(PyExc_ValueError,
                     "%s has a character outside ISO-8859-1: %R", what, text);
        return NULL;
    }
    *len = (size_t)PyUnicode_GET_LENGTH(text);
    return (const char *)PyUnicode_1BYTE_DATA(text);
}

static int is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

static int controls_check(const char *text, size_t len, const char *what)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (is_control((unsigned char)text[i])) {
            PyErr_Format(PyExc_ValueError,
                         "%s has a control character (0x%02x)", what,
                         (unsigned char)text[i]);
            return -1;
        }
    return 0;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int status_check(PyObject *status, size_t *len, int *code)
{
    const char *text = text_bytes(status, "the status", len);

    if (!text)
        return -1;
    if (*len < 5 || !is_digit(text[0]) || !is_digit(text[1]) ||
        !is_digit(text[2]) || text[3] != ' ' || text[4] == ' ' ||
        text[*len - 1] == ' ') {
        PyErr_Format(PyExc_ValueError,
                     "the status must look like '200 OK', not %R", status);
        return -1;
    }
    *code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
    if (*code < 200) {
        PyErr_Format(PyExc_ValueError,
                     "an application cannot send the status %d", *code);
        return -1;
    }
    return controls_check(text, *len, "the status");
}

/* RFC 9110 section 5.6.2, "tchar". */
static const char is_tchar[256] = {
    ['!'] = 1,         ['#'] = 1,         ['$'] = 1, ['%'] = 1,
    ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1,
    ['-'] = 1,         ['.'] = 1,         ['^'] = 1, ['_'] = 1,
    ['`'] = 1,         ['|'] = 1,         ['~'] = 1, ['0' ... '9'] = 1,
    ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static int is_token(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (!is_tchar[(unsigned char)text[i]])
            return 0;
    return len > 0;
}

/* Compares like strncasecmp(), but in any locale of the worker: in a Turkish
 * one "I" is no "i". */
static int is_same_name(const char *a, const char *b, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        char x = a[i], y = b[i];

        x = (char)(x >= 'A' && x <= 'Z' ? x + 'a' - 'A' : x);
        y = (char)(y >= 'A' && y <= 'Z' ? y + 'a' - 'A' : y);
        if (x != y)
            return 0;
    }
    return 1;
}

static int name_check(PyObject *name, const char *text, size_t len)
{
    size_t i;

    if (!is_token(text, len)) {
        PyErr_Format(PyExc_ValueError, "%R is not a name for a header", name);
        return -1;
    }
    for (i = 0; i < sizeof(hop_by_hop) / sizeof(*hop_by_hop); i++)
        if (hop_by_hop[i].len == len &&
            is_same_name(hop_by_hop[i].name, text, len)) {
            PyErr_Format(PyExc_ValueError,
                         "an application cannot set the header %R, only the"
                         " server does",
                         name);
            return -1;
        }
    return 0;
}

/* Adds a header's size to *bytes. */
static int header_check(PyObject *header, size_t *bytes)
{
    const char *name, *value;
    size_t name_len, value_len;

    if (!PyTuple_Check(header) || PyTuple_GET_SIZE(header) != 2) {
        PyErr_Format(PyExc_TypeError,
                     "a header must be a tuple of two str, not %R", header);
        return -1;
    }
    name =
        text_bytes(PyTuple_GET_ITEM(header, 0), "a header's name", &name_len);
    if (!name || name_check(PyTuple_GET_ITEM(header, 0), name, name_len) < 0)
        return -1;
    value =
        text_bytes(PyTuple_GET_ITEM(header, 1), "a header's value", &value_len);
    if (!value || controls_check(value, value_len, "a header's value") < 0)
        return -1;
    *bytes += name_len + value_len + 2;
    return 0;
}

/* Returns the number that consists of digits only and is below 2^63 (RFC 9110
 * section 8.6); otherwise -1. */
static int64_t length_parse(const char *text)
{
    int64_t value = 0;
    const char *at;

    for (at = text; is_digit(*at); at++) {
        if (value > (INT64_MAX - (*at - '0')) / 10)
            return -1;
        value = value * 10 + (*at - '0');
    }
    return at == text || *at ? -1 : value;
}

/* Copies the text with its NUL, and returns the place behind it. */
static char *text_copy(char *to, PyObject *text)
{
    size_t len = (size_t)PyUnicode_GET_LENGTH(text);

    memcpy(to, PyUnicode_1BYTE_DATA(text), len);
    to[len] = '\0';
    return to + len + 1;
}

static int is_length(const weave_header_t *header)
{
    static const char length[] = "Content-Length";

    /* the value follows the name in the arena */
    return header->value - header->name == sizeof(length) &&
           is_same_name(header->name, length, sizeof(length) - 1);
}

/* Sets the Content-Length, which httpd writes itself: it is no member of the
 * list. */
static int length_take(weave_head_t *head, const char *value)
{
    int64_t length = length_parse(value);

    if (length < 0 ||
        (head->content_length >= 0 && head->content_length != length)) {
        PyErr_Format(PyExc_ValueError, "Content-Length: %s is not a length",
                     value);
        return -1;
    }
    head->content_length = length;
    return 0;
}

/* Copies the arguments, which are checked, into the reserved memory. */
static int head_copy(engine_request_t *request, PyObject *status,
                     PyObject *headers)
{
    weave_head_t *head = &request->head;
    weave_header_t *to = (weave_header_t *)head->headers;
    char *at = (char *)head->arena;
    Py_ssize_t i;

    head->reason = at;
    at = text_copy(at, status);
    for (i = 0; i < PyList_GET_SIZE(headers); i++) {
        PyObject *header = PyList_GET_ITEM(headers, i);

        to->name = at;
        to->value = at = text_copy(at, PyTuple_GET_ITEM(header, 0));
        at = text_copy(at, PyTuple_GET_ITEM(header, 1));
        if (!is_length(to))
            to++;
        else if (length_take(head, to->value) < 0)
            return -1;
    }
    head->headers_count = to - head->headers;
    head->arena_len = at - head->arena;
    return 0;
}

/* Points the head at memory for its strings and headers. */
static int head_reserve(engine_request_t *request, size_t bytes, size_t count)
{
    weave_head_t *head = &request->head;

    engine_head_clear(request);
    head->arena =
        bytes <= sizeof(request->arena) ? request->arena : malloc(bytes);
    head->headers = count <= ENGINE_HEADERS
                        ? request->headers
                        : malloc(count * sizeof(weave_header_t));
    if (head->arena && head->headers)
        return 0;
    engine_head_clear(request);
    PyErr_NoMemory();
    return -1;
}

int engine_head_set(engine_request_t *request, PyObject *status,
                    PyObject *headers)
{
    size_t bytes = 0, status_len;
    Py_ssize_t i;
    int code;

    if (status_check(status, &status_len, &code) < 0)
        return -1;
    if (!PyList_Check(headers)) {
        PyErr_Format(PyExc_TypeError, "the headers must be a list, not %.100s",
                     Py_TYPE(headers)->tp_name);
        return -1;
    }
    for (i = 0; i < PyList_GET_SIZE(headers); i++)
        if (header_check(PyList_GET_ITEM(headers, i), &bytes) < 0)
            return -1;
    if (head_reserve(request, bytes + status_len + 1,
                     (size_t)PyList_GET_SIZE(headers)) < 0)
        return -1;
    if (head_copy(request, status, headers) < 0) {
        engine_head_clear(request);
        return -1;
    }
    request->head.status = code;
    return 0;
}

void engine_head_clear(engine_request_t *request)
{
    weave_head_t *head = &request->head;

    if (head->arena != request->arena)
        free((char *)head->arena);
    if (head->headers != request->headers)
        free((weave_header_t *)head->headers);
    memset(head, 0, sizeof(*head));
    head->content_length = -1;
}
