# SPDX-License-Identifier: Apache-2.0
"""Deadlocks, lost connections and restarts of a database server: what passes by itself."""

import contextlib
import os
import re
import select
import shutil
import socket
import tempfile
import threading

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from conftest import KIND, LONG_SECONDS, POOL, eventually, is_unavailable
from weave.server import engines
from weave.server.database import Database
from weave.server.retries import ATTEMPTS, OutcomeUnknown, Retries, code
from weave.server.storage import Storage

# Nothing of this happens to SQLite: nobody can end it, and it has one lock.
needs_server = pytest.mark.skipif(KIND == "sqlite", reason="SQLite is no server")


@pytest.fixture
def url(driver_url):
    """The URL of an empty database of a server, with each driver."""
    if KIND == "sqlite":
        pytest.skip("SQLite is no server")
    return driver_url


@pytest.fixture
def database(url):
    """A Database with the table counters: number 1 and 2 are 0."""
    database = Database(url, POOL)
    prepare(database)
    yield database
    database.close()


def prepare(database):
    def act(connection):
        engine = "" if KIND == "postgresql" else " ENGINE=InnoDB"
        connection.exec_driver_sql("DROP TABLE IF EXISTS counters")
        connection.exec_driver_sql(
            "CREATE TABLE counters (id INT PRIMARY KEY, number INT)" + engine
        )
        connection.exec_driver_sql("INSERT INTO counters VALUES (1, 0), (2, 0)")

    database.write(act)


def count(connection, id_):
    """Counts one, past SQLAlchemy as the queries of the server."""
    cursor = connection.connection.cursor()
    cursor.execute("UPDATE counters SET number = number + 1 WHERE id = %d" % id_)
    cursor.close()


def counters(database):
    def act(connection):
        rows = connection.exec_driver_sql("SELECT number FROM counters ORDER BY id")
        return [row[0] for row in rows]

    return database.read(act)


@pytest.mark.skipif(KIND != "mariadb", reason="others show the table as it was")
def test_a_table_that_is_changed_meanwhile(database):
    """As by `weave-server migrate`: one that reads begins again, in the new table."""
    attempts = []

    def read(connection):
        attempts.append(1)
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        if len(attempts) == 1:
            with database.engine.connect() as other:
                other.exec_driver_sql("ALTER TABLE counters ADD COLUMN more INT, FORCE")
        return connection.exec_driver_sql("SELECT * FROM counters").all()

    assert database.read(read) == [(1, 0, None), (2, 0, None)]
    assert len(attempts) == 2


