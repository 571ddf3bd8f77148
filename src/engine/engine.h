/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h: declarations that the engine's files share.
 *
 * Unless a comment says otherwise, the caller of a function holds the GIL; a
 * function that returns int returns 0, or -1 with a Python exception set; and
 * one that returns PyObject * returns a new reference, or NULL with an
 * exception set. */
#ifndef ENGINE_H
#define ENGINE_H

#include "compat.h"
#include "weave_engine.h"

#include <pthread.h>

typedef struct engine_thread_t engine_thread_t;
typedef struct engine_request_t engine_request_t;
typedef struct engine_line_t engine_line_t;

/* The beginning of a log line whose newline has not come yet. */
struct engine_line_t {
    char *text;  /* owned, from malloc() */
    size_t len;  /* bytes used */
    size_t room; /* bytes allocated */
    int level;   /* the level of its first character */
};

enum { ENGINE_STREAM_OUT, ENGINE_STREAM_ERR, ENGINE_STREAM_COUNT };

/* The engine's data of an operating system thread. It exists from the thread's
 * first call of engine_thread_self() to its end, and only this thread uses
 * it. */
struct engine_thread_t {
    PyThreadState *tstate;     /* owned; NULL for threads Python made itself */
    engine_request_t *request; /* the request that it answers, or NULL */
    int log_level;             /* of the logging record being written, or 0 */
    engine_line_t lines[ENGINE_STREAM_COUNT];
    PyObject *spare_start_response; /* owned, for the next request; or NULL */
    PyObject *spare_input;          /* the same */
};

#define ENGINE_ARENA_BYTES 2048
#define ENGINE_HEADERS 24

/* The state of an answer. It lives on the stack of engine_run(). */
struct engine_request_t {
    const weave_request_t *in;
    engine_thread_t *thread;
    size_t taken;       /* bytes of in->body that wsgi.input has fetched */
    int64_t read;       /* bytes of the whole body that it has fetched */
    int io;             /* the first weave_io_e that was not OK */
    weave_head_t head;  /* status 0: start_response() was not called yet */
    int head_out;       /* 1: the host has the head, and it cannot change */
    int64_t body_bytes; /* bytes of the answer's body that the host has */
    int overflow; /* 1: the body is longer than its Content-Length, 2: and this
                     is logged */
    int ended;    /* 1: the answer is complete */
    int file;     /* 1: the answer is a file_wrapper, and may be longer than
                     its Content-Length */
    /* The host serves one thread at a time, and only while the request
     * lasts. Each thread that uses the host for this request holds the lock.
     * `users` counts those that hold it or wait for it; the GIL protects the
     * count. */
    pthread_mutex_t lock;
    int users;
    /* `head` points to these two where they are large enough */
    char arena[ENGINE_ARENA_BYTES];
    weave_header_t headers[ENGINE_HEADERS];
};

/* interpreter.c */
extern const weave_app_t *engine_app;   /* the host's, set by start() */
extern const weave_host_t *engine_host; /* the host's, set by start() */
/* Starts the interpreter and returns with the GIL held. NULL, or a text in
 * static storage that says what failed. */
const char *engine_interpreter_start(void);

/* thread.c: the GIL is taken and given back here and nowhere else */
/* Returns the data of the calling thread, or NULL when there is no memory.
 * Needs no GIL. */
engine_thread_t *engine_thread_self(void);
/* Takes the GIL, and creates the thread's state at its first call. NULL,
 * without the GIL, when there is no memory. */
engine_thread_t *engine_gil_take(void);
/* Gives the GIL back. */
void engine_gil_give(void);
/* Gives the GIL back for a call that may block. */
PyThreadState *engine_gil_pause(void);
/* Takes it again, with the thread state that engine_gil_pause() returned. */
void engine_gil_resume(PyThreadState *tstate);
/* Keeps the GIL for ever: no other thread enters Python any more. */
void engine_gil_keep(void);
/* Returns 1 while the calling thread is inside run(). Needs no GIL;
 * async-signal-safe. */
int engine_thread_is_running(void);
/* Keeps `object` alive until engine_owner_release(). */
void *engine_owner_new(PyObject *object);
/* Gives the reference back, the next time that a thread takes the GIL. Needs
 * no GIL. */
void engine_owner_release(void *owner);

/* support.c: the Python half of the engine, support.py */
/* Runs support.py. */
int engine_support_start(void);
/* Returns wsgi.errors, a borrowed reference. */
PyObject *engine_support_errors(void);
/* Calls the function `name` of support.py with the tuple that `format` and what
 * follows make, in the manner of Py_BuildValue(), and sets *result (NULL: drops
 * it). */
int engine_support_call(PyObject **result, const char *name, const char *format,
                        ...);
/* Logs `what` and the exception that is set, with its traceback, and clears it.
 * Writes to `line` (NULL: nothing) the line of the traceback that names the
 * error. */
void engine_support_report(const char *what, char *line, size_t size);

