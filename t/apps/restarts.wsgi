# SPDX-License-Identifier: Apache-2.0
"""Answers with what tells one child, and one import, from another."""
import os
import time

from weave_test import note, query

_imported = "%d-%f" % (os.getpid(), time.time())


def _until(path):
    end = time.monotonic() + 100
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)


def application(environ, start_response):
    note(environ, "in")
    if "until" in query(environ):
        _until(query(environ)["until"])
    time.sleep(float(query(environ).get("sleep", 0)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [_imported.encode()]
