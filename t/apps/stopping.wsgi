# SPDX-License-Identifier: Apache-2.0
"""Ways to be inside Python when the child has to end."""
import atexit
import ctypes
import os
import threading
import time

from weave_test import append, case, note, query

_never = threading.Lock()
_never.acquire()
_note_id = os.environ.get("STOPPING_NOTE")


def _append(what):
    append(_note_id, "%s %d" % (what, os.getpid()))


if _note_id:
    atexit.register(_append, "atexit")


def idle(environ):
    """Nothing special."""


def sleeping(environ):
    time.sleep(100)


def short(environ):
    time.sleep(1.5)


def in_c(environ):
    """A C call that holds the GIL for two seconds."""
    ctypes.PyDLL(None).sleep(2)


def in_c_for_ever(environ):
    ctypes.PyDLL(None).sleep(100)


def locked(environ):
    _never.acquire()


def looping(environ):
    while True:
        pass


def _work(until):
    while time.monotonic() < until:
        time.sleep(0.01)


def _start_thread(daemon, seconds):
    thread = threading.Thread(target=_work, daemon=daemon,
                              args=(time.monotonic() + seconds,))
    thread.start()


def daemon_thread(environ):
    _start_thread(True, 60)


def joined_thread(environ):
    """A thread that Python's end has to wait for, and can."""
    _start_thread(False, 1)


def thread_for_ever(environ):
    _start_thread(False, 60)


def application(environ, start_response):
    if _note_id and not query(environ).get("quiet"):
        _append("in")
    note(environ, "in")
    globals()[case(environ)](environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
