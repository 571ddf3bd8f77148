# SPDX-License-Identifier: Apache-2.0
"""weave-server backup, and how all commands fail: with a sentence."""

import contextlib
import io
import os
import resource
import sqlite3
import stat
import subprocess
import sys

import pytest

from conftest import SOURCES
from weave.server import __main__ as admin
from weave.server import app, database
from weave.server.database import Database

pytestmark = pytest.mark.sqlite_only


@pytest.fixture(autouse=True)
def as_caller(monkeypatch):
    monkeypatch.setattr(admin, "become_owner", lambda *_: None)


@pytest.fixture
def site(make_site):
    """It does not wait for long where the file is locked."""
    return make_site(patience=0.2)


@pytest.fixture
def target(site, user, tmp_path):
    """A file to be written; nothing may be left beside it."""
    user.put("storage/col/a", {"payload": "x"})
    folder = tmp_path / "copies"
    folder.mkdir()
    yield folder / "copy.db"
    assert not list(folder.glob(".*"))


def fails(*words):
    """The one sentence of a command that fails."""
    with pytest.raises(SystemExit) as caught:
        admin.main([str(word) for word in words])
    sentence = caught.value.code
    assert sentence.startswith("weave-server: ") and "\n" not in sentence
    return sentence


def ids_in(file):
    with contextlib.closing(sqlite3.connect(file)) as copy:
        return [row[0] for row in copy.execute("SELECT id FROM weave_records")]


