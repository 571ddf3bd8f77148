# SPDX-License-Identifier: Apache-2.0
"""A program: weave.server called as a WSGI callable, without a web server.

    callee.py SOURCES INI

reads a JSON object a line: {"method", "path", "query", "body", "mark", "count",
"warm", "headers", "token"} with defaults for all but path, and a path that begins below
the user's URL unless it begins with a slash. `mark` in query and body is replaced by the
number of the call, in all calls with that method. With `token`, the answer of a token
server, the URL is that of Sync 1.5 and each call is signed anew beforehand. It calls the
application so often, and answers with {"cpu_us", "wall_us", "status", "bytes", "text"}
of one call on the average. All threads of the process count, and what the kernel does
for them.

With {"hawk": "known"} it tells instead what it costs to find out from HAWK and token
whose request it is, and with {"hawk": "new"} the same for a token that was never seen.
"""

import base64
import collections
import gc
import io
import json
import os
import sys
import time

# of the next call with a mark, for each method
NUMBERS = collections.Counter()

NAME, PASSWORD = "alice", "correct horse battery"
AUTHORIZATION = "Basic " + base64.b64encode(
    f"{NAME}:{PASSWORD}".encode()).decode("ascii")
NODE = "http://127.0.0.1"
UID = 42


def environ(method, path, query, body, headers):
    """As mod_weave makes it, with the headers that a browser sends."""
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path,
        "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1",
        "HTTP_USER_AGENT": "bench", "HTTP_ACCEPT": "*/*;q=0.9",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate",
        "HTTP_AUTHORIZATION": AUTHORIZATION,
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": True,
        "wsgi.run_once": False, **headers,
    }


def call(application, *request):
    """(status, parts of the body) of one request."""
    seen = []

    def start_response(status, headers, exc_info=None):
        seen.append(int(status[:3]))

    answer = application(environ(*request), start_response)
    try:
        parts = list(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return seen[-1], parts


def calls(asked, count):
    """Yields the arguments of call() behind the application, count times."""
    method, path = asked.get("method", "GET"), asked["path"]
    signer = None
    if "token" in asked:
        from weavebench.sync15 import Signer
        signer = Signer(asked["token"])
        path = f"{signer.path}/{path}"
    elif not path.startswith("/"):
        path = f"/1.1/{NAME}/{path}"
    query, body = asked.get("query", ""), asked.get("body", "")
    headers = {"HTTP_" + name.upper().replace("-", "_"): value
               for name, value in asked.get("headers", {}).items()}
    for _ in range(count):
        some_query, some_body = query, body
        if "mark" in asked:
            number = str(NUMBERS[method])
            NUMBERS[method] += 1
            some_query = query.replace(asked["mark"], number)
            some_body = body.replace(asked["mark"], number)
        if signer:
            target = f"{path}?{some_query}" if some_query else path
            headers = dict(headers, HTTP_AUTHORIZATION=signer.sign(method, target))
        yield method, path, some_query, some_body.encode(), headers


def measure(application, asked):
    if "hawk" in asked:
        return measure_hawk(asked["hawk"], asked.get("count", 1))
    for request in calls(asked, asked.get("warm", 0)):
        call(application, *request)
    requests = list(calls(asked, asked.get("count", 1)))
    return timed(lambda request: call(application, *request), requests)


def timed(act, requests):
    """Times act(request), which returns (status, parts of the body); returns the answer."""
    gc.collect()
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for request in requests:
        status, parts = act(request)
    cpu = time.process_time_ns() - cpu
    wall = time.perf_counter_ns() - wall
    count, body = len(requests), b"".join(parts)
    return {"status": status, "bytes": len(body), "cpu_us": cpu / count / 1000,
            "wall_us": wall / count / 1000,
            "text": body.decode("ascii", "replace") if count == 1 else ""}


def measure_hawk(tokens, count):
    """Measures requests by one token, or by one each that this process has not seen."""
    import falcon
    from weave.server.hawk_authenticator import HawkAuthenticator
    from weave.server.tokens import Secrets
    from weavebench import sync15
    client15 = sync15.of_tests("client15")
    path = f"/1.5/{UID}/info/collections"
    requests = []
    for number in range(count):
        if not number or tokens == "new":
            token = client15.make_token(sync15.SECRET, UID, NODE)
        header = client15.hawk_header(*token, "GET", NODE + path)
        requests.append(falcon.Request(environ(
            "GET", path, "", b"", {"HTTP_AUTHORIZATION": header})))
    by = HawkAuthenticator(Secrets([sync15.SECRET]), None, lambda *_: True)
    return timed(lambda request: (200, [b"%d" % by.claim(request, str(UID))]), requests)


def main():
    sources, ini = sys.argv[1:]
    # this folder has a weave.py
    sys.path[0] = sources
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from weave.server.app import create_application
    application = create_application(ini)
    for line in sys.stdin:
        print(json.dumps(measure(application, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
