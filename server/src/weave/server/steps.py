# SPDX-License-Identifier: Apache-2.0
"""Finds the steps that bring tables to what this release needs."""

from dataclasses import dataclass
from typing import Callable, Tuple

from sqlalchemy import func, inspect, literal, select, text
from sqlalchemy.schema import CreateColumn, CreateIndex

from weave.server.columns import ExactText, LongText, exact_collation
from weave.server.config import ConfigError
from weave.server.engines import MYSQL

# Indexes of older releases, {table: names}: they are removed when all else is done.
RETIRED_INDEXES = {"weave_records": ["weave_records_modified"]}


@dataclass(frozen=True)
class Step:
    """`what` says, in lines for people, what was done once act(connection) has returned.

    `reads` is the table that it reads or copies as a whole, or None: it is quick then,
    whatever the table holds.
    """

    what: Tuple[str, ...]
    act: Callable
    reads: object = None


def find_steps(connection, parts):
    """The steps for the MetaData in parts, in their order.

    ConfigError where a table is none of this server. All steps suit a release that
    serves meanwhile: tables, columns that may be NULL, indexes.
    """
    there = inspect(connection)
    tables = [table for part in parts for table in part.sorted_tables]
    missing = [table for table in tables if not there.has_table(table.name)]
    present = [table for table in tables if table not in missing]
    found = []
    if missing:
        what = tuple("made the table %s" % table.name for table in missing)
        found.append(Step(what, lambda connection: _make_tables(connection, missing)))
    for table in present:
        found += _columns(connection, there, table)
    for table in present:
        found += _texts(connection, table)
        found += _indexes(connection, there, table)
    for table in present:
        found += _retired(there, table)
    return found


def has_more_rows(connection, table, number):
    """Whether the table has more rows than that; it counts no further."""
    some = select(literal(1)).select_from(table).limit(number + 1).subquery()
    query = select(func.count()).select_from(some)
    return connection.execute(query).scalar() > number


def _make_tables(connection, tables):
    for table in tables:
        table.create(connection)


def _columns(connection, there, table):
    known = {column["name"] for column in there.get_columns(table.name)}
    for column in table.columns:
        if column.name in known:
            continue
        if not column.nullable and column.server_default is None:
            raise ConfigError(
                "the table %s has no column %s, and it cannot be added to rows "
                "that are there: it is no table of this server"
                % (table.name, column.name)
            )
        what = "made the column %s.%s" % (table.name, column.name)
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        yield _altering(connection, table, what, "ADD COLUMN %s" % definition)


def _altering(connection, table, what, change, reads=None):
    name = connection.dialect.identifier_preparer.format_table(table)
    statement = "ALTER TABLE %s %s" % (name, change)
    return Step((what,), lambda connection: _execute(connection, statement), reads)


def _execute(connection, statement):
    # A default with a % in it would be taken for a parameter.
    connection.exec_driver_sql(statement.replace("%", "%%"))


def _texts(connection, table):
    """Text that is not compared and sorted byte by byte, or cannot hold all characters."""
    dialect, schema = connection.dialect, "DATABASE()"
    types, wanted, change = (ExactText, LongText), exact_collation(dialect), "MODIFY COLUMN %s"
    if dialect.name == "postgresql":
        schema, types, wanted, change = "current_schema()", ExactText, "C", "ALTER COLUMN %s"
    elif dialect.name not in MYSQL:
        return
    query = text(
        "SELECT column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = :name" % schema
    )
    collations = dict(map(tuple, connection.execute(query, {"name": table.name})))
    changes = [
        change % _definition(dialect, column)
        for column in table.columns
        if isinstance(column.type, types) and collations.get(column.name, wanted) != wanted
    ]
    if changes:
        # One statement, since it copies the table, or makes its indexes anew.
        what = "converted the text of %s to %s" % (table.name, wanted)
        yield _altering(connection, table, what, ", ".join(changes), table)


def _definition(dialect, column):
    if dialect.name != "postgresql":
        return CreateColumn(column).compile(dialect=dialect)
    name = dialect.identifier_preparer.format_column(column)
    return "%s TYPE %s" % (name, column.type.compile(dialect))


def _indexes(connection, there, table):
    known = {index["name"] for index in there.get_indexes(table.name)}
    broken = _broken_indexes(connection, table)
    missing = [index for index in table.indexes if index.name not in known - broken]
    for index in sorted(missing, key=lambda index: index.name):
        statements = [str(CreateIndex(index).compile(dialect=connection.dialect))]
        if connection.dialect.name == "postgresql":
            statements = _beside_writers(connection, index, statements[0], broken)
        what = "made the index %s" % index.name
        yield Step((what,), _executing(statements), table)


def _executing(statements):
    def act(connection):
        for statement in statements:
            _execute(connection, statement)

    return act


def _beside_writers(connection, index, statement, broken):
    """An index of PostgreSQL that keeps nobody from writing while it is made.

    It waits for all transactions that are under way, however long they take.
    """
    statement = statement.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1)
    statements = ["SET lock_timeout = 0", statement]
    if index.name in broken:
        name = connection.dialect.identifier_preparer.format_index(index)
        statements.insert(1, "DROP INDEX CONCURRENTLY %s" % name)
    return statements


def _broken_indexes(connection, table):
    """Names of the indexes that PostgreSQL has not completed, since it was ended then."""
    if connection.dialect.name != "postgresql":
        return set()
    query = text(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace "
        "WHERE NOT i.indisvalid AND t.relname = :name AND n.nspname = current_schema()"
    )
    return {row[0] for row in connection.execute(query, {"name": table.name})}


def _retired(there, table):
    known = {index["name"] for index in there.get_indexes(table.name)}
    for name in RETIRED_INDEXES.get(table.name, ()):
        if name in known:
            yield Step(("removed the index %s" % name,), _dropping(name, table))


def _dropping(name, table):
    statements = {
        "sqlite": ["DROP INDEX %s" % name],
        "postgresql": ["SET lock_timeout = 0", "DROP INDEX CONCURRENTLY %s" % name],
    }
    other = ["ALTER TABLE %s DROP INDEX %s" % (table.name, name)]

    def act(connection):
        _executing(statements.get(connection.dialect.name, other))(connection)

    return act
