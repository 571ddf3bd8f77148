# SPDX-License-Identifier: Apache-2.0
"""Statements that are made once, and run without SQLAlchemy's work for each call."""

import re

from sqlalchemy import bindparam, func
from sqlalchemy.dialects import mysql, postgresql, sqlite

from weave.server.engines import MYSQL
from weave.server.stamps import Stamp

# A list has one of these lengths in a statement, so that few statements serve all
# lists. SQLite before 3.32 takes at most 999 parameters.
LIST_LENGTHS = (1, 10, 100, 400)
MAX_LIST = LIST_LENGTHS[-1]

_LIST = re.compile(r"__\[POSTCOMPILE_(\w+?)\]")
_ROW = re.compile(r"VALUES (\((?:%s, )*%s\))")
_NAMED = re.compile(r"%\((\w+)\)s")


class Query:
    """A statement of SQLAlchemy Core with bindparam()s, for a constant of a module.

    It is compiled at its first use on each kind of database. What differs there is
    given as a function that makes the statement for the name of a dialect.
    Each parameter must be given by name. A bindparam("name", expanding=True) takes a
    list of 1 to MAX_LIST values. Rows are those of the driver: plain sequences in the
    order of the select. Errors are those of the driver; Database.read() and write() make
    those of SQLAlchemy of them.
    """

    def __init__(self, statement):
        self._statement = statement
        self._made = {}

    def rows(self, connection, **parameters):
        """All rows."""
        cursor = self._run(connection, parameters)
        try:
            return cursor.fetchall()
        finally:
            cursor.close()

    def row(self, connection, **parameters):
        """The first row, or None."""
        rows = self.rows(connection, **parameters)
        return rows[0] if rows else None

    def value(self, connection, **parameters):
        """The first field of the first row; None where there is no row."""
        rows = self.rows(connection, **parameters)
        return rows[0][0] if rows else None

    def change(self, connection, **parameters):
        """The number of rows that were changed."""
        cursor = self._run(connection, parameters)
        try:
            return cursor.rowcount
        finally:
            cursor.close()

    def change_many(self, connection, many):
        """Runs it for each dictionary of parameters; they have no lists."""
        if not many:
            return
        sql, names, constants = self._sql(connection.dialect, {})
        if constants:
            many = [dict(constants, **each) for each in many]
        values = [_plain(each, names) for each in many]
        cursor = connection.connection.cursor()
        try:
            if connection.dialect.driver == "psycopg2":
                _psycopg2_many(cursor, sql, values)
            else:
                cursor.executemany(sql, values)
        finally:
            cursor.close()

    def _run(self, connection, parameters):
        lists = {}
        for name, value in parameters.items():
            if type(value) is list:
                lists[name] = _length(value)
        sql, names, constants = self._sql(connection.dialect, lists)
        if constants:
            parameters.update(constants)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(sql, _plain(parameters, names, lists))
        except BaseException:
            cursor.close()
            raise
        return cursor

    def _sql(self, dialect, lists):
        """(text, names of its parameters in their order, {name: value} of constants)"""
        key = (dialect.name, dialect.driver, *lists.values())
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._compile(dialect, lists)
        return made

    def _compile(self, dialect, lists):
        statement = self._statement
        if not hasattr(statement, "compile"):
            statement = statement(dialect.name)
        compiled = statement.compile(dialect=dialect)
        text = compiled.string
        if compiled.positional:
            names = list(compiled.positiontup)
        else:
            names = [a or b for a, b in re.findall(_EITHER, text)]
            text = _NAMED.sub("%s", text)
        mark = "?" if dialect.paramstyle == "qmark" else "%s"

        def marks(match):
            return ", ".join([mark] * lists[match.group(1)])

        constants = {
            name: bind.value
            for name, bind in compiled.binds.items()
            if name in names and not bind.required
        }
        return _LIST.sub(marks, text), names, constants


_EITHER = "%s|%s" % (_NAMED.pattern, _LIST.pattern)


def _length(values):
    return next(length for length in LIST_LENGTHS if length >= len(values))


def _plain(parameters, names, lists=()):
    """The values in the order of the names, as drivers take them.

    Drivers do not know subclasses of int, and write them by str() or refuse them.
    """
    values = []
    for name in names:
        value = parameters[name]
        if name in lists:
            value = value + value[-1:] * (lists[name] - len(value))
            values += [int(v) if type(v) is Stamp else v for v in value]
        else:
            values.append(int(value) if type(value) is Stamp else value)
    return tuple(values)


def _psycopg2_many(cursor, sql, values):
    """Like executemany(), which waits for the server after each of them there."""
    # Others have not got it.
    from psycopg2.extras import execute_batch, execute_values

    row = _ROW.search(sql)
    if row:
        begin, end = row.span(1)
        execute_values(cursor, sql[:begin] + "%s" + sql[end:], values, row.group(1))
    else:
        execute_batch(cursor, sql, values)


def insert_missing(table, *names):
    """For a Query: an INSERT that leaves a row alone that is there already."""

    def make(dialect):
        query = _insert(dialect, table, names)
        if dialect in MYSQL:
            # INSERT IGNORE would share the lock of the row that is there: two that
            # do so, and then want it for themselves, deadlock.
            key = {column.name: column for column in table.primary_key}
            return query.on_duplicate_key_update(key)
        return query.on_conflict_do_nothing()

    return make


def insert_or_update(table, keeps=False, **changes):
    """For a Query: an INSERT of all columns, or an UPDATE of the row of the same key.

    changes: {column: expression} that the UPDATE sets; without any, it sets all
    columns to the values of the INSERT. keeps: where such a value is NULL, the row keeps
    the one that it has.
    """
    key = list(table.primary_key)
    others = [column.name for column in table.columns if column not in key]

    def values(new):
        if keeps:
            return {name: func.coalesce(new[name], table.c[name]) for name in others}
        return {name: new[name] for name in others}

    def make(dialect):
        query = _insert(dialect, table, table.columns.keys())
        if dialect in MYSQL:
            return query.on_duplicate_key_update(changes or values(query.inserted))
        set_ = changes or values(query.excluded)
        return query.on_conflict_do_update(index_elements=key, set_=set_)

    return make


def _insert(dialect, table, names):
    kind = postgresql if dialect == "postgresql" else sqlite
    insert = (mysql if dialect in MYSQL else kind).insert(table)
    return insert.values({name: bindparam(name) for name in names})
