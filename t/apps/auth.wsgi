# SPDX-License-Identifier: Apache-2.0
"""What the application learns of who is asking."""
import json


def application(environ, start_response):
    names = ("HTTP_AUTHORIZATION", "REMOTE_USER", "AUTH_TYPE")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([environ.get(name) for name in names]).encode()]
