# SPDX-License-Identifier: Apache-2.0
"""Long lists on their way through httpd, with WEAVE_TEST_HTTPD=1 only.

The list stops at one of its records until the test lets it go on.
"""

import contextlib
import http.client
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import KIND, PASSWORD, THROUGH_HTTPD, basic, eventually

if not THROUGH_HTTPD:
    pytest.skip("WEAVE_TEST_HTTPD is not set", allow_module_level=True)

import apache  # noqa: E402
from apache import e2e  # noqa: E402

# The first two of its parts (rows.PART_BYTES) are more than is kept in memory.
RECORDS, RECORD_BYTES = 60, 70000
# Behind the part with this one the database is asked again.
STOP, LAST = "40", b'"id":"%02d"' % (RECORDS - 1)
PATIENCE_SECONDS = 60

SCRIPT = '''
import os
import sqlite3
import time

from weave.server import formats
from weave.server.wsgi import application

encode = formats.encode_record


def stop(row):
    if row[0] == {stop!r}:
        open({folder!r} + "/data/reached", "w").close()
        while not os.path.exists({folder!r} + "/go"):
            time.sleep(0.01)
        if os.path.exists({folder!r} + "/break"):
            raise sqlite3.OperationalError("disk I/O error")
    return encode(row)


formats.encode_record = stop
'''

INI = """
[wsgi]
script = {folder}/stop.wsgi
python_path = {sources}
[workers]
mode = {mode}
{processes}
[storage]
sqluri = {url}
[auth]
strict_usernames = false
"""

KILL = {
    "postgresql": "select pg_terminate_backend(pid) from pg_stat_activity"
                  " where datname = current_database() and pid <> pg_backend_pid()",
    "mariadb": "select id from information_schema.processlist"
               " where db = database() and id <> connection_id()",
}  # fmt: skip


class Site:
    """An httpd of its own for the database of a test."""

    def __init__(self, folder, site, mode):
        self.folder = folder
        self.sql = site.sql
        self._opened = contextlib.ExitStack()
        shutil.copytree(apache.server().folder / "build", folder / "build")
        (folder / "stop.wsgi").write_text(SCRIPT.format(folder=str(folder), stop=STOP))
        ini = INI.format(
            folder=folder, sources=apache.server().folder / "src", mode=mode,
            processes="processes = 1\nthreads = 4" if mode == "processes" else "",
            url=site.url.replace("%(here)s", str(site.folder)))  # fmt: skip
        (folder / "sync.ini").write_text(ini)
        self.httpd = e2e.Httpd(folder, "event")
        libexec = pathlib.Path(e2e.ask_apxs("LIBEXECDIR"), "mod_http2.so")
        self.has_http2 = libexec.exists() and shutil.which("curl") is not None
        if self.has_http2:
            with (folder / "httpd.conf").open("a") as file:
                file.write('LoadModule http2_module "%s"\nProtocols h2c http/1.1\n' % libexec)

    def go(self):
        (self.folder / "go").touch()

    def wait_for(self, what):
        eventually((self.folder / "data" / what).exists, what)

    def break_off(self):
        """The database ends the connection that reads, and then the list goes on."""
        self.wait_for("reached")
        if KIND == "sqlite":
            (self.folder / "break").touch()
        elif KIND == "postgresql":
            self.sql(KILL[KIND])
        else:
            for (number,) in self.sql(KILL[KIND]):
                with contextlib.suppress(Exception):  # it has ended by itself
                    self.sql("kill %d" % number)
        self.go()

    def ask(self, version="1.1"):
        """A socket that has sent the request."""
        made = socket.create_connection(("127.0.0.1", self.httpd.port), PATIENCE_SECONDS)
        lines = ["GET %s HTTP/%s" % (PATH, version), "Host: localhost",
                 "Accept: application/newlines", "Authorization: " + ALICE]  # fmt: skip
        made.sendall("\r\n".join(lines + ["", ""]).encode())
        self._opened.callback(made.close)
        return made

    def answer(self, sent):
        """The head that has come on a socket, and what comes behind it."""
        response = http.client.HTTPResponse(sent)
        self._opened.callback(response.close)
        response.begin()
        return response

    def begun(self, sent):
        """The answer whose beginning has come, and that."""
        response = self.answer(sent)
        assert response.status == 200
        assert response.headers["X-Weave-Records"] == str(RECORDS)
        return response, response.read(RECORD_BYTES)

    def close(self):
        self.go()
        self._opened.close()


