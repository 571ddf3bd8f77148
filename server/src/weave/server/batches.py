# SPDX-License-Identifier: Apache-2.0
"""Uploads in several requests: the batches of Sync 1.5.

The records of a batch are in a table of their own until the commit moves them to the
others, in one transaction and with one stamp. Whoever adds to a batch, commits, drops or
purges it has the lock of the user; so all of them take turns, in all processes.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select, update

from weave.server import base64url
from weave.server.queries import Query, insert_or_update
from weave.server.records import byte_length
from weave.server.rows import PART_BYTES, chunks
from weave.server.schema15 import batch_records, batches
from weave.server.stamps import Stamp
from weave.server.writer import PURGE_PER_WRITE, OverQuota, lock_user

# From the first request of a batch, in hundredths of a second. Mozilla's servers have
# the same two hours.
LIFE = 2 * 3600 * 100

# Batches of one user that are open at a time. Each browser has one; those that were given
# up stay for LIFE, or until others need their place.
MAX_OPEN = 32

# Without a quota, the open batches of one user have together as many bytes as so many of
# the largest ones.
ROOM_IN_BATCHES = 4

# Records that the commit has in memory, unless PART_BYTES come first.
PART_ROWS = 400

_B = batches.c
_R = batch_records.c
_MINE = (_B.user_id == bindparam("user_id"), _B.batch == bindparam("batch"))
_RECORDS = (_R.user_id == bindparam("user_id"), _R.batch == bindparam("batch"))
_RANGE = (*_RECORDS, _R.id >= bindparam("first"), _R.id <= bindparam("last"))
# The fields that a record of a POST may have, beside its id.
_FIELDS = ("payload", "sortindex", "ttl")

_OF_USER = Query(
    select(_B.batch, _B.collection, _B.expires, _B.records, _B.bytes)
    .where(_B.user_id == bindparam("user_id"))
    .order_by(_B.user_id, _B.batch)
)
_BEGIN = Query(
    insert(batches).values({name: bindparam(name) for name in _B.keys()})
)
_COUNT = Query(
    update(batches)
    .where(*_MINE)
    .values(records=bindparam("records"), bytes=bindparam("bytes"))
)
_ADD = Query(insert_or_update(batch_records, keeps=True))
_ANY_OF = Query(
    select(_R.id).where(*_RECORDS, _R.id.in_(bindparam("ids", expanding=True))).limit(1)
)
_SIZES = Query(
    select(_R.id, func.coalesce(_R.payload_size, 0))
    .where(*_RECORDS, _R.id > bindparam("last"))
    .order_by(_R.id)
    .limit(bindparam("at_most"))
)
_PART = Query(select(_R.id, *(_R[name] for name in _FIELDS)).where(*_RANGE))
# Rows are deleted by their whole keys: MariaDB also locks the row behind a range, which may
# be another user's.
_REMOVE_NAMED = Query(
    delete(batch_records).where(*_RECORDS, _R.id.in_(bindparam("ids", expanding=True)))
)
_REMOVE = Query(delete(batches).where(*_MINE))
_EXPIRED_OF_USER = Query(
    select(_B.batch)
    .where(_B.user_id == bindparam("user_id"), _B.expires <= bindparam("now"))
    .limit(1)
)
_EXPIRED = Query(
    select(_B.user_id, _B.batch)
    .where(_B.expires <= bindparam("now"))
    .order_by(_B.expires)
    .limit(bindparam("at_most"))
)


class NoBatch(Exception):
    """The user has no such batch for this collection; str() is the reason for the log."""


class TooLarge(Exception):
    """The batch would have more than max_total_records or max_total_bytes."""


@dataclass
class _Batch:
    """A row of `batches`, but for the user."""

    batch: int
    collection: str
    expires: int
    records: int
    bytes: int


def batch_text(number):
    """The batch's id for clients: 11 characters that need no escape in a URL."""
    return base64url.encode(number.to_bytes(8, "big", signed=True))


def parse_batch(text):
    """The number of the batch with this id; NoBatch where the id is malformed."""
    try:
        raw = base64url.decode(text)
    except ValueError:
        raw = b""
    if len(raw) != 8:
        raise NoBatch("the id of the batch is malformed")
    return int.from_bytes(raw, "big", signed=True)


