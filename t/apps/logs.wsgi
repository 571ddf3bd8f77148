# SPDX-License-Identifier: Apache-2.0
"""What applications do to their standard error."""
import ctypes
import fcntl
import os
import subprocess
import sys
import threading
import time

from weave_test import case, query


def who(environ):
    return "%d" % os.getpid()


def descriptors(environ):
    """What is open here, and in a program that is started from here."""
    mine = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")
            if os.path.islink("/proc/self/fd/" + fd)]
    ran = subprocess.run(["ls", "-l", "/proc/self/fd"], check=True, stdout=subprocess.PIPE)
    return "\n".join(mine) + "\n" + ran.stdout.decode()


def attack(environ):
    """Truncates its standard error, and takes its flags away."""
    done = []
    for fd in (1, 2):
        try:
            os.ftruncate(fd, 0)
            done.append("truncated %d" % fd)
        except OSError:
            pass
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
    return " ".join(done)


def _in_thread(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()
    return "started"


_flooded = 0


def _flood(text):
    global _flooded
    while True:
        os.write(2, text)
        _flooded += 1


def flood(environ):
    return _in_thread(_flood, b"flood " * 100 + b"\n")


def flooded(environ):
    """How many lines that has written."""
    return "%d" % _flooded


def _ticks(name, count, pause):
    for number in range(count):
        print("tick %s %d" % (name, number), file=sys.stderr)
        time.sleep(pause)


def ticks(environ):
    """Numbered lines, outside of a request."""
    asked = query(environ)
    return _in_thread(_ticks, asked["name"], int(asked["count"]), float(asked["pause"]))


def raw(environ):
    """These bytes as they are."""
    os.write(2, environ["wsgi.input"].read())
    return "written"


def segv(environ):
    ctypes.string_at(0)


def outlive(environ):
    """A program that goes on when this worker has ended, and writes then."""
    path = query(environ)["until"]
    child = subprocess.Popen(
        ["/bin/sh", "-c", "while [ ! -e \"$0\" ]; do sleep 0.05; done; echo outlived >&2", path])
    return "%d" % child.pid


def application(environ, start_response):
    body = globals()[case(environ)](environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
