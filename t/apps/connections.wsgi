# SPDX-License-Identifier: Apache-2.0
"""Requests that take their time, for clients that do not."""
import os
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


def _meet(environ):
    """How many are in the folder "at" at the same time: all the "n"."""
    folder, n = query(environ)["at"], int(query(environ)["n"])
    open(os.path.join(folder, environ["REMOTE_PORT"]), "w").close()
    end = time.monotonic() + 15
    while len(os.listdir(folder)) < n and time.monotonic() < end:
        time.sleep(0.01)
    return [b"%d\n" % len(os.listdir(folder))]


def application(environ, start_response):
    kind = case(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    note(environ, "started")
    if kind == "endless":
        return _endless(environ)
    if kind == "pausing":
        return _pausing(environ)
    if kind == "meet":
        return _meet(environ)
    if kind == "big":
        return _big(environ)
    time.sleep(float(query(environ).get("sleep", 0)))
    return [environ["QUERY_STRING"].encode("latin-1"), b"\n"]
