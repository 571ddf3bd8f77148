# SPDX-License-Identifier: Apache-2.0
"""weave-server migrate makes what an older database lacks, as often and by as many as there are."""

import os
import signal
import subprocess
import sys

import pytest
import version1
from conftest import KIND, SOURCES
from sqlalchemy import create_engine, event, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from weave.server import __main__ as admin

NOTHING = "the tables are as this version needs them\n"
CHANGES = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")


@pytest.fixture(autouse=True)
def as_caller(monkeypatch):
    """Commands run as the user who runs the tests; test_owner.py is about others."""
    monkeypatch.setattr(admin, "become_owner", lambda *_: None)


class Ini:
    """A sync.ini with a database of its own, which is empty."""

    def __init__(self, folder, url):
        self.path = folder / "sync.ini"
        self.path.write_text("[storage]\nsqluri = %s\n" % url)
        self.url = url.replace("%(here)s", str(folder))
        self.engine = create_engine(self.url, poolclass=NullPool, future=True)

    def sql(self, statement):
        with self.engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def schema(self):
        """What the database says of its tables."""
        there, found = inspect(self.engine), {}
        for table in there.get_table_names():
            columns = there.get_columns(table)
            found[table] = (
                sorted((each["name"], str(each["type"]), each["nullable"]) for each in columns),
                sorted(index["name"] for index in there.get_indexes(table)),
            )
        if KIND == "mariadb":
            found["texts"] = self.sql(
                "select table_name, column_name, collation_name from information_schema.columns"
                " where table_schema = database() order by 1, 2"
            )
        return found


@pytest.fixture
def make_ini(tmp_path, make_url):
    def make(name="weave"):
        folder = tmp_path / name
        folder.mkdir()
        return Ini(folder, make_url(name))

    return make


@pytest.fixture
def ini(make_ini):
    return make_ini()


@pytest.fixture
def old(ini):
    """A database of release 0.1.0."""
    version1.make(ini.url)
    return ini


def run(capsys, *arguments):
    admin.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_from_nothing_and_once_more(ini, capsys):
    said = run(capsys, "migrate", ini.path)
    assert "made the table weave_records\n" in said
    assert "made the table weave_logins\n" in said
    assert run(capsys, "migrate", ini.path) == NOTHING
    assert run(capsys, "check", ini.path) == "ok\n"


def test_ini_of_the_environment(ini, capsys, monkeypatch):
    monkeypatch.setenv("WEAVE_INI", str(ini.path))
    run(capsys, "migrate")
    assert run(capsys, "migrate") == NOTHING
    monkeypatch.delenv("WEAVE_INI")
    with pytest.raises(SystemExit, match="name the sync.ini"):
        run(capsys, "migrate")


def is_as_new(old, make_ini, capsys):
    """Whether a database has become what a new one is, with the rows that it had."""
    new = make_ini("new")
    run(capsys, "migrate", new.path)
    assert old.schema() == new.schema()
    assert old.sql("select * from weave_schema order by part") == new.sql(
        "select * from weave_schema order by part"
    )
    assert run(capsys, "migrate", old.path) == NOTHING
    check_rows(old)


def check_rows(old):
    """Times are at most half a second later than they were, and never earlier."""
    for table, count in (("weave_users", 3), ("weave_collections", 3), ("weave_records", 15)):
        times = [row[0] for row in old.sql("select modified from %s" % table)]
        assert len(times) == count
        assert all(version1.NOW <= time < version1.NOW + 100 for time in times), times
    expires = old.sql("select distinct expires from weave_records")
    assert expires == [(version1.NEVER,)]
    assert old.sql("select distinct counted from weave_collections") == [(None,)]
    assert old.sql("select ends from weave_logins") == [(version1.NOW + 100,)]


def test_an_older_database(old, make_ini, capsys):
    said = run(capsys, "migrate", old.path).splitlines()
    assert "made the column weave_collections.counted" in said
    assert "made the index weave_records_newest" in said
    assert said[-1] == "removed the index weave_records_modified"
    if KIND == "mariadb":
        assert said[0] == "mended the times of 3 users, which were seconds"
        assert "converted the text of weave_accounts to utf8mb4_nopad_bin" in said
    is_as_new(old, make_ini, capsys)


