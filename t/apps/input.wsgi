# SPDX-License-Identifier: Apache-2.0
"""Ways to read wsgi.input; the answer is what was read, as JSON."""
import hashlib
import json
import time

from weave_test import case, note


def _text(data):
    return data.decode("latin-1")


def read_all(stream):
    return [_text(stream.read()), _text(stream.read()), _text(stream.read(5))]


def read_minus(stream):
    return [_text(stream.read(-1)), _text(stream.read(-1))]


def read_none(stream):
    return [_text(stream.read(None)), _text(stream.read())]


def read_sizes(stream):
    return [_text(stream.read(n)) for n in (0, 1, 2, 3, 100, 1)]


def read_bytewise(stream):
    result = []
    while True:
        data = stream.read(1)
        if not data:
            return result
        result.append(_text(data))


def readline(stream):
    result = []
    while True:
        line = stream.readline()
        result.append(_text(line))
        if not line:
            return result


def readline_sizes(stream):
    return [_text(stream.readline(n)) for n in (2, 100, 0, 3, 1, 100, -1, 5)]


def readlines(stream):
    return [[_text(line) for line in stream.readlines()],
            [_text(line) for line in stream.readlines()]]


def readlines_hint(stream):
    first = [_text(line) for line in stream.readlines(3)]
    return [first, [_text(line) for line in stream.readlines()]]


def iterate(stream):
    return [_text(line) for line in stream]


def mixed(stream):
    return [_text(stream.read(2)), _text(stream.readline()),
            _text(next(iter(stream))), _text(stream.read())]


def digest(stream):
    sha, size = hashlib.sha1(), 0
    while True:
        data = stream.read(65536)
        if not data:
            return [size, sha.hexdigest()]
        size += len(data)
        sha.update(data)


def digest_at_once(stream):
    data = stream.read()
    return [len(data), hashlib.sha1(data).hexdigest()]


def digest_lines(stream):
    sha, count = hashlib.sha1(), 0
    for line in stream:
        count += 1
        sha.update(line)
    return [count, sha.hexdigest()]


def ignore(stream):
    return "ignored"


def some(stream):
    return _text(stream.read(3))


def slowly_ignore(stream):
    time.sleep(0.5)
    return "ignored"


def bad_arguments(stream):
    result = []
    for call in (lambda: stream.read("x"), lambda: stream.read(1, 2),
                 lambda: stream.readline(1.5), lambda: stream.readlines("x")):
        try:
            call()
            result.append("no error")
        except Exception as error:
            result.append(type(error).__name__)
    return result + [_text(stream.read())]


_kept = []


def keep(stream):
    _kept.append(stream)
    return _text(stream.read(1))


def use_kept(stream):
    result = []
    while _kept:
        try:
            result.append(_text(_kept.pop().read()))
        except Exception as error:
            result.append(type(error).__name__)
    return result


def error(stream):
    """What an upload that breaks off looks like."""
    return _text(stream.read())


def application(environ, start_response):
    name = case(environ)
    stream = environ["wsgi.input"]
    try:
        result = globals()[name](stream)
        note(environ, "read")
    except Exception as problem:
        note(environ, "%s %s" % (
            "OSError" if isinstance(problem, OSError) else "other",
            type(problem).__name__))
        raise
    body = json.dumps(result).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
