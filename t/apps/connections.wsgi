# SPDX-License-Identifier: Apache-2.0
"""Requests that take their time, for clients that do not."""
import time

from weave_test import case, note, query


def _endless(environ):
    try:
        while True:
            yield b"x" * 65536
    finally:
        note(environ, "finally")


def _pausing(environ):
    try:
        while True:
            yield b"tick\n"
            time.sleep(0.05)
    finally:
        note(environ, "finally")


def _big(environ):
    try:
        for i in range(300):
            yield b"%09d\n" % i * 1000
    finally:
        note(environ, "finally")


def application(environ, start_response):
    kind = case(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    note(environ, "started")
    if kind == "endless":
        return _endless(environ)
    if kind == "pausing":
        return _pausing(environ)
    if kind == "big":
        return _big(environ)
    time.sleep(float(query(environ).get("sleep", 0)))
    return [environ["QUERY_STRING"].encode("latin-1"), b"\n"]
