# SPDX-License-Identifier: Apache-2.0
"""The keys of the account server: fetched seldom, remembered, and never lost."""

import json
import logging
import re
import threading
import time

import pytest
from account_server import AccountServer
from certificates import HERE, Authority, day
from client15 import KEY, ask_for_token

from conftest import LONG_SECONDS, POOL, Site15, eventually
from weave.server import fetch as fetching
from weave.server import jwks, settings_table
from weave.server.database import Database
from weave.server.jwks import Jwks, KeysError, NoKeys
from weave.server.schema import METADATA as RECORDS
from weave.server.schema15 import METADATA

DAY = 24 * 3600


@pytest.fixture
def server():
    made = AccountServer()
    yield made
    made.close()


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Moves the clock of the wall, and the monotonic one by which keys are remembered."""
    made, begin = Clock(), time.time()
    monkeypatch.setattr(jwks, "_monotonic", lambda: 1000 + made.now - begin)
    return made


@pytest.fixture
def make_keys(make_url, tmp_path, server, clock):
    """Makes a Jwks with a Database of its own, as each process has one."""
    made = []

    def make(url=None):
        database = Database(make_url().replace("%(here)s", str(tmp_path)), POOL)
        database.require(RECORDS, True)
        database.require(METADATA, True)
        made.append(database)
        return Jwks(database, url or server.url, clock)

    yield make
    for database in made:
        database.close()


def has(keys, kid=KEY.kid):
    return bool(keys.find(kid))


def test_the_first_token_fetches_them(make_keys, server):
    keys = make_keys()
    assert has(keys) and has(keys) and keys.find(None)
    assert server.requests == ["/v1/jwks"]
    assert has(make_keys()), "another process reads them from the database"
    assert len(server.requests) == 1


def test_an_unknown_name(make_keys, server, clock):
    keys, other = make_keys(), make_keys()
    assert has(keys)
    for _ in range(3):
        assert not keys.find("unknown") and not other.find("unknown")
    assert len(server.requests) == 1, "at most once a minute, in all processes"
    clock.now += 61
    for _ in range(3):
        assert not keys.find("unknown") and not other.find("unknown")
    assert len(server.requests) == 2


def test_a_new_key(make_keys, server, clock):
    keys, other = make_keys(), make_keys()
    assert has(keys) and has(other)
    new = KEY.jwk(kid="new")
    server.answer = server.send(json.dumps({"keys": [new]}).encode())
    clock.now += 100 * DAY
    assert has(keys, "new") and has(other, "new")
    assert not has(keys) and not has(other), "the old one is gone"
    assert len(server.requests) == 2


def test_a_key_that_is_gone_is_forgotten_by_others(make_keys, server, clock):
    keys, other = make_keys(), make_keys()
    assert has(keys) and has(other)
    new = json.dumps({"keys": [KEY.jwk(kid="new")]}).encode()
    server.answer = server.send(new)
    other.load(new)
    clock.now += jwks.MEMORY_SECONDS + 1
    assert not has(keys)


def broken(server):
    return {
        "not found": server.send(b"{}", 404),
        "a page for people": server.send(b"<html>are you a robot?</html>", 406),
        "a redirection": server.send(b"", 302, Location=server.url),
        "no JSON": server.send(b"<html>"),
        "no object": server.send(b"[]"),
        "no list": server.send(b'{"keys":{}}'),
        "no key": server.send(b'{"keys":[]}'),
        "no key for this": server.send(
            json.dumps(
                {"keys": [KEY.jwk(use="enc"), KEY.jwk(alg="RS512"), {"kty": "EC"}, 5]}
            ).encode()
        ),
        "a weak key": server.send(json.dumps({"keys": [KEY.jwk(n="AQAB")]}).encode()),
        "many keys": server.send(
            json.dumps({"keys": [KEY.jwk(kid=str(n)) for n in range(17)]}).encode()
        ),
        "huge": server.send(KEY.jwks() + b" " * jwks.MAX_BYTES),
        "deep": server.send(b"[" * 60000),
        "cut": server.send(KEY.jwks()[:-9], **{"Content-Length": "9999"}),
        "nothing": lambda handler: None,
        "no HTTP": lambda handler: handler.wfile.write(b"SSH-2.0\r\n"),
    }


BROKEN = [
    "not found", "a page for people", "a redirection", "no JSON", "no object", "no list",
    "no key", "no key for this", "a weak key", "many keys", "huge", "deep", "cut",
    "nothing", "no HTTP",
]  # fmt: skip


@pytest.mark.sqlite_only
@pytest.mark.parametrize("what", BROKEN)
def test_broken(what, make_keys, server, clock, caplog):
    good = server.answer
    server.answer = broken(server)[what]
    keys = make_keys()
    with pytest.raises(NoKeys, match="fetch-keys"):
        keys.find(KEY.kid)
    assert "cannot be fetched (" in caplog.text and server.url in caplog.text
    assert "Traceback" not in caplog.text
    server.answer = good
    clock.now += 61
    assert has(keys)
    server.answer = broken(server)[what]
    clock.now += 61
    assert not keys.find("unknown")
    assert has(keys) and has(make_keys()), "the old ones are kept"
    assert len(server.requests) == 3


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A machine that is busy is no server that is slow."""
    monkeypatch.setattr(fetching, "SECONDS", LONG_SECONDS)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("begin", [b"X-Slow: ", b"\r\n", b"Content-Length: 9999\r\n\r\n"])
