# SPDX-License-Identifier: Apache-2.0
"""Recursions without an end, through C and Python: what each raises, on the
thread of a request, on one of Python's, and while this file is imported."""
import copy
import functools
import json
import pickle
import re
import threading

from weave_test import case

DEPTH = 100000


def _nested():
    result = []
    for _ in range(DEPTH):
        result = [result]
    return result


class _Repr:
    def __repr__(self):
        return repr(self)


class _Attribute:
    def __getattr__(self, name):
        return getattr(self, name + "x")


class _Equal:
    def __eq__(self, other):
        return self == other

    def __hash__(self):
        return hash(self)


class _Less:
    """The most of the stack for each of Python's calls."""

    def __lt__(self, other):
        return sorted([_Less(), _Less()])


def _plain():
    return _plain()


def _key(value=None):
    return sorted([1, 2], key=_key)


def _each(value=None):
    return list(map(_each, [1]))


def _evaluated():
    return eval("_evaluated()")


def _reduced(left=None, right=None):
    return functools.reduce(_reduced, [1, 2, 3])


def _substituted(match=None):
    return re.sub("a", _substituted, "a")


CASES = {
    "call": _plain,
    "__repr__": lambda: repr(_Repr()),
    "__getattr__": lambda: _Attribute().a,
    "__eq__": lambda: _Equal() == 1,
    "__hash__": lambda: hash(_Equal()),
    "__lt__": lambda: sorted([_Less(), _Less()]),
    "sort": _key,
    "map": _each,
    "eval": _evaluated,
    "reduce": _reduced,
    "re.sub": _substituted,
    "re.compile": lambda: re.compile("(" * DEPTH + ")" * DEPTH),
    "repr of lists": lambda: repr(_nested()),
    "equal lists": lambda: _nested() == _nested(),
    "copy of lists": lambda: copy.deepcopy(_nested()),
    "json of lists": lambda: json.dumps(_nested()),
    "lists of json": lambda: json.loads("[" * DEPTH + "]" * DEPTH),
    "pickle of lists": lambda: pickle.dumps(_nested()),
    "compile": lambda: compile("+".join(["a"] * DEPTH), "x", "eval"),
}


def _results():
    found = {}
    for name in CASES:
        try:
            CASES[name]()
            found[name] = "nothing"
        except BaseException as error:
            found[name] = type(error).__name__
    return found


AT_IMPORT = _results()


def at_import():
    return AT_IMPORT


def small():
    return {}


def in_request():
    return _results()


def in_thread():
    found = {}
    thread = threading.Thread(target=lambda: found.update(_results()))
    thread.start()
    thread.join()
    return found


def application(environ, start_response):
    found = globals()[case(environ)]()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]
