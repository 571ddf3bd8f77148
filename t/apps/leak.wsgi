# SPDX-License-Identifier: Apache-2.0
"""A request that touches everything a request can leak."""
import io
import os
import sys

from weave_test import case

_EXTENSION = os.path.abspath(__file__)


def _stream():
    for i in range(5):
        yield b"part %d\n" % i


def mixed(environ, start_response):
    kind = int(environ["QUERY_STRING"] or 0) % 5
    headers = [("Content-Type", "text/plain"), ("X-Kind", str(kind))]
    write = start_response("200 OK", headers)
    if kind == 0:
        return [b"plain"]
    if kind == 1:
        return _stream()
    if kind == 2:
        return environ["wsgi.file_wrapper"](open(_EXTENSION, "rb"))
    if kind == 3:
        write(b"written")
        return environ["wsgi.file_wrapper"](io.BytesIO(b"read"))
    return [environ["wsgi.input"].read() + b"."]


def facts(environ, start_response):
    with open("/proc/self/status") as stream:
        status = dict(line.split(":", 1) for line in stream)
    result = "%d %d %d %d" % (
        os.getpid(), int(status["VmRSS"].split()[0]),
        len(os.listdir("/proc/self/fd")), int(status["Threads"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [result.encode()]


def blocks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(sys.getallocatedblocks()).encode()]


def application(environ, start_response):
    return globals()[case(environ)](environ, start_response)
