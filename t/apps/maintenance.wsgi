# SPDX-License-Identifier: Apache-2.0
"""Serves every path, and notes that it was asked.

?status=N answers with that status, ?backoff=N with headers of its own, ?length
with the length of the body that was sent.
"""
from weave_test import note, query


def application(environ, start_response):
    asked = query(environ)
    note(environ, "asked %(REQUEST_METHOD)s %(PATH_INFO)s" % environ)
    headers = [("Content-Type", "text/plain")]
    for name in "X-Weave-Backoff", "X-Backoff":
        if "backoff" in asked:
            headers.append((name, asked["backoff"]))
    body = b"served\n"
    if "length" in environ["QUERY_STRING"]:
        body = b"%d\n" % len(environ["wsgi.input"].read())
    if asked.get("status") in ("204", "304"):
        headers, body = headers[1:], b""
    headers.append(("Content-Length", str(len(body))))
    start_response("%s Status" % asked.get("status", "200"), headers)
    return [body]
