# SPDX-License-Identifier: Apache-2.0
"""Writing the records of one user, inside one transaction."""

from dataclasses import dataclass

from sqlalchemy import bindparam, case, delete, func, insert, select, update

from weave.server import usage
from weave.server.queries import Query, insert_missing, insert_or_update
from weave.server.records import byte_length
from weave.server.rows import KB, NAMED, Listing, chunks
from weave.server.schema import (
    FIRST_OTHER_COLLECTION,
    NEVER,
    RECORDS_OF_COLLECTION,
    ROW_OF_COLLECTION,
    STANDARD_COLLECTIONS,
    collections,
    records,
    users,
)
from weave.server.stamps import Stamp

# Expired records that a write removes from the collection it writes to. It is
# more than a client posts at once, so that a collection whose records all
# expire does not grow; and it bounds what one write has to do.
PURGE_PER_WRITE = 200

_MINE = RECORDS_OF_COLLECTION
_USER = users.c.user_id == bindparam("user_id")

_NEW_USER = Query(insert_missing(users, "user_id", "modified"))
_LOCK = Query(update(users).where(_USER).values(modified=users.c.modified))
_STAMP = Query(
    update(users)
    .where(_USER)
    .values(
        modified=case(
            (users.c.modified >= bindparam("now"), users.c.modified + 1),
            else_=bindparam("now"),
        )
    )
)
_LAST = Query(select(users.c.modified).where(_USER))
_FORGET_USER = Query(delete(users).where(_USER))

_COLLECTION = Query(
    select(
        collections.c.number,
        collections.c.modified,
        collections.c.counted,
        collections.c.records,
        collections.c.bytes,
        usage.expiry(),
    ).where(
        collections.c.user_id == bindparam("user_id"),
        collections.c.name == bindparam("name"),
    )
)
_NEW_COLLECTION = Query(
    insert(collections).values(
        user_id=bindparam("user_id"),
        number=bindparam("number"),
        name=bindparam("name"),
        modified=0,
        counted=0,
        records=0,
        bytes=0,
    )
)
_HIGHEST_NUMBER = Query(
    select(func.max(collections.c.number)).where(
        collections.c.user_id == bindparam("user_id"),
        collections.c.number >= FIRST_OTHER_COLLECTION,
    )
)
_DELETE_COLLECTION = Query(delete(collections).where(*ROW_OF_COLLECTION))
_DELETE_COLLECTIONS = Query(
    delete(collections).where(collections.c.user_id == bindparam("user_id"))
)

_RECORD_MODIFIED = Query(
    select(records.c.modified)
    .select_from(records.join(collections, records.c.collection == collections.c.number))
    .where(
        collections.c.user_id == bindparam("user_id"),
        collections.c.name == bindparam("name"),
        records.c.user_id == bindparam("user_id"),
        records.c.id == bindparam("record_id"),
        records.c.expires > bindparam("now"),
    )
)
# The columns of a record that a write sets, whatever it brings; the payload only
# where it brings one.
_SET = ("modified", "expires", "sortindex", "parentid", "predecessorid")
_OLD = Query(
    select(
        records.c.id,
        records.c.payload_size,
        *(records.c[name] for name in _SET),
    ).where(*_MINE, NAMED)
)
_STORE = Query(insert_or_update(records))
_ALTER = Query(
    update(records)
    .where(*_MINE, records.c.id == bindparam("id"))
    .values({name: bindparam(name) for name in _SET})
)
_ANY_LIVE = Query(
    select(records.c.expires).where(*_MINE, records.c.expires > bindparam("now")).limit(1)
)
_EXPIRED = Query(
    select(records.c.id, records.c.payload_size)
    .where(*_MINE, records.c.expires <= bindparam("now"))
    .order_by(records.c.expires)
    .limit(bindparam("at_most"))
)
_SIZE = Query(select(*usage.SIZES).where(*_MINE, NAMED))
_DELETE_NAMED = Query(delete(records).where(*_MINE, NAMED))
_DELETE_OF_COLLECTION = Query(delete(records).where(*_MINE))
_DELETE_RECORDS = Query(
    delete(records).where(records.c.user_id == bindparam("user_id"))
)


class Modified(Exception):
    """Somebody else has written since the client last looked; `when` (a Stamp)."""

    def __init__(self, when):
        super().__init__("modified at " + when.text)
        self.when = when


class OverQuota(Exception):
    """The write would leave the user with more than may be stored."""


@dataclass(frozen=True)
class Condition:
    """Nothing newer than `since`: in the collection, or at all where that is None."""

    since: Stamp
    collection: str = None
    record_id: str = None


# Between a look at a user and the lock, others may have made it, or forgotten it.
_ATTEMPTS = 20


def lock_user(connection, user_id):
    """Makes this the only writer of the user; whether there is one."""
    return _LOCK.change(connection, user_id=user_id) > 0


