# SPDX-License-Identifier: Apache-2.0
"""Connections and transactions; what differs between databases stays here."""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from urllib.parse import quote

from sqlalchemy import create_engine, event, inspect
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import QueuePool

from weave.server.config import ConfigError
from weave.server.migration import migrate
from weave.server.owner import user_name

log = logging.getLogger(__name__)

# The statement that begins a transaction on SQLite; None begins none.
_BEGIN = "weave_begin"
_DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")

# How long a transaction waits for another one on SQLite, unless the URL says
# otherwise (?timeout=SECONDS).
SQLITE_TIMEOUT_SECONDS = 5


class Database:
    """One database, shared by all threads.

    Transactions are `with database.reading() as connection:` and `.writing()`.
    A reading one sees one state of the database; a writing one is committed
    at its end, or rolled back when an exception leaves it. `engine` is the
    SQLAlchemy engine behind it.
    """

    def __init__(self, url, pool):
        self._url = make_url(url)
        if self._url.get_backend_name() not in _DIALECTS:
            raise ConfigError("%r: %s" % (self._url, _unsupported()))
        self.engine = _create_engine(self._url, pool)
        self._lock = threading.Lock()
        self._schemas = []
        self._prepared = 0
        self._reading_options = {}
        if self.dialect == "postgresql":
            # What the others do anyway: one state for all statements.
            self._reading_options["isolation_level"] = "REPEATABLE READ"

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
        with self._lock:
            if self._prepared == len(self._schemas):
                return
            try:
                self._prepare()
            except SQLAlchemyError:
                # The next attempt shall not meet what this one left behind.
                self.close()
                raise
            self._prepared = len(self._schemas)

    def migrate(self):
        """Makes whatever the tables lack for this version; what that was, for people."""
        made = []
        with self._lock:
            self._prepare_file()
            for metadata, _ in self._schemas:
                with self._writing() as connection:
                    made += migrate(connection, metadata)
            self._prepared = len(self._schemas)
        return made

    @contextlib.contextmanager
    def reading(self):
        self.prepare()
        with self.engine.connect() as connection:
            connection = connection.execution_options(**self._reading_options)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self):
        self.prepare()
        with self._writing() as connection:
            yield connection

    def close(self):
        """Closes the connections that nobody uses; new ones open by themselves."""
        if not _is_in_memory(self._url):
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

    def insert_missing(self, table):
        """An INSERT that leaves a row alone that is there already."""
        if self.dialect in ("mysql", "mariadb"):
            return mysql.insert(table).prefix_with("IGNORE")
        insert = postgresql.insert if self.dialect == "postgresql" else sqlite.insert
        return insert(table).on_conflict_do_nothing()

    def insert_or_update(self, table, row, changes):
        """An INSERT that makes the changes where its primary key is there already."""
        if self.dialect in ("mysql", "mariadb"):
            query = mysql.insert(table).values(row)
            return query.on_duplicate_key_update(**changes)
        insert = postgresql.insert if self.dialect == "postgresql" else sqlite.insert
        return (
            insert(table)
            .values(row)
            .on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)
        )

    def backup(self, target):
        """Writes a consistent copy of a SQLite database to the file target."""
        with self.reading() as connection:
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
        for metadata, create in self._schemas:
            self._prepare_tables(metadata, create)

    def _prepare_file(self):
        if self._file:
            self._check_file()
            self._enter_wal()

    @contextlib.contextmanager
    def _writing(self):
        with self.engine.connect() as connection:
            connection = connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                yield connection

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
            connection = connection.execution_options(**{_BEGIN: None})
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

    def _prepare_tables(self, metadata, create):
        with self.engine.connect() as connection:
            if _has_tables(connection, metadata):
                return
        if not create:
            name = self._file or repr(self._url)
            raise ConfigError("database %s: %s" % (name, missing("a table")))
        try:
            with self._writing() as connection:
                migrate(connection, metadata)
        except (OperationalError, ProgrammingError):
            # Another process may have been quicker.
            with self.engine.connect() as connection:
                if not _has_tables(connection, metadata):
                    raise


def sqlite_file(url):
    """The path of the file of a SQLite database, or None."""
    url = make_url(url)
    is_file = url.get_backend_name() == "sqlite" and not _is_in_memory(url)
    return os.path.abspath(url.database) if is_file else None  # as SQLAlchemy does


def missing(what):
    return (
        "%s is missing: run `weave-server create-tables INI`, or set "
        "`create_tables = true`" % what
    )


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
            return (
                "%s cannot be written by the user that the server runs as "
                "(%s): change the owner" % (what, user_name(uid) or "number %d" % uid)
            )
    return None


def url_problem(url, creates):
    """Why the database of a URL cannot be used, or None, and opens nothing.

    It quotes nothing of the URL. creates: what is missing will be made.
    """
    url = make_url(url)
    if url.get_backend_name() not in _DIALECTS:
        return _unsupported()
    try:
        _driver(url)
    except (ImportError, ArgumentError) as error:
        return _no_driver(error)
    path = sqlite_file(url)
    if not path:
        return None
    wrong = file_problem(path)
    if not wrong and not creates and not os.path.exists(path):
        wrong = missing("its file")
    return wrong


def _unsupported():
    return "databases of this kind are not supported; use one of " + ", ".join(
        _DIALECTS
    )


def _no_driver(error):
    return "its driver is missing (%s): install it in the virtualenv" % error


def _driver(url):
    """The module behind a URL, which is imported."""
    dialect = url.get_dialect()
    # the name before SQLAlchemy 2
    load = getattr(dialect, "import_dbapi", None) or dialect.dbapi
    return load()


def reason(error):
    """What the database itself said, without statement and parameters."""
    return getattr(error, "orig", None) or error


def _has_tables(connection, metadata):
    names = inspect(connection)
    return all(names.has_table(table.name) for table in metadata.sorted_tables)


def _is_in_memory(url):
    is_sqlite = url.get_backend_name() == "sqlite"
    return is_sqlite and url.database in (None, "", ":memory:")


def _create_engine(url, pool):
    options = {
        "pool_size": pool["pool_size"],
        "max_overflow": pool["pool_max_overflow"],
        "pool_timeout": pool["pool_timeout"],
        "pool_recycle": pool["pool_recycle"],
        # A server that was restarted must not cost a client a 503.
        "pool_pre_ping": url.get_backend_name() != "sqlite",
        "pool_reset_on_return": "rollback" if pool["reset_on_return"] else None,
    }
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"check_same_thread": False}
        if "timeout" not in url.query:
            options["connect_args"]["timeout"] = SQLITE_TIMEOUT_SECONDS
        if _is_in_memory(url):
            # The database is the connection: one, for ever.
            options.update(pool_size=1, max_overflow=0, pool_recycle=-1)
    try:
        # Parameters are what users store: they must not reach the log.
        engine = create_engine(
            url, poolclass=QueuePool, hide_parameters=True, future=True, **options
        )
    except (ImportError, ArgumentError) as error:
        raise ConfigError("%r: %s" % (url, _no_driver(error))) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection, _record):
    # The driver would begin transactions late, and never IMMEDIATE ones.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _sqlite_begin(connection):
    # A transaction that reads first and writes later could fail in the middle
    # for the snapshot it read; one that will write takes the lock at once.
    statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if statement:
        connection.exec_driver_sql(statement)
