# SPDX-License-Identifier: Apache-2.0
"""Connections and transactions; what differs between databases stays here."""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from urllib.parse import quote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    OperationalError,
    SQLAlchemyError,
)

from weave.server.config import ConfigError
from weave.server.engines import (
    KINDS,
    SQLITE_TIMEOUT_SECONDS,
    begin_reading,
    begin_writing,
    begin_writing_at_once,
    driver,
    is_in_memory,
    make_engine,
    no_driver,
    server_problem,
    shown,
    sqlite_timeout,
    unsupported,
)
from weave.server.fairlock import FairLock
from weave.server.migration import Migration, missing
from weave.server.owner import user_name
from weave.server.retries import (
    OutcomeUnknown,
    Retries,
    is_lost,
    is_rolled_back,
    is_transient,
    reason,
)

log = logging.getLogger(__name__)


class Database:
    """One database, shared by all threads.

    A transaction is a function act(connection) that is given to read() or
    write(); these return what it returned, and roll back what an exception
    leaves. A reading one sees one state of the database. Both begin again after
    an error that passes, so that act changes nothing outside of the database.
    """

    def __init__(self, url, pool):
        self._url = make_url(url)
        if self._url.get_backend_name() not in KINDS:
            raise ConfigError("%s: %s" % (shown(self._url), unsupported()))
        wrong = server_problem(self._url)
        if wrong:
            raise ConfigError("a database URL in sync.ini: " + wrong)
        self.engine = make_engine(self._url, pool)
        self._lock = threading.Lock()
        self._schemas = []
        self._prepared = 0
        # When prepare() has last failed (monotonic time), and what it said then.
        self._failed = (0, None)
        # A server that was waited for in vain is not waited for until it is back.
        self._is_away = False
        self._turns = FairLock(self._file + "-turn") if self._file else None
        # Connections whose transaction goes on behind the function that began it.
        self._kept = set()

    @property
    def dialect(self):
        return self.engine.dialect.name

    @property
    def is_sqlite(self):
        return self.dialect == "sqlite"

    @property
    def status(self):
        """One line about the connections, for people."""
        return self.engine.pool.status()

    def require(self, metadata, create):
        """Demands the tables of metadata; create says whether to make them."""
        self._schemas.append((metadata, create))

    def prepare(self):
        """Makes or checks the tables; once it has succeeded, does nothing.

        ConfigError when the administrator has to act, an exception of
        SQLAlchemy when the database cannot be reached.
        """
        came = time.monotonic()
        with self._lock:
            if self._prepared == len(self._schemas):
                return
            failed, why = self._failed
            if failed > came:
                # One after the other would wait for a server that does not answer.
                raise SQLAlchemyError(why)
            try:
                self._prepare()
            except SQLAlchemyError as error:
                # The next attempt shall not meet what this one left behind.
                self.close()
                if not isinstance(error, DBAPIError) or not is_transient(error):
                    self._failed = (time.monotonic(), reason(error))
                raise
            self._prepared = len(self._schemas)

    def migrate(self, tell):
        """Does all that the tables need for this release; tell(text) is told of each."""
        with self._lock:
            self._prepare_file()
            self._migration().migrate(tell)
            self._prepared = len(self._schemas)

    def check(self):
        """Returns what a start would say and do, in sentences, and does nothing; ConfigError."""
        if self._file:
            self._check_file()
            if not os.path.exists(self._file):
                return ["database %s: the next start makes it" % self._file]
        return self._migration().check()

    def read(self, act):
        """Returns act(connection), run in a transaction that reads one state."""
        return self._repeat(act, begin_reading)

    def write(self, act):
        """Returns act(connection), run in a transaction that is committed then.

        OutcomeUnknown when the connection was lost while COMMIT was under way;
        after all other exceptions nothing has changed.
        """
        return self._repeat(act, begin_writing)

    def kept(self, connection):
        """Lets the transaction of a read() go on behind it: a context manager, to be used.

        It ends the transaction, on any thread. To be called by act as the last thing.
        """
        self._kept.add(connection)
        return self._going_on(connection, self.engine.pool)

    @contextlib.contextmanager
    def reading(self):
        """A connection that sees one state of the database; nothing is repeated."""
        self.prepare()
        with self._transaction(begin_reading) as connection:
            yield connection

    def close(self):
        """Closes the connections that nobody uses; new ones open by themselves."""
        if not is_in_memory(self._url):
            self.engine.dispose()

    def end(self, until):
        """Closes the database at the end of the process; until is monotonic time.

        The file of a SQLite database has all that was written then, without the
        write-ahead log beside it. Other processes may keep that from being so
        now; the last of them to end does the same.
        """
        self.close()
        if not self._file:
            return
        while not self._checkpoint() and time.monotonic() < until:
            time.sleep(0.02)

    def backup(self, target):
        """Writes a consistent copy of a SQLite database to the file target.

        The tables stay as they are, since one copies them before a migration, too.
        """
        self._check_file()
        if not os.path.exists(self._file):
            raise ConfigError("database %s: there is nothing to copy yet" % self._file)
        with self._transaction(begin_reading) as connection:
            # Where it is locked this fails in time; what follows would wait for ever.
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            source = connection.connection.dbapi_connection
            with contextlib.closing(sqlite3.connect(target)) as copy:
                source.backup(copy)

    @property
    def _file(self):
        path = sqlite_file(self._url)
        # Where a link leads SQLite has the files beside it, too.
        return path and os.path.realpath(path)

    def _prepare(self):
        self._prepare_file()
        self._migration().prepare()

    def _migration(self):
        def write(act):
            return self._repeat(act, begin_writing, prepares=False)

        parts = {}
        for metadata, create in self._schemas:
            parts[metadata] = create or parts.get(metadata, False)
        return Migration(self.engine, self._file or shown(self._url), write, parts)

    def _prepare_file(self):
        if self._file:
            self._check_file()
            self._enter_wal()

    def _repeat(self, act, begin, prepares=True):
        retries = Retries()
        while True:
            try:
                if prepares:
                    self.prepare()
                with self._transaction(begin) as connection:
                    result = act(connection)
                self._is_away = False
                return result
            except DBAPIError as error:
                if not is_transient(error) or self._is_away or not retries.wait():
                    self._is_away = is_lost(error)
                    raise
                log.info("a transaction begins again: %s", reason(error))

    def _transaction(self, begin):
        if self._turns and begin is begin_writing:
            return self._in_turn()
        return self._alone(begin)

    @contextlib.contextmanager
    def _in_turn(self):
        """A transaction that writes to a SQLite file when it is its turn.

        SQLite itself knows no order: it serves the process that happens to look when
        the file is free. Where the turn does not come in time, SQLite is asked once
        all the same: the process that has the turn may be stopped, outside of a
        transaction.
        """
        seconds = sqlite_timeout(self._url)
        has_turn = self._turns.acquire(time.monotonic() + seconds)
        try:
            begin = begin_writing if has_turn else begin_writing_at_once
            with self._alone(begin) as connection:
                yield connection
        finally:
            if has_turn:
                self._turns.release()

    @contextlib.contextmanager
    def _alone(self, begin):
        pool = self.engine.pool
        connection = self._connect()
        # Closing the connection rolls back a transaction that is not committed.
        try:
            transaction = connection.begin()
            with self._translated(connection, pool):
                begin(connection)
                yield connection
            if begin is begin_reading:
                return
            try:
                with self._translated(connection, pool):
                    transaction.commit()
            except DBAPIError as error:
                self._roll_back(connection)
                if is_rolled_back(error) or not is_lost(error):
                    raise
                raise OutcomeUnknown(
                    "the connection was lost during COMMIT, so that the change was "
                    "stored as a whole or not at all: %s" % reason(error)
                ) from None
        finally:
            if connection in self._kept:
                self._kept.remove(connection)
            else:
                connection.close()

    @contextlib.contextmanager
    def _going_on(self, connection, pool):
        with connection, self._translated(connection, pool):
            yield

    def _roll_back(self, connection):
        """Rolls back after a COMMIT that has failed; SQLAlchemy leaves that undone."""
        if not connection.invalidated:
            try:
                connection.connection.dbapi_connection.rollback()
            except self.engine.dialect.dbapi.Error as error:
                connection.invalidate(error)

    def _connect(self):
        try:
            return self.engine.connect()
        except DBAPIError as error:
            # Nothing was sent, so that it is as good as a connection that was lost.
            error.connection_invalidated = not self.is_sqlite
            raise

    @contextlib.contextmanager
    def _translated(self, connection, pool):
        """Errors of the driver become those of SQLAlchemy, and end a lost connection."""
        driver = self.engine.dialect.dbapi
        try:
            yield
        except driver.Error as error:
            # A statement has gone past SQLAlchemy, to the driver itself.
            lost = self.engine.dialect.is_disconnect(
                error, connection.connection.dbapi_connection, None
            )
            found = DBAPIError.instance(
                None, None, error, driver.Error, True, lost, self.engine.dialect
            )
            self._end_lost(connection, pool, found)
            raise found from None
        except DBAPIError as error:
            self._end_lost(connection, pool, error)
            raise

    def _end_lost(self, connection, pool, error):
        """Throws a lost connection away, and the others of its pool, which are as old."""
        if is_lost(error):
            if not connection.invalidated:
                connection.invalidate(error)
            if self.engine.pool is pool:
                self.engine.dispose()

    def _check_file(self):
        wrong = file_problem(self._file)
        if wrong:
            raise ConfigError("database %s: %s" % (self._file, wrong))
        creates = all(create for _, create in self._schemas)
        if not creates and not os.path.exists(self._file):
            raise ConfigError("database %s: %s" % (self._file, missing("its file")))

    def _checkpoint(self):
        """Copies the write-ahead log into the file; whether that is all done.

        It makes nobody wait (PASSIVE), creates no file, and needs no connection
        of the pool.
        """
        if not os.path.exists(self._file + "-wal"):
            return True
        url = "file:%s?mode=rw" % quote(os.fsencode(self._file))
        try:
            connection = sqlite3.connect(url, timeout=0, uri=True)
            with contextlib.closing(connection):
                row = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            log.debug("%s: no checkpoint: %s", self._file, error)
            return False
        busy, in_log, copied = row
        return not busy and in_log == copied

    def _enter_wal(self):
        # With a write-ahead log readers and the one writer do not wait for
        # each other. The file remembers, so once is enough.
        with self.engine.connect() as connection:
            # Here SQLite does not wait for others, whatever its timeout is.
            end = time.monotonic() + SQLITE_TIMEOUT_SECONDS
            while True:
                try:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                    return
                except OperationalError as error:
                    if "locked" not in str(reason(error)) or time.monotonic() > end:
                        raise
                time.sleep(0.05)


