# SPDX-License-Identifier: Apache-2.0
"""Answers with what tells one child, and one import, from another."""
import os
import time

from weave_test import query

_imported = "%d-%f" % (os.getpid(), time.time())


def application(environ, start_response):
    time.sleep(float(query(environ).get("sleep", 0)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [_imported.encode()]
