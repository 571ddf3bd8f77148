# SPDX-License-Identifier: Apache-2.0
"""How many records a user has, and of what size, without a look at each of them.

Each collection keeps both for the rows that it has (schema.collections). What has
expired and is still there is subtracted; an index has it, so that this costs as much
as there is of it.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, update

from weave.server.queries import MAX_LIST, Query
from weave.server.schema import (
    RECORDS_OF_COLLECTION,
    ROW_OF_COLLECTION,
    collections,
    records,
    users,
)

# The fields of a select that counts records and adds up their payloads (bytes).
SIZES = (func.count(), func.coalesce(func.sum(records.c.payload_size), 0))


def expiry(descending=False):
    """When the first record of a collection expires, or the last one; NULL: none is there.

    One entry of an index. EXISTS, or MIN and MAX, would be read as a join by some
    databases, from all records.
    """
    order = (records.c.user_id, records.c.collection, records.c.expires)
    return (
        select(records.c.expires)
        .where(
            records.c.user_id == collections.c.user_id,
            records.c.collection == collections.c.number,
        )
        .order_by(*(column.desc() if descending else column for column in order))
        .limit(1)
        .scalar_subquery()
        .correlate(collections)
    )


_COLLECTIONS = Query(
    select(
        users.c.modified,
        collections.c.number,
        collections.c.name,
        collections.c.modified,
        collections.c.counted,
        collections.c.records,
        collections.c.bytes,
        expiry(),
    )
    .select_from(
        users.outerjoin(collections, collections.c.user_id == users.c.user_id)
    )
    .where(users.c.user_id == bindparam("user_id"))
)
_ALL = Query(select(*SIZES).where(*RECORDS_OF_COLLECTION))
_LIVE = Query(
    select(*SIZES).where(
        *RECORDS_OF_COLLECTION, records.c.expires > bindparam("now")
    )
)
_EXPIRED = Query(
    select(records.c.collection, *SIZES)
    .where(
        records.c.user_id == bindparam("user_id"),
        records.c.collection.in_(bindparam("numbers", expanding=True)),
        records.c.expires <= bindparam("now"),
    )
    .group_by(records.c.collection)
)
_KEEP = Query(
    update(collections)
    .where(*ROW_OF_COLLECTION)
    .values(
        modified=bindparam("modified"),
        counted=bindparam("modified"),
        records=bindparam("records"),
        bytes=bindparam("bytes"),
    )
)
_LESS = Query(
    update(collections)
    .where(*ROW_OF_COLLECTION)
    .values(
        records=collections.c.records - bindparam("fewer"),
        bytes=collections.c.bytes - bindparam("smaller"),
    )
)


@dataclass
class Usage:
    """The live records of a collection."""

    number: int
    name: str
    records: int
    bytes: int


def read(connection, user_id, now, keeps=False):
    """([Usage] of each collection, the user's last stamp); 0 where there is none.

    keeps: for one who writes. Counts that were not right are stored, or each write
    under a quota would count anew.
    """
    rows = _COLLECTIONS.rows(connection, user_id=user_id)
    found, expired, last = [], [], 0
    for last, number, name, modified, counted, count_, total, first_expiry in rows:
        if first_expiry is None:
            continue
        if counted != modified and not keeps:
            mine = {"user_id": user_id, "number": number}
            count_, total = _LIVE.row(connection, now=now, **mine)
        elif counted != modified:
            count_, total = count(connection, user_id, number)
            keep(connection, user_id, number, modified, count_, total)
        usage = Usage(number, name, int(count_), int(total))
        found.append(usage)
        if first_expiry <= now and (counted == modified or keeps):
            expired.append(usage)
    for start in range(0, len(expired), MAX_LIST):
        _subtract_expired(connection, user_id, now, expired[start : start + MAX_LIST])
    return found, last


def _subtract_expired(connection, user_id, now, usages):
    rows = _EXPIRED.rows(
        connection,
        user_id=user_id,
        numbers=[usage.number for usage in usages],
        now=now,
    )
    gone = {number: (count_, total) for number, count_, total in rows}
    for usage in usages:
        count_, total = gone.get(usage.number, (0, 0))
        usage.records -= count_
        usage.bytes -= int(total)


def count(connection, user_id, number):
    """(rows, bytes of their payloads) of a collection, from the rows."""
    rows, size = _ALL.row(connection, user_id=user_id, number=number)
    return rows, int(size)


def keep(connection, user_id, number, modified, rows, size):
    """Stores when a collection was modified, and what it has."""
    _KEEP.change(
        connection,
        user_id=user_id,
        number=number,
        modified=modified,
        records=rows,
        bytes=size,
    )


def subtract(connection, user_id, number, rows, size):
    """Takes removed rows out of the counts, whether these are right or not."""
    _LESS.change(
        connection, user_id=user_id, number=number, fewer=rows, smaller=size
    )
