# SPDX-License-Identifier: Apache-2.0
"""weave-server migrate: makes what is missing, as often and as many as there are."""

import os
import sqlite3
import subprocess
import sys

import pytest
from conftest import SOURCES

from weave.server import __main__ as admin

INI = "[storage]\nsqluri = sqlite:///%(here)s/weave.db\n"
NOTHING = "the tables are as this version needs them\n"


@pytest.fixture(autouse=True)
def as_caller(monkeypatch):
    """Whoever runs the tests is whom commands run as; test_owner.py is about that."""
    monkeypatch.setattr(admin, "become_owner", lambda *_: None)


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / "sync.ini"
    path.write_text(INI)
    return path


def run(capsys, *arguments):
    admin.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def schema(ini):
    """What the database says of its tables and indexes."""
    connection = sqlite3.connect(ini.parent / "weave.db")
    try:
        rows = connection.execute("select type, name from sqlite_master").fetchall()
        tables = [name for kind, name in rows if kind == "table"]
        columns = [
            (table, row[1])
            for table in tables
            for row in connection.execute("pragma table_info(%s)" % table)
        ]
        return sorted(rows) + sorted(columns)
    finally:
        connection.close()


def test_from_nothing_and_once_more(ini, capsys):
    said = run(capsys, "migrate", ini)
    assert "made the table weave_records\n" in said
    assert "made the table weave_logins\n" in said
    assert run(capsys, "migrate", ini) == NOTHING
    assert run(capsys, "check", ini) == "ok\n"


def test_ini_of_the_environment(ini, capsys, monkeypatch):
    monkeypatch.setenv("WEAVE_INI", str(ini))
    run(capsys, "migrate")
    assert run(capsys, "migrate") == NOTHING
    monkeypatch.delenv("WEAVE_INI")
    with pytest.raises(SystemExit, match="name the sync.ini"):
        run(capsys, "migrate")


def test_an_older_database(site, user, capsys):
    """What is missing is made, what is there stays."""
    whole = schema(site.ini)
    user.put("storage/col/a", {"payload": "x", "sortindex": 3})
    for statement in (
        "drop table weave_logins",
        "drop index weave_records_newest",
        "alter table weave_records drop column predecessorid",
    ):
        site.sql(statement)
    said = run(capsys, "migrate", site.ini)
    assert sorted(said.splitlines()) == [
        "made the column weave_records.predecessorid",
        "made the index weave_records_newest",
        "made the table weave_logins",
    ]
    assert schema(site.ini) == whole
    assert user.get("storage/col/a").json["payload"] == "x"
    assert run(capsys, "migrate", site.ini) == NOTHING


def test_a_table_of_something_else(ini, capsys):
    """Nothing is changed where not all can be."""
    connection = sqlite3.connect(ini.parent / "weave.db")
    connection.execute("create table weave_records (id integer)")
    connection.close()
    with pytest.raises(SystemExit, match="no table of this server"):
        run(capsys, "migrate", ini)
    assert ("weave_records", "id") in schema(ini)
    assert ("table", "weave_users") not in schema(ini)


def test_many_at_once(ini):
    """As a fleet does it with one database: all succeed, each table is made once."""
    environment = dict(os.environ, PYTHONPATH=SOURCES, WEAVE_INI=str(ini))
    code = (
        "import sys, weave.server.__main__ as admin\n"
        "admin.become_owner = lambda *_: None\n"
        "print('imported', flush=True)\n"
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
        for _ in range(6)
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
    made = [line for text in said for line in text.splitlines(True) if line != NOTHING]
    assert len(made) == len(set(made)) >= 4
