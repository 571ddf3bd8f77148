# SPDX-License-Identifier: Apache-2.0
"""An ordinary application under wsgiref.validate, which checks both sides."""
from wsgiref.validate import validator


def _ordinary(environ, start_response):
    body = environ["wsgi.input"].read(10)
    body += environ["wsgi.input"].readline()
    body += b"".join(environ["wsgi.input"])
    environ["wsgi.errors"].flush()
    headers = [("Content-Type", "text/plain")]
    if environ["REQUEST_METHOD"] != "HEAD":
        headers.append(("Content-Length", str(len(body) + 3)))
    write = start_response("200 OK", headers)
    write(b"got")
    return [body]


application = validator(_ordinary)