def lock_or_make_user(connection, user_id):
    """Makes this the only writer of the user, who is made where there is none."""
    for _ in range(_ATTEMPTS):
        if lock_user(connection, user_id):
            return
        make_user(connection, user_id)


def make_user(connection, user_id):
    """Makes a user where it is not there."""
    _NEW_USER.change(connection, user_id=user_id, modified=0)


def stamp_user(connection, user_id, now):
    """Locks and makes the user; the stamp of this write, later than all before it."""
    for _ in range(_ATTEMPTS):
        if _STAMP.change(connection, user_id=user_id, now=now):
            break
        make_user(connection, user_id)
    return last_stamp(connection, user_id)


def last_stamp(connection, user_id):
    """The Stamp that was given out last; 0 where there is none."""
    return Stamp(_LAST.value(connection, user_id=user_id) or 0)


def purge_expired(connection, user_id, number, now, at_most):
    """Removes expired records of a collection; (how many, bytes of their payloads).

    The caller has the lock of the user, and keeps the counts of the collection.
    """
    mine = {"user_id": user_id, "number": number}
    rows = _EXPIRED.rows(connection, now=now, at_most=at_most, **mine)
    for some in chunks([id_ for id_, _ in rows]):
        _DELETE_NAMED.change(connection, ids=some, **mine)
    return len(rows), sum(size for _, size in rows)


@dataclass
class _Collection:
    """A row of `collections` while it is written to."""

    number: int
    modified: int
    records: int
    bytes: int
    first_expiry: int


