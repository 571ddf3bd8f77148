# SPDX-License-Identifier: Apache-2.0
"""What the environ says of a request body, and what it is, as JSON."""
import hashlib
import json

from weave_test import note

SEEN = ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING",
        "HTTP_CONTENT_MD5", "HTTP_TRAILER", "HTTP_TE", "HTTP_X_END",
        "wsgi.input_terminated")


def application(environ, start_response):
    note(environ, "called")
    sha, size = hashlib.sha1(), 0
    seen = {name: environ[name] for name in SEEN if name in environ}
    stream = environ["wsgi.input"]
    while True:
        data = stream.read(10000)
        if not data:
            break
        size += len(data)
        sha.update(data)
    seen.update(size=size, sha1=sha.hexdigest())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode("ascii")]
