# SPDX-License-Identifier: Apache-2.0
"""The application in a process of its own, whose memory can be measured."""

import http.client
import subprocess
import sys

from conftest import SOURCES, basic

# Arguments: the folder with the sources, the sync.ini, `threads` where each request has
# a thread of its own, and lines of Python that are run first. It prints its port.
PROGRAM = """
import logging, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
sys.path.insert(0, sys.argv[1])
logging.basicConfig(level=logging.WARNING)
from weave.server.app import create_application

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 50

exec("".join(sys.argv[4:]))
kind = Threads if sys.argv[3:4] == ["threads"] else WSGIServer
server = make_server("127.0.0.1", 0, create_application(sys.argv[2]), kind, Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Served:
    """The process. Without threads it serves one request at a time."""

    def __init__(self, ini, before="", threads=False):
        arguments = [SOURCES, str(ini), "threads" if threads else "", before]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.process.stdout.readline())

    def close(self):
        """Ends it by kill -9."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def rest_kb(self):
        """The memory that the process takes now; peak_kb() begins again here."""
        with open("/proc/%d/clear_refs" % self.process.pid, "w") as file:
            file.write("5")
        return self._memory_kb("VmRSS")

    def peak_kb(self):
        return self._memory_kb("VmHWM")

    def _memory_kb(self, key):
        with open("/proc/%d/status" % self.process.pid) as lines:
            return next(int(ln.split()[1]) for ln in lines if ln.startswith(key))


class Process(Served):
    """Serves one request at a time, as a user's."""

    def __init__(self, ini, user):
        super().__init__(ini)
        self._authorization = basic(user.name, user.password)
        self._user = user.name

    def call(self, method, path, body=None, accept="application/json"):
        """Yields (status, headers), and then the body in parts."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": self._authorization, "Accept": accept}
        path = "/1.1/%s/%s" % (self._user, path)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            yield response.status, response.headers
            yield from iter(lambda: response.read(65536), b"")
        finally:
            connection.close()
