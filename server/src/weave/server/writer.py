# SPDX-License-Identifier: Apache-2.0
"""Writing the records of one user, inside one transaction."""

from sqlalchemy import bindparam, delete, func, insert, select, update

from weave.server.rows import KB, Listing, chunks, collection_number
from weave.server.schema import (
    FIRST_OTHER_COLLECTION,
    NEVER,
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


class Modified(Exception):
    """Somebody else has written since the client last looked."""


class OverQuota(Exception):
    """The write would leave the user with more than may be stored."""


def lock_user(database, connection, user_id):
    """Makes this the only writer of the user; the last stamp given out."""
    query = select(users.c.modified).where(users.c.user_id == user_id)
    modified = connection.execute(query.with_for_update()).scalar()
    if modified is None:
        row = {"user_id": user_id, "modified": 0}
        connection.execute(database.insert_missing(users), row)
        modified = connection.execute(query.with_for_update()).scalar()
    return modified


def purge_expired(connection, conditions, at_most):
    """Removes expired records that meet the conditions; how many."""
    now = Stamp.now()
    key = (records.c.user_id, records.c.collection, records.c.id)
    query = select(*key).where(records.c.expires <= now, *conditions).limit(at_most)
    rows = connection.execute(query).all()
    if rows:
        doomed = delete(records).where(
            records.c.user_id == bindparam("its_user"),
            records.c.collection == bindparam("its_collection"),
            records.c.id == bindparam("its_id"),
            records.c.expires <= now,
        )
        names = ("its_user", "its_collection", "its_id")
        connection.execute(doomed, [dict(zip(names, row)) for row in rows])
    return len(rows)


class Writer:
    """What Storage.writing() gives: everything it does shares `stamp`."""

    def __init__(self, connection, user_id, stamp, standard_collections, quota_kb):
        self.stamp = stamp
        self._connection = connection
        self._user_id = user_id
        self._standard_collections = standard_collections
        self._quota = None if quota_kb is None else quota_kb * KB

    def check_unmodified(self, since, collection=None):
        """Raises Modified when the collection, or anything, is newer."""
        query = select(users.c.modified).where(users.c.user_id == self._user_id)
        if collection is not None:
            query = select(collections.c.modified).where(
                collections.c.user_id == self._user_id,
                collections.c.name == collection,
            )
        if (self._connection.execute(query).scalar() or 0) > since:
            raise Modified

    def put(self, collection, changes):
        """Creates or updates records; changes is {id: fields}.

        Fields that are not given stay as they are, but for the time to live,
        which becomes endless. Returns {id: Stamp} of when each was modified
        last: a record without payload keeps what it has, and is None when
        there is nothing that it could change. Raises OverQuota.
        """
        creates = any("payload" in fields for fields in changes.values())
        number = self._number(collection, creates)
        if number is None:
            return dict.fromkeys(changes)
        before = self._used() if self._quota is not None else 0
        live = self._live(number, list(changes))
        self._insert(number, changes, live)
        self._update(number, changes, live)
        if creates:
            self._touch(number)
        if self._quota is not None and self._used() > max(before, self._quota):
            raise OverQuota
        return {
            id_: self.stamp if "payload" in fields else live.get(id_)
            for id_, fields in changes.items()
        }

    def delete(self, collection, selection=None):
        """Deletes the selected records, or all of the collection."""
        number = collection_number(self._connection, self._user_id, collection)
        if number is None:
            return
        mine = self._records_of(number)
        if selection is None:
            count = self._connection.execute(delete(records).where(*mine)).rowcount
        else:
            now = Stamp.now()
            listing = Listing(self._connection, self._user_id, number, selection, now)
            count = 0
            for ids in listing.ids():
                query = delete(records).where(*mine, records.c.id.in_(ids))
                self._connection.execute(query)
                count += len(ids)
        if count:
            self._touch(number)

    def delete_all(self):
        """Deletes all records and collections."""
        for table in (records, collections):
            query = delete(table).where(table.c.user_id == self._user_id)
            self._connection.execute(query)
        self._stamp_user()

    def forget_user(self):
        """Deletes everything there is about the user."""
        self.delete_all()
        self._connection.execute(delete(users).where(users.c.user_id == self._user_id))

    def quota_left_kb(self):
        """KB that the user may still store; None without a quota."""
        if self._quota is None:
            return None
        return max(0, self._quota - self._used()) / KB

    def _records_of(self, number):
        return (records.c.user_id == self._user_id, records.c.collection == number)

    def _used(self):
        query = select(func.coalesce(func.sum(records.c.payload_size), 0)).where(
            records.c.user_id == self._user_id, records.c.expires > Stamp.now()
        )
        return int(self._connection.execute(query).scalar())

    def _number(self, name, create):
        number = collection_number(self._connection, self._user_id, name)
        if number is not None or not create:
            return number
        if self._standard_collections:
            number = STANDARD_COLLECTIONS.get(name)
        if number is None:
            highest = select(func.max(collections.c.number)).where(
                collections.c.user_id == self._user_id,
                collections.c.number >= FIRST_OTHER_COLLECTION,
            )
            last = self._connection.execute(highest).scalar()
            number = FIRST_OTHER_COLLECTION if last is None else last + 1
        row = {"user_id": self._user_id, "number": number, "name": name}
        self._connection.execute(insert(collections), dict(row, modified=self.stamp))
        return number

    def _live(self, number, ids):
        """{id: Stamp} of those that are there; expired ones are removed."""
        mine = self._records_of(number)
        now = Stamp.now()
        live = {}
        for some in chunks(ids):
            named = mine + (records.c.id.in_(some),)
            query = select(records.c.id, records.c.modified, records.c.expires)
            rows = self._connection.execute(query.where(*named)).all()
            live.update((r.id, Stamp(r.modified)) for r in rows if r.expires > now)
            if any(row.expires <= now for row in rows):
                expired = records.c.expires <= now
                self._connection.execute(delete(records).where(*named, expired))
        purge_expired(self._connection, mine, PURGE_PER_WRITE)
        return live

    def _values(self, fields):
        """The columns that fields set."""
        ttl = fields.get("ttl")
        values = {k: v for k, v in fields.items() if k not in ("id", "ttl")}
        values["expires"] = NEVER if ttl is None else Stamp.now() + ttl * 100
        if "payload" in fields:
            values["payload_size"] = len(fields["payload"].encode("utf-8"))
            values["modified"] = self.stamp
        return values

    def _insert(self, number, changes, live):
        blank = dict.fromkeys(("sortindex", "parentid", "predecessorid"))
        blank.update(user_id=self._user_id, collection=number)
        rows = [
            dict(blank, id=id_, **self._values(fields))
            for id_, fields in changes.items()
            if id_ not in live and "payload" in fields
        ]
        if rows:
            self._connection.execute(insert(records), rows)

    def _update(self, number, changes, live):
        # One statement for all records that set the same columns.
        groups = {}
        for id_, fields in changes.items():
            if id_ in live:
                values = self._values(fields)
                group = groups.setdefault(frozenset(values), [])
                group.append(dict(values, its_id=id_))
        for rows in groups.values():
            query = update(records).where(
                *self._records_of(number), records.c.id == bindparam("its_id")
            )
            self._connection.execute(query, rows)

    def _touch(self, number):
        query = update(collections).where(
            collections.c.user_id == self._user_id, collections.c.number == number
        )
        self._connection.execute(query.values(modified=self.stamp))
        self._stamp_user()

    def _stamp_user(self):
        query = update(users).where(users.c.user_id == self._user_id)
        self._connection.execute(query.values(modified=self.stamp))
