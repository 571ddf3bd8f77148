# SPDX-License-Identifier: Apache-2.0
"""The environ as JSON, with the facts about it that JSON cannot show."""
import json
import sys


def _plain(value):
    if isinstance(value, (str, int, bool, type(None))):
        return value
    if isinstance(value, tuple):
        return list(value)
    return "<%s>" % type(value).__name__


def _facts(environ):
    return {
        "sys.version": "%d.%d" % sys.version_info[:2],
        "sys.prefix": sys.prefix,
        "sys.executable": sys.executable,
        "type": type(environ).__name__,
        "odd": sorted(
            repr(key) for key, value in environ.items()
            if type(key) is not str
            or not key.startswith(("wsgi.", "weave."))
            and type(value) is not str),
        "wide": sorted(
            key for key, value in environ.items()
            if isinstance(value, str) and any(ord(c) > 255 for c in value)),
        "leaked": sorted(k for k in environ if k.startswith("leak.")),
        "input": sorted(n for n in dir(environ["wsgi.input"])
                        if not n.startswith("_")),
        "errors": sorted(n for n in dir(environ["wsgi.errors"])
                         if not n.startswith("_")),
        "version_type": type(environ["wsgi.version"]).__name__,
        "bool_types": [type(environ[k]).__name__ for k in (
            "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")],
    }


def application(environ, start_response):
    data = {key: _plain(value) for key, value in environ.items()}
    data.update(_facts(environ))
    environ["leak.me"] = "no"
    del environ["SERVER_NAME"]
    environ["wsgi.version"] = "changed"
    body = json.dumps(data).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