@pytest.mark.parametrize("umask", [0, 0o077, 0o277, 0o777])
def test_mode(site, target, umask):
    before = os.umask(umask)
    try:
        admin.main(["backup", str(site.ini), str(target)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert ids_in(target) == ["a"]


def test_nothing_is_overwritten(site, target):
    target.write_text("old")
    assert "copy.db: is there already" in fails("backup", site.ini, target)
    assert target.read_text() == "old"
    target.unlink()
    target.symlink_to("nowhere")
    assert "copy.db: is there already" in fails("backup", site.ini, target)
    assert not (target.parent / "nowhere").exists()


@pytest.mark.parametrize("links", [True, False])
def test_nothing_is_overwritten_that_comes_meanwhile(site, target, monkeypatch, links):
    copy = Database.backup

    def late(self, path):
        copy(self, path)
        target.write_text("old")

    if not links:
        monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(Database, "backup", late)
    assert "copy.db: is there already" in fails("backup", site.ini, target)
    assert target.read_text() == "old"


def no_link(*_):
    raise PermissionError(1, "Operation not permitted")


def test_file_system_without_links(site, target, monkeypatch):
    monkeypatch.setattr(os, "link", no_link)
    admin.main(["backup", str(site.ini), str(target)])
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert ids_in(target) == ["a"]


def test_no_folder(site, user, tmp_path):
    for place in ("nowhere", "sync.ini"):
        sentence = fails("backup", site.ini, tmp_path / place / "copy.db")
        assert "%s: user " % (tmp_path / place) in sentence
        assert "can make no file there: N" in sentence


def test_no_room(site, target):
    """An unknown error of the system, as a full disk is one."""
    program = "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
    program += "from weave.server import __main__ as admin\n"
    program += "admin.become_owner = lambda *_: None\nadmin.main()"
    failed = subprocess.run(
        [sys.executable, "-c", program, SOURCES, "backup", str(site.ini), str(target)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40960, 40960)),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("weave-server: ")
    assert len(failed.stderr.splitlines()) == 1
    assert not target.exists()


def test_all_databases(make_site, tmp_path, capsys):
    url = "sqluri = sqlite:///%(here)s/{0}.db"
    more = "[host:other]\nstorage." + url.format("other")
    site = make_site(auth=url.format("auth"), more=more)
    site.user().put("storage/col/a", {"payload": "x"})
    target = str(tmp_path / "copy")
    admin.main(["backup", str(site.ini), target])
    assert capsys.readouterr().out.splitlines() == [
        "the records are in %s" % target,
        "the accounts are in %s.auth" % target,
        "the records of other are in %s.other" % target,
    ]
    assert (ids_in(target), ids_in(target + ".other")) == (["a"], [])
    with contextlib.closing(sqlite3.connect(target + ".auth")) as copy:
        names = copy.execute("SELECT name FROM weave_accounts").fetchall()
    assert names == [("alice",)]


def test_names_that_are_not_utf8(tmp_path, capsys):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    ini = folder / "sync.ini"
    ini.write_text("[storage]\nsqluri = sqlite:///%(here)s/weave.db\n")
    copy = folder / os.fsdecode(b"\xe9")
    for words in (["create-tables", ini], ["check", ini], ["backup", ini, copy]):
        admin.main([str(word) for word in words])
    assert capsys.readouterr().out.endswith("are in %s/caf?/?\n" % tmp_path)
    assert ids_in(copy) == []


def test_all_or_none(make_site, tmp_path):
    site = make_site(auth="sqluri = sqlite:///%(here)s/auth.db")
    (tmp_path / "copy.auth").write_text("old")
    assert "copy.auth: is there already" in fails("backup", site.ini, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_tables_of_another_release_are_copied_as_they_are(site, target):
    """One makes a backup before a migration."""
    site.ini.write_text(site.ini.read_text().replace("= true", "= false"))
    site.sql("DROP INDEX weave_records_sortindex")
    site.sql("UPDATE weave_schema SET version = 1, release = '0.1.0'")
    assert "release 0.1.0" in fails("check", site.ini)
    admin.main(["backup", str(site.ini), str(target)])
    assert ids_in(target) == ["a"]
    with contextlib.closing(sqlite3.connect(target)) as copy:
        assert [row[0] for row in copy.execute("SELECT DISTINCT version FROM weave_schema")] == [1]


def test_a_database_that_is_not_there_is_not_made(make_site, target, tmp_path):
    ini = tmp_path / "other.ini"
    ini.write_text("[storage]\nsqluri = sqlite:///%(here)s/none.db\ncreate_tables = true\n")
    assert "there is nothing to copy yet" in fails("backup", ini, target)
    assert not (tmp_path / "none.db").exists() and not target.exists()


def test_databases_of_another_kind(site, target, monkeypatch):
    monkeypatch.setattr(Database, "is_sqlite", False)
    sentence = fails("backup", site.ini, target)
    assert "copies SQLite databases only: use the backup program of " in sentence
    assert not target.exists()


COMMANDS = [("check",), ("create-tables",), ("purge",), ("backup", "x"), ("set-password", "alice")]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_failures(site, user, tmp_path, monkeypatch, words):
    words = [words[0], site.ini, *(tmp_path / "copy" if w == "x" else w for w in words[1:])]
    monkeypatch.setattr("sys.stdin", io.StringIO("a new password\n"))
    monkeypatch.setattr(database, "SQLITE_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(app, "END_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "weave.db")) as owner:
        site.databases.end()
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("UPDATE weave_users SET modified = modified")
        assert "database is locked" in fails(*words)
    (tmp_path / "weave.db").write_bytes(b"this is no database" * 100)
    assert "file is not a database" in fails(*words)
    site.ini.write_bytes(b"[storage]\nsqluri = \xff\n")
    if words[0] != "check":
        assert "not UTF-8" in fails(*words)
    site.ini.unlink()
    if words[0] != "check":
        assert "cannot be read" in fails(*words)


def test_what_is_locked_once_it_was_looked_at(site, target, tmp_path, monkeypatch):
    """sqlite3's backup() would wait for ever."""
    monkeypatch.setattr(database, "SQLITE_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(app, "END_SECONDS", 0.1)
    check_file = Database._check_file

    def check_and_lock(self):
        check_file(self)
        self.close()
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("UPDATE weave_users SET modified = modified")

    monkeypatch.setattr(Database, "_check_file", check_and_lock)
    with contextlib.closing(sqlite3.connect(tmp_path / "weave.db")) as owner:
        site.databases.end()
        assert "database is locked" in fails("backup", site.ini, target)
    assert not target.exists()


def test_failures_of_set_password(site, user, monkeypatch):
    for text, why in (("", "at least 8"), ("x" * 7, "at least 8"),
                      ("\udcff" * 8, "not UTF-8"), ("\0" * 8, "zero byte")):  # fmt: skip
        monkeypatch.setattr("sys.stdin", io.StringIO(text + "\n"))
        assert why in fails("set-password", site.ini, "alice")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff" * 8), "utf-8"))
    assert "not UTF-8" in fails("set-password", site.ini, "alice")
    monkeypatch.setattr("sys.stdin", None)
    assert "no input" in fails("set-password", site.ini, "alice")
    assert "no name of a user" in fails("set-password", site.ini, "a b")
    assert "no account bob" in fails("set-password", site.ini, "bob")
