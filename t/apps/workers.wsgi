# SPDX-License-Identifier: Apache-2.0
"""What worker processes have to cope with, one function each."""
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

from weave_test import append, case, note, query

_release = os.path.join(os.path.dirname(os.path.abspath(__file__)), "RELEASE")
_children = []
_signals = []


def _read_release():
    try:
        with open(_release) as stream:
            return stream.read().strip()
    except OSError:
        return "none"


RELEASE = _read_release()
if RELEASE == "broken":
    raise RuntimeError("this release is broken")


def who(environ):
    return "%d %s" % (os.getpid(), RELEASE)


def ini(environ):
    return environ["weave.ini"]


def greeting(environ):
    return environ.get("GREETING", "none")


def user(environ):
    return "%d %d" % (os.getuid(), os.getgid())


def sleep(environ):
    time.sleep(float(query(environ).get("s", 0)))
    return who(environ)


def hold(environ):
    """Until there is the file "until"."""
    end = time.monotonic() + 100
    while not os.path.exists(query(environ)["until"]) and time.monotonic() < end:
        time.sleep(0.01)
    return who(environ)


def read(environ):
    return "%d" % len(environ["wsgi.input"].read())


def large(environ):
    return "x" * (8 << 20)


def lines(environ):
    for i in range(11000):
        print("line %d of many" % i, file=sys.stderr)
    return who(environ)


def warm(environ):
    return who(environ)


def segv(environ):
    ctypes.string_at(0)


def leave(environ):
    os._exit(7)


def in_c_for_ever(environ):
    """Holds the GIL."""
    ctypes.PyDLL(None).sleep(60)


def fork(environ):
    """A child that lives on, and does nothing with what it has inherited."""
    pid = os.fork()
    if pid == 0:
        time.sleep(float(query(environ).get("s", 0)))
        os._exit(0)
    _children.append(pid)
    return "%d" % pid


def fork_that_returns(environ):
    """A child that goes on into the server's code: it must end there."""
    pid = os.fork()
    return "child" if pid == 0 else "parent %d" % pid


def wait(environ):
    return " ".join("%d" % os.waitpid(_children.pop(), 0)[1]
                    for _ in range(len(_children)))


def run(environ):
    """What a program sees that was started from here."""
    code = "grep -h SigBlk /proc/self/status; ls /proc/self/fd"
    return " ".join(subprocess.run(
        ["/bin/sh", "-c", code], check=True,
        stdout=subprocess.PIPE).stdout.decode().split())


def thread(environ):
    name = query(environ)["note"]
    threading.Thread(target=lambda: (time.sleep(0.1), append(name, "thread")),
                     daemon=True).start()
    return "started"


def caught(environ):
    """Signals that came to the handlers that the application has set."""
    os.kill(os.getpid(), signal.SIGUSR1)
    end = time.monotonic() + 30
    while not _signals and time.monotonic() < end:
        time.sleep(0.01)
    return " ".join(_signals)


for _name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM"):
    signal.signal(getattr(signal, _name),
                  lambda number, frame: _signals.append("%d" % number))


def application(environ, start_response):
    name = case(environ)
    note(environ, "in %d" % os.getpid())
    if name == "cold":
        start_response("500 Cold", [])
        return [b"cold"]
    if name == "late":
        start_response("200 OK", [("Content-Type", "text/plain")])(b"first")
        time.sleep(float(query(environ)["s"]))
        return [b"last"]
    body = globals()[name](environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
