# SPDX-License-Identifier: Apache-2.0
"""Migrations beside others: other migrations, and transactions that are open for long."""

import threading

import pytest
import version1
from conftest import KIND
from sqlalchemy import text
from test_migrate import Ini, as_caller, is_as_new, make_ini, many_at_once  # noqa: F401
from test_versions import start

from weave.server import __main__ as admin
from weave.server import migration, turn_of_migration
from weave.server.config import ConfigError

pytestmark = pytest.mark.skipif(KIND == "sqlite", reason="a transaction is the turn there")

NO_LOCK = "import weave.server.turn_of_migration as t; t._take_lock = lambda _: True"


@pytest.fixture
def old(make_ini):  # noqa: F811
    ini = make_ini()
    version1.make(ini.url)
    return ini


def test_many_at_once_without_a_lock(old, make_ini, capsys):  # noqa: F811
    """As on the nodes of Galera, whose locks are those of one node: all succeed."""
    many_at_once(old, NO_LOCK)
    is_as_new(old, make_ini, capsys)


def test_another_one_is_at_work(old, monkeypatch):
    monkeypatch.setattr(migration, "START_SECONDS", 0)
    monkeypatch.setattr(migration, "COMMAND_SECONDS", 0)
    old.path.write_text(old.path.read_text() + "create_tables = true\n")
    before = old.schema()
    with old.engine.connect() as connection:
        assert turn_of_migration._take_lock(connection)
        with pytest.raises(SystemExit, match="another `weave-server migrate` is at work"):
            admin.main(["migrate", str(old.path)])
        if KIND != "mariadb":  # where times are wrong, it says that first
            with pytest.raises(ConfigError, match="another `weave-server migrate` is at work"):
                start(old)
    assert old.schema() == before
    admin.main(["migrate", str(old.path)])


def test_an_open_transaction_stops_nobody_but_the_migration(old):
    """A change of a table waits for it, and all others would wait behind the change."""
    query = text("select count(*) from weave_collections")
    hangs = "set session lock_wait_timeout = 120"
    if KIND == "postgresql":
        hangs = "set session statement_timeout = '120s'"
    thread = threading.Thread(target=admin.main, args=(["migrate", str(old.path)],))
    with old.engine.connect() as long, old.engine.connect() as other:
        assert long.execute(query).scalar() == 3
        other.execute(text(hangs))
        other.commit()
        thread.start()
        waiting = text(
            "select count(*) from information_schema.processlist where info like 'ALTER TABLE%'"
            if KIND == "mariadb"
            else "select count(*) from pg_stat_activity"
            " where query like 'ALTER TABLE%' and wait_event_type = 'Lock'"
        )
        for _ in range(3):
            while not other.execute(waiting).scalar():
                other.rollback()
                assert thread.is_alive()
            other.rollback()
            assert other.execute(query).scalar() == 3
            other.rollback()
        assert thread.is_alive()
    thread.join()
    assert old.sql("select version from weave_schema where part = 'records'") == [(2,)]


@pytest.mark.skipif(KIND != "postgresql", reason="only there an index can be half made")
def test_an_index_that_was_half_made(old, make_ini, capsys):  # noqa: F811
    admin.main(["migrate", str(old.path)])
    old.sql(
        "update pg_index set indisvalid = false"
        " where indexrelid = cast('weave_records_newest' as regclass)"
    )
    capsys.readouterr()
    admin.main(["migrate", str(old.path)])
    assert capsys.readouterr().out == "made the index weave_records_newest\n"
    is_as_new(old, make_ini, capsys)