class Writer:
    """The writes of one transaction, as Storage.write() makes it: all have one `stamp`.

    It has the lock of the user.
    """

    def __init__(self, connection, user_id, now, stamp, options):
        self.stamp = stamp
        self._connection = connection
        self._user_id = user_id
        self._now = now
        self._options = options
        self._rules = options.rules
        self._used = None

    @property
    def transaction(self):
        """(connection, now), for what is written beside records."""
        return self._connection, self._now

    def put(self, name, changes):
        """Creates or updates records of a collection; changes is {id: fields}.

        What becomes of fields that are not given is in Rules. Returns {id: Stamp} of
        when each was modified last; None where that is never. Raises OverQuota.
        """
        if not changes and not self._rules.always_moves_collection:
            return {}
        collection = self._open(name, create=True)
        self._purge(collection)
        times, moves, growth = self._store(collection, changes)
        self._close(collection, moves)
        self._check_quota(growth)
        return times

    def put_parts(self, name, parts):
        """Writes like put(), but the changes come in parts: one is in memory at a time.

        All records, and the collection, are modified now, whatever fields they have. No id
        is in two parts. Raises OverQuota.
        """
        collection, growth = self._open(name, create=True), 0
        for changes in parts:
            self._purge(collection)
            growth += self._store(collection, changes, all_move=True)[2]
        self._close(collection, True)
        self._check_quota(growth)

    def delete(self, name, selection=None):
        """Deletes the selected records, or all of the collection.

        Returns how many were selected; None where all were.
        """
        if selection is None:
            self._forget_batches(name)
        collection = self._open(name, create=False)
        if collection is None:
            return 0
        if selection is None:
            self._delete_collection(collection)
            return None
        mine = self._mine(collection)
        listing = Listing(
            self._connection, self._user_id, collection.number, selection, self._now
        )
        selected, moves = 0, self._rules.always_moves_collection
        for ids in listing.ids():
            selected += len(ids)
            count, size = _SIZE.row(self._connection, ids=ids, **mine)
            _DELETE_NAMED.change(self._connection, ids=ids, **mine)
            collection.records -= count
            collection.bytes -= int(size)
            moves = True
        if moves:
            self._close(collection, True)
        return selected

    def delete_all(self):
        """Deletes all records and collections."""
        self._forget_batches(None)
        _DELETE_RECORDS.change(self._connection, user_id=self._user_id)
        _DELETE_COLLECTIONS.change(self._connection, user_id=self._user_id)

    def forget_user(self):
        """Deletes everything there is about the user."""
        self.delete_all()
        _FORGET_USER.change(self._connection, user_id=self._user_id)

    def quota_left_kb(self):
        """KB that the user may still store; None without a quota."""
        quota = self._options.quota_bytes
        return None if quota is None else max(0, quota - self._used_bytes()) / KB

    def _store(self, collection, changes, all_move=False):
        """Writes records; returns ({id: Stamp or None}, whether they modify the collection,
        by how many bytes its live records have grown)."""
        old = self._old(collection, list(changes))
        stored, altered, times, live_growth = [], [], {}, 0
        moves = all_move or self._rules.always_moves_collection
        for id_, fields in changes.items():
            before = old.get(id_)
            is_live = before is not None and before["expires"] > self._now
            row = self._row(fields, before if is_live else {})
            if all_move:
                row["modified"] = self.stamp
            size_before = before["payload_size"] if before else 0
            collection.records += before is None
            if "payload" in row:
                stored.append(
                    dict(
                        row,
                        user_id=self._user_id,
                        collection=collection.number,
                        id=id_,
                    )
                )
                collection.bytes += row["payload_size"] - size_before
            else:
                altered.append(dict(row, id=id_, **self._mine(collection)))
            if row["expires"] > self._now:
                live_growth += row.get("payload_size", size_before)
            live_growth -= size_before if is_live else 0
            moves = moves or row["modified"] == self.stamp
            times[id_] = Stamp(row["modified"]) if row["modified"] else None
        _STORE.change_many(self._connection, stored)
        _ALTER.change_many(self._connection, altered)
        return times, moves, live_growth

    def _forget_batches(self, name):
        if self._options.forget_batches is not None:
            self._options.forget_batches(self._connection, self._user_id, name)

    def _mine(self, collection):
        return {"user_id": self._user_id, "number": collection.number}

    def _open(self, name, create):
        """The _Collection with its counts right; None where it is not there."""
        row = _COLLECTION.row(self._connection, user_id=self._user_id, name=name)
        if row is None:
            return self._create(name) if create else None
        number, modified, counted, count, size, first_expiry = row
        if counted != modified:
            count, size = usage.count(self._connection, self._user_id, number)
        return _Collection(number, modified, count, size, first_expiry)

    def _create(self, name):
        number = None
        if self._options.standard_collections:
            number = STANDARD_COLLECTIONS.get(name)
        if number is None:
            last = _HIGHEST_NUMBER.value(self._connection, user_id=self._user_id)
            number = FIRST_OTHER_COLLECTION if last is None else last + 1
        _NEW_COLLECTION.change(
            self._connection, user_id=self._user_id, number=number, name=name
        )
        return _Collection(number, 0, 0, 0, None)

    def _close(self, collection, moves):
        usage.keep(
            self._connection,
            self._user_id,
            collection.number,
            self.stamp if moves else collection.modified,
            collection.records,
            collection.bytes,
        )

    def _delete_collection(self, collection):
        mine = self._mine(collection)
        if self._rules.forgets_deleted:
            _DELETE_OF_COLLECTION.change(self._connection, **mine)
            _DELETE_COLLECTION.change(self._connection, **mine)
            return
        some = _ANY_LIVE.row(self._connection, now=self._now, **mine)
        _DELETE_OF_COLLECTION.change(self._connection, **mine)
        collection.records = collection.bytes = 0
        self._close(collection, some is not None)

    def _purge(self, collection):
        if collection.first_expiry is None or collection.first_expiry > self._now:
            return
        count, size = purge_expired(
            self._connection,
            self._user_id,
            collection.number,
            self._now,
            PURGE_PER_WRITE,
        )
        collection.records -= count
        collection.bytes -= size
        if count < PURGE_PER_WRITE:
            collection.first_expiry = None

    def _old(self, collection, ids):
        """{id: {column: value}} of those that are there, expired or not."""
        mine, names = self._mine(collection), ("payload_size", *_SET)
        if not collection.records:
            return {}
        return {
            row[0]: dict(zip(names, row[1:]))
            for some in chunks(ids)
            for row in _OLD.rows(self._connection, ids=some, **mine)
        }

    def _row(self, fields, before):
        """The columns of a record; `before` are those of the live one, if any."""
        rules = self._rules
        row = {
            name: fields.get(name, before.get(name) if name in rules.kept else None)
            for name in ("sortindex", "parentid", "predecessorid")
        }
        if "ttl" in fields:
            row["expires"] = self._now + fields["ttl"] * 100
        else:
            kept = before.get("expires") if "ttl" in rules.kept else None
            row["expires"] = NEVER if kept is None else kept
        is_moving = not rules.moving.isdisjoint(fields)
        is_moving = is_moving or rules.always_moves_new and not before
        row["modified"] = self.stamp if is_moving else before.get("modified", 0)
        payload = fields.get("payload", None if before else "")
        if payload is not None:
            row["payload"] = payload
            row["payload_size"] = byte_length(payload)
        return row

    def _check_quota(self, growth):
        """growth: by how many bytes the live records have grown."""
        quota = self._options.quota_bytes
        if quota is None:
            return
        used = self._used_bytes()
        if used > max(quota, used - growth):
            raise OverQuota

    def _used_bytes(self):
        if self._used is None:
            found, _ = usage.read(
                self._connection, self._user_id, self._now, keeps=True
            )
            self._used = sum(each.bytes for each in found)
        return self._used


def check(connection, user_id, now, condition, rules):
    """Raises Modified; the caller has the lock of the user, and no stamp yet."""
    if condition.collection is None:
        modified = last_stamp(connection, user_id)
    elif rules.condition_of_item and condition.record_id is not None:
        modified = _RECORD_MODIFIED.value(
            connection,
            user_id=user_id,
            name=condition.collection,
            record_id=condition.record_id,
            now=now,
        )
    else:
        row = _COLLECTION.row(connection, user_id=user_id, name=condition.collection)
        modified = row and row[1]
    if (modified or 0) > condition.since:
        raise Modified(Stamp(modified))
