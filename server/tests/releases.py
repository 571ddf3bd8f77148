# SPDX-License-Identifier: Apache-2.0
"""Releases of the server that run in processes of their own, older and newer ones too."""

import contextlib
import http.client
import json
import pathlib
import re
import shutil
import subprocess
import sys
import threading

from conftest import SOURCES, basic

from weave.server.schema_version import SCHEMA_VERSION

PASSWORD = "a good password"

COMMAND = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import weave.server.__main__ as admin
admin.become_owner = lambda *_: None
admin.main()
"""

SERVER = """
import logging, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
sys.path.insert(0, sys.argv[1])
logging.basicConfig(level=logging.WARNING)
from weave.server.app import create_application

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 50

server = make_server("127.0.0.1", 0, create_application(sys.argv[2]), Server, Quiet)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Release:
    """A release whose packages are in the folder sources."""

    def __init__(self, sources):
        self._sources = str(sources)

    def run(self, *words):
        """(exit status, what weave-server has said)"""
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, self._sources, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def serving(self, ini):
        """A Server; EOFError, with its log, where it does not come up."""
        server = Server(self._sources, ini)
        try:
            yield server
        finally:
            server.close()


class Server:
    """Answers requests of the user alice, whose account sign_up() makes."""

    def __init__(self, sources, ini):
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, sources, str(ini)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(self._process.communicate()[1])
        self._port = int(line)

    def close(self):
        """Ends it; its log, the second time nothing."""
        if self._process.returncode is not None:
            return ""
        self._process.terminate()
        return self._process.communicate()[1]

    def sign_up(self):
        body = {"email": "alice@example.org", "password": PASSWORD}
        status, value = self._exchange("PUT", "/user/1.0/alice", body)
        assert status == 200, value

    def ask(self, method, path, body=None):
        """(status, what the JSON below /1.1/alice/ says)"""
        status, text = self._exchange(method, "/1.1/alice/" + path, body)
        return status, json.loads(text) if status == 200 else text

    def _exchange(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        headers = {"Authorization": basic("alice", PASSWORD)}
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def get(self, path):
        status, value = self.ask("GET", path)
        assert status == 200, value
        return value

    def put(self, path, body):
        status, value = self.ask("PUT", path, body)
        assert status == 200, value
        return value


class Load:
    """Requests that are made all the time, to `server`, which may be another at any time."""

    def __init__(self, server):
        self.server = server
        self.count = 0
        self.failures = []
        self._is_over = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._is_over.set()
        self._thread.join()

    def move(self, server):
        """From here on requests go there; none is under way when it returns."""
        with self._turn:
            self.server = server

    def _ask(self):
        last = 0
        while not self._is_over.wait(0.02):
            with self._turn:
                try:
                    stamp = self.server.put("storage/load/a", {"payload": "%d" % self.count})
                    times = self.server.get("info/collections")
                except Exception as error:
                    self.failures.append(repr(error))
                    continue
            self.count += 1
            if times.get("load") != stamp or stamp <= last:
                self.failures.append((stamp, last, times))
            last = stamp


def ours():
    return Release(SOURCES)


def newer(folder, serves_from):
    """A release with another column and index, for those from a SCHEMA_VERSION on."""
    sources = folder / ("newer%d" % serves_from)
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
    package = sources / "weave" / "server"
    _replace(package / "version.py", 'VERSION = ".*"', 'VERSION = "9.9"')
    _replace(package / "schema_version.py", r"^SCHEMA_VERSION = \d+", "SCHEMA_VERSION = %d" % (
        SCHEMA_VERSION + 1))
    _replace(package / "schema_version.py", r"^SERVES_FROM = \d+", "SERVES_FROM = %d" % serves_from)
    _replace(package / "schema.py", r'(    Column\("counted", StampColumn\),\n)',
             r'\1    Column("color", Integer),\n    Index("weave_colors", "user_id", "color"),\n')
    return Release(sources)


def _replace(path, pattern, text):
    before = path.read_text()
    after = re.sub(pattern, text, before, flags=re.MULTILINE)
    assert after != before, pattern
    path.write_text(after)


def first(folder):
    """Release 0.1.0 as git has it, whose tables have version 1; None in a shallow clone."""
    here = pathlib.Path(__file__).resolve().parent.parent
    try:
        top, prefix = _git(here, "rev-parse", "--show-toplevel", "--show-prefix").split()
        its_file = prefix.decode() + "src/weave/server/columns.py"
        added = _git(top, "log", "--diff-filter=A", "--format=%H", "--", its_file).split()
        archive = _git(top, "archive", "%s^:%ssrc" % (added[-1].decode(), prefix.decode()))
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return None
    sources = folder / "first"
    sources.mkdir()
    subprocess.run(["tar", "-x", "-C", str(sources)], input=archive, check=True)
    return Release(sources)


def _git(folder, *words):
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *words],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
