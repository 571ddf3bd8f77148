# SPDX-License-Identifier: Apache-2.0
"""Drivers, and what transactions of each kind of database see."""

import sys
import threading

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from conftest import DRIVERS, KIND, LONG_SECONDS, POOL
from weave.server.config import ConfigError
from weave.server.cures import told
from weave.server.database import Database, reason, url_problem
from weave.server.engines import make_engine_without_pool


@pytest.fixture
def database(driver_url):
    """A Database with the table notes of one row, with each driver."""
    database = Database(driver_url, POOL)

    if KIND == "sqlite":
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    def act(connection):
        engine = " ENGINE=InnoDB CHARACTER SET utf8mb4" if KIND == "mariadb" else ""
        connection.exec_driver_sql(
            "CREATE TABLE notes (id INT PRIMARY KEY, text VARCHAR(40))" + engine
        )
        connection.exec_driver_sql("INSERT INTO notes VALUES (1, 'first')")

    database.write(act)
    yield database
    database.close()


def texts(connection):
    rows = connection.exec_driver_sql("SELECT text FROM notes ORDER BY id").fetchall()
    return [row[0] for row in rows]


def insert(database, id_, text="more"):
    def act(connection):
        statement = "INSERT INTO notes VALUES (%d, '%s')" % (id_, text)
        connection.exec_driver_sql(statement.replace("%", "%%"))

    database.write(act)


def elsewhere(act, *args):
    """Runs act in another thread, as another request, to its end."""
    thread = threading.Thread(target=act, args=args)
    thread.start()
    thread.join(LONG_SECONDS)
    assert not thread.is_alive()


def test_a_transaction_that_reads_sees_one_state(database):
    def act(connection):
        before = texts(connection)
        elsewhere(insert, database, 2)
        elsewhere(insert, database, 3)
        assert texts(connection) == before == ["first"]

    database.read(act)
    assert database.read(texts) == ["first", "more", "more"]
    with database.reading() as connection:
        assert len(texts(connection)) == 3
        elsewhere(insert, database, 4)
        assert len(texts(connection)) == 3


@pytest.mark.skipif(KIND == "sqlite", reason="SQLite has one that writes at a time")
def test_a_transaction_that_writes_sees_what_others_have_committed(database):
    def act(connection):
        assert texts(connection) == ["first"]
        elsewhere(insert, database, 2)
        assert texts(connection) == ["first", "more"]

    database.write(act)


def test_what_was_not_finished_is_rolled_back(database):
    def act(connection):
        connection.exec_driver_sql("INSERT INTO notes VALUES (2, 'half')")
        raise RuntimeError("for the test")

    with pytest.raises(RuntimeError, match="for the test"):
        database.write(act)
    insert(database, 3)
    assert database.read(texts) == ["first", "more"]


@pytest.mark.sqlite_only
def test_a_commit_that_fails_leaves_nothing(tmp_path):
    """Without a write-ahead log it is COMMIT that waits for those who read."""
    database = Database("sqlite:///%s/x.db?timeout=0.05" % tmp_path, POOL)
    database.write(lambda c: c.exec_driver_sql("CREATE TABLE notes (id INT, text TEXT)"))
    with database.reading() as connection:
        assert texts(connection) == []
        for _ in range(3):
            with pytest.raises(DBAPIError, match="database is locked"):
                insert(database, 1)
    assert database.read(texts) == []
    insert(database, 2)
    assert database.read(texts) == ["more"]
    database.close()


def test_one_that_reads_stores_nothing(database):
    def act(connection):
        connection.exec_driver_sql("INSERT INTO notes VALUES (2, 'by mistake')")

    if KIND == "postgresql":
        with pytest.raises(DBAPIError, match="read-only"):
            database.read(act)
    else:
        database.read(act)
    assert database.read(texts) == ["first"]


def test_text_of_any_language(database):
    text = "\U0001f98a ü 狐"
    insert(database, 2, text)
    assert database.read(texts) == ["first", text]
    if KIND == "mariadb":
        name = database.read(
            lambda c: c.exec_driver_sql("SELECT @@character_set_client").scalar()
        )
        assert name == "utf8mb4"


@pytest.mark.parametrize("option", ["charset=utf8", "charset=latin1"])
def test_the_charset_of_a_url_counts_for_nothing(database, option):
    """Many guides have charset=utf8, which holds no emoji."""
    if KIND != "mariadb":
        pytest.skip("its driver knows no such option")
    other = Database(database._url.update_query_string(option), POOL)
    insert(other, 2, "\U0001f98a")
    assert other.read(texts) == ["first", "\U0001f98a"]
    other.close()


