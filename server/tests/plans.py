# SPDX-License-Identifier: Apache-2.0
"""The statements that a server runs, and how each database would carry them out."""

import contextlib
import json
import re
from dataclasses import dataclass
from unittest import mock

from sqlalchemy.pool.base import _ConnectionFairy

from weave.server.queries import Query

PRIMARY = "PRIMARY"

# The columns that records are found or ordered by, each with an index.
INDEXED = {"id", "modified", "sortindex", "expires"}

_RECORDS = r"(?:weave_records(?:_\d+)?|anon_\d+)"
_COMPARED = re.compile(_RECORDS + r"\.(\w+)\s*(?:=|<|>|IN\b|IS\b)", re.IGNORECASE)
_TOTAL = re.compile(r"\b(?:count|sum)\(", re.IGNORECASE)
_ALIAS = re.compile(r"\b(weave_[a-z]+) AS (\w+)")


# ---- what is run ----


class _Cursor:
    """Passes everything on; tells `seen` of each statement that is run."""

    def __init__(self, cursor, seen):
        self._cursor = cursor
        self._seen = seen

    def __getattr__(self, name):
        return getattr(self._cursor, name)

    def __iter__(self):
        return iter(self._cursor)

    def execute(self, statement, *parameters):
        if isinstance(statement, str):
            self._seen(statement, *parameters)
        return self._cursor.execute(statement, *parameters)

    def executemany(self, statement, many):
        self._seen(statement, many[0])
        return self._cursor.executemany(statement, many)

    def mogrify(self, statement, *parameters):
        # Many statements are sent as one, as bytes.
        self._seen(statement, *parameters)
        return self._cursor.mogrify(statement, *parameters)


@contextlib.contextmanager
def recorded(found):
    """Adds to {statement: parameters of its first run} of all that drivers are given meanwhile.

    It makes no difference whether SQLAlchemy or a Query runs them.
    """

    def seen(statement, parameters=()):
        found.setdefault(statement, parameters)

    cursor = _ConnectionFairy.cursor

    def recording(self, *arguments, **options):
        return _Cursor(cursor(self, *arguments, **options), seen)

    with mock.patch.object(_ConnectionFairy, "cursor", recording):
        yield


@contextlib.contextmanager
def used(found):
    """Adds to a set each Query that is run meanwhile."""
    make = Query._sql

    def seen(self, *arguments):
        found.add(self)
        return make(self, *arguments)

    with mock.patch.object(Query, "_sql", seen):
        yield


# ---- how it is carried out ----


@dataclass(frozen=True)
class Step:
    """How the rows of a table are found: by the columns `bound` of an index.

    index is None where the whole table is read; no column is bound where all of the
    index is.
    """

    table: str
    index: str
    bound: frozenset = frozenset()


@dataclass
class Plan:
    """`sorted` are the Steps whose rows are sorted afterwards."""

    steps: list
    sorted: list

    @property
    def text(self):
        return "; ".join(
            "%s by %s (%s)" % (s.table, s.index or "nothing", ", ".join(sorted(s.bound)))
            for s in self.steps
        ) + ("; sorted: " + ", ".join(s.table for s in self.sorted) if self.sorted else "")


def explain(connection, statement, parameters):
    """The Plan of a statement, on a connection of SQLAlchemy; it is not carried out."""
    dialect = connection.dialect.name
    cursor = connection.connection.dbapi_connection.cursor()
    try:
        cursor.execute(_EXPLAIN[dialect] + statement, parameters)
        rows = cursor.fetchall()
    finally:
        cursor.close()
    plan = Plan([], [])
    _READERS[dialect](plan, rows, dict((alias, name) for name, alias in _ALIAS.findall(statement)))
    return plan


_EXPLAIN = {
    "sqlite": "EXPLAIN QUERY PLAN ",
    "mysql": "EXPLAIN FORMAT=JSON ",
    "postgresql": "EXPLAIN (FORMAT JSON) ",
}