PATH = "/1.1/alice/storage/col?full=1"
ALICE = basic("alice", PASSWORD)


# Embedding is tested on one database.
MODES = ["processes", "embedded"] if KIND == "sqlite" else ["processes"]


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def stopping(site, user, mode):
    """A Site whose list of alice stops at STOP."""
    for start in range(0, RECORDS, 10):
        batch = [{"id": "%02d" % number, "payload": "x" * RECORD_BYTES}
                 for number in range(start, start + 10)]  # fmt: skip
        user.post("storage/col", batch)
    apache.server().rest()
    folder = pathlib.Path(tempfile.mkdtemp(dir=apache.server().folder))
    folder.chmod(0o755)
    made = Site(folder, site, mode)
    with made.httpd.running():
        yield made
        made.close()
    made.httpd.holder.close()


def test_database_ends_in_the_midst(stopping):
    response, body = stopping.begun(stopping.ask())
    assert body.startswith(b'{"id":"00"'), "it comes before all is read"
    assert response.headers["Transfer-Encoding"] == "chunked"
    stopping.break_off()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        body += response.read()
    assert LAST not in body
    eventually(lambda: "WEAVE0041" in stopping.httpd.log(), "the reason in the log")
    if KIND == "sqlite":
        (stopping.folder / "break").unlink()
    # A connection that the database has closed costs nobody an answer.
    response, body = stopping.begun(stopping.ask())
    assert (body + response.read()).count(b"\n") == RECORDS


def test_database_ends_in_the_midst_of_http_1_0(stopping):
    sent = stopping.ask("1.0")
    stopping.break_off()
    response = stopping.answer(sent)
    # It waits for the whole list, because it has no other end.
    assert response.status == 503
    assert response.headers["X-Weave-Backoff"]
    assert b"id" not in response.read()


def test_database_ends_in_the_midst_of_http_2(stopping):
    if not stopping.has_http2:
        pytest.skip("no mod_http2, or no curl")
    target = "http://127.0.0.1:%d%s" % (stopping.httpd.port, PATH)
    client = subprocess.Popen(
        ["curl", "-sN", "--http2-prior-knowledge", "-H", "Authorization: " + ALICE, target],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    body = client.stdout.read(RECORD_BYTES)
    assert body.startswith(b'[{"id":"00"')
    stopping.break_off()
    body += client.stdout.read()
    client.stdout.close()
    assert client.wait(PATIENCE_SECONDS), "curl has seen that the stream was reset"
    assert LAST not in body


def test_restarts_wait_for_a_list(stopping, mode):
    response, body = stopping.begun(stopping.ask())
    stopping.httpd.graceful()
    if mode == "processes":
        command = threading.Thread(target=stopping.httpd.weavectl, args=("reload",))
        command.start()
    time.sleep(1)
    stopping.go()
    body += response.read()
    assert body.count(b"\n") == RECORDS
    if mode == "processes":
        command.join()


def test_slow_reader_frees_the_database_and_the_worker(stopping, mode):
    if mode != "processes":
        pytest.skip("httpd's own threads wait for their clients")
    stopping.go()
    # More clients than the worker has threads, of which none reads.
    waiting = [stopping.ask() for _ in range(8)]
    responses = [stopping.answer(sent) for sent in waiting]
    connection = http.client.HTTPConnection("127.0.0.1", stopping.httpd.port, timeout=60)
    connection.request("GET", "/1.1/alice/info/collections", headers={"Authorization": ALICE})
    answer = connection.getresponse()
    assert answer.status == 200 and json.loads(answer.read()).keys() == {"col"}
    connection.close()
    for response in responses:
        assert response.read().count(b"\n") == RECORDS