@pytest.mark.usefixtures("patience")
def test_two_transactions_that_deadlock(database):
    both_have_one = threading.Barrier(2)
    attempts, results = [], []

    def run(first, second):
        def act(connection):
            attempts.append(first)
            count(connection, first)
            if len(attempts) <= 2:
                both_have_one.wait(LONG_SECONDS)
            count(connection, second)
            return "%d%d" % (first, second)

        results.append(database.write(act))

    threads = [threading.Thread(target=run, args=ids) for ids in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["12", "21"]
    assert len(attempts) > 2, "nobody was rolled back"
    assert counters(database) == [2, 2]


@needs_server
@pytest.mark.usefixtures("patience")
def test_first_writes_of_many_accounts_at_once(make_site):
    """On MariaDB these deadlocked, in the gap between rows that were not there."""
    site = make_site()
    users = [site.user("user%d" % number) for number in range(4)]
    names = ["one", "two", "three", "four"]
    barrier, statuses = threading.Barrier(len(users) * len(names)), []

    def run(user, collection):
        barrier.wait(LONG_SECONDS)
        response = user.put("storage/%s/a" % collection, {"payload": "x"}, "*")
        statuses.append(response.status_int)

    threads = [
        threading.Thread(target=run, args=(user, name))
        for user in users
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * len(threads)
    for user in users:
        assert set(user.get("info/collections").json) == set(names)


class Way:
    """A socket of its own before that of the server, which ends connections.

    `cut` is the end of what a client sends when its connection is ended; `passes` says
    whether the server gets that first; `times` is how often. `closed` is how many new
    connections are ended at once.
    """

    def __init__(self, url):
        key = "host" if KIND == "postgresql" else "unix_socket"
        theirs = re.search(key + "=([^&]+)", url).group(1)
        self.folder = tempfile.mkdtemp(prefix="weave-way-")
        ours, name = self.folder, ".s.PGSQL.5432"
        if KIND == "postgresql":
            self._target, path = os.path.join(theirs, name), os.path.join(ours, name)
        else:
            self._target, path = theirs, os.path.join(ours, "socket")
            ours = path
        self.url = url.replace(theirs, ours)
        self.cut, self.passes, self.times, self.closed = None, False, 0, 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def _is_cut(self, data):
        # PostgreSQL ends a statement with a zero.
        return data.rstrip(b"\0").endswith(self.cut)

    def close(self):
        self._listener.close()
        shutil.rmtree(self.folder)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        """Passes on what client and server say, until one of them ends."""
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            if self.closed:
                self.closed -= 1
                return
            server.connect(self._target)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source, target in ((client, server), (server, client)):
                    if source in ready:
                        data = source.recv(65536)
                        if source is client and self.times and self._is_cut(data):
                            self.times -= 1
                            if not self.passes:
                                return
                            target.sendall(data)
                            target.recv(65536)  # the answer, which the client never hears
                            return
                        if not data:
                            return
                        target.sendall(data)


@pytest.fixture
def way(url):
    with contextlib.closing(Way(url)) as way:
        yield way


@pytest.fixture
def database_behind(way):
    database = Database(way.url, POOL)
    prepare(database)
    yield database
    database.close()


def test_a_connection_that_is_lost_before_commit(way, database_behind):
    attempts = []

    def act(connection):
        attempts.append(1)
        count(connection, 1)
        connection.exec_driver_sql("SELECT 'cut me'")

    way.cut, way.times = b"'cut me'", 2
    database_behind.write(act)
    assert len(attempts) == 3
    assert counters(database_behind) == [1, 0]
    way.times = 2
    assert database_behind.read(lambda c: c.exec_driver_sql("SELECT 'cut me'").scalar())


@pytest.mark.parametrize("passes", [False, True])
def test_a_connection_that_is_lost_during_commit(way, database_behind, passes):
    """Nobody knows then whether it was stored: it must not be stored twice."""
    attempts = []

    def act(connection):
        attempts.append(1)
        count(connection, 1)

    way.cut, way.times, way.passes = b"COMMIT", 1, passes
    with pytest.raises(OutcomeUnknown, match="lost during COMMIT.*as a whole"):
        database_behind.write(act)
    assert len(attempts) == 1
    # The server may not have seen the end yet; this waits for the row.
    database_behind.write(lambda connection: count(connection, 1))
    assert counters(database_behind) == [1 + passes, 0]


def test_a_connection_that_is_lost_behind_its_transaction(way, database_behind, caplog):
    """The write is stored, so a lost connection is no error; SQLAlchemy logs a traceback."""
    way.cut, way.times = b"ROLLBACK", 1
    database_behind.write(lambda connection: count(connection, 1))
    assert counters(database_behind) == [1, 0]
    assert way.times == 0
    assert not [record for record in caplog.records if record.exc_info]


def test_a_server_that_does_not_take_connections_for_a_moment(way, database_behind):
    database_behind.close()
    way.closed = 3
    assert counters(database_behind) == [0, 0]
    assert way.closed == 0


def test_what_does_not_pass_is_not_repeated(database):
    attempts = []

    def act(connection):
        attempts.append(1)
        connection.exec_driver_sql("INSERT INTO counters VALUES (1, 1)")

    for _ in range(2):
        with pytest.raises(Exception, match="(?i)duplicate"):
            database.write(act)
    assert len(attempts) == 2


# As the server says it. Those of engines of several nodes do not come by themselves here.
PASSES = {"postgresql": ["40001", "40P01", "53300"], "mariadb": [1213, 1020, 1040, 1047]}
STAYS = {"postgresql": ["55P03", "23514"], "mariadb": [1205, 4025]}
FAIL = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'for the test' USING ERRCODE = '%s'; END $$",
    "mariadb": "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %s",
}


@needs_server
@pytest.mark.parametrize("passes", [True, False])
def test_which_errors_pass(database, passes):
    """Serialization failures of engines of several nodes, too."""
    for error in (PASSES if passes else STAYS).get(KIND, ()):
        for run in (database.write, database.read):
            attempts = []

            def act(connection):
                attempts.append(1)
                if len(attempts) < 3:
                    cursor = connection.connection.cursor()
                    cursor.execute(FAIL[KIND] % error)

            if passes:
                run(act)
            else:
                with pytest.raises(DBAPIError) as raised:
                    run(act)
                assert str(code(raised.value)) == str(error)
            assert len(attempts) == (3 if passes else 1), error


def idle(database, how_many):
    """Makes connections, which wait in the pool then."""
    with contextlib.ExitStack() as stack:
        for _ in range(how_many):
            stack.enter_context(database.reading()).exec_driver_sql("SELECT 1")


@needs_server
def test_a_server_that_is_restarted_between_requests(make_site, database_server, caplog):
    """All connections of the pool are dead then, and no request notices."""
    site = make_site()
    user = site.user()
    (database,) = site.databases
    for number in range(3):
        idle(database, 5)
        database_server.kill()
        database_server.start()
        if number % 2:
            user.get("info/collections")
        user.put("storage/col/%d" % number, {"payload": "x"})
    assert sorted(user.get("storage/col").json) == ["0", "1", "2"]
    assert "ERROR" not in caplog.text


@needs_server
def test_a_server_that_is_away(make_site, database_server):
    """Requests get their 503, and are served as soon as it is back."""
    site = make_site()
    user = site.user()
    database_server.kill()
    try:
        for _ in range(3):
            assert is_unavailable(user.put("storage/col/a", {"payload": "x"}, 503))
            assert is_unavailable(user.get("info/collections", 503))
    finally:
        database_server.start()
    user.put("storage/col/a", {"payload": "x"})
    assert user.get("storage/col").json == ["a"]


def test_a_server_that_is_killed_while_many_write(database, database_server):
    """What write() has returned for is there once; what it raised for, once at most."""
    done, unknown, lock, stop = [], [], threading.Lock(), threading.Event()

    def run(id_):
        while not stop.is_set():
            try:
                database.write(lambda connection: count(connection, id_))
                result = done
            except OutcomeUnknown:
                result = unknown
            except OperationalError:
                continue
            with lock:
                result.append(id_)

    def many_more():
        before = len(done)
        eventually(lambda: len(done) >= before + 20, "writes that are answered")

    threads = [threading.Thread(target=run, args=(n % 2 + 1,)) for n in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            many_more()
            database_server.kill()
            database_server.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    found = counters(database)
    for id_ in (1, 2):
        certain, perhaps = done.count(id_), unknown.count(id_)
        assert certain <= found[id_ - 1] <= certain + perhaps


@needs_server
def test_a_lock_that_somebody_keeps(make_site, monkeypatch):
    """A process that is stopped in a transaction does not stop others for ever."""
    monkeypatch.setattr(engines, "LOCK_TIMEOUT_SECONDS", 1)
    site = make_site()
    user, other = site.user(), site.user("bob")
    user.put("storage/col/a", {"payload": "x"})
    user.put("storage/old/a", {"payload": "x", "ttl": 0})
    database, (served,) = Database(site.url, POOL), site.databases
    storage = Storage(served, create_tables=False)
    ((user_id,),) = site.sql("SELECT user_id FROM weave_users")
    with database.engine.connect() as connection:
        statement = "UPDATE weave_users SET modified = modified + 1 WHERE user_id = %d"
        connection.exec_driver_sql(statement % user_id)
        assert is_unavailable(user.put("storage/col/a", {"payload": "y"}, 503), 30)
        assert user.get("storage/col/a").json["payload"] == "x", "readers do not wait"
        other.put("storage/col/a", {"payload": "z"})
        # Or it would change counts that a writer has read.
        with pytest.raises(DBAPIError):
            storage.purge(10)
    user.put("storage/col/a", {"payload": "y"})
    assert storage.purge(10) == 1
    database.close()


def test_patience_has_an_end(monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("time.monotonic", lambda: sum(slept))
    retries = Retries()
    while retries.wait():
        pass
    assert 3 < len(slept) < ATTEMPTS
    assert sum(slept) <= 3
    assert slept[0] < 0.03


def test_codes_of_drivers():
    class Error(Exception):
        pass

    def made(*args, **attributes):
        error = Error(*args)
        vars(error).update(attributes)
        return OperationalError(None, None, error)

    assert code(made("text", pgcode="40001")) == "40001"
    assert code(made("text", sqlstate="40P01")) == "40P01"
    assert code(made({"C": "57P01"})) == "57P01"
    assert code(made(1213, "Deadlock found")) == 1213
    assert code(made()) is None
