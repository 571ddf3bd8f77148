/* SPDX-License-Identifier: Apache-2.0 */
/* request_lock.c: one thread at a time uses the host for a request
 *
 * An application may read its input or call write() in another thread, as
 * adapters for asynchronous code do, and such a thread may outlive the request.
 * But httpd's filters serve one thread, and the request does not exist any more
 * when run() has returned. */
#include "engine.h"

#include <time.h>

engine_request_t *engine_request_lock(engine_request_t **holder,
                                      const char *what)
{
    engine_request_t *request = *holder;
    PyThreadState *tstate;

    if (request) {
        request->users++;
        if (pthread_mutex_trylock(&request->lock) != 0) {
            tstate = engine_gil_pause();
            pthread_mutex_lock(&request->lock);
            engine_gil_resume(tstate);
        }
        if (*holder)
            return request;
        engine_request_unlock(request);
    }
    PyErr_Format(PyExc_ValueError, "%s was used after its request had ended",
                 what);
    return NULL;
}

void engine_request_unlock(engine_request_t *request)
{
    pthread_mutex_unlock(&request->lock);
    request->users--;
}

void engine_request_await_users(engine_request_t *request)
{
    static const struct timespec pause = {0, 1000000};
    PyThreadState *tstate;

    while (request->users > 0) {
        tstate = engine_gil_pause();
        nanosleep(&pause, NULL);
        engine_gil_resume(tstate);
    }
}
