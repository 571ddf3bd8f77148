# SPDX-License-Identifier: Apache-2.0
"""What the application learns of the URL; bytes above 127 as \\xNN."""
import json


def application(environ, start_response):
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI",
             "REQUEST_METHOD")
    body = json.dumps([environ[name] for name in names])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body.encode("ascii")]
