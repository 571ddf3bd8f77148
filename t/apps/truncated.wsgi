# SPDX-License-Identifier: Apache-2.0
"""Answers that lack their end, and one that does not."""
import os

from weave_test import case

PART = b"<p>a part of the page</p>\n"
calls = 0


def _raise():
    for _ in range(3):
        yield PART
    raise ValueError("in the middle")


def _die():
    for _ in range(3):
        yield PART
    os._exit(3)


def _echo(environ):
    yield PART
    while data := environ["wsgi.input"].read(5):
        yield data


MAKE = {
    "whole": lambda: (PART for _ in range(3)),
    "raise": _raise,
    "raise_long": _raise,
    "short": lambda: (PART for _ in range(3)),
    "list": lambda: [PART],
    "forbidden": lambda: [PART],
    "die": _die,
    "long_line": lambda: iter([PART, PART, b"x" * 20000]),
    "long_list": lambda: [PART * 9000 + b"x" * 200, PART],
}
PROMISED = {"raise_long", "short", "list"}


def application(environ, start_response):
    global calls
    calls += 1
    name = case(environ)
    headers = [("Content-Type", "text/html; charset=utf-8"),
               ("Cache-Control", "max-age=600"), ("X-Calls", str(calls))]
    if name in PROMISED:
        headers.append(("Content-Length", "1000"))
    start_response("403 Mine" if name == "forbidden" else "200 OK", headers)
    return _echo(environ) if name == "echo" else MAKE[name]()
