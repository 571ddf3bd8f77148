# SPDX-License-Identifier: Apache-2.0
"""The connections of each kind of database: how they are opened, and how they BEGIN."""

import logging

from sqlalchemy import create_engine, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from weave.server.config import ConfigError

log = logging.getLogger(__name__)

KINDS = ("sqlite", "postgresql", "mysql", "mariadb")
# SQLAlchemy's names of MySQL and MariaDB: the URL decides which one it is.
MYSQL = ("mysql", "mariadb")

# How long a transaction waits for another one on SQLite, unless the URL says
# otherwise (?timeout=SECONDS).
SQLITE_TIMEOUT_SECONDS = 5

# The same for a row that another transaction has locked, on MySQL and PostgreSQL.
LOCK_TIMEOUT_SECONDS = 10

# How long a new connection may take, unless the URL says otherwise.
CONNECT_TIMEOUT_SECONDS = 5

# The version that is assumed for an engine that speaks as PostgreSQL does and tells none.
_POSTGRESQL_VERSION = (13, 0)

# Debian's package of each driver; drivers without one are installed by pip.
_PACKAGES = {
    "pymysql": "python3-pymysql",
    "mysqldb": "python3-mysqldb",
    "psycopg2": "python3-psycopg2",
}


class _PoolFilter(logging.Filter):
    """Says in one line at level info that a connection is lost which nobody uses any more.

    A pool finds that out when it ends or closes such a connection: its transaction is over
    and answered. SQLAlchemy logs a traceback at level error.
    """

    def filter(self, record):
        error = record.exc_info and record.exc_info[1]
        # Each driver has an Error of its own (PEP 249).
        if not any(kind.__name__ == "Error" for kind in type(error).__mro__):
            return True
        text = " ".join(str(error).split())
        log.info("a connection was lost that nobody used any more: %s", text)
        return False


logging.getLogger("%s.%s" % (QueuePool.__module__, QueuePool.__name__)).addFilter(
    _PoolFilter()
)


def unsupported():
    return "databases of this kind are not supported; use one of " + ", ".join(KINDS)


def shown(url):
    """A URL for messages, without its passwords."""
    query = {name: "..." if "pass" in name.lower() else url.query[name] for name in url.query}
    return repr(url.set(query=query))


def server_problem(url):
    """What is wrong with the URL of a server, or None. It quotes nothing of the URL."""
    if url.host and "@" in url.host:
        return "write each @ of its user and password as %40"
    if url.get_backend_name() in MYSQL and not url.database:
        return "name the database at its end: ...@HOST/DATABASE"
    return None


def no_driver(url, error):
    """Says what to do where the driver of a URL cannot be imported."""
    package = _PACKAGES.get(_driver_name(url))
    cure = "install it in the virtualenv"
    if package:
        cure = "install Debian's package %s, or the driver in the virtualenv" % package
    return "its driver is missing (%s): %s" % (error, cure)


def _driver_name(url):
    """The name of the driver of a URL, or None where SQLAlchemy knows none."""
    try:
        return url.get_dialect().driver
    except ArgumentError:
        return None


def driver(url):
    """The module behind a URL, which is imported; ImportError, ArgumentError."""
    dialect = url.get_dialect()
    # the name before SQLAlchemy 2
    load = getattr(dialect, "import_dbapi", None) or dialect.dbapi
    return load()


def is_in_memory(url):
    is_sqlite = url.get_backend_name() == "sqlite"
    return is_sqlite and url.database in (None, "", ":memory:")


def sqlite_timeout(url):
    """Seconds that a transaction on SQLite waits for others."""
    try:
        return float(url.query.get("timeout", SQLITE_TIMEOUT_SECONDS))
    except (TypeError, ValueError):
        text = "the timeout of its URL must be a number of seconds, such as ?timeout=5"
        raise ConfigError(text) from None


def make_engine(url, pool):
    """The SQLAlchemy engine for a URL; pool is Settings.pool(). ConfigError."""
    options = {
        "pool_size": pool["pool_size"],
        "max_overflow": pool["pool_max_overflow"],
        "pool_timeout": pool["pool_timeout"],
        "pool_recycle": pool["pool_recycle"],
        "pool_reset_on_return": "rollback" if pool["reset_on_return"] else None,
        "connect_args": _connect_args(url),
    }
    if is_in_memory(url):
        # The database is the connection: one, for ever.
        options.update(pool_size=1, max_overflow=0, pool_recycle=-1)
    try:
        # Parameters are what users store: they must not reach the log.
        engine = create_engine(
            url, poolclass=QueuePool, hide_parameters=True, future=True, **options
        )
    except (ImportError, ArgumentError) as error:
        raise ConfigError("%s: %s" % (shown(url), no_driver(url, error))) from None
    except (TypeError, ValueError) as error:
        raise _wrong_option(url, error) from None
    event.listen(engine, "do_connect", lambda *what: _do_connect(url, *what))
    event.listen(engine, "connect", _ON_CONNECT[engine.dialect.name])
    _accept_any_version(engine.dialect)
    return engine


