# SPDX-License-Identifier: Apache-2.0
"""Long lists, which are sent while they are still being read."""

import os
import socket
import threading
from wsgiref.headers import Headers
from wsgiref.util import FileWrapper

import pytest
from sqlalchemy import event

from conftest import LONG_SECONDS, basic, eventually, is_unavailable
from weave.server import formats, spool, stream
from weave.server.stream import Cut, Stream

# The first two of its parts are more than is kept in memory.
RECORDS, RECORD_BYTES = 60, 70000
TYPES = [formats.JSON, formats.NEWLINES, formats.WHOISI]


@pytest.fixture
def sizeable(site, user):
    """Alice, with a list that is longer than what is kept in memory."""
    names = [str(number) for number in range(RECORDS)]
    for start in range(0, RECORDS, 10):
        some = names[start : start + 10]
        user.post("storage/col", [{"id": n, "payload": "x" * RECORD_BYTES} for n in some])
    user.site = site
    (user.database,) = site.databases
    yield user
    eventually(lambda: user.database.engine.pool.checkedout() == 0)
    eventually(lambda: stream._places._value == stream.READERS)


def held():
    spool._files.forget()
    return len(spool._files.held())


class Client:
    """Does for one request what a server of HTTP/1.1 does."""

    def __init__(self, user, path="storage/col?full=1", accept=formats.JSON, wraps=True):
        request = user.app.RequestClass.blank("/1.1/%s/%s" % (user.name, path))
        request.headers["Authorization"] = basic(user.name, user.password)
        request.headers["Accept"] = accept
        self._environ = dict(request.environ, SERVER_PROTOCOL="HTTP/1.1")
        if wraps:
            self._environ["wsgi.file_wrapper"] = FileWrapper
        self._application = user.site.application
        self.body = b""
        self.status = self.headers = None

    def write(self, data):
        self.body += data

    def start(self, status, headers, exc_info=None):
        self.status, self.headers = int(status.split()[0]), Headers(headers)
        return self.write

    def begin(self):
        return self._application(self._environ, self.start)

    def get(self):
        rest = self.begin()
        try:
            for piece in rest:
                self.write(piece)
        finally:
            getattr(rest, "close", lambda: None)()
        return self


@pytest.fixture
def halfway(monkeypatch):
    """Stops a list in its midst: `reached` is set there, and `go` lets it go on."""

    class Halfway:
        reached, go, before = threading.Event(), threading.Event(), lambda self: None
        count = 0

    encode, state = formats.encode_record, Halfway()

    def stop(row):
        state.count += 1
        if state.count == 40:
            state.reached.set()
            assert state.go.wait(LONG_SECONDS)
            state.before()
        return encode(row)

    monkeypatch.setattr(formats, "encode_record", stop)
    yield state
    state.go.set()


@pytest.mark.parametrize("wraps", [True, False])
@pytest.mark.parametrize("accept", TYPES)
def test_stream_is_what_would_be_in_memory(sizeable, monkeypatch, accept, wraps):
    monkeypatch.setattr(stream, "PIECE_BYTES", 100_001)
    before = held()
    client = Client(sizeable, "storage/col?full=1&sort=newest", accept, wraps).get()
    monkeypatch.setattr(spool, "MEMORY_BYTES", 10**9)
    response = sizeable.get("storage/col?full=1&sort=newest", Accept=accept)
    assert client.status == 200 and client.body == response.body
    assert client.headers["X-Weave-Records"] == str(RECORDS)
    for name in ("X-Weave-Timestamp", "Content-Type"):
        assert client.headers[name] == response.headers[name]
    assert "Content-Length" not in client.headers
    assert held() == before


def test_beginning_is_sent_before_the_end_is_read(sizeable, halfway):
    client = Client(sizeable)
    thread = threading.Thread(target=client.get, daemon=True)
    thread.start()
    assert halfway.reached.wait(LONG_SECONDS)
    eventually(lambda: client.body)
    assert client.headers["X-Weave-Records"] == str(RECORDS)
    halfway.go.set()
    thread.join(LONG_SECONDS)
    assert client.body.endswith(b'"}]')


def test_writes_meanwhile_do_not_show(sizeable, halfway):
    before = sizeable.get("info/collections").headers["X-Weave-Timestamp"]
    client = Client(sizeable)
    thread = threading.Thread(target=client.get, daemon=True)
    thread.start()
    assert halfway.reached.wait(LONG_SECONDS)
    last = str(RECORDS - 1)
    sizeable.put("storage/col/" + last, {"payload": "new"})
    sizeable.put("storage/col/zzz", {"payload": "new"})
    sizeable.delete("storage/col?ids=8,9")
    halfway.go.set()
    thread.join(LONG_SECONDS)
    assert client.body.count(b'"id"') == RECORDS and b"new" not in client.body
    assert client.headers["X-Weave-Timestamp"] == before