_SQLITE_ACCESS = re.compile(
    r"(?P<how>SEARCH|SCAN) (?:TABLE )?(?P<table>\w+)(?: AS (?P<alias>\w+))?"
    r"(?: USING (?:COVERING )?(?:INDEX (?P<index>\w+)|INTEGER PRIMARY KEY))?"
    r"(?: \((?P<bound>[^)]*)\))?"
)


def _read_sqlite(plan, rows, aliases):
    by_parent = {}
    for _, parent, _, detail in rows:
        access = _SQLITE_ACCESS.match(detail)
        if access:
            table = aliases.get(access["table"], access["table"])
            if not table.startswith("weave_"):
                continue  # the rows of a subquery
            bound = re.findall(r"(\w+)[=<>]", access["bound"] or "")
            index = access["index"]
            if index and index.startswith("sqlite_autoindex_%s_1" % table):
                index = PRIMARY
            step = Step(table, index, frozenset(bound))
            plan.steps.append(step)
            by_parent.setdefault(parent, []).append(step)
        # Where only the last columns are sorted, few rows are at a time.
        elif "TEMP B-TREE FOR" in detail and " OF ORDER BY" not in detail:
            plan.sorted += by_parent.get(parent, [])


def _read_mysql(plan, rows, aliases):
    def walk(node, is_sorted):
        if isinstance(node, list):
            for item in node:
                walk(item, is_sorted)
        elif isinstance(node, dict):
            table = node.get("table_name")
            table = aliases.get(table, table)
            if table and table.startswith("weave_"):
                whole = node.get("access_type") in ("ALL", "index")
                bound = [] if whole else node.get("used_key_parts", ())
                step = Step(table, node.get("key"), frozenset(bound))
                plan.steps.append(step)
                plan.sorted += [step] if is_sorted else []
            for name, value in node.items():
                walk(value, is_sorted or name in ("filesort", "temporary_table"))

    walk(json.loads(rows[0][0]), False)


def _read_postgresql(plan, rows, aliases):
    def walk(node, is_sorted, table=None):
        kind = node["Node Type"]
        is_sorted = is_sorted or kind == "Sort"
        table = node.get("Relation Name", table)
        if kind == "Seq Scan" or "Index Name" in node:
            index = node.get("Index Name")
            if index and index.endswith("_pkey"):
                index, table = PRIMARY, index[: -len("_pkey")]
            bound = re.findall(r"[( ](\w+)\)?(?:::\w+)? (?:=|<|>|IS)", node.get("Index Cond", ""))
            step = Step(table, index, frozenset(bound))
            plan.steps.append(step)
            plan.sorted += [step] if is_sorted else []
        for child in node.get("Plans", ()):
            walk(child, is_sorted, table)

    value = rows[0][0]
    walk((json.loads(value) if isinstance(value, str) else value)[0]["Plan"], False)


_READERS = {"sqlite": _read_sqlite, "mysql": _read_mysql, "postgresql": _read_postgresql}


# ---- whether that may be ----


def faults(statement, plan, is_of_all=False):
    """Sentences on what grows with the number of records, or of users.

    is_of_all: the request is for all records of a collection, or of the user.
    """
    found = []
    meant = INDEXED & set(_COMPARED.findall(statement))
    for step in plan.steps:
        if not step.bound and not _is_any_row(statement):
            found.append("all of %s is read" % step.table)
        elif step.table != "weave_records":
            continue
        elif "user_id" not in step.bound:
            found.append("records are not found by user")
        elif is_of_all:
            continue
        elif "collection" not in step.bound:
            found.append("records are not found by collection")
        elif meant and not meant & step.bound:
            found.append("records are found without %s" % " or ".join(sorted(meant)))
        elif "LIMIT" not in statement and (not meant or _counts_live(statement)):
            found.append("a whole collection is read")
        if step in plan.sorted and "id" not in step.bound and step.table == "weave_records":
            found.append("records are sorted")
    return found


def _counts_live(statement):
    """Whether records are counted that have not expired: nearly all of them."""
    return _TOTAL.search(statement) and "weave_records.expires > " in statement


def _is_any_row(statement):
    """Whether it takes the first row that there is."""
    return "WHERE" not in statement and "LIMIT" in statement
