# SPDX-License-Identifier: Apache-2.0
"""Ways to call start_response and write, the last segment chooses."""
import sys

from weave_test import case, note

PLAIN = [("Content-Type", "text/plain")]


def _exc_info():
    try:
        raise ValueError("the first error")
    except ValueError:
        return sys.exc_info()


def returns_write(environ, start_response):
    write = start_response("200 OK", PLAIN)
    return [b"callable" if callable(write) else b"not callable"]


def keywords(environ, start_response):
    start_response("200 OK", PLAIN, exc_info=None)
    return [b"ok"]


def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"never seen"]


def twice_caught(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        start_response("201 Created", PLAIN)
    except Exception as error:
        return [type(error).__name__.encode()]
    return [b"no error"]


def exc_info_before(environ, start_response):
    start_response("200 OK", PLAIN + [("X-First", "1")])
    start_response("500 Oops", PLAIN + [("X-Second", "2")], _exc_info())
    return [b"replaced"]


def exc_info_first(environ, start_response):
    start_response("500 Oops", PLAIN, _exc_info())
    return [b"only"]


def exc_info_after(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"x" * 100
    start_response("500 Oops", PLAIN, _exc_info())
    yield b"never seen"


def exc_info_after_caught(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"first,"
    try:
        start_response("500 Oops", PLAIN, _exc_info())
    except ValueError as error:
        note(environ, "raised %s" % error)
    yield b"second"


def exc_info_not_a_tuple(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("500 Oops", PLAIN, ValueError("x"))
    return [b"never seen"]


def never(environ, start_response):
    return [b"body without a head"]


def never_and_empty(environ, start_response):
    return []


def late(environ, start_response):
    """Allowed: before the iterable's first non-empty chunk."""
    yield b""
    start_response("202 Accepted", PLAIN)
    yield b"late"


def too_late(environ, start_response):
    yield b"chunk"
    start_response("200 OK", PLAIN)
    yield b"never seen"


def unsent_until_first_chunk(environ, start_response):
    """PEP 3333: headers must not go out before there is a body."""
    start_response("200 OK", PLAIN)
    yield b""
    start_response("404 Changed My Mind", PLAIN, _exc_info())
    yield b"changed"


def write(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"one,")
    write(b"")
    write(b"two,")
    return [b"three"]


def write_only(environ, start_response):
    start_response("200 OK", PLAIN)(b"written")
    return []


def write_str(environ, start_response):
    start_response("200 OK", PLAIN)("text")
    return []


def write_with_length(environ, start_response):
    write = start_response("200 OK", PLAIN + [("Content-Length", "6")])
    write(b"abc")
    return [b"def"]


def write_late(environ, start_response):
    """write() of a finished request must not do harm."""
    write = start_response("200 OK", PLAIN)
    _late.append(write)
    return [b"kept"]


def write_kept(environ, start_response):
    result = []
    while _late:
        try:
            _late.pop()(b"into the void")
            result.append("no error")
        except Exception as error:
            result.append(type(error).__name__)
    start_response("200 OK", PLAIN)
    return [",".join(result).encode()]


def start_kept(environ, start_response):
    result = []
    while _starts:
        try:
            _starts.pop()("200 OK", PLAIN)
            result.append("no error")
        except Exception as error:
            result.append(type(error).__name__)
    _starts.append(start_response)
    start_response("200 OK", PLAIN)
    return [",".join(result).encode()]


def no_arguments(environ, start_response):
    start_response()
    return [b"never seen"]


def many_arguments(environ, start_response):
    start_response("200 OK", PLAIN, None, None)
    return [b"never seen"]


_late = []
_starts = []


def application(environ, start_response):
    return globals()[case(environ)](environ, start_response)
