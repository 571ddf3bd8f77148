# SPDX-License-Identifier: Apache-2.0
"""Slow to import, quick enough to answer: what a restart must not show."""

import json
import sys
import time

HELLO = b"Hello, world\n"
IMPORT_S = 1.0
ANSWER_S = 0.020

time.sleep(IMPORT_S)


def application(environ, start_response):
    body = HELLO
    if environ["PATH_INFO"] == "/about":
        body = json.dumps({"prefix": sys.prefix}).encode("ascii")
    else:
        environ["wsgi.input"].read()
        time.sleep(ANSWER_S)
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]
