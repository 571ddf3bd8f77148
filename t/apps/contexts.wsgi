# SPDX-License-Identifier: Apache-2.0
"""What a request finds in its context (PEP 567), and what it leaves there."""
import asyncio
import contextvars
import ctypes
import decimal
import gc
import json
import logging
import os
import sys
import threading

from weave_test import case, note

JSON = [("Content-Type", "application/json")]
_var = contextvars.ContextVar("weave_test", default="nothing")
_log = logging.getLogger("contexts")
_log.propagate = False
_seen = []


class _Handler(logging.Handler):
    def emit(self, record):
        record.args[0].append(_var.get())


_log.addHandler(_Handler())


def _found():
    """What is not of this request."""
    return {"thread": "%d %d" % (os.getpid(), threading.get_ident()),
            "var": _var.get(),
            "decimals": decimal.getcontext().prec,
            "error": sys.exc_info()[0] is not None}


def _leave(environ):
    _var.set("set by " + environ["QUERY_STRING"])
    decimal.getcontext().prec = 5


def leave(environ, start_response):
    found = _found()
    _leave(environ)
    start_response("200 OK", JSON)
    return [json.dumps(found).encode()]


def fail(environ, start_response):
    _leave(environ)
    raise ValueError("with a context of its own")


class _Answer:
    """Where the application's variable is seen after it has returned."""

    def __init__(self, environ):
        self._environ = environ
        self._chunks = self._parts()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._chunks)

    def _parts(self):
        logged = []
        yield ("iterated %s\n" % _var.get()).encode()
        body = self._environ["wsgi.input"].read()
        yield ("read %s %s\n" % (body.decode(), _var.get())).encode()
        _log.error("%s", logged)
        yield ("logged %s\n" % logged[0]).encode()
        _var.set("set in the iteration")

    def close(self):
        note(self._environ, "close " + _var.get())


def iterate(environ, start_response):
    _leave(environ)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written " + _var.get().encode() + b"\n")
    return _Answer(environ)


async def _coroutine():
    before = _var.get()
    _var.set("set in a task")
    await asyncio.sleep(0)
    return before


def others(environ, start_response):
    """Threads and tasks have what Python gives them."""
    in_thread = []
    _leave(environ)
    thread = threading.Thread(target=lambda: in_thread.append(_var.get()))
    thread.start()
    thread.join()
    in_task = asyncio.new_event_loop().run_until_complete(_coroutine())
    in_copy = contextvars.copy_context().run(_var.get)
    start_response("200 OK", JSON)
    return [json.dumps([in_thread[0], in_task, in_copy, _var.get()]).encode()]


def enter(environ, start_response):
    """As an extension module would that leaves its context entered."""
    for _ in range(3):
        other = contextvars.Context()
        other.run(_var.set, "set elsewhere")
        ctypes.pythonapi.PyContext_Enter(ctypes.py_object(other))
    return leave(environ, start_response)


def leave_all(environ, start_response):
    """As one would that leaves what it has not entered."""
    for context in gc.get_objects():
        if type(context) is contextvars.Context:
            try:
                ctypes.pythonapi.PyContext_Exit(ctypes.py_object(context))
            except RuntimeError:
                pass  # of another thread, or not entered
    return leave(environ, start_response)


def application(environ, start_response):
    return globals()[case(environ)](environ, start_response)