def test_text_that_is_too_long_is_never_cut(database):
    if KIND == "sqlite":
        pytest.skip("SQLite takes it")
    with pytest.raises(DBAPIError) as caught:
        insert(database, 2, "secret" * 10)
    assert "secret" not in str(reason(caught.value))


def test_a_reason_quotes_no_data(database):
    """It is for the log, and others than the user read that."""
    statements = [
        "INSERT INTO notes VALUES (4711, 'a'), (4711, 'b')",
        "INSERT INTO notes VALUES (2, 'it''s secret'), (1 'secret",
        "INSERT INTO notes VALUES ('secret', 'x'), (1, 'x')",
        "SELECT * FROM nothing WHERE x = 'secret'",
    ]
    if KIND == "sqlite":
        del statements[1:3]  # it quotes what is wrong with a statement, which has no values
    for statement in statements:
        with pytest.raises(DBAPIError) as caught:
            database.write(lambda connection: connection.exec_driver_sql(statement))
        said = str(reason(caught.value))
        assert said and "secret" not in said and "4711" not in said
    assert "nothing" in said, "names of tables are no data"


@pytest.mark.parametrize(
    "url, module, package",
    [
        ("mysql+pymysql", "pymysql", "python3-pymysql"),
        ("mysql", "MySQLdb", "python3-mysqldb"),
        ("mysql+mysqldb", "MySQLdb", "python3-mysqldb"),
        ("mariadb+pymysql", "pymysql", "python3-pymysql"),
        ("postgresql", "psycopg2", "python3-psycopg2"),
        ("postgresql+psycopg2", "psycopg2", "python3-psycopg2"),
        ("postgresql+pg8000", "pg8000", "in the virtualenv"),
    ],
)
def test_a_driver_that_is_missing(monkeypatch, url, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    url += "://u:secret@h/x"
    with pytest.raises(ConfigError) as caught:
        Database(url, POOL)
    for text in (str(caught.value), url_problem(url, True)):
        assert "its driver is missing" in text
        assert package in text
        assert "secret" not in text


@pytest.mark.parametrize(
    "url, cure",
    [
        ("mysql+pymysql://u:sec@ret@h/x", "as %40"),
        ("postgresql://u:sec@ret@h/x", "as %40"),
        ("mysql+pymysql://u:secret@h", "name the database"),
        ("mysql+pymysql://u:secret@h/", "name the database"),
        ("mysql+pymysql://u:secret@h/x?ssl_ca=/nothing", "No such file"),
        ("mysql+pymysql://u@h/x?password=secret&nonsense=1", "behind `?`"),
        ("oracle://u@h/x?passwd=secret", "not supported"),
    ],
)
def test_a_url_that_is_wrong_is_told_without_its_password(url, cure):
    if "?" in url and url.startswith("mysql+pymysql"):
        pytest.importorskip("pymysql")
    with pytest.raises(ConfigError) as caught:
        Database(url, POOL).engine.connect()
    for text in filter(None, (str(caught.value), url_problem(url, True))):
        assert "sec" not in text and "ret" not in text
    assert cure in str(caught.value)


@pytest.mark.parametrize("timeout", ["soon", "1s"])
def test_a_timeout_that_is_no_number(tmp_path, timeout):
    with pytest.raises(ConfigError, match="must be a number of seconds"):
        Database("sqlite:///%s/x.db?timeout=%s" % (tmp_path, timeout), POOL)


@pytest.mark.parametrize("option", ["nonsense=1", "connect_timeout=soon"])
@pytest.mark.parametrize("driver", sum(DRIVERS.values(), []))
def test_an_option_that_the_driver_does_not_know(tmp_path, driver, option):
    if driver == "sqlite":
        url, option = "sqlite:///%s/x.db?" % tmp_path, "check_same_thread=x"
    else:
        modules = {"mysql+pymysql": "pymysql", "mysql+mysqldb": "MySQLdb"}
        pytest.importorskip(modules.get(driver, "psycopg2"))
        url = driver + "://u:secret@localhost/x?"
    with pytest.raises((ConfigError, SQLAlchemyError)) as caught:
        Database(url + option, POOL).engine.connect()
    assert "behind `?`" in told(caught.value)
    assert "secret" not in told(caught.value)


class Cockroach:
    """What SQLAlchemy asks for the version."""

    def exec_driver_sql(self, _statement):
        return self

    def scalar(self):
        return "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)"


@pytest.mark.parametrize("url", ["postgresql://u:p@h/x", "postgresql+psycopg2://u:p@h/x"])
def test_an_engine_that_speaks_as_postgresql_does(url):
    for engine in (Database(url, POOL).engine, make_engine_without_pool(make_url(url))):
        assert engine.dialect._get_server_version_info(Cockroach()) == (13, 0)