/* request_lock.c: one thread at a time uses the host for a request */
/* Locks the request that *holder points to, and returns it. *holder is where
 * an object keeps its request, and becomes NULL when the request ends: then
 * the result is NULL, with an exception that names `what`. May give the GIL
 * away meanwhile. */
engine_request_t *engine_request_lock(engine_request_t **holder,
                                      const char *what);
void engine_request_unlock(engine_request_t *request);
/* Waits until no other thread holds the lock or waits for it. Gives the GIL
 * away meanwhile. */
void engine_request_await_users(engine_request_t *request);

/* signals.c: called without the GIL, on Python's main thread */
/* Implements wait() of weave_engine_t. */
void engine_signals_wait(int fd);
/* Implements stacks_on() of weave_engine_t. */
int engine_stacks_on(int signum, int fd);

/* spawn.c: programs that an embedded application starts */
int engine_spawn_start(void);
/* Implements _weave.spawn(bits, function, args): calls function(*args), which
 * starts a program by fork(). Each bit is a signal that the program has
 * blocked. */
PyObject *engine_spawn(PyObject *module, PyObject *args);

/* log.c */
/* Returns the offset at which the UTF-8 character begins that has a byte at
 * offset `at`. Needs no GIL. */
size_t engine_utf8_start(const char *text, size_t at);
/* Implement _weave.level() and _weave.write(): see there. */
PyObject *engine_log_level(PyObject *module, PyObject *level);
PyObject *engine_log_write(PyObject *module, PyObject *args);
/* Logs the lines that the thread has begun. Gives the GIL away meanwhile. */
void engine_log_flush(engine_thread_t *thread);
/* Logs a message of the engine about the current request, in the manner of
 * printf(). Gives the GIL away meanwhile. */
void engine_log(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* environ.c */
int engine_environ_start(void);
/* Returns the environ of a request, all but wsgi.input. */
PyObject *engine_environ_new(const weave_request_t *in);

/* input.c */
extern PyObject *engine_input_key; /* the str "wsgi.input" */
int engine_input_start(void);
/* Returns a wsgi.input for the request. */
PyObject *engine_input_acquire(engine_request_t *request);
/* Detaches it from the request and gives the reference back. The caller holds
 * the request's lock. */
void engine_input_release(engine_request_t *request, PyObject *input);

/* head.c: checks and copies the arguments of start_response() */
/* Sets request->head. */
int engine_head_set(engine_request_t *request, PyObject *status,
                    PyObject *headers);
/* Frees it. Needs no GIL. */
void engine_head_clear(engine_request_t *request);

/* response.c: start_response(), write(), and functions for run.c */
int engine_response_start(void);
/* Returns a start_response() for the request. */
PyObject *engine_start_response_acquire(engine_request_t *request);
/* Detaches it from the request and gives the reference back. The caller holds
 * the request's lock. */
void engine_start_response_release(engine_request_t *request, PyObject *self);
/* The exceptions that read() and write() raise where the client is the cause.
 */
extern PyObject *engine_client_gone;
extern PyObject *engine_body_error;
/* Logs, once per request, that the answer is longer than its
 * Content-Length. */
void engine_overflow_report(engine_request_t *request);
/* Returns how many of `len` more bytes the answer may have: it never exceeds
 * its Content-Length. */
size_t engine_body_clip(engine_request_t *request, size_t len);
/* Hands pieces to the host, and before the first of them the head. Called
 * without the GIL. */
weave_io_e engine_body_send(engine_request_t *request,
                            const weave_piece_t *pieces, size_t count,
                            int flags);
/* Checks that start_response() was called, for a body of `bytes`. */
int engine_head_check(const engine_request_t *request, size_t bytes);
/* Sends one chunk from write() or an iterator at once. The caller holds the
 * request's lock. */
int engine_chunk_send(engine_request_t *request, PyObject *chunk);

/* file.c: wsgi.file_wrapper */
/* Calls close() of `object`, if it has one, and returns its result or None. */
PyObject *engine_object_close(PyObject *object);
extern PyTypeObject engine_file_wrapper_type;
int engine_file_start(void);
/* Returns 1 when the bytes that `wrapper` has left are those of a regular
 * file, and sets *fd (borrowed), *offset and *length. Otherwise 0; never an
 * exception. */
int engine_file_is_plain(PyObject *wrapper, int *fd, int64_t *offset,
                         int64_t *length);

/* context.c: the context (contextvars) of a request */
typedef struct {
    PyObject *own;   /* the request's context */
    PyObject *outer; /* the thread's context before it, or NULL */
} engine_context_t;
/* Creates a context and enters it. */
int engine_context_enter(engine_context_t *context);
/* Brings the thread back to where it was, whatever contexts the application
 * has entered or left. Called on the thread that entered it. */
void engine_context_exit(engine_context_t *context);

/* run.c */
extern PyObject *engine_application; /* the application's callable */
/* Implements run() of weave_engine_t. Called without the GIL. */
int engine_run(const weave_request_t *in);

#endif
