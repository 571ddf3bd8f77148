# SPDX-License-Identifier: Apache-2.0
"""A client of the server as it is reached over HTTP, requests all the time, and a newer release.

It imports nothing of the server or of its tests, so that others use it, too.
"""

import base64
import http.client
import json
import pathlib
import re
import subprocess
import threading
import time

PASSWORD = "a good password"


class Client:
    """Requests of the user alice to 127.0.0.1, whose account sign_up() makes."""

    def __init__(self, port):
        self._port = port

    def sign_up(self):
        body = {"email": "alice@example.org", "password": PASSWORD}
        status, value = self._exchange("PUT", "/user/1.0/alice", body)
        assert status == 200, value

    def ask(self, method, path, body=None):
        """(status, what the JSON below /1.1/alice/ says)"""
        status, text = self._exchange(method, "/1.1/alice/" + path, body)
        return status, json.loads(text) if status == 200 else text

    def get(self, path):
        status, value = self.ask("GET", path)
        assert status == 200, value
        return value

    def put(self, path, body):
        status, value = self.ask("PUT", path, body)
        assert status == 200, value
        return value

    def _exchange(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        secret = base64.b64encode(("alice:" + PASSWORD).encode()).decode()
        headers = {"Authorization": "Basic " + secret}
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


class Load:
    """Requests that are made all the time, by a Client, which may be another at any time."""

    def __init__(self, client):
        self._client = client
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

    def move(self, client):
        """From here on requests go there; none is under way when it returns."""
        with self._turn:
            self._client = client

    def held(self):
        """A context in which none is under way."""
        return self._turn

    def goes_on(self):
        """Returns when further requests were answered, or one has failed."""
        enough = self.count + 3
        while self.count < enough and not self.failures:
            time.sleep(0.02)

    def _ask(self):
        last = 0
        while not self._is_over.wait(0.02):
            with self._turn:
                try:
                    stamp = self._client.put("storage/load/a", {"payload": "%d" % self.count})
                    times = self._client.get("info/collections")
                except Exception as error:
                    self.failures.append(repr(error))
                    continue
            self.count += 1
            if times.get("load") != stamp or stamp <= last:
                self.failures.append((stamp, last, times))
            last = stamp


def make_newer(package, release, schema_version, serves_from):
    """Makes a newer release of the folder of weave.server, whose tables have more."""
    _replace(package / "version.py", '^VERSION = ".*"', 'VERSION = "%s"' % release)
    versions = package / "schema_version.py"
    _replace(versions, r"^SCHEMA_VERSION = \d+", "SCHEMA_VERSION = %d" % schema_version)
    _replace(versions, r"^SERVES_FROM = \d+", "SERVES_FROM = %d" % serves_from)
    more = '    Column("color", Integer),\n    Index("weave_colors", "user_id", "color"),\n'
    _replace(package / "schema.py", r'(    Column\("counted", StampColumn\),\n)', r"\1" + more)


def _replace(path, pattern, text):
    before = path.read_text()
    after = re.sub(pattern, text, before, flags=re.MULTILINE)
    assert after != before, pattern
    path.write_text(after)


def extract_first(folder):
    """Release 0.1.0 as git has it, in a new folder; None in a shallow clone.

    It is what there was before columns.py, which came with version 2 of the tables.
    """
    here = pathlib.Path(__file__).resolve().parent.parent
    try:
        top, prefix = _git(here, "rev-parse", "--show-toplevel", "--show-prefix").split()
        its_file = prefix.decode() + "src/weave/server/columns.py"
        added = _git(top, "log", "--diff-filter=A", "--format=%H", "--", its_file).split()
        archive = _git(top, "archive", "%s^:%s" % (added[-1].decode(), prefix.decode()))
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return None
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def _git(folder, *words):
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *words],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
