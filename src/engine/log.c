/* SPDX-License-Identifier: Apache-2.0 */
/* log.c: makes whole lines with a level of the text that Python prints */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* httpd cuts a line of its error log at 8 KiB, its own prefix included, and
 * writes a byte outside ASCII as four. */
#define PIECE_COLUMNS 7500

/* Returns how many columns httpd writes for a byte. */
static size_t piece_columns(unsigned char byte)
{
    if (byte == '\\' || byte == '\t')
        return 2;
    return byte < 0x20 || byte >= 0x7f ? 4 : 1;
}

size_t engine_utf8_start(const char *text, size_t at)
{
    while (at > 1 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* Returns how many bytes of a line httpd shows; a piece never ends inside a
 * character. */
static size_t piece_len(const char *text, size_t len)
{
    size_t at = 0, columns = 0;

    while (at < len && columns < PIECE_COLUMNS)
        columns += piece_columns((unsigned char)text[at++]);
    return at < len ? engine_utf8_start(text, at) : at;
}

/* Logs a line in pieces. Gives the GIL away meanwhile. */
static void line_log(int level, const char *text, size_t len)
{
    engine_thread_t *thread = engine_thread_self();
    void *host = thread && thread->request ? thread->request->in->host : NULL;
    PyThreadState *tstate = engine_gil_pause();

    do {
        size_t piece = piece_len(text, len);

        engine_host->log(host, level, text, piece);
        text += piece;
        len -= piece;
    } while (len > 0);
    engine_gil_resume(tstate);
}

void engine_log(int level, const char *format, ...)
{
    char text[1024];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        return;
    line_log(level, text,
             (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void line_flush(engine_line_t *line)
{
    char *text = line->text;
    size_t len = line->len;

    if (!len)
        return;
    /* another write may come while the GIL is away */
    line->text = NULL;
    line->len = line->room = 0;
    line_log(line->level, text, len);
    free(text);
}

/* Logs the first piece of a line that is longer than httpd shows: a line
 * without a newline must not grow for ever. */
static void line_shorten(engine_line_t *line)
{
    char *text = line->text;
    size_t len = line->len, piece = piece_len(text, len);

    line->text = NULL;
    line->len = line->room = 0;
    line_log(line->level, text, piece);
    memmove(text, text + piece, len - piece);
    line->text = text;
    line->len = len - piece;
    line->room = len;
}

/* Appends text without a newline. Returns 0, or -1 with an exception. */
static int line_append(engine_line_t *line, int level, const char *text,
                       size_t len)
{
    if (!len)
        return 0;
    if (line->len + len > line->room) {
        size_t room = (line->len + len) * 2;
        char *grown = realloc(line->text, room);

        if (!grown) {
            PyErr_NoMemory();
            return -1;
        }
        line->text = grown;
        line->room = room;
    }
    if (!line->len)
        line->level = level;
    memcpy(line->text + line->len, text, len);
    line->len += len;
    while (line->len > PIECE_COLUMNS)
        line_shorten(line);
    return 0;
}

/* level(n): sets the level of the lines that this thread writes (0: each
 * stream's own level) and returns the previous one. It is set while a
 * logging.Handler writes a record, so that the lines have the record's level,
 * whichever stream they go to. */
PyObject *engine_log_level(PyObject *module, PyObject *level)
{
    engine_thread_t *thread = engine_thread_self();
    long value = PyLong_AsLong(level);
    int previous;

    (void)module;
    if (value == -1 && PyErr_Occurred())
        return NULL;
    if (!thread)
        return PyErr_NoMemory();
    previous = thread->log_level;
    thread->log_level = (int)value;
    return PyLong_FromLong(previous);
}

/* write(stream, level, text): logs whole lines at once. The rest waits for its
 * newline or the end of the request. */
PyObject *engine_log_write(PyObject *module, PyObject *args)
{
    engine_thread_t *thread = engine_thread_self();
    const char *text, *end, *newline;
    engine_line_t *line;
    int stream, level;
    Py_ssize_t len;

    (void)module;
    if (!PyArg_ParseTuple(args, "iiy#", &stream, &level, &text, &len))
        return NULL;
    if (!thread)
        return PyErr_NoMemory();
    if (thread->log_level)
        level = thread->log_level;
    line = &thread->lines[stream];
    for (end = text + len; (newline = memchr(text, '\n', end - text));
         text = newline + 1) {
        if (!line->len) {
            if (newline > text)
                line_log(level, text, newline - text);
            continue;
        }
        if (line_append(line, level, text, newline - text) < 0)
            return NULL;
        line_flush(line);
    }
    if (line_append(line, level, text, end - text) < 0)
        return NULL;
    Py_RETURN_NONE;
}

void engine_log_flush(engine_thread_t *thread)
{
    int i;

    for (i = 0; i < ENGINE_STREAM_COUNT; i++)
        line_flush(&thread->lines[i]);
}
