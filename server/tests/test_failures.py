# SPDX-License-Identifier: Apache-2.0
"""Databases that are full, locked, broken or away; and bugs."""

import logging
import os
import sqlite3
import types

import pytest
from sqlalchemy import event

from conftest import is_unavailable
from weave.server.app import create_application
from weave.server.config import ConfigError
from weave.server.writer import Writer


@pytest.fixture
def site(make_site):
    """It does not wait for long where the file is locked."""
    return make_site(patience=0.2)


def engines(site):
    return [database.engine for database in site.databases]


@pytest.fixture
def locked(site):
    """A connection that keeps others from writing."""
    connection = sqlite3.connect(site.folder / "weave.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


# It is another's upload, which takes seconds: nobody shall wait for half an hour.
SOON_SECONDS = 30

WRITES = [
    ("PUT", "storage/col/a", {"payload": "y"}),
    ("POST", "storage/col", [{"id": "a", "payload": "y"}, {"id": "b", "payload": "y"}]),
    ("DELETE", "storage/col/a", None),
    ("DELETE", "storage/col", None),
    ("DELETE", "storage", None),
]


@pytest.mark.sqlite_only
def test_locked_database(site, user, caplog, request):
    user.put("storage/col/a", {"payload": "x"})
    before = site.digest()
    request.getfixturevalue("locked")
    for method, path, body in WRITES:
        response = user.call(method, path, body, 503, X_Confirm_Delete="1")
        assert is_unavailable(response, SOON_SECONDS)
    assert user.get("storage/col/a").json["payload"] == "x", "readers do not wait"
    site.app.get("/__heartbeat__")
    sign_up = {"email": "b@example.org", "password": "long enough"}
    response = site.app.put_json("/user/1.0/bob", sign_up, status=503)
    assert is_unavailable(response, SOON_SECONDS)
    assert "database is locked" in caplog.text
    request.getfixturevalue("locked").execute("ROLLBACK")
    assert site.digest() == before
    user.put("storage/col/a", {"payload": "y"})


@pytest.mark.sqlite_only
def test_full_disk(make_site, caplog):
    site = make_site(storage="batch_max_bytes = 100000000\npool_recycle = -1")
    user = site.user()
    user.put("storage/col/a", {"payload": "x"})
    for engine in engines(site):
        # What SQLite answers then is what it answers on a full disk.
        event.listen(
            engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count = 100")
        )
        engine.dispose()
    before = site.digest()
    batch = [{"id": str(n), "payload": "y" * 100000} for n in range(20)]
    for _ in range(2):
        assert is_unavailable(user.post("storage/col", batch, 503))
        assert site.digest() == before
    assert "the database refuses: database or disk is full: make room" in caplog.text
    assert "yyy" not in caplog.text, "what users store must not reach the log"
    assert user.get("storage/col").json == ["a"]
    user.put("storage/col/b", {"payload": "x"})


def test_accounts_are_away_is_never_401(make_site, tmp_path):
    site = make_site(
        storage="pool_recycle = -1",
        auth="sqluri = sqlite:///%(here)s/auth.db\ncreate_tables = true",
        more="[global]\nretry_after = 77",
    )
    user = site.user()
    for engine in engines(site):
        engine.dispose()
    for name in ("auth.db", "auth.db-wal", "auth.db-shm"):
        path = tmp_path / name
        if path.exists():
            path.unlink()
    (tmp_path / "auth.db").write_bytes(b"this is no database" * 100)
    for password in (user.password, "wrong password"):
        user.password = password
        assert is_unavailable(user.get("info/collections", 503), 77)
    assert is_unavailable(site.app.get("/user/1.0/alice", status=503), 77)
    assert is_unavailable(site.app.get("/user/1.0/alice/node/weave", status=503), 77)
    assert is_unavailable(site.app.get("/__heartbeat__", status=503), 77)
    assert site.app.get("/__lbheartbeat__").status_int == 200


def test_tables_that_vanish(site, user):
    site.sql("drop table weave_records")
    assert is_unavailable(user.get("storage/col/a", 503))
    assert is_unavailable(user.put("storage/col/a", {"payload": "x"}, 503))


def test_no_connection_left(make_site):
    site = make_site(storage="pool_size = 1\npool_max_overflow = 0\npool_timeout = 0")
    user = site.user()
    (engine,) = engines(site)
    with engine.connect():
        assert is_unavailable(user.get("info/collections", 503))
    user.get("info/collections")


def test_failure_in_the_middle_of_a_write(site, user, monkeypatch, caplog):
    user.put("storage/col/a", {"payload": "x"})
    before = site.digest()

    def explode(self, *_arguments):
        raise RuntimeError("for the test")

    monkeypatch.setattr(Writer, "_close", explode)
    with caplog.at_level(logging.ERROR):
        for method, path, body in WRITES[:4]:
            response = user.call(method, path, body, 500)
            assert response.json == "server issue: unexpected error"
            assert "X-Weave-Timestamp" in response.headers
    assert site.digest() == before
    assert "Traceback" in caplog.text and "for the test" in caplog.text


def test_folder_of_the_database_is_missing(make_site):
    with pytest.raises(
        ConfigError, match="/nowhere/auth.db: its folder does not exist.*create it"
    ):
        make_site(storage="", auth="sqluri = sqlite:///%(here)s/nowhere/auth.db")


@pytest.mark.parametrize(
    "url, message",
    [
        ("oracle://u:secret@h/x", "not supported; use one of sqlite"),
        ("nonsense://u:secret@h/x", "not supported; use one of sqlite"),
        ("mysql+nonsense://u:secret@h/x", "its driver is missing"),
        ("mysql://u:secret@h:port/x", "must be a database URL"),
        ("mysql://u:a@b:secret@h/x", "must be a database URL"),
    ],
)
def test_kind_of_database(make_site, url, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_site(auth="sqluri = " + url)
    assert "secret" not in str(caught.value)


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "which, flags, what, cure",
    [
        ("{0}", 0, "folder", r"change the mode \(chmod u\+w\)"),
        ("{0}/weave.db", 0, "file", r"change the mode \(chmod u\+w\)"),
        ("{0}/weave.db", os.ST_RDONLY, "file", "its file system is read-only"),
    ],
)
def test_database_that_cannot_be_written(
    site, tmp_path, monkeypatch, which, flags, what, cure
):
    path = which.format(tmp_path)
    # root may write everywhere, so that permissions alone would show nothing.
    monkeypatch.setattr("os.access", lambda asked, mode: asked != path)
    found = os.statvfs(path)
    mounted = types.SimpleNamespace(f_flag=found.f_flag & ~os.ST_RDONLY | flags)
    monkeypatch.setattr("os.statvfs", lambda asked: mounted)
    message = r"its %s cannot be written by the user .*: %s" % (what, cure)
    with pytest.raises(ConfigError, match=message):
        create_application(str(site.ini))


@pytest.mark.sqlite_only
def test_database_that_became_read_only(site, user, caplog):
    """Such as by a file system that the kernel has mounted so after an error of the disk."""
    user.put("storage/col/a", {"payload": "x"})
    before = site.digest()
    for engine in engines(site):
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA query_only = 1"))
        engine.dispose()
    for method, path, body in WRITES:
        assert is_unavailable(user.call(method, path, body, 503, X_Confirm_Delete="1"))
    assert "the database refuses: attempt to write a readonly database: the file" in caplog.text
    assert user.get("storage/col").json == ["a"]
    assert site.digest() == before


def test_tables_are_missing(make_site, tmp_path):
    lines = "sqluri = sqlite:///%(here)s/auth.db\ncreate_tables = false"
    with pytest.raises(
        ConfigError, match="auth.db.* its file is missing.*create_tables"
    ):
        make_site(auth=lines)
    sqlite3.connect(tmp_path / "auth.db").execute(
        "create table other (x)"
    ).connection.close()
    with pytest.raises(ConfigError, match="a table is missing.*create_tables"):
        make_site(auth=lines)


def test_database_that_comes_back(make_site, tmp_path):
    (tmp_path / "auth.db").write_bytes(b"this is no database" * 100)
    site = make_site(auth="sqluri = sqlite:///%(here)s/auth.db\ncreate_tables = true")
    assert is_unavailable(site.app.get("/__heartbeat__", status=503))
    (tmp_path / "auth.db").unlink()
    site.app.get("/__heartbeat__")
    site.user().get("info/collections")