def test_text_is_exact_afterwards(old, capsys):
    """Letters of all kinds, and ids that differ in case or by a blank at the end."""
    run(capsys, "migrate", old.path)
    old.sql("update weave_accounts set email = '\u0436\U0001f600@example.org' where user_id = 1")
    got = old.sql("select email from weave_accounts where user_id = 1")
    assert got == [("\u0436\U0001f600@example.org",)]
    columns = "user_id, collection, modified, expires, payload_size, payload, id"
    for id_ in ("A", "a", "a ", "a  "):
        old.sql("insert into weave_records (%s) values (1, 4, 1, 1, 1, 'x', '%s')" % (columns, id_))
    assert old.sql("select count(*) from weave_records where id = 'a '") == [(1,)]


def test_counts_are_forgotten(old, capsys):
    """An older release that may serve beside may have removed what was counted."""
    run(capsys, "migrate", old.path)
    old.sql("update weave_collections set records = 9, bytes = 9, counted = modified")
    run(capsys, "migrate", old.path)
    assert old.sql("select distinct counted from weave_collections") == [(None,)]


def test_a_table_of_something_else(ini, capsys):
    """Nothing is changed where not all can be."""
    ini.sql("create table weave_records (id integer)")
    before = ini.schema()
    with pytest.raises(SystemExit, match="no table of this server"):
        run(capsys, "migrate", ini.path)
    assert ini.schema() == before


def test_tables_of_a_newer_release_are_left_alone(ini, capsys):
    run(capsys, "migrate", ini.path)
    ini.sql("update weave_schema set version = 99")
    drop = "drop index weave_records_newest"
    ini.sql(drop + (" on weave_records" if KIND == "mariadb" else ""))
    before = ini.schema(), ini.sql("select * from weave_schema")
    assert run(capsys, "migrate", ini.path) == NOTHING
    assert before == (ini.schema(), ini.sql("select * from weave_schema"))


def killed(ini, number):
    """Runs migrate in a process that kill -9 ends after so many changes; whether it was."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            left = [number]

            @event.listens_for(Engine, "after_cursor_execute")
            def count(_connection, _cursor, statement, *_):
                if statement.lstrip().upper().startswith(CHANGES):
                    left[0] -= 1
                    if not left[0]:
                        os.kill(os.getpid(), signal.SIGKILL)

            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            admin.main(["migrate", str(ini.path)])
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_any_point(old, make_ini, capsys, monkeypatch):
    """The next one goes on where it was."""
    monkeypatch.setattr("weave.server.mending.RECORDS_AT_ONCE", 2)
    number = 1
    while killed(old, number):
        number += 1
        assert number < 100
    assert number > 4
    is_as_new(old, make_ini, capsys)


def many_at_once(ini, before="pass"):
    """Runs migrate in five processes; what they have done. `before` is code of theirs."""
    environment = dict(os.environ, PYTHONPATH=SOURCES, WEAVE_INI=str(ini.path))
    code = (
        "import sys, weave.server.__main__ as admin\n"
        "admin.become_owner = lambda *_: None\n"
        + before
        + "\nprint('imported', flush=True)\n"
        "sys.stdin.readline()\n"
        "admin.main(['migrate'])\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for process in running:
        assert process.stdout.readline() == "imported\n"
    for process in running:
        process.stdin.close()
    said = []
    for process in running:
        with process.stdout as stream:
            said.append(stream.read())
    assert [process.wait() for process in running] == [0] * len(running)
    return [line for lines in said for line in lines.splitlines(True) if line != NOTHING]


def test_many_at_once(old, make_ini, capsys):
    """As a fleet does it with one database: all succeed, each thing is done once."""
    done = many_at_once(old)
    assert len(done) == len(set(done)) >= 7
    is_as_new(old, make_ini, capsys)
