/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h: what the engine's files share. Unless a comment says otherwise,
 * every function here needs the GIL. */
#ifndef ENGINE_H
#define ENGINE_H

#include "compat.h"
#include "weave_engine.h"

#include <pthread.h>

typedef struct engine_thread_t engine_thread_t;
typedef struct engine_request_t engine_request_t;
typedef struct engine_line_t engine_line_t;

/* A line that waits for its end. */
struct engine_line_t {
    char *text; /* malloc */
    size_t len;
    size_t room;
    int level; /* of its first character */
};

enum { ENGINE_STREAM_OUT, ENGINE_STREAM_ERR, ENGINE_STREAM_COUNT };

/* What the engine keeps for an operating system thread, from its first
 * contact with Python to its end. Only that thread touches it. */
struct engine_thread_t {
    PyThreadState *tstate;     /* owned; NULL for threads Python made itself */
    engine_request_t *request; /* the one being answered, or NULL */
    int log_level; /* of the logging record being written, 0 outside one */
    engine_line_t lines[ENGINE_STREAM_COUNT];
    PyObject *spare_start_response; /* reused when nobody else holds them */
    PyObject *spare_input;
};

#define ENGINE_ARENA_BYTES 2048
#define ENGINE_HEADERS 24

/* The state of an answer, beside the host's record of the request. */
struct engine_request_t {
    const weave_request_t *in;
    engine_thread_t *thread;
    size_t taken; /* bytes of in->body that wsgi.input has given away */
    int64_t read; /* bytes of the body that Python has */
    int io;       /* the first weave_io_e that was not OK */
    /* the head, as start_response() was given it; status 0: not called yet */
    weave_head_t head;
    int head_out;       /* 1: nothing can be taken back */
    int64_t body_bytes; /* what the host was given */
    int overflow;       /* 1: more was given than promised, 2: and said */
    int ended;          /* 1: the answer is complete */
    int file;           /* 1: what is left of a file is no mistake */
    /* The host serves one thread at a time, and only while the request
     * lasts. Threads of the application that read or write for it are counted
     * (with the GIL) and take turns (without it). */
    pthread_mutex_t lock;
    int users;
    /* where `head` points unless it is larger than most */
    char arena[ENGINE_ARENA_BYTES];
    weave_header_t headers[ENGINE_HEADERS];
};

/* interpreter.c */
extern const weave_app_t *engine_app;
extern const weave_host_t *engine_host;
const char *engine_interpreter_start(void);

/* thread.c: the GIL is taken and given back here and nowhere else. */
engine_thread_t *engine_thread_self(void); /* no GIL needed */
engine_thread_t *engine_gil_take(void);    /* NULL: out of memory */
void engine_gil_give(void);
PyThreadState *engine_gil_pause(void);
void engine_gil_resume(PyThreadState *tstate);
void engine_gil_keep(void);         /* no thread enters Python any more */
int engine_thread_is_running(void); /* no GIL needed, async-signal-safe */
/* Keeps `object` alive until engine_owner_release(), which needs no GIL.
 * NULL, with an exception set, when there is no memory. */
void *engine_owner_new(PyObject *object);
void engine_owner_release(void *owner);

/* support.c: the Python half, support.py */
int engine_support_start(void);
PyObject *engine_support_errors(void); /* borrowed: wsgi.errors */
int engine_support_load(PyObject **application);
void engine_support_finish(void);
/* Calls a function of support.py. 0, or -1 with an exception set. */
int engine_support_call(const char *name, int number);
/* Logs the exception in flight, with its traceback, and clears it. */
void engine_support_report(const char *what);
/* The same, and writes the line of the traceback that says what went wrong to
 * LINE. */
void engine_support_report_line(const char *what, char *line, size_t size);

/* request_lock.c: one thread at a time with the host
 * A turn on *HOLDER, the place where an object keeps its request: the request,
 * or NULL, with an exception, when it has ended. */
engine_request_t *engine_request_lock(engine_request_t **holder,
                                      const char *what);
void engine_request_unlock(engine_request_t *request);
/* Waits until nobody else uses the request. */
void engine_request_await_users(engine_request_t *request);

/* signals.c: no GIL needed, for Python's main thread */
void engine_signals_wait(int fd);
int engine_stacks_on(int signum);

/* spawn.c: programs that an embedded application starts */
int engine_spawn_start(void);
/* spawn(bits, function, args): function(*args), which starts a program by
 * fork(); the bits are the signals that this program has blocked. */
PyObject *engine_spawn(PyObject *module, PyObject *args);

/* log.c */
/* Returns where the character of TEXT that byte AT is a part of begins. */
size_t engine_utf8_start(const char *text, size_t at);
PyObject *engine_log_level(PyObject *module, PyObject *level);
PyObject *engine_log_write(PyObject *module, PyObject *args);
void engine_log_flush(engine_thread_t *thread);
/* printf-like, for the engine's own words about the current request. */
void engine_log(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* environ.c */
int engine_environ_start(void);
PyObject *engine_environ_new(const weave_request_t *in);

/* input.c */
extern PyObject *engine_input_key; /* "wsgi.input" */
int engine_input_start(void);
PyObject *engine_input_acquire(engine_request_t *request);
void engine_input_release(engine_request_t *request, PyObject *input);

/* head.c: what start_response() was given, checked and copied */
int engine_head_set(engine_request_t *request, PyObject *status,
                    PyObject *headers);
void engine_head_clear(engine_request_t *request); /* no GIL needed */

/* response.c: start_response(), write() and what they share with run.c */
int engine_response_start(void);
PyObject *engine_start_response_acquire(engine_request_t *request);
void engine_start_response_release(engine_request_t *request, PyObject *self);
/* What read() and write() raise: the client's doing. */
extern PyObject *engine_client_gone;
extern PyObject *engine_body_error;
/* Says so, once, when an answer was longer than its Content-Length. */
void engine_overflow_report(engine_request_t *request);
/* How much of `len` bytes may follow: an answer never exceeds the
 * Content-Length it has promised. */
size_t engine_body_clip(engine_request_t *request, size_t len);
/* Gives the host the head, if it has not got it, and pieces. No GIL. */
weave_io_e engine_body_send(engine_request_t *request,
                            const weave_piece_t *pieces, size_t count,
                            int flags);
/* One chunk from write() or an iterator, sent at once. 0, or -1 with an
 * exception set. */
int engine_chunk_send(engine_request_t *request, PyObject *chunk);

/* file.c: wsgi.file_wrapper */
extern PyTypeObject engine_file_wrapper_type;
int engine_file_start(void);
/* 1 when the rest of `wrapper` is a plain file, with where and how much. */
int engine_file_is_plain(PyObject *wrapper, int *fd, int64_t *offset,
                         int64_t *length);

/* context.c: the contextvars of a request, and where its thread was before */
typedef struct {
    PyObject *own;
    PyObject *outer; /* NULL: in none */
} engine_context_t;
int engine_context_enter(engine_context_t *context); /* -1: an exception */
/* On the thread that has entered it, whatever the application did there. */
void engine_context_exit(engine_context_t *context);

/* raised.c: ends a request of which the application has let an exception out,
 * which is set: a weave_run_e, or the status of the answer. */
int engine_raised_end(engine_request_t *request);

/* run.c */
extern PyObject *engine_application;
int engine_run(const weave_request_t *in);

#endif