def sqlite_file(url):
    """The path of the file of a SQLite database, or None."""
    url = make_url(url)
    is_file = url.get_backend_name() == "sqlite" and not is_in_memory(url)
    return os.path.abspath(url.database) if is_file else None  # as SQLAlchemy does


def file_problem(path):
    """Why this process cannot use the SQLite file path, or None. Opens nothing."""
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return (
            "its folder does not exist, or cannot be entered: create it, "
            "writable for the user that the server runs as"
        )
    files = [(path + suffix, "its file" + suffix) for suffix in ("", "-wal", "-shm")]
    for name, what in [(folder, "its folder"), *files]:
        if os.path.exists(name) and not os.access(name, os.W_OK):
            uid = os.geteuid()
            return "%s cannot be written by the user that the server runs as (%s): %s" % (
                what,
                user_name(uid) or "number %d" % uid,
                _cure_of_writing(name),
            )
    return None


def _cure_of_writing(name):
    if os.statvfs(name).f_flag & os.ST_RDONLY:
        return "its file system is read-only: mount it for writing"
    if os.stat(name).st_uid == os.geteuid():
        return "change the mode (chmod u+w)"
    return "change the owner"


def url_problem(url, creates):
    """Why the database of a URL cannot be used, or None, and opens nothing.

    It quotes nothing of the URL. creates: what is missing will be made.
    """
    url = make_url(url)
    if url.get_backend_name() not in KINDS:
        return unsupported()
    try:
        driver(url)
    except (ImportError, ArgumentError) as error:
        return no_driver(url, error)
    path = sqlite_file(url)
    if not path:
        return server_problem(url)
    try:
        sqlite_timeout(url)
    except ConfigError as error:
        return str(error)
    wrong = file_problem(path)
    if not wrong and not creates and not os.path.exists(path):
        wrong = missing("its file")
    return wrong
