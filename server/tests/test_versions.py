# SPDX-License-Identifier: Apache-2.0
"""A server that starts with tables that are older or newer than it."""

import logging
import re
import threading

import pytest
import version1
from conftest import KIND, POOL
from sqlalchemy.exc import SQLAlchemyError
from test_migrate import Ini, check_rows

from weave.server import __main__ as admin
from weave.server import migration
from weave.server.app import Databases, create_application
from weave.server.config import ConfigError
from weave.server.database import Database
from weave.server.schema import METADATA
from weave.server.schema_version import SCHEMA_VERSION

NEWER, MUCH_NEWER = SCHEMA_VERSION + 1, SCHEMA_VERSION + 2


@pytest.fixture
def make_ini(tmp_path, make_url, monkeypatch):
    """A sync.ini with a database; `create_tables` as it is given."""
    monkeypatch.setattr(admin, "become_owner", lambda *_: None)

    def make(creates, url=None):
        ini = Ini(tmp_path, url or make_url())
        if creates:
            ini.path.write_text(ini.path.read_text() + "create_tables = true\n")
        return ini

    return make


def start(ini):
    databases = Databases()
    try:
        return create_application(str(ini.path), databases)
    finally:
        for database in databases:
            database.close()


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def checked(ini, capsys):
    admin.main(["check", str(ini.path)])
    return capsys.readouterr().out


def record(ini, version, oldest):
    name = "`%s`" if KIND == "mariadb" else '"%s"'
    ini.sql(
        "update weave_schema set version = %d, oldest = %d, %s = '9.1', oldest_release = '8.0'"
        % (version, oldest, name % "release")
    )


def test_a_database_of_this_release(make_ini, capsys, caplog):
    ini = make_ini(True)
    start(ini)
    before = ini.schema()
    start(ini)
    assert ini.schema() == before
    assert warnings(caplog) == []
    assert checked(ini, capsys) == "ok\n"


def test_a_newer_one_that_lets_this_release_serve(site, user, capsys, caplog):
    """As after a rollback: it serves, says so once, and makes nothing."""
    ini = Ini(site.folder, site.url)
    ini.path = site.ini
    record(ini, NEWER, SCHEMA_VERSION)
    ini.sql("drop index weave_records_newest" + " on weave_records" * (KIND == "mariadb"))
    before = ini.schema()
    again = type(site)(site.folder, site.url)
    user.app = again.app
    user.put("storage/col/a", {"payload": "x"})
    assert user.get("storage/col/a").json["payload"] == "x"
    said, = warnings(caplog)
    assert "its tables are those of release 9.1; this older one, " in said
    assert "9.1" in checked(ini, capsys)
    assert ini.schema() == before
    for database in again.databases:
        database.close()


def test_a_newer_one_that_this_release_cannot_serve(make_ini):
    ini = make_ini(True)
    start(ini)
    record(ini, MUCH_NEWER, NEWER)
    before = ini.schema()
    cure = "only releases from 8.0 on can serve them.*`weavectl install WeaveServer==9.1`"
    with pytest.raises(ConfigError, match=cure):
        start(ini)
    for command in ("check", "migrate", "create-tables"):
        with pytest.raises(SystemExit, match=cure):
            admin.main([command, str(ini.path)])
    assert ini.schema() == before


def test_a_newer_one_without_a_table_that_this_release_needs(make_ini):
    ini = make_ini(True)
    start(ini)
    record(ini, NEWER, SCHEMA_VERSION)
    ini.sql("drop table weave_logins")
    with pytest.raises(ConfigError, match="`weavectl install WeaveServer==9.1`"):
        start(ini)


def test_an_older_one_is_completed_where_that_is_wanted(make_ini, capsys):
    ini = make_ini(True)
    version1.make(ini.url, users_count=0 if KIND == "mariadb" else 3)
    before = ini.schema()
    assert "make the index weave_records_newest" in checked(ini, capsys)
    assert ini.schema() == before
    start(ini)
    assert ini.schema() != before
    assert checked(ini, capsys) == "ok\n"
    if KIND != "mariadb":
        check_rows(ini)


