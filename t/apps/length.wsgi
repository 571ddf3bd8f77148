# SPDX-License-Identifier: Apache-2.0
"""Content-Length, right and wrong, and statuses without a body."""
from weave_test import case, note, query


def _chunks(environ):
    count = int(query(environ).get("chunks", 1))
    size = int(query(environ).get("size", 10))
    for i in range(count):
        note(environ, "chunk")
        yield b"%d" % (i % 10) * size


def application(environ, start_response):
    args = query(environ)
    headers = [("Content-Type", "text/plain")]
    if "promised" in args:
        headers.append(("Content-Length", args["promised"]))
    write = start_response(args.get("status", "200 OK"), headers)
    kind = case(environ)
    if kind == "written":
        for chunk in _chunks(environ):
            write(chunk)
        return []
    return list(_chunks(environ)) if kind == "list" else _chunks(environ)
