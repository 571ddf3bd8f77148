# SPDX-License-Identifier: Apache-2.0
"""What a worker is, and what it may not do: for tests/workers_root.t."""
import json
import os
import sys
import threading

UMASK = os.umask(0)
os.umask(UMASK)


def about(environ):
    return {"uid": os.getresuid(), "gid": os.getresgid(),
            "groups": sorted(os.getgroups()), "umask": UMASK,
            "cwd": os.getcwd(), "env": dict(os.environ),
            "python": "%d.%d" % sys.version_info[:2], "pid": os.getpid(),
            "home": os.path.expanduser("~")}


def root_again(environ):
    tried = []
    for function in (os.setuid, os.seteuid, os.setgid):
        try:
            function(0)
            tried.append("root")
        except PermissionError:
            pass
    return tried


def reads(environ):
    found = []
    for name in environ["QUERY_STRING"].split(","):
        try:
            open(name, "r+b").close()
            found.append(name)
        except OSError:
            pass
    return found


def size(environ):
    return len(environ["wsgi.input"].read())


def large(environ):
    return "x" * (8 << 20)


def later(environ):
    threading.Timer(0.01, print, ("outside of a request",)).start()
    return "soon"


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    body = json.dumps(globals()[name](environ)).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
