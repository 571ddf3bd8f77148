# SPDX-License-Identifier: Apache-2.0
"""The token server: its answers, whatever is asked, and what they cost.

What clients depend on in them is in test_traps15_tokens.py.
"""

import contextlib
import logging
import multiprocessing
import sqlite3
import time

import plans
import pytest
import webtest
from account_server import AccountServer
from client15 import (
    CLIENT_STATE,
    KEY,
    KEYS_CHANGED_AT,
    KEY_ID,
    Client,
    InProcess,
    ask_for_token,
    endpoint_of,
    key_id,
    open_token,
)
from conftest import RETRY_HEADERS, Site15, eventually
from weave.server.app import Databases, create_application

PATHS = ("/1.0/sync/1.5", "/token/1.0/sync/1.5")
PATH = PATHS[0]


def database(site):
    return next(iter(site.databases))


@pytest.fixture
def site(make_site):
    return make_site(Site15).load_keys()


def checked(answer, status):
    """The JSON object of an answer that has all that every answer must have."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert abs(int(answer.headers["X-Timestamp"]) - time.time()) < 600
    found = answer.json
    assert type(found) is dict
    if status == 200:
        return found
    assert list(found) == ["status", "errors"] and len(found["errors"]) == 1
    assert sorted(found["errors"][0]) == ["description", "location", "name"]
    assert found["errors"][0]["location"] in ("body", "header", "url")
    return found


def ask(site, path=PATH, jwt=None, kid=KEY_ID, **headers):
    return ask_for_token(site.transport, path, jwt or KEY.jwt(), kid, **headers)


@pytest.mark.parametrize("path", PATHS)
def test_a_token(path, site):
    found = checked(ask(site, path), 200)
    assert sorted(found) == sorted(
        ["id", "key", "uid", "api_endpoint", "duration", "hashalg", "hashed_fxa_uid", "node_type"]
    )
    claims = open_token(site.secret, found["id"])
    assert claims["uid"] == found["uid"] and claims["fxa_uid"] == "ab" * 16
    assert claims["fxa_kid"] == KEY_ID and claims["node"] == site.node
    assert found["hashed_fxa_uid"] != claims["fxa_uid"] and found["duration"] == 3600
    again = checked(ask(site, path), 200)
    assert again["uid"] == found["uid"] and again["id"] != found["id"]
    assert again["hashed_fxa_uid"] == found["hashed_fxa_uid"]


def test_a_sync_with_the_token(site):
    device = Client(site.transport, **endpoint_of(ask(site).json))
    assert device.get("info/collections").json == {}
    device.put("storage/meta/global", {"payload": "x"}, X_If_Unmodified_Since="0")
    device.post("storage/bookmarks", [{"id": "a", "payload": "y"}])
    assert device.get("storage/bookmarks?full=1").json[0]["payload"] == "y"
    site.sql("update weave_fxa_users set replaced = 1")
    for _ in range(2):
        device.get("storage/meta/global", 401)
        device.put("storage/meta/global", {"payload": "x"}, 401)


# ---- what is wrong with a request ----

OTHER_STATE = "fe" * 16
REQUESTS = [
    # headers, status, text, description, location, name
    ({"Authorization": None}, 401, "error", "Unauthorized", "body", ""),
    ({"Authorization": "BrowserID abc"}, 401, "error", "Unsupported", "body", ""),
    ({"Authorization": "Basic YTpi"}, 401, "error", "Unsupported", "body", ""),
    ({"Authorization": "Hawk id=1"}, 401, "error", "Unsupported", "body", ""),
    ({"Authorization": "Bearer x"}, 401, "invalid-credentials", "Unauthorized", "body", ""),
    ({"X-KeyID": None}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "x"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "-1-AAAA"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "1_0-AAAA"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "1-AAA"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "1-AAAAA"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "1-AA+A"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "9" * 16 + "-AAAA"}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    ({"X-KeyID": "1-" + "A" * 9999}, 401, "invalid-key-id", "Unauthorized", "body", ""),
    (
        {"X-Client-State": OTHER_STATE},
        401,
        "invalid-client-state",
        "Unauthorized",
        "header",
        "X-Client-State",
    ),
    (
        {"X-Client-State": "a b"},
        400,
        "error",
        "Invalid client state value",
        "header",
        "X-Client-State",
    ),
]


@pytest.mark.sqlite_only
def test_wrong_headers(site):
    for headers, status, text, description, location, name in REQUESTS:
        sent = {"Authorization": "Bearer " + KEY.jwt(), "X-KeyID": KEY_ID}
        sent.update(headers)
        sent = {name_: value for name_, value in sent.items() if value is not None}
        found = checked(site.transport.request("GET", PATH, None, sent), status)
        assert found["status"] == text, headers
        (error,) = found["errors"]
        said = (error["description"], error["location"], error["name"])
        assert said == (description, location, name), headers
    assert site.sql("select * from weave_fxa_users") == []


@pytest.mark.sqlite_only
def test_client_state(site):
    checked(ask(site, X_Client_State=CLIENT_STATE), 200)
    checked(ask(site, X_Client_State=CLIENT_STATE.upper()), 200)
    checked(ask(site, kid=KEY_ID + "=="), 200)


def test_every_rule_has_its_error(site):
    """The rules themselves are in test_members.py."""
    checked(ask(site), 200)
    later = KEYS_CHANGED_AT + 5
    for jwt, kid, status in (
        (KEY.jwt(fxa_generation=1), KEY_ID, "invalid-generation"),
        (KEY.jwt(), key_id(KEYS_CHANGED_AT - 1, CLIENT_STATE), "invalid-keysChangedAt"),
        (KEY.jwt(), key_id(later, CLIENT_STATE), "invalid-keysChangedAt"),
        (KEY.jwt(), key_id(KEYS_CHANGED_AT, OTHER_STATE), "invalid-client-state"),
    ):
        found = checked(ask(site, jwt=jwt, kid=kid), 401)
        assert found["status"] == status
    assert len(site.sql("select * from weave_fxa_users")) == 1


@pytest.mark.sqlite_only
def test_the_log_says_who_was_refused(site, caplog):
    checked(ask(site), 200)
    found = checked(ask(site, jwt=KEY.jwt(sub="cd" * 16)), 403)
    assert found["status"] == "new-users-disabled"
    (line,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "weave-server admit INI " + "cd" * 16 in line.getMessage()
    caplog.clear()
    token = KEY.jwt(exp=5)
    checked(ask(site, jwt=token), 401)
    (line,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "expired" in line.getMessage() and token not in caplog.text


@pytest.mark.sqlite_only
def test_other_methods(site):
    for path in PATHS:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            checked(site.transport.request(method, path, None, {}), 405)
        answer = site.transport.request("HEAD", path, None, {})
        assert answer.status == 405 and answer.headers["X-Timestamp"]


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "path, what",
    [("/token/1.0/sync/1.1", "version"), ("/token/1.0/notes/1.5", "application")],
)
def test_other_applications(path, what, site):
    found = checked(ask(site, path), 404)
    assert found["errors"][0]["description"] == "Unsupported " + what
    assert found["errors"][0]["location"] == "url"


@pytest.mark.sqlite_only
def test_other_paths_below(site):
    for path in ("/token/1.0", "/token/1.0/sync", "/token/1.0/sync/1.5/x", "/token/%ff"):
        checked(ask(site, path), 400 if "%" in path else 404)


@pytest.mark.sqlite_only
def test_the_user_of_sync_1_0_who_is_called_sync(site):
    sync = site.user("sync")
    sync.version = "1.0"
    sync.put("storage/col/a", {"payload": "x"})
    assert sync.get("info/collections").json.keys() == {"col"}
    sync.get("storage/col/a")
    checked(ask(site), 200)


# ---- faults of ours ----


def test_a_database_that_is_away(site, monkeypatch):
    checked(ask(site), 200)
    engine = database(site).engine

    def fail(*_, **__):
        raise engine.dialect.dbapi.OperationalError("it is away")

    engine.dispose()
    with monkeypatch.context() as patch:
        patch.setattr(engine.dialect, "connect", fail)
        for path in PATHS:
            for jwt in (KEY.jwt(), KEY.jwt(sub="cd" * 16), KEY.jwt({"kid": "unknown"})):
                answer = ask(site, path, jwt)
                (error,) = checked(answer, 503)["errors"]
                assert error["description"] == "Resource is not available"
                assert all(answer.headers[name] == "1800" for name in RETRY_HEADERS)
    checked(ask(site), 200)


@pytest.mark.sqlite_only
def test_a_database_that_nobody_can_write(make_site):
    """Members get their tokens all the same; who would have to be stored gets a 503."""
    site = make_site(Site15, patience=0.2).load_keys()
    uid = checked(ask(site), 200)["uid"]
    site.sql("update weave_fxa_users set seen = 1")
    site.sql("insert into weave_fxa_allowed (fxa_uid) values (?)", ["cd" * 16])
    before = site.digest()
    connection = sqlite3.connect(site.folder / "weave.db", isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        assert checked(ask(site), 200)["uid"] == uid
        later = KEYS_CHANGED_AT + 5
        newer = (KEY.jwt(fxa_generation=later), key_id(later, OTHER_STATE))
        for jwt, kid in ((KEY.jwt(sub="cd" * 16), KEY_ID), newer):
            assert checked(ask(site, jwt=jwt, kid=kid), 503)
    assert site.digest() == before
    assert checked(ask(site, jwt=newer[0], kid=newer[1]), 200)["uid"] != uid


@pytest.mark.sqlite_only
def test_a_bug(site, monkeypatch):
    monkeypatch.setattr("weave.server.oauth.verify", lambda *_: 1 / 0)
    found = checked(ask(site), 500)
    assert found["status"] == "internal-error"


def test_without_a_secret_file_there_is_nothing(make_site):
    site = make_site()
    for path in PATHS:
        assert site.app.get(path, status=404).json == "404 Not Found"
    tables = dict(site.sql("select part, version from weave_schema"))
    assert "sync15" not in tables


# ---- the URL ----


@pytest.mark.sqlite_only
def test_public_url_wins(make_site):
    class Below(Site15):
        node = "https://sync.example.org:8443/a/b"

    site = make_site(Below).load_keys()
    found = checked(ask(site, Host="elsewhere.example.org"), 200)
    assert found["api_endpoint"] == "%s/1.5/%d" % (Below.node, found["uid"])
    Client(site.transport, **endpoint_of(found))


@pytest.fixture
def derived(make_site):
    """A site without public_url."""
    site = make_site(Site15).load_keys()
    text = site.ini.read_text()
    site.ini.write_text(text.replace("public_url = " + site.node, ""))
    site.app.app = create_application(str(site.ini), site.databases)
    return site


def test_a_url_of_the_first_request(derived):
    derived.app.extra_environ["SCRIPT_NAME"] = "/prefix"
    found = checked(ask(derived, Host="Sync.Example.org:8000"), 200)
    first = "http://sync.example.org:8000/prefix/1.5/%d" % found["uid"]
    assert found["api_endpoint"] == first
    Client(derived.transport, **endpoint_of(found))
    derived.app.extra_environ["SCRIPT_NAME"] = ""
    assert checked(ask(derived, Host="other"), 200)["api_endpoint"] == first


@pytest.mark.sqlite_only
def test_a_host_that_is_none(derived):
    for host in ("a b", "a/b", "a\\b", "user@host", "x" * 500, "a:b"):
        checked(ask(derived, Host=host), 400)
    assert derived.sql("select * from weave_fxa_users") == []


@pytest.mark.sqlite_only
def test_a_host_of_ipv6(derived):
    found = checked(ask(derived, Host="[::1]:8080"), 200)
    assert found["api_endpoint"].startswith("http://[::1]:8080/1.5/")


# ---- what a token costs ----


def test_statements(site):
    """A member who was here lately costs one statement, and writes nothing."""
    checked(ask(site), 200)
    queries, statements, before = set(), {}, site.digest()
    with plans.recorded(statements), plans.used(queries):
        checked(ask(site), 200)
    assert [text for text in statements if "weave_" in text] == list(statements)
    assert len(statements) == 1 and len(queries) == 1
    assert site.digest() == before


# ---- processes ----

PROCESSES = 3


def answered(app, sub):
    """The Answer, unless it is a 503."""
    answer = ask_for_token(InProcess(app), PATH, KEY.jwt(sub=sub))
    return answer if answer.status != 503 else None


def ask_in_process(ini, subjects):
    """The uids of accounts, or the status of a refusal, for a process of its own."""
    databases, found = Databases(), []
    app = webtest.TestApp(create_application(ini, databases))
    for sub in subjects:
        # It is a 503 while another process fetches the keys.
        answer = eventually(lambda: answered(app, sub), "an answer that is none of 503")
        found.append(answer.json["uid"] if answer.status == 200 else answer.status)
    for each in databases:
        each.close()
    return found


def test_processes(make_site):
    """The processes of a new server fetch the keys once, and admit one account, with one user."""
    server = AccountServer()
    try:
        site = make_site(Site15, sync15="jwks_url = " + server.url)
        accounts = ["%x" % n * 32 for n in range(PROCESSES)]
        context, begin = multiprocessing.get_context("spawn"), time.monotonic()
        with context.Pool(PROCESSES) as pool:
            # Each begins with another one.
            orders = [accounts[n:] + accounts[:n] for n in range(PROCESSES)]
            found = pool.starmap(ask_in_process, [(str(site.ini), order) for order in orders])
        # A machine that is very busy may be too late for the first one.
        assert len(server.requests) <= 1 + (time.monotonic() - begin) // 60
    finally:
        server.close()
    ((uid, fxa_uid),) = site.sql("select user_id, fxa_uid from weave_fxa_users")
    for order, got in zip(orders, found):
        assert got == [uid if sub == fxa_uid else 403 for sub in order]
