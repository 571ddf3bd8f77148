/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c: thread states, the GIL, and owners that are released without it */
#include "engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
/* initial-exec: its first use in a thread would allocate otherwise, and
 * is_running() is called by signal handlers */
static __thread engine_thread_t *self
    __attribute__((tls_model("initial-exec")));

/* 1 once the GIL is kept for ever. */
static atomic_int finished;

/* References that were given back without the GIL: a stack. Any thread pushes
 * to it, and the next thread that has the GIL takes all of it at once, so there
 * is no ABA problem. */
typedef struct late_t {
    struct late_t *next;
    PyObject *object;
} late_t;
static _Atomic(late_t *) late;

/* Logs the lines that the thread has begun, as part of no request, and frees
 * them. */
static void lines_end(engine_thread_t *thread)
{
    int i;

    for (i = 0; i < ENGINE_STREAM_COUNT; i++) {
        engine_line_t *line = &thread->lines[i];

        if (line->len)
            engine_host->log(NULL, line->level, line->text, line->len);
        free(line->text);
    }
}

/* Frees the data of a thread that ends. HTTP/2's threads come and go. */
static void thread_end(void *data)
{
    engine_thread_t *thread = data;

    if (thread->tstate && !atomic_load(&finished)) {
        PyEval_RestoreThread(thread->tstate);
        Py_CLEAR(thread->spare_input);
        Py_CLEAR(thread->spare_start_response);
        PyThreadState_Clear(thread->tstate);
        PyThreadState_DeleteCurrent();
    }
    lines_end(thread);
    self = NULL;
    free(thread);
}

static void thread_key_create(void)
{
    if (pthread_key_create(&thread_key, thread_end) != 0)
        abort();
}

engine_thread_t *engine_thread_self(void)
{
    if (!self) {
        pthread_once(&thread_once, thread_key_create);
        self = calloc(1, sizeof(*self));
        if (self)
            pthread_setspecific(thread_key, self);
    }
    return self;
}

static void late_release(void)
{
    late_t *item = atomic_exchange(&late, NULL), *next;

    for (; item; item = next) {
        next = item->next;
        Py_DECREF(item->object);
        free(item);
    }
}

engine_thread_t *engine_gil_take(void)
{
    engine_thread_t *thread = engine_thread_self();

    if (!thread)
        return NULL;
    if (!thread->tstate)
        thread->tstate = PyThreadState_New(PyInterpreterState_Main());
    if (!thread->tstate)
        return NULL;
    PyEval_RestoreThread(thread->tstate);
    if (atomic_load_explicit(&late, memory_order_relaxed))
        late_release();
    return thread;
}

void engine_gil_give(void)
{
    PyEval_SaveThread();
}

PyThreadState *engine_gil_pause(void)
{
    return PyEval_SaveThread();
}

void engine_gil_resume(PyThreadState *tstate)
{
    PyEval_RestoreThread(tstate);
    if (atomic_load_explicit(&late, memory_order_relaxed))
        late_release();
}

void engine_gil_keep(void)
{
    atomic_store(&finished, 1);
}

int engine_thread_is_running(void)
{
    return self && self->request;
}

/* Allocates now, so that engine_owner_release() cannot fail. */
void *engine_owner_new(PyObject *object)
{
    late_t *item = malloc(sizeof(*item));

    if (!item) {
        PyErr_NoMemory();
        return NULL;
    }
    item->object = Py_NewRef(object);
    return item;
}

void engine_owner_release(void *owner)
{
    late_t *item = owner;

    item->next = atomic_load(&late);
    while (!atomic_compare_exchange_weak(&late, &item->next, item))
        ;
}