def make_engine_without_pool(url):
    """One whose statements are each committed by themselves, for who changes tables."""
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args=_connect_args(url),
        hide_parameters=True,
        future=True,
    )
    event.listen(engine, "do_connect", lambda *what: _do_connect(url, *what))
    _accept_any_version(engine.dialect)
    return engine


def _do_connect(url, dialect, _record, arguments, options):
    """Makes a connection. Drivers have no exception of their own for wrong options."""
    try:
        return dialect.connect(*arguments, **options)
    except (TypeError, ValueError, OSError) as error:
        raise _wrong_option(url, error) from None


def _wrong_option(url, error):
    text = "mend what stands behind `?` in this URL; its driver says: %s" % error
    return ConfigError("%s: %s" % (shown(url), text))


def _accept_any_version(dialect):
    """Lets SQLAlchemy use engines that speak as PostgreSQL does and have another name.

    CockroachDB is such an engine; SQLAlchemy finds no version in what it says.
    """
    if dialect.name != "postgresql":
        return
    read_version = dialect._get_server_version_info

    def read(connection):
        try:
            return read_version(connection)
        except AssertionError:
            return _POSTGRESQL_VERSION

    dialect._get_server_version_info = read


def _connect_args(url):
    if url.get_backend_name() == "sqlite":
        return {"check_same_thread": False, "timeout": sqlite_timeout(url)}
    args = {}
    if _driver_name(url) in _PACKAGES:
        if "connect_timeout" not in url.query:
            args["connect_timeout"] = CONNECT_TIMEOUT_SECONDS
        if url.get_backend_name() in MYSQL:
            # Whatever the URL says: with `charset=utf8`, which many guides have, a
            # record with an emoji could not be stored.
            args["charset"] = "utf8mb4"
    return args


def _connect_sqlite(connection, _record):
    # The driver would begin transactions late, and never IMMEDIATE ones.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _connect_mysql(connection, _record):
    cursor = connection.cursor()
    # A reading transaction sees one state of the database, whatever the server's
    # default is; and text that is too long for its column is an error.
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    cursor.execute(
        "SET SESSION innodb_lock_wait_timeout = %d, "
        "sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')" % LOCK_TIMEOUT_SECONDS
    )
    cursor.close()


def _connect_postgresql(connection, _record):
    cursor = connection.cursor()
    cursor.execute("SET lock_timeout = '%ds'" % LOCK_TIMEOUT_SECONDS)
    cursor.close()
    connection.commit()


_ON_CONNECT = {
    "sqlite": _connect_sqlite,
    "mysql": _connect_mysql,
    "mariadb": _connect_mysql,
    "postgresql": _connect_postgresql,
}


def begin_reading(connection):
    """Makes a transaction that has just begun see one state of the database."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        _execute(connection, "BEGIN")
    elif dialect.name == "postgresql":
        _begin_postgresql(connection, "REPEATABLE READ", True)


def begin_writing(connection):
    """Makes a transaction that has just begun one that writes.

    Each of its statements sees what others have committed until then: rows are
    read after they were locked, and where they are not locked no gap between
    them is, for which inserts of others would have to wait.
    """
    dialect = connection.dialect
    if dialect.name == "sqlite":
        # A transaction that reads first and writes later could fail in the middle,
        # because others have changed what it has read.
        _execute(connection, "BEGIN IMMEDIATE")
    elif dialect.name == "postgresql":
        _begin_postgresql(connection, "READ COMMITTED", False)
    else:
        _execute(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def begin_writing_at_once(connection):
    """The same on SQLite, without waiting for others."""
    timeout = connection.connection.dbapi_connection.execute("PRAGMA busy_timeout")
    (milliseconds,) = timeout.fetchone()
    _execute(connection, "PRAGMA busy_timeout = 0")
    try:
        begin_writing(connection)
    finally:
        _execute(connection, "PRAGMA busy_timeout = %d" % milliseconds)


def _begin_postgresql(connection, level, is_reading):
    raw = connection.connection.dbapi_connection
    if connection.dialect.driver == "psycopg2":
        # The driver sends it with its BEGIN, which saves a round trip.
        raw.set_session(isolation_level=level, readonly=is_reading)
        return
    access = "READ ONLY" if is_reading else "READ WRITE"
    _execute(connection, "SET TRANSACTION ISOLATION LEVEL %s %s" % (level, access))


def _execute(connection, statement):
    """Runs a statement on the driver's fast path."""
    cursor = connection.connection.dbapi_connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
