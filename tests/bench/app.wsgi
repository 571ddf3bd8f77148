# SPDX-License-Identifier: Apache-2.0
"""The application every server of the bench runs, one path per workload."""

import itertools
import json
import sys
import time

HELLO = b"Hello, world\n"
BIG = b"x" * (1024 * 1024)
ENV_BYTES = 4096
CPU_LOOPS = 11500  # about 0.3 ms of Python 3.11 on a 2024 server core
MIX_LOOPS = 200

ENV_KEYS = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING",
    "REQUEST_URI", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL",
    "SERVER_SOFTWARE", "SERVER_ADDR", "REMOTE_ADDR", "REMOTE_PORT",
    "GATEWAY_INTERFACE", "HTTP_HOST", "HTTP_USER_AGENT", "CONTENT_LENGTH",
    "wsgi.url_scheme", "wsgi.multithread", "wsgi.multiprocess",
    "wsgi.run_once",
)

tickets = itertools.count()


def answer(start_response, body, kind="text/plain"):
    start_response("200 OK", [("Content-Type", kind),
                              ("Content-Length", str(len(body)))])
    return [body]


def spin(loops):
    total = 0
    for number in range(loops):
        total += number & 3
    return total


def hello(environ, start_response):
    return answer(start_response, HELLO)


def env(environ, start_response):
    text = json.dumps({key: environ.get(key, "") for key in ENV_KEYS})
    body = (text[:-1] + ', "filler": "').ljust(ENV_BYTES - 2, "x") + '"}'
    return answer(start_response, body.encode("ascii"), "application/json")


def post(environ, start_response):
    data = environ["wsgi.input"].read()
    return answer(start_response, b"%d" % len(data))


def big(environ, start_response):
    return answer(start_response, BIG)


def sleep(environ, start_response):
    time.sleep(0.010)
    return answer(start_response, HELLO)


def cpu(environ, start_response):
    spin(CPU_LOOPS)
    return answer(start_response, HELLO)


def mix(environ, start_response):
    if next(tickets) % 8 == 0:
        time.sleep(0.005)
    else:
        spin(MIX_LOOPS)
    return answer(start_response, HELLO)


def about(environ, start_response):
    """What serves this: never measured, shows the bench its servers."""
    facts = {
        "python": sys.version.split()[0],
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "mod_wsgi": ".".join(map(str, environ.get("mod_wsgi.version", ()))),
        "multithread": bool(environ["wsgi.multithread"]),
        "multiprocess": bool(environ["wsgi.multiprocess"]),
    }
    return answer(start_response, json.dumps(facts).encode("ascii"),
                  "application/json")


WORKLOADS = {"/" + workload.__name__: workload for workload in
             (hello, env, post, big, sleep, cpu, mix, about)}


def application(environ, start_response):
    return WORKLOADS[environ["PATH_INFO"]](environ, start_response)
