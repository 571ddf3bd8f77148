# SPDX-License-Identifier: Apache-2.0
"""Bodies that are large, or that would become large."""

import io
import threading

import pytest

from conftest import basic, eventually, is_unavailable
from served import Process
from weave.server import formats, http, spool
from weave.server.storage_api import MAX_BODY_BYTES
from weave.server.turns import RETRY_SECONDS, Busy, Turns

pytestmark = pytest.mark.sqlite_only

SIZE = 26_000_000


def repeat(first, unit, last):
    return first + unit * ((SIZE - 100) // len(unit)) + last


BOMBS = {
    "lists": repeat(b"[", b"[],", b"[]]"),
    "objects": repeat(b"[", b"{},", b"{}]"),
    "numbers": repeat(b"[", b"0,", b"0]"),
    "strings": repeat(b"[", b'"",', b'""]'),
    "escapes": repeat(b"[", b'"\\\\","\\"",', b'""]'),
    "members": repeat(b'{"a":0', b',"b":0', b"}"),
    "below a record": repeat(b'[{"id":"a","payload":"x","y":[', b"[],", b"[]]}]"),
    "after a payload": repeat(b'[{"payload":"\\\\\\"[","y":[', b"[],", b"[]]}]"),
    "depth": b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
    "depth of objects": repeat(b"", b'{"a":', b""),
}


@pytest.fixture(scope="module")
def process(database_server, tmp_path_factory):
    from conftest import sites

    with sites(database_server, tmp_path_factory.mktemp("bodies")) as make_site:
        site = make_site()
        process = Process(site.ini, site.user())
        yield process
        process.close()


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_costs_nothing(process, name):
    list(process.call("GET", "info/collections"))
    before = process.rest_kb()
    answer = process.call("POST", "storage/col", BOMBS[name])
    status, _ = next(answer)
    assert (status, b"".join(answer)) == (400, b"6")
    # The body, and what is left of it without escapes.
    assert process.peak_kb() - before < 5 * SIZE // 1024


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_not_parsed(name, monkeypatch):
    class Never:
        def decode(self, text):
            raise AssertionError("it was parsed")

    monkeypatch.setattr(formats, "_DECODER", Never())
    with pytest.raises(ValueError):
        formats.decode(BOMBS[name])


def test_payload_may_hold_anything(user):
    payload = '[[[{"\\\\",\\"' * 20000
    user.put("storage/col/a", {"payload": payload})
    assert user.get("storage/col/a").json["payload"] == payload


def test_more_records_than_are_kept_are_still_told(user):
    batch = [{"id": str(n), "payload": "", "sortindex": n} for n in range(2000)]
    answer = user.post("storage/col", batch).json
    assert len(answer["success"]) == 100 and len(answer["failed"]) == 1900


def test_bound_follows_batch_max_count(make_site):
    user = make_site(storage="batch_max_count = 20000").user()
    batch = [{"id": str(n), "payload": "", "parentid": "p"} for n in range(20000)]
    assert len(user.post("storage/col", batch).json["success"]) == 20000


def test_body_of_27_megabytes_and_no_more(site, user):
    record = b'{"id": "a", "payload": "x"}'
    user.post("storage/col", record.ljust(MAX_BODY_BYTES))
    user.post("storage/col", record.ljust(MAX_BODY_BYTES + 1), 413)


def test_turns():
    turns = Turns("a test", running=1, waiting=1, seconds=60)
    inside, leave, done = threading.Event(), threading.Event(), []

    def hold():
        with turns.taken():
            inside.set()
            leave.wait(60)
            done.append("first")

    def wait():
        with turns.taken():
            done.append("second")

    threads = [threading.Thread(target=hold), threading.Thread(target=wait)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    eventually(lambda: not turns._places._value)
    with pytest.raises(Busy, match="too many wait for a test"):
        with turns.taken():
            pass
    leave.set()
    for thread in threads:
        thread.join()
    assert done == ["first", "second"]


def test_turn_that_does_not_come():
    turns = Turns("a test", running=1, waiting=1, seconds=0.01)
    with turns.taken():
        with pytest.raises(Busy, match="waited too long for a test"):
            with turns.taken():
                pass
    with turns.taken():
        pass


def test_turn_ends_with_an_exception():
    turns = Turns("a test", running=1, waiting=0, seconds=60)
    for _ in range(2):
        with pytest.raises(KeyError):
            with turns.taken():
                raise KeyError


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_large_bodies_take_turns(site, user, monkeypatch, length):
    monkeypatch.setattr(http, "large_bodies", Turns("", 1, 0, 60))
    large = b'{"payload": "x"}'.ljust(http.LARGE_BODY_BYTES + 1)
    small = b'{"payload": "x"}'.ljust(http.LARGE_BODY_BYTES)
    user.put("storage/col/a", large)
    before = site.digest()
    with http.large_bodies.taken():
        for method, path in (("PUT", "col/a"), ("PUT", "col"), ("POST", "col")):
            request = user.app.RequestClass.blank("/1.1/alice/storage/" + path)
            request.method = method
            request.headers["Authorization"] = user.get("storage/col").request.headers[
                "Authorization"
            ]
            request.body = large
            if length == "unknown":
                request.environ.pop("CONTENT_LENGTH")
                request.environ["wsgi.input_terminated"] = True
            response = user.app.do_request(request, status=503)
            assert is_unavailable(response, RETRY_SECONDS)
        assert site.digest() == before
        user.post("storage/col", large + b" " * MAX_BODY_BYTES, 413)
        user.put("storage/col/b", small)
        user.get("storage/col")
    user.put("storage/col/a", large)


def test_turn_lasts_until_the_body_is_stored(user, monkeypatch):
    monkeypatch.setattr(http, "large_bodies", Turns("", 1, 0, 60))
    large = b'{"payload": "x"}'.ljust(http.LARGE_BODY_BYTES + 1)
    from weave.server.writer import Writer

    put, busy = Writer.put, []

    def put_and_look(self, collection, changes):
        busy.append(http.large_bodies._running._value == 0)
        return put(self, collection, changes)

    monkeypatch.setattr(Writer, "put", put_and_look)
    user.put("storage/col/a", large)
    assert busy == [True] and http.large_bodies._running._value == 1
    user.put("storage/col/a", large[:-1] + b"x", 400)
    assert http.large_bodies._running._value == 1


def test_slow_upload_holds_nobodys_turn(site, user, monkeypatch):
    monkeypatch.setattr(http, "large_bodies", Turns("", 1, 0, 60))
    large = b'{"payload": "x"}'.ljust(http.LARGE_BODY_BYTES + 1)
    waits, goes_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                waits.set()
                goes_on.wait(60)
            return super().read(size)

    request = user.app.RequestClass.blank("/1.1/alice/storage/col/slow", method="PUT")
    request.headers["Authorization"] = basic(user.name, user.password)
    request.body = large
    request.environ["wsgi.input"] = Slow(large)
    statuses = []

    def upload():
        statuses.append(request.get_response(site.application).status_int)

    thread = threading.Thread(target=upload)
    thread.start()
    assert waits.wait(60)
    user.put("storage/col/quick", large)
    assert user.get("storage/col").json == ["quick"]
    goes_on.set()
    thread.join()
    assert statuses == [200]
    assert user.get("storage/col").json == ["quick", "slow"]


@pytest.mark.parametrize("kept", ["memory", "file"])
def test_large_body_is_the_same_from_a_file(user, monkeypatch, kept):
    monkeypatch.setattr(spool, "MEMORY_BYTES", 10**9 if kept == "memory" else 1000)
    monkeypatch.setattr(http, "LARGE_BODY_BYTES", 100)
    payload = "".join(map(str, range(30000)))
    user.put("storage/col/a", {"payload": payload})
    assert user.get("storage/col/a").json["payload"] == payload
    user.put("storage/col/a", b'{"payload": "' + b"x" * 100000, 400)
    spool._files.forget()
    assert not spool._files._held
