# SPDX-License-Identifier: Apache-2.0
"""Bodies over LimitRequestBody, and what applications make of that."""
from weave_test import case, note

PLAIN = [("Content-Type", "text/plain")]


def reads(environ, start_response):
    note(environ, "called")
    data = environ["wsgi.input"].read()
    note(environ, "read %d" % len(data))
    start_response("200 OK", PLAIN)
    return [b"%d bytes" % len(data)]


def answers_all_the_same(environ, start_response):
    note(environ, "called")
    try:
        environ["wsgi.input"].read()
    except OSError as error:
        note(environ, "OSError")
        start_response("200 OK", PLAIN)
        return [b"never mind: ", str(error).encode()]
    start_response("200 OK", PLAIN)
    return [b"read it"]


def fails_on_its_own(environ, start_response):
    try:
        environ["wsgi.input"].read()
    except OSError:
        pass
    raise PermissionError("an error of its own")


def answers_at_once(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"no need of it"]


def application(environ, start_response):
    return globals()[case(environ)](environ, start_response)
