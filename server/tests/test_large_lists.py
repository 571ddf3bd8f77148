# SPDX-License-Identifier: Apache-2.0
"""Lists that do not fit into memory: what they cost, and errors in their midst."""

import errno
import io
import json
import os
import tempfile
from wsgiref.util import FileWrapper

import pytest
from sqlalchemy import event

from bulk import QUOTES_OF_A_RECORD, fill
from conftest import basic, is_unavailable, sites
from served import Process
from weave.server import formats, spool
from weave.server.turns import RETRY_SECONDS

# 110 MiB of large records, and many small ones
LARGE, LARGE_BYTES = 440, 256 * 1024
SMALL, SMALL_BYTES = 10000, 1024

GROWTH_KB = 20 * 1024


@pytest.fixture(scope="module")
def filled(database_server, tmp_path_factory):
    with sites(database_server, tmp_path_factory.mktemp("large")) as make_site:
        site = make_site()
        user = site.user()
        for name, count, size in (
            ("large", LARGE, LARGE_BYTES), ("small", SMALL, SMALL_BYTES),
        ):  # fmt: skip
            user.put("storage/%s/0" % name, {"payload": "", "sortindex": 0})
            fill(site, name, count - 1, size)
        process = Process(site.ini, user)
        yield process
        process.close()


LISTS = {
    "large": ("storage/large?full=1", LARGE, LARGE_BYTES),
    "by index": ("storage/large?full=1&sort=index", LARGE, LARGE_BYTES),
    "by id": ("storage/large?full=1&ids=" + ",".join(map(str, range(LARGE))),
              LARGE, LARGE_BYTES),
    "many": ("storage/small?full=1&sort=newest", SMALL, SMALL_BYTES),
    "ids only": ("storage/small", SMALL, 2),
}  # fmt: skip


