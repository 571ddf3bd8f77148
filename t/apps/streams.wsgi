# SPDX-License-Identifier: Apache-2.0
"""Bodies larger than memory should get."""
import os

from weave_test import STATIC, case, note

PLAIN = [("Content-Type", "application/octet-stream")]


def rss(environ):
    with open("/proc/self/status") as stream:
        status = dict(line.split(":", 1) for line in stream)
    yield b"%d" % int(status["VmRSS"].split()[0])


def endless(environ):
    """New bytes each time: nothing may be kept of those that were sent."""
    count = 0
    try:
        while True:
            count += 1
            yield bytes(65535) + b"%d" % (count % 10)
    finally:
        note(environ, "yielded %d" % count)


def swallow(environ):
    total = 0
    while True:
        data = environ["wsgi.input"].read(65536)
        if not data:
            break
        total += len(data)
    yield b"%d" % total


def large_file(environ):
    path = os.path.join(STATIC, "sparse.bin")
    return environ["wsgi.file_wrapper"](open(path, "rb"))


def application(environ, start_response):
    start_response("200 OK", PLAIN)
    return globals()[case(environ)](environ)