@pytest.mark.parametrize("why", ["is not wanted", "takes long"])
def test_an_older_one_is_left_where_that(why, make_ini, monkeypatch):
    ini = make_ini(why == "takes long")
    version1.make(ini.url, users_count=1, records_count=3)
    monkeypatch.setattr(migration, "QUICK_ROWS", 2)
    before = ini.schema()
    for command in ("check", "purge"):
        with pytest.raises(SystemExit, match="release 0.1.0.* run `weave-server migrate INI`"):
            admin.main([command, str(ini.path)])
    with pytest.raises(ConfigError, match="run `weave-server migrate INI`"):
        start(ini)
    assert ini.schema() == before
    admin.main(["migrate", str(ini.path)])
    start(ini)


def test_no_tables_and_none_wanted(make_ini, capsys):
    ini = make_ini(False)
    if KIND == "sqlite":
        (ini.path.parent / "weave.db").touch()
    with pytest.raises(ConfigError, match="a table is missing: run `weave-server create-tables"):
        start(ini)
    admin.main(["create-tables", str(ini.path)])
    start(ini)


def test_check_makes_nothing(make_ini, capsys):
    ini = make_ini(True)
    said = checked(ini, capsys)
    assert "the next start" in said
    if KIND != "sqlite":
        assert "`weave-server migrate INI`, has to make the table" in said
    if KIND == "sqlite":
        assert not (ini.path.parent / "weave.db").exists()
    else:
        assert ini.schema() in ({}, {"texts": []})


@pytest.mark.skipif(KIND != "mariadb", reason="release 0.1.0 has stored them right")
def test_times_in_seconds(make_ini, capsys):
    """Release 0.1.0 on MariaDB; it may have written to tables of this release, too."""
    ini = make_ini(True)
    start(ini)
    version1.make(ini.url)
    said = r"times in seconds \(users: 3\).* run `weave-server migrate INI`"
    with pytest.raises(ConfigError, match=said):
        start(ini)
    with pytest.raises(SystemExit, match=said):
        checked(ini, capsys)
    admin.main(["migrate", str(ini.path)])
    assert "mended the times of 3 users" in capsys.readouterr().out
    start(ini)
    assert checked(ini, capsys) == "ok\n"
    check_rows(ini)
    # what a quick look does not see, check does
    ini.sql("update weave_records set modified = 1796041474 where user_id = 2")
    with pytest.raises(SystemExit, match=r"users: 1\)"):
        checked(ini, capsys)


def test_counts_where_an_older_release_has_written(site, user, caplog):
    """It removes records and does not count; a start sees that it has written."""
    user.post("storage/one", [{"id": "a", "payload": "x"}, {"id": "b", "payload": "x"}])
    user.post("storage/two", [{"id": "a", "payload": "x"}])
    assert site.sql("select count(*) from weave_collections where counted = modified") == [(2,)]
    # as its purge does, and as its PUT does
    site.sql("delete from weave_records where id = 'b'")
    site.sql("update weave_collections set modified = modified + 1 where name = 'two'")
    again = type(site)(site.folder, site.url)
    user.app = again.app
    said, = warnings(caplog)
    assert "counted anew" in said
    assert user.get("info/collection_counts").json == {"one": 1, "two": 1}
    user.put("storage/one/c", {"payload": "x"})
    assert user.get("info/collection_counts").json == {"one": 2, "two": 1}
    for database in again.databases:
        database.close()


@pytest.mark.skipif(KIND == "sqlite", reason="it is a file")
@pytest.mark.parametrize("creates", [True, False])
def test_a_database_that_is_away(creates, make_ini, make_url, caplog):
    """It does not keep a server from starting."""
    url = make_url()
    ini = make_ini(creates, url.replace("socket=", "socket=/nowhere").replace(
        "host=", "host=/nowhere"))
    application = start(ini)
    assert application is not None
    assert "the database does not answer yet" in caplog.text


POOR = {
    "mariadb": [
        "CREATE USER {0}@localhost IDENTIFIED BY 'secret'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {0}.* TO {0}@localhost",
    ],
    "postgresql": ["CREATE ROLE {0} LOGIN PASSWORD 'secret'", "GRANT USAGE ON SCHEMA {0} TO {0}"],
}


