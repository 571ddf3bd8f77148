# SPDX-License-Identifier: Apache-2.0
"""Applications that say something when their answer is complete."""
import io
import logging
import sys
import threading

from weave_test import case


class Parted:
    """Of the environ: the last that is left of a request."""

    def __del__(self):
        print("the end of the environ", file=sys.stderr)


class Saying:
    """An iterable."""

    def __init__(self, *chunks):
        self._chunks = chunks

    def __iter__(self):
        return iter(self._chunks)

    def close(self):
        say()


class Endless(Saying):
    def __iter__(self):
        while True:
            yield b"x" * 100000


class SayingFile(io.FileIO):
    def close(self):
        if not self.closed:
            super().close()
            say()


class SayingBytes(io.BytesIO):
    def close(self):
        if not self.closed:
            super().close()
            say()


def say():
    thread = threading.Thread(target=print, args=("a thread",))
    thread.start()
    thread.join()
    print("close() says something", file=sys.stderr)
    logging.getLogger("closing").warning("close() logs something")
    print("close() does not end its line", end="", file=sys.stderr)
    raise RuntimeError("close() fails as well")


def file(environ, opened):
    return environ["wsgi.file_wrapper"](opened)


CASES = {
    "one": lambda environ: Saying(b"abc"),
    "several": lambda environ: Saying(b"a", b"b", b"c"),
    "none": lambda environ: Saying(),
    "large": lambda environ: Saying(b"x" * 1000000),
    "endless": lambda environ: Endless(),
    "file": lambda environ: file(environ, SayingFile(__file__)),
    "other_file": lambda environ: file(environ, SayingBytes(b"abc")),
}


def application(environ, start_response):
    name = case(environ)
    environ["parted"] = Parted()
    headers = [("Content-Type", "text/plain")]
    if name == "several":
        headers.append(("Content-Length", "3"))
    start_response("200 OK", headers)
    return CASES[name](environ)