def test_slow(begin, make_keys, server, clock, monkeypatch, caplog):
    keys = make_keys()
    assert has(keys)
    server.answer = lambda handler: server.trickle(handler, begin)
    clock.now += 61
    monkeypatch.setattr(fetching, "SECONDS", 0.3)
    before = time.monotonic()
    assert not keys.find("unknown")
    assert time.monotonic() - before < 60, "it would last for ever"
    # on a busy machine a single byte may be late, too
    assert re.search("within|timed out", caplog.text) and has(keys)
    # And the thread that has asked ends, too.
    eventually(lambda: not fetchers(), "the end of the thread")


def test_nobody_answers(make_keys, clock, caplog):
    keys = make_keys("http://127.0.0.1:1/jwks")
    with pytest.raises(NoKeys):
        keys.find(KEY.kid)
    assert "refused" in caplog.text


@pytest.mark.sqlite_only
@pytest.mark.parametrize("names, is_good", [(HERE, True), ("DNS:example.org", False)])
def test_certificates(names, is_good, make_keys, server, tmp_path, monkeypatch, caplog):
    authority = Authority(tmp_path)
    server.encrypt(*authority.make("good", day(-9), day(9), names))
    keys = make_keys()
    with pytest.raises(KeysError, match="certificate"):
        keys.fetch_now()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    if is_good:
        assert keys.fetch_now() == 1
    else:
        with pytest.raises(KeysError, match="certificate"):
            keys.fetch_now()


def fetchers():
    return [thread for thread in threading.enumerate() if thread.name == "weave-fetch"]


def test_one_fetches_for_all(make_keys, server):
    """The others do not wait for it, and no transaction does."""
    may_go_on = threading.Event()
    good = server.answer

    def wait(handler):
        may_go_on.wait(LONG_SECONDS)
        good(handler)

    server.answer = wait
    keys, other, found = make_keys(), make_keys(), []
    first = threading.Thread(target=lambda: found.append(has(keys)))
    first.start()
    eventually(lambda: server.requests, "the request")
    for one in (keys, other):
        with pytest.raises(NoKeys):
            one.find(KEY.kid)
    with pytest.raises(NoKeys):
        make_keys().find(KEY.kid)
    other.load(json.dumps({"keys": [KEY.jwk(kid="by hand")]}).encode())
    may_go_on.set()
    first.join(LONG_SECONDS)
    assert found == [True] and len(server.requests) == 1


