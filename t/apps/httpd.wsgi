# SPDX-License-Identifier: Apache-2.0
"""Answers that pass through filters of httpd, and parts of other answers."""
import contextvars
import json

from weave_test import case, note

_var = contextvars.ContextVar("httpd", default="nothing")


def outer(environ, start_response):
    """A page that includes an answer of this application."""
    errors = environ["wsgi.errors"]
    start_response("200 OK", [("Content-Type", "text/html")])
    _var.set("set by the page")
    errors.write("before the part\n")
    yield b'[<!--#include virtual="/sub/httpd/inner/x%20y?in=1" -->]'
    errors.write("after the part\n")
    yield _var.get().encode()
    print("printed after the part")


def inner(environ, start_response):
    environ["wsgi.errors"].write("inside the part\n")
    found = dict(environ, context=_var.get())
    _var.set("set by the part")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: found.get(name) for name in (
        "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD",
        "context",
    )}).encode()]


def environ_of(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: value for name, value in environ.items()
                        if isinstance(value, str)}).encode()]


def long_line(environ, start_response):
    note(environ, "called")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"a line that is longer than the filter likes\n"]


def application(environ, start_response):
    name = "inner" if "/inner/" in environ["PATH_INFO"] else case(environ)
    return globals()[name](environ, start_response)
