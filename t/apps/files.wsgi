# SPDX-License-Identifier: Apache-2.0
"""Files that are not what their descriptor alone says."""
import io
import tempfile

from weave_test import case


class Reads:
    """read() that gives something else than bytes."""

    def __init__(self, result):
        self._result = result

    def read(self, size):
        return self._result


def unflushed():
    """New bytes that are still in the buffer of the file."""
    stream = tempfile.TemporaryFile("w+b")
    stream.write(b"the old content")
    stream.flush()
    stream.seek(4)
    stream.write(b"NEW")
    stream.seek(0)
    stream.write(b"THE")
    stream.seek(3)
    return stream


def unflushed_raw():
    stream = io.BufferedRandom(tempfile.TemporaryFile("w+b", buffering=0))
    stream.write(b"only in the buffer")
    stream.seek(0)
    return stream


def gives_none():
    return Reads(None)


def gives_number():
    return Reads(42)


def proc():
    return open("/proc/version", "rb")


def application(environ, start_response):
    stream = globals()[case(environ)]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](stream)