@pytest.mark.parametrize("path, records, size", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("accept", ["application/json", "application/newlines"])
def test_memory_of_a_large_list(filled, path, records, size, accept):
    list(filled.call("GET", "storage/nothing", accept=accept))
    before = filled.rest_kb()
    answer = filled.call("GET", path, accept=accept)
    status, headers = next(answer)
    assert (status, headers["X-Weave-Records"]) == (200, str(records))
    total = quotes = 0
    for part in answer:
        total += len(part)
        quotes += part.count(b'"')
    assert quotes == records * (QUOTES_OF_A_RECORD if "full" in path else 2)
    assert total > (records - 1) * size
    assert filled.peak_kb() - before < GROWTH_KB


RECORDS, RECORD_BYTES = 30, 70000


@pytest.fixture
def sizeable(site, user):
    """Alice, with a list that is longer than what is kept in memory."""
    names = [str(number) for number in range(RECORDS)]
    for some in (names[:10], names[10:20], names[20:]):
        user.post("storage/col", [{"id": n, "payload": "x" * RECORD_BYTES} for n in some])
    user.site = site
    return user


@pytest.mark.parametrize(
    "ids", ["", "&ids=" + ",".join(map(str, range(RECORDS)))], ids=["all", "by id"]
)
@pytest.mark.parametrize("accept", ["application/json", "application/newlines"])
def test_list_from_a_file_is_that_from_memory(sizeable, monkeypatch, ids, accept):
    path = "storage/col?full=1&sort=newest" + ids
    answers = []
    for limit in (10**9, 1024 * 1024, 0):
        monkeypatch.setattr(spool, "MEMORY_BYTES", limit)
        response = sizeable.get(path, Accept=accept)
        assert response.headers["Content-Length"] == str(len(response.body))
        assert response.headers["X-Weave-Records"] == str(RECORDS)
        answers.append(response.body)
    assert len(set(answers)) == 1
    text = answers[0].decode()
    records = json.loads(text) if accept.endswith("json") else text.splitlines()
    assert len(records) == RECORDS


class FullDisk(io.FileIO):
    """A file that takes half of what it is given, and then nothing."""

    def write(self, data):
        if self.tell():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data[: len(data) // 2])


def held():
    spool._files.forget()
    return len(spool._files._held)


def ask(user, path="storage/col?full=1"):
    """(status, iterator) of a GET whose body nobody has read yet."""
    request = user.app.RequestClass.blank("/1.1/%s/%s" % (user.name, path))
    request.headers["Authorization"] = basic(user.name, user.password)
    request.environ["wsgi.file_wrapper"] = FileWrapper
    status, headers, body = request.call_application(user.site.application)
    return int(status.split()[0]), body


def test_file_is_held_until_nobody_has_it(sizeable, monkeypatch):
    before = held()
    status, body = ask(sizeable)
    assert held() == before + 1
    descriptor = os.dup(body.filelike.fileno())  # as httpd gets it
    body.close()
    assert held() == before + 1
    os.close(descriptor)
    assert held() == before


def test_slow_readers_are_bounded(sizeable, site, monkeypatch):
    other = site.user("bob")
    other.site = site
    batch = [{"id": str(n), "payload": "x" * RECORD_BYTES} for n in range(14)]
    other.post("storage/col", batch)
    other.post("storage/col", [dict(record, id="b" + record["id"]) for record in batch])
    size = RECORDS * RECORD_BYTES
    monkeypatch.setattr(spool, "MAX_BYTES", 10 * size)
    before, bodies = held(), []
    for expected in (200, 200, 503):
        status, body = ask(sizeable)
        bodies.append(body)
        assert status == expected
    assert sizeable.get("storage/col").json, "what is short needs no file"
    assert is_unavailable(sizeable.get("storage/col?full=1", 503), RETRY_SECONDS)
    assert len(other.get("storage/col?full=1").json) == 28, "others are served"
    bodies[0].close()
    assert len(sizeable.get("storage/col?full=1").json) == RECORDS
    for body in bodies[1:]:
        getattr(body, "close", lambda: None)()
    assert held() == before


def test_all_readers_together_are_bounded(sizeable, monkeypatch):
    size = RECORDS * RECORD_BYTES
    monkeypatch.setattr(spool, "MAX_BYTES", int(2.5 * size))
    monkeypatch.setattr(spool, "OWNERS", 1)
    bodies = [ask(sizeable) for _ in range(3)]
    assert [status for status, _ in bodies] == [200, 200, 503]
    for _, body in bodies:
        getattr(body, "close", lambda: None)()


def test_list_that_is_longer_than_all_may_be(sizeable, monkeypatch):
    monkeypatch.setattr(spool, "MAX_BYTES", 1024)
    assert len(sizeable.get("storage/col?full=1").json) == RECORDS


def test_temporary_folder_is_full(sizeable, monkeypatch, tmp_path, caplog):
    opened = []

    def open_full(buffering):
        opened.append(FullDisk(tmp_path / "spool", "w+b"))
        return opened[0]

    monkeypatch.setattr(tempfile, "TemporaryFile", open_full)
    response = sizeable.get("storage/col?full=1", 503)
    assert is_unavailable(response) and "X-Weave-Records" not in response.headers
    assert opened[0].closed
    assert "No space left on device" in caplog.text
    (database,) = sizeable.site.databases
    assert database.engine.pool.checkedout() == 0


def test_no_connection_is_held_while_a_list_is_sent(sizeable):
    (database,) = sizeable.site.databases
    seen = []
    event.listen(database.engine, "checkin", lambda *_: seen.append("in"))
    status, body = ask(sizeable)
    first = next(iter(body))
    assert first and seen and database.engine.pool.checkedout() == 0
    body.close()


def test_part_of_a_batch_is_never_listed(sizeable, monkeypatch):
    # A write that comes while a list is read waits for nobody, and does not show.
    encode, written = formats.encode_record, []

    def write_first(row):
        if not written:
            written.append(1)
            batch = [{"id": str(n), "payload": "new"} for n in range(RECORDS + 1)]
            sizeable.post("storage/col", batch)
        return encode(row)

    monkeypatch.setattr(formats, "encode_record", write_first)
    response = sizeable.get("storage/col?full=1")
    assert response.headers["X-Weave-Records"] == str(RECORDS)
    assert {len(record["payload"]) for record in response.json} == {RECORD_BYTES}
    assert len(sizeable.get("storage/col?full=1").json) == RECORDS + 1
