# SPDX-License-Identifier: Apache-2.0
"""Which files have the records."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import SOURCES
from weave.server import app
from weave.server.database import Database

pytestmark = pytest.mark.sqlite_only


def ids_in(folder, tmp_path):
    """The ids in a copy of weave.db alone."""
    shutil.copy(folder / "weave.db", tmp_path / "copy.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        return [row[0] for row in copy.execute("SELECT id FROM weave_records")]


PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
import webtest
from conftest import User
from weave.server.wsgi import application

User(webtest.TestApp(application), "alice").put("storage/col/a", {"payload": "x"})
"""


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_the_end_of_a_process(site, user, tmp_path, monkeypatch, beside, linked):
    """Whether it is the last one that has the database open, or not."""
    if linked:
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "link.db").symlink_to("../weave.db")
        text = site.ini.read_text()
        site.ini.write_text(text.replace("/weave.db", "/links/link.db"))
    monkeypatch.setenv("WEAVE_INI", str(site.ini))
    if not beside:
        site.databases.end()
    program = [sys.executable, "-c", PROGRAM, SOURCES, SOURCES + "/../tests"]
    subprocess.run(program, check=True)
    assert (tmp_path / "weave.db-wal").exists() == beside
    assert ids_in(tmp_path, tmp_path) == ["a"]


def test_end_while_others_read(site, user, tmp_path, monkeypatch):
    """It gives up in time, and the next one does it."""
    monkeypatch.setattr(app, "END_SECONDS", 0.2)
    with contextlib.closing(sqlite3.connect(tmp_path / "weave.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM weave_records").fetchall()
        user.put("storage/col/a", {"payload": "x"})
        begin = time.monotonic()
        site.databases.end()
        assert 0.2 <= time.monotonic() - begin < 60
        assert ids_in(tmp_path, tmp_path) == []
    user.get("storage/col/a")
    site.databases.end()
    assert ids_in(tmp_path, tmp_path) == ["a"]


def test_end_while_others_write(site, user, tmp_path, monkeypatch):
    """It need not wait for them."""
    monkeypatch.setattr(app, "END_SECONDS", 100)
    user.put("storage/col/a", {"payload": "x"})
    with contextlib.closing(sqlite3.connect(tmp_path / "weave.db")) as writer:
        writer.isolation_level = None
        writer.execute("BEGIN IMMEDIATE")
        begin = time.monotonic()
        site.databases.end()
        assert time.monotonic() - begin < 90
        assert ids_in(tmp_path, tmp_path) == ["a"]
        writer.execute("COMMIT")


def test_all_databases_end_in_the_same_time(make_site, monkeypatch):
    until = []
    monkeypatch.setattr(Database, "end", lambda _, time: until.append(time))
    make_site(auth="sqluri = sqlite:///%(here)s/auth.db").databases.end()
    assert len(until) == 2 and len(set(until)) == 1


def test_end_creates_nothing(site, user, tmp_path, monkeypatch):
    monkeypatch.setattr(app, "END_SECONDS", 0.1)
    (tmp_path / "weave.db").unlink()
    site.databases.end()
    (tmp_path / "weave.db-wal").write_bytes(b"")
    site.databases.end()
    assert not (tmp_path / "weave.db").exists()
