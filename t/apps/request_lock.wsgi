# SPDX-License-Identifier: Apache-2.0
"""Threads, and a close(), that go to the host out of turn."""
import io
import threading
import time

from weave_test import case, note

PLAIN = [("Content-Type", "text/plain")]
THREADS = 8


class Late:
    """An answer whose close() has something to add."""

    def __init__(self, environ, write):
        self._environ = environ
        self._write = write

    def __iter__(self):
        return iter([b"the ", b"answer"])

    def close(self):
        try:
            self._write(b"HTTP/1.1 200 OK\r\n\r\ntoo late")
            note(self._environ, "written")
        except Exception as error:
            note(self._environ, type(error).__name__)


class LateFile(Late, io.FileIO):
    """The same for wsgi.file_wrapper."""

    def __init__(self, environ, write):
        io.FileIO.__init__(self, __file__)
        Late.__init__(self, environ, write)

    __iter__ = io.FileIO.__iter__

    def close(self):
        if not self.closed:
            Late.close(self)
        io.FileIO.close(self)


def close_writes(environ, start_response):
    return Late(environ, start_response("200 OK", PLAIN))


def file_close_writes(environ, start_response):
    write = start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](LateFile(environ, write))


def _together(target):
    """Runs target(i) in all threads, from the same moment on."""
    barrier = threading.Barrier(THREADS)

    def run(i):
        barrier.wait()
        target(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_together(environ, start_response):
    stream = environ["wsgi.input"]
    seen = []

    def read(i):
        while True:
            data = stream.readline() if i % 2 else stream.read(700)
            if not data:
                return
            seen.append(data)
    _together(read)
    start_response("200 OK", PLAIN)
    data = b"".join(seen)
    return [b"%d %d" % (len(data), data.count(b"7"))]


def write_together(environ, start_response):
    write = start_response("200 OK", PLAIN)

    def write_lines(i):
        for _ in range(100):
            write(b"%d" % i * 99 + b"\n")
    _together(write_lines)
    return [b"end"]


def _until_refused(environ, use, what):
    """Notes how a thread is told that its request is over."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            use()
        except ValueError as error:
            note(environ, "%s: %s" % (what, error))
            return
        time.sleep(0.01)
    note(environ, "%s: never refused" % what)


def use_after(environ, start_response):
    stream = environ["wsgi.input"]
    write = start_response("200 OK", PLAIN)
    started = threading.Event()

    def run():
        started.set()
        note(environ, "read %d" % len(stream.read()))
        _until_refused(environ, lambda: stream.read(0), "read")
        _until_refused(environ, stream.readline, "readline")
        _until_refused(environ, lambda: next(stream), "next")
        _until_refused(environ, lambda: write(b"late"), "write")
    threading.Thread(target=run, daemon=True).start()
    started.wait()
    time.sleep(0.3)  # it is in read(), soon
    return [b"left"]


def application(environ, start_response):
    return globals()[case(environ)](environ, start_response)
