# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the application itself, before it returned anything."""
import sys

from weave_test import case


class Own(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("cannot be shown")


def _chained():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("the outer one") from error


def _deep(n):
    return _deep(n + 1)


def _caf():
    raise ValueError("caf\xe9 \u20ac \U0001f600")


def _long():
    raise ValueError("x" * 30000 + "END")


def _lines():
    raise ValueError("one\ntwo\n[Mon] [weave:emerg] forged")


RAISE = {
    "value_error": lambda: int("x"),
    "chained": _chained,
    "recursion": lambda: _deep(0),
    "system_exit": lambda: sys.exit(7),
    "keyboard_interrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
    "base_exception": lambda: (_ for _ in ()).throw(Own("own")),
    "generator_exit": lambda: (_ for _ in ()).throw(GeneratorExit()),
    "unprintable": lambda: (_ for _ in ()).throw(Unprintable()),
    "unicode": _caf,
    "long": _long,
    "lines": _lines,
}


def application(environ, start_response):
    if "/after/" in environ["PATH_INFO"]:
        start_response("200 OK", [("Content-Type", "text/plain")])
    RAISE[case(environ)]()
    return [b"never seen"]
