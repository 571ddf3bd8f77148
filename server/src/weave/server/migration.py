# SPDX-License-Identifier: Apache-2.0
"""Brings the tables of a database to what this version of the server needs."""

import contextlib

from sqlalchemy import inspect, text
from sqlalchemy.schema import CreateColumn

from weave.server.config import ConfigError

# One number for PostgreSQL, one name for MySQL: the lock of all who migrate.
_LOCK_NUMBER = 0x77656176
_LOCK_NAME = "weave-server migrate"
_LOCK_SECONDS = 60


def migrate(connection, metadata):
    """Makes what is missing of metadata; a list of what was made, for people.

    Tables, indexes, and columns that may be NULL: what the release before does
    not notice, since it goes on meanwhile. Nothing is removed or rewritten. The
    connection is in a transaction that may write; many may do this at once.
    """
    with _turn(connection):
        there, made = inspect(connection), []
        for table in metadata.sorted_tables:
            if not there.has_table(table.name):
                table.create(connection)
                made.append("the table %s" % table.name)
                continue
            made += _add_columns(connection, there, table)
            made += _add_indexes(connection, there, table)
    return made


@contextlib.contextmanager
def _turn(connection):
    """Waits for all others that migrate. On SQLite the transaction is that lock."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        # until the end of the transaction
        statement = text("SELECT pg_advisory_xact_lock(:number)")
        connection.execute(statement, {"number": _LOCK_NUMBER})
    if dialect not in ("mysql", "mariadb"):
        yield
        return
    statement = text("SELECT GET_LOCK(:name, :seconds)")
    lock = {"name": _LOCK_NAME, "seconds": _LOCK_SECONDS}
    if connection.execute(statement, lock).scalar() != 1:
        raise ConfigError("another `weave-server migrate` takes too long: try again")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})


def _add_columns(connection, there, table):
    known = {column["name"] for column in there.get_columns(table.name)}
    missing = [column for column in table.columns if column.name not in known]
    for column in missing:
        if not column.nullable and column.server_default is None:
            raise ConfigError(
                "the table %s has no column %s, and it cannot be added to rows "
                "that are there: it is no table of this server"
                % (table.name, column.name)
            )
        preparer = connection.dialect.identifier_preparer
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(
            "ALTER TABLE %s ADD COLUMN %s" % (preparer.format_table(table), definition)
        )
    return ["the column %s.%s" % (table.name, column.name) for column in missing]


def _add_indexes(connection, there, table):
    known = {index["name"] for index in there.get_indexes(table.name)}
    missing = [index for index in table.indexes if index.name not in known]
    for index in sorted(missing, key=lambda index: index.name):
        index.create(connection)
    return ["the index %s" % name for name in sorted(index.name for index in missing)]
