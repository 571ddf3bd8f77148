# SPDX-License-Identifier: Apache-2.0
"""Finding rows, for those who read them and those who delete them."""

import contextlib

from sqlalchemy import select

from weave.server.schema import collections, records
from weave.server.stamps import Stamp

# SQLite before 3.32 takes at most 999 parameters.
CHUNK = 400

# Rows that are in memory at a time, each with up to 256 KiB of payload.
BATCH = 10

KB = 1024

# The columns that the order of a list is made from.
_KEYS = (records.c.id, records.c.modified, records.c.sortindex)


def is_live():
    """The condition that a record has not expired, for rows found otherwise.

    Nearly all records are live: an index on the expiry would be the wrong one
    to find them by, and "+ 0" keeps databases from choosing it.
    """
    return records.c.expires + 0 > Stamp.now()


def chunks(items, size=CHUNK):
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _ordering(sort):
    """ORDER BY of a Selection.sort; the id makes any order a complete one."""
    table = records.c
    if sort == "oldest":
        return [table.modified, table.id]
    if sort == "newest":
        return [table.modified.desc(), table.id]
    if sort == "index":
        return [table.sortindex.is_(None), table.sortindex.desc(), table.id]
    return [table.id]


def _sort_key(sort):
    """The same order for rows that are in memory."""
    if sort == "oldest":
        return lambda row: (row.modified, row.id)
    if sort == "newest":
        return lambda row: (-row.modified, row.id)
    if sort == "index":
        return lambda row: (row.sortindex is None, -(row.sortindex or 0), row.id)
    return lambda row: row.id


def _conditions(selection):
    table = records.c
    bounds = (
        (selection.newer, table.modified.__gt__),
        (selection.older, table.modified.__lt__),
        (selection.index_above, table.sortindex.__gt__),
        (selection.index_below, table.sortindex.__lt__),
        (selection.parentid, table.parentid.__eq__),
        (selection.predecessorid, table.predecessorid.__eq__),
    )
    return [compare(value) for value, compare in bounds if value is not None]


def fetch(connection, user_id, number, selection, columns):
    """Yields rows of the live records that are selected, in the selected order.

    Few of them are in memory at a time. The caller reads to the end, or closes
    the generator, before it uses the connection for anything else.
    """
    query = select(*columns).where(
        records.c.user_id == user_id,
        records.c.collection == number,
        is_live(),
        *_conditions(selection),
    )
    if selection.ids is not None:
        if not selection.full or len(selection.ids) <= BATCH:
            yield from _sorted_rows(connection, query, selection)
        else:
            yield from _stream_in_order(connection, query, selection)
        return
    ordered = query.order_by(*_ordering(selection.sort))
    ordered = ordered.limit(selection.limit).offset(selection.offset or None)
    if selection.full and selection.sort == "index":
        # No index has this order, and SQLite would sort whole records.
        yield from _stream_in_order(connection, query, selection, ordered)
    else:
        yield from _stream(connection, ordered)


def _stream(connection, query):
    query = query.execution_options(stream_results=True)
    with contextlib.closing(connection.execute(query).yield_per(BATCH)) as rows:
        yield from rows


def _stream_in_order(connection, query, selection, ordered=None):
    """Finds the ids first, which fit into memory, and then what belongs to them."""
    if ordered is None:
        keys = query.with_only_columns(*_KEYS)
        ids = [row.id for row in _sorted_rows(connection, keys, selection)]
    else:
        keys = ordered.with_only_columns(records.c.id)
        ids = [row.id for row in _stream(connection, keys)]
    for some in chunks(ids, BATCH):
        rows = connection.execute(query.where(records.c.id.in_(some))).all()
        by_id = {row.id: row for row in rows}
        yield from (by_id[id_] for id_ in some if id_ in by_id)


def _sorted_rows(connection, query, selection):
    rows = []
    for ids in chunks(selection.ids):
        rows += connection.execute(query.where(records.c.id.in_(ids))).all()
    rows.sort(key=_sort_key(selection.sort))
    end = None if selection.limit is None else selection.offset + selection.limit
    return rows[selection.offset : end]


def collection_number(connection, user_id, name):
    """The number of a collection by its name, or None."""
    query = select(collections.c.number).where(
        collections.c.user_id == user_id, collections.c.name == name
    )
    return connection.execute(query).scalar()