@pytest.mark.skipif(KIND == "sqlite", reason="there, files have rights")
def test_a_user_who_may_not_make_tables(make_ini, make_url, database_server):
    """The start fails, does not try again and again, and says what to do."""
    url = make_url("poor")
    found = "search_path%3D(.*)" if KIND == "postgresql" else "/([^/?]*)[?]"
    name = re.search(found, url)[1]
    database_server.sql(*(line.format(name) for line in POOR[KIND]))
    ini = make_ini(True, re.sub("//.*?@", "//%s:secret@" % name, url))
    cure = "the database refuses: .*: give its user that right"
    for command in (start, lambda ini: admin.main(["migrate", str(ini.path)])):
        with pytest.raises((ConfigError, SystemExit), match=cure) as caught:
            command(ini)
        assert "secret" not in str(caught.value)


class Lock:
    """A lock that tells who comes."""

    def __init__(self, comes):
        self._lock = threading.Lock()
        self._comes = comes

    def __enter__(self):
        self._comes.release()
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()


def test_requests_wait_for_one_attempt(monkeypatch):
    """Those that come while a server does not answer share what became of it."""
    come, attempts, answers = threading.Semaphore(0), [], []
    database = Database("sqlite://", POOL)
    database.require(METADATA, True)
    database._lock = Lock(come)

    def fail(_migration):
        attempts.append(1)
        for _ in range(8 if len(attempts) == 1 else 0):
            come.acquire(timeout=60)
        raise SQLAlchemyError("it is away")

    def ask():
        with pytest.raises(SQLAlchemyError, match="it is away") as caught:
            database.prepare()
        answers.append(caught)

    monkeypatch.setattr(migration.Migration, "prepare", fail)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(attempts), len(answers)) == (1, 8)
    # The next one tries it again.
    monkeypatch.undo()
    database.prepare()


# ---- Sync 1.5, whose tables are a part of their own ----


def turn_on(ini, is_on=True):
    """Sets sync15.secret_file, or takes it away."""
    secret = ini.path.parent / "secrets"
    secret.write_text("5ec2e7" * 10 + "\n")
    secret.chmod(0o600)
    text = ini.path.read_text().partition("[sync15]")[0]
    ini.path.write_text(text + ("[sync15]\nsecret_file = %(here)s/secrets\n" if is_on else ""))


def test_sync_1_5_is_turned_on(make_ini, capsys):
    ini = make_ini(False)
    admin.main(["create-tables", str(ini.path)])
    before = ini.schema()
    turn_on(ini)
    with pytest.raises(ConfigError, match="a table is missing: run `weave-server create-tables"):
        start(ini)
    with pytest.raises(SystemExit, match="a table is missing"):
        admin.main(["check", str(ini.path)])
    assert ini.schema() == before
    capsys.readouterr()
    admin.main(["migrate", str(ini.path)])
    said = capsys.readouterr().out
    for table in ("fxa_users", "fxa_allowed", "settings", "batches", "batch_records"):
        assert "made the table weave_%s\n" % table in said
    start(ini)
    assert checked(ini, capsys) == "ok\n"
    turn_on(ini, False)
    start(ini)
    assert checked(ini, capsys) == "ok\n"
    admin.main(["migrate", str(ini.path)])
    assert "as this version needs them" in capsys.readouterr().out


def test_sync_1_5_with_the_tables_of_an_older_release(make_ini, capsys):
    ini = make_ini(True)
    version1.make(ini.url, users_count=0 if KIND == "mariadb" else 3)
    turn_on(ini)
    said = checked(ini, capsys)
    assert "make the index weave_records_newest" in said and "weave_fxa_users" in said
    start(ini)
    assert checked(ini, capsys) == "ok\n"


def test_tables_of_sync_1_5_that_were_left_unfinished(make_ini, capsys):
    ini = make_ini(True)
    turn_on(ini)
    start(ini)
    whole = ini.schema()
    ini.sql("drop table weave_fxa_users")
    ini.sql("delete from weave_schema where part = 'sync15'")
    assert "weave_fxa_users" in checked(ini, capsys)
    start(ini)
    assert ini.schema() == whole


def test_tables_of_sync_1_5_of_a_newer_release(make_ini, caplog):
    ini = make_ini(True)
    turn_on(ini)
    start(ini)
    ini.sql(
        "update weave_schema set version = %d, oldest = %d where part = 'sync15'"
        % (MUCH_NEWER, MUCH_NEWER)
    )
    with pytest.raises(ConfigError, match="install such a release"):
        start(ini)
    turn_on(ini, False)
    start(ini)
    assert warnings(caplog) == [], "nothing of them is needed"