def test_slow_reader_holds_no_connection(sizeable):
    for wraps in (True, False):
        client = Client(sizeable, wraps=wraps)
        rest = client.begin()
        eventually(lambda: sizeable.database.engine.pool.checkedout() == 0)
        assert wraps == (not isinstance(rest, Stream)), "the rest is a file for httpd"
        client.body += b"".join(rest)
        rest.close()
        assert client.body.count(b'"id"') == RECORDS


@pytest.fixture
def breaking(sizeable, halfway):
    """The database breaks off in the midst of a list, and never before or after."""
    connections, engine = [], sizeable.database.engine
    event.listen(engine, "checkout", lambda connection, *_: connections.append(connection))

    def break_off():
        connection = connections[-1]
        if hasattr(connection, "set_progress_handler"):
            connection.set_progress_handler(lambda: 1, 50)
        elif hasattr(connection, "_sock"):
            connection._sock.shutdown(socket.SHUT_RDWR)
        else:
            with socket.socket(fileno=os.dup(connection.fileno())) as lost:
                lost.shutdown(socket.SHUT_RDWR)

    halfway.before = break_off
    halfway.go.set()
    yield
    if hasattr(connections[-1], "set_progress_handler"):
        engine.dispose()


@pytest.mark.parametrize("wraps", [True, False])
def test_error_in_the_midst_is_no_end(sizeable, breaking, caplog, wraps):
    before, client = held(), Client(sizeable, accept=formats.NEWLINES, wraps=wraps)
    with pytest.raises(Cut, match="a list was cut after [0-9]+ bytes: .+"):
        client.get()
    assert client.status == 200
    assert "a list cannot be read to its end: " in caplog.text
    eventually(lambda: held() == before)


def test_error_before_anything_is_sent(sizeable, breaking, halfway):
    # The list is sent when it is whole, because HTTP/1.0 has no other end.
    response = sizeable.get("storage/col?full=1", 503)
    assert is_unavailable(response) and "X-Weave-Records" not in response.headers
    halfway.count = RECORDS
    sizeable.database.engine.dispose()
    assert len(sizeable.get("storage/col?full=1").json) == RECORDS


def test_client_that_leaves_ends_the_reader(sizeable, halfway):
    class Gone(Exception):
        pass

    def write(_data):
        assert halfway.reached.wait(LONG_SECONDS)
        raise Gone

    before, client = held(), Client(sizeable)
    client.write = write
    with pytest.raises(Gone):
        client.begin()
    halfway.go.set()
    eventually(lambda: held() == before)
    assert halfway.count < RECORDS


def test_client_that_never_reads_ends_the_reader(sizeable, halfway):
    before, client = held(), Client(sizeable, wraps=False)
    rest = client.begin()
    assert halfway.reached.wait(LONG_SECONDS)
    rest.close()
    halfway.go.set()
    eventually(lambda: held() == before)
    assert halfway.count < RECORDS


def test_without_a_place_it_is_read_first(sizeable, monkeypatch, halfway):
    monkeypatch.setattr(stream, "_places", threading.Semaphore(1))
    first = Client(sizeable)
    thread = threading.Thread(target=first.get, daemon=True)
    thread.start()
    assert halfway.reached.wait(LONG_SECONDS)
    second = Client(sizeable).get()
    assert second.headers["Content-Length"] == str(len(second.body))
    halfway.go.set()
    thread.join(LONG_SECONDS)
    assert first.body == second.body and "Content-Length" not in first.headers


def test_thread_cannot_be_started(sizeable, monkeypatch):
    def start(_self):
        raise RuntimeError("can't start new thread")

    before = held()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert Client(sizeable).get().status == 500
    assert held() == before
    assert Client(sizeable).get().status == 200


def test_list_for_which_there_is_no_room(sizeable, monkeypatch):
    # It is refused before it begins, not in its midst.
    monkeypatch.setattr(spool, "MAX_BYTES", 10 * RECORDS * RECORD_BYTES)
    rests = [Client(sizeable, wraps=False).begin() for _ in range(2)]
    assert is_unavailable(sizeable.get("storage/col?full=1", 503), 30)
    client = Client(sizeable)
    client.get()
    assert client.status == 503
    for rest in rests:
        rest.close()


def test_folder_without_room(sizeable, monkeypatch):
    """A list that would be cut is refused, so that its client knows when to come back."""
    full = os.statvfs_result((4096, 4096, 1000, 1, 1, 0, 0, 0, 0, 255))
    before = held()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstatvfs", lambda _file: full)
        client = Client(sizeable).get()
    assert (client.status, client.body) == (503, b'"server issue: temporary folder"')
    assert held() == before
    assert Client(sizeable).get().status == 200


def test_forked_process_has_all_places(sizeable, halfway):
    rest = Client(sizeable, wraps=False).begin()
    assert halfway.reached.wait(LONG_SECONDS)
    pid = os.fork()
    if not pid:
        whole = stream._places._value == stream.READERS and not spool._files.held()
        os._exit(0 if whole else 1)
    assert os.waitpid(pid, 0)[1] == 0
    halfway.go.set()
    assert b"".join(rest).count(b'"id"') == RECORDS
    rest.close()
