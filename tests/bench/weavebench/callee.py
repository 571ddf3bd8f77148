# SPDX-License-Identifier: Apache-2.0
"""A program: weave.server called as a WSGI callable, without a web server.

    callee.py SOURCES INI

reads a JSON object a line: {"method", "path", "query", "body", "mark", "count",
"warm"} with defaults for all but path, and a path that begins below the user's
URL unless it begins with a slash. `mark` in query and body is replaced by the
number of the call, in all calls with that method. It calls the application so
often, and answers with {"cpu_us", "wall_us", "status", "bytes"} of one call on
the average. All threads of the process count, and what the kernel does for them.
"""

import base64
import collections
import gc
import io
import json
import sys
import time

# of the next call with a mark, for each method
NUMBERS = collections.Counter()

NAME, PASSWORD = "alice", "correct horse battery"
AUTHORIZATION = "Basic " + base64.b64encode(
    f"{NAME}:{PASSWORD}".encode()).decode("ascii")


def environ(method, path, query, body):
    """As mod_weave makes it, with the headers that a browser sends."""
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path,
        "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1",
        "HTTP_USER_AGENT": "bench", "HTTP_ACCEPT": "*/*;q=0.9",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate",
        "HTTP_AUTHORIZATION": AUTHORIZATION,
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def call(application, method, path, query, body):
    """(status, number of bytes) of one request."""
    seen = []

    def start_response(status, headers, exc_info=None):
        seen.append(int(status[:3]))

    answer = application(environ(method, path, query, body), start_response)
    try:
        size = sum(map(len, answer))
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return seen[-1], size


def calls(asked, count):
    """Yields the arguments of call() behind the application, count times."""
    method, path = asked.get("method", "GET"), asked["path"]
    if not path.startswith("/"):
        path = f"/1.1/{NAME}/{path}"
    query, body = asked.get("query", ""), asked.get("body", "")
    for _ in range(count):
        if "mark" in asked:
            number = str(NUMBERS[method])
            NUMBERS[method] += 1
            yield (method, path, query.replace(asked["mark"], number),
                   body.replace(asked["mark"], number).encode())
        else:
            yield method, path, query, body.encode()


def measure(application, asked):
    for request in calls(asked, asked.get("warm", 0)):
        call(application, *request)
    count = asked.get("count", 1)
    requests = list(calls(asked, count))
    gc.collect()
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for request in requests:
        status, size = call(application, *request)
    cpu = time.process_time_ns() - cpu
    wall = time.perf_counter_ns() - wall
    return {"status": status, "bytes": size, "cpu_us": cpu / count / 1000,
            "wall_us": wall / count / 1000}


def main():
    sources, ini = sys.argv[1:]
    sys.path[0] = sources  # in place of this folder, which has a weave.py
    from weave.server.app import create_application
    application = create_application(ini)
    for line in sys.stdin:
        print(json.dumps(measure(application, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