class Batches:
    """The batches of one user, in a transaction that has the lock of the user.

    now: a Stamp, the time of the transaction. limits: those of rules.Limits for a batch.
    quota_bytes: what the user may store, or None.
    """

    def __init__(self, connection, user_id, now, limits, quota_bytes):
        self._connection = connection
        self._user_id = user_id
        self._now = now
        self._limits = limits
        self._room_bytes = quota_bytes
        if quota_bytes is None:
            self._room_bytes = ROOM_IN_BATCHES * limits.max_total_bytes

    def add(self, number, collection, changes):
        """Adds records to a batch, or to a new one where number is None; returns its number.

        changes is {id: fields}. A field that an earlier request sent for the same id is
        kept where this one does not send it. Raises NoBatch, TooLarge and OverQuota.
        """
        known = self._read()
        if number is None:
            batch = self._new(collection)
        else:
            batch = self._find(known, number, collection)
        self._count(batch, changes)
        self._make_room(known, batch)
        statement = _BEGIN if number is None else _COUNT
        statement.change(self._connection, user_id=self._user_id, **vars(batch))
        self._store(batch, changes)
        return batch.batch

    def take(self, number, collection, changes):
        """Ends a batch: returns an iterable of its records and the changes, in parts.

        Each part is {id: fields}; no id is in two parts. Reading the last part deletes the
        batch. Raises NoBatch and TooLarge, before the first part.
        """
        batch = self._find(self._read(), number, collection)
        self._count(batch, changes)
        if changes and self._has_any_of(batch, list(changes)):
            self._store(batch, changes)
            changes = {}
        return self._parts(batch, changes)

    def _new(self, collection):
        return _Batch(secrets.randbits(64) - 2**63, collection, self._now + LIFE, 0, 0)

    def _mine(self, batch):
        return {"user_id": self._user_id, "batch": batch.batch}

    def _read(self):
        rows = _OF_USER.rows(self._connection, user_id=self._user_id)
        return [_Batch(*row) for row in rows]

    def _find(self, known, number, collection):
        for batch in known:
            if batch.batch != number:
                continue
            if batch.collection != collection:
                raise NoBatch("the batch is one of another collection")
            if batch.expires <= self._now:
                raise NoBatch("the batch has expired")
            return batch
        raise NoBatch(
            "the user has no such batch: it was committed, dropped or removed, or is "
            "another user's"
        )

    def _count(self, batch, changes):
        batch.records += len(changes)
        batch.bytes += sum(map(_size, changes.values()))
        limits = self._limits
        if batch.records > limits.max_total_records or batch.bytes > limits.max_total_bytes:
            raise TooLarge

    def _make_room(self, known, mine):
        """Drops the user's oldest other batches until the rest fits; OverQuota."""
        room = self._room_bytes
        if mine.bytes > room:
            raise OverQuota
        others = [batch for batch in known if batch.batch != mine.batch]
        others.sort(key=lambda batch: batch.expires)
        total = mine.bytes + sum(batch.bytes for batch in others)
        for left, batch in zip(range(len(others), 0, -1), others):
            if total <= room and left < MAX_OPEN:
                return
            _drop(self._connection, **self._mine(batch))
            total -= batch.bytes

    def _store(self, batch, changes):
        mine = self._mine(batch)
        rows = []
        for id_, fields in changes.items():
            row = {name: fields.get(name) for name in _FIELDS}
            size = None if row["payload"] is None else _size(fields)
            rows.append(dict(row, id=id_, payload_size=size, **mine))
        _ADD.change_many(self._connection, rows)

    def _has_any_of(self, batch, ids):
        mine = self._mine(batch)
        return any(
            _ANY_OF.row(self._connection, ids=some, **mine) for some in chunks(ids)
        )

    def _parts(self, batch, changes):
        mine, last = self._mine(batch), ""
        while last is not None:
            sizes = _SIZES.rows(
                self._connection, last=last, at_most=PART_ROWS, **mine
            )
            for first, last in _ranges(sizes):
                given = dict(mine, first=first, last=last)
                rows = _PART.rows(self._connection, **given)
                # The rows go as they are read: the database can use their place again.
                _remove(self._connection, [row[0] for row in rows], mine)
                yield {row[0]: _fields(row) for row in rows}
            if len(sizes) < PART_ROWS:
                last = None
        _REMOVE.change(self._connection, **mine)
        if changes:
            yield changes


def forget_batches(connection, user_id, collection=None):
    """Drops the batches for a collection, or all of the user.

    The caller has the lock of the user.
    """
    for number, name, *_ in _OF_USER.rows(connection, user_id=user_id):
        if collection in (None, name):
            _drop(connection, user_id=user_id, batch=number)


def _drop(connection, user_id, batch):
    while not purge_batch(connection, user_id, batch, PART_ROWS):
        pass


def _remove(connection, ids, mine):
    for some in chunks(ids):
        _REMOVE_NAMED.change(connection, ids=some, **mine)


def _size(fields):
    return byte_length(fields.get("payload") or "")


def _fields(row):
    """The fields that clients have sent of a record; row is one of _PART."""
    found = {name: value for name, value in zip(_FIELDS, row[1:]) if value is not None}
    return dict(found, id=row[0])


def _ranges(sizes):
    """Yields (first id, last id) of parts of rows of _SIZES, in their order."""
    first, total, before = None, 0, None
    for id_, size in sizes:
        if first is not None and total + size > PART_BYTES:
            yield first, before
            first, total = None, 0
        first = id_ if first is None else first
        total += size
        before = id_
    if first is not None:
        yield first, before


def purge_batch(connection, user_id, number, at_most):
    """Removes up to at_most records of a batch, then the batch; returns whether it is gone.

    The caller has the lock of the user.
    """
    mine = {"user_id": user_id, "batch": number}
    rows = _SIZES.rows(connection, last="", at_most=at_most, **mine)
    _remove(connection, [row[0] for row in rows], mine)
    if len(rows) < at_most:
        _REMOVE.change(connection, **mine)
        return True
    return False


def purge_some(connection, user_id, now):
    """Removes up to PURGE_PER_WRITE records of one of the user's expired batches.

    The caller has the lock of the user.
    """
    number = _EXPIRED_OF_USER.value(connection, user_id=user_id, now=now)
    if number is not None:
        purge_batch(connection, user_id, number, PURGE_PER_WRITE)


def purge_batches(database, at_most):
    """Removes the expired batches of all users; returns how many.

    One transaction removes up to at_most records.
    """
    total, found = 0, True
    while found:
        now = Stamp.now()
        found = database.read(
            lambda connection, now=now: _EXPIRED.rows(connection, now=now, at_most=100)
        )
        for user_id, number in found:
            _purge_whole(database, user_id, number, at_most)
            total += 1
    return total


def _purge_whole(database, user_id, number, at_most):
    def purge(connection):
        lock_user(connection, user_id)
        return purge_batch(connection, user_id, number, at_most)

    while not database.write(purge):
        pass