def test_old_keys_do_not_tell_that_a_name_is_wrong(make_keys, server, clock):
    keys = make_keys()
    assert has(keys)
    server.answer = broken(server)["not found"]
    clock.now += DAY - 1
    assert keys.find("unknown") == [], "a new key is shown long before it is used"
    clock.now += 2
    with pytest.raises(NoKeys):
        keys.find("unknown")
    assert has(keys)
    server.answer = server.send(KEY.jwks())
    clock.now += 61
    assert keys.find("unknown") == []


def test_a_key_that_the_account_server_has_dropped(make_keys, server, clock):
    """It may have been stolen, and no token needs to name another one."""
    keys, other = make_keys(), make_keys()
    assert has(keys) and has(other)
    good, server.answer = server.answer, broken(server)["not found"]
    clock.now += DAY
    for _ in range(3):
        assert has(keys) and has(other)
    assert len(server.requests) == 2, "once a day, where it fails"
    server.answer = good
    clock.now += DAY
    assert has(keys) and has(other)
    server.answer = server.send(json.dumps({"keys": [KEY.jwk(kid="new")]}).encode())
    clock.now += DAY
    assert not has(keys) and not has(other)
    assert len(server.requests) == 4


def test_a_file_may_be_old(make_keys, server, clock):
    """Keys that were loaded by hand do not tell that a name is wrong."""
    keys = make_keys()
    keys.load(KEY.jwks())
    server.answer = broken(server)["not found"]
    with pytest.raises(NoKeys):
        keys.find("unknown")
    clock.now += 100 * DAY
    assert has(keys) and len(server.requests) == 1, "who has loaded them does it again"


def test_a_clock_that_goes_back(make_keys, server, clock):
    keys = make_keys()
    clock.now += 100 * DAY
    assert has(keys)
    clock.now -= 100 * DAY
    with_other = make_keys()
    assert has(with_other)
    assert not with_other.find("unknown"), "it is fetched in spite of the attempt ahead"
    assert len(server.requests) == 2


@pytest.mark.sqlite_only
def test_a_row_that_cannot_be_read(make_keys, server, clock):
    keys = make_keys()
    assert has(keys)
    for text in ("", "{}", "5", '{"keys":[["a","zz",3]],"since":0}', "<"):
        put(keys, jwks.KEYS, text)
        clock.now += 61
        assert has(make_keys()), text


def put(keys, name, value):
    keys._database.write(lambda connection: settings_table.put(connection, name, value))


def test_by_hand(make_keys, server):
    keys = make_keys()
    assert keys.load(KEY.jwks()) == 1
    for data in (b"", b"{}", b"\xff", KEY.jwks()[:-1], b" " * 100_000):
        with pytest.raises(KeysError):
            keys.load(data)
    assert has(keys) and not server.requests
    assert keys.fetch_now() == 1
    server.answer = broken(server)["not found"]
    with pytest.raises(KeysError, match="404"):
        keys.fetch_now()
    assert has(make_keys())


def test_a_key_without_a_name(make_keys):
    jwk = KEY.jwk()
    del jwk["kid"]
    keys = make_keys()
    keys.load(json.dumps({"keys": [jwk]}).encode())
    assert keys.find("any") and keys.find(None)


def test_the_token_server_without_keys(make_site, server, caplog):
    site = make_site(Site15, sync15="jwks_url = " + server.url)
    good, server.answer = server.answer, server.send(b"", 500)
    caplog.set_level(logging.WARNING)
    answer = ask_for_token(site.transport, "/1.0/sync/1.5", KEY.jwt())
    assert answer.status == 503 and answer.json["errors"]
    assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert "fetch-keys" in caplog.text
    site.sql("delete from weave_settings")
    server.answer = good
    for database in site.databases:
        Jwks(database, server.url).fetch_now()
        break
    assert ask_for_token(site.transport, "/1.0/sync/1.5", KEY.jwt()).status == 200
