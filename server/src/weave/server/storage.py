# SPDX-License-Identifier: Apache-2.0
"""Reading records, and the transactions in which they are written.

Every answer comes from one state of the database. Writers of one user take
turns, and each is given a stamp that is later than all before it, even when
the clock stands still or goes back: a client that asks for what is newer than
the last stamp it saw misses nothing.
"""

import contextlib

from sqlalchemy import and_, exists, func, select

from weave.server.rows import FIELDS, KB, Listing, collection_number, is_live
from weave.server.schema import METADATA, collections, records, users
from weave.server.stamps import Stamp
from weave.server.writer import Writer, lock_user, purge_expired

_JOINED = and_(
    collections.c.user_id == records.c.user_id,
    collections.c.number == records.c.collection,
)


def _as_record(row):
    """What clients are shown of a row that begins with FIELDS."""
    record = {name: value for name, value in zip(FIELDS, row) if value is not None}
    record["modified"] = Stamp(record["modified"])
    return record


def _live_groups(user_id, *columns):
    """A query over the collections of a user that have live records."""
    return (
        select(collections.c.name, *columns)
        .select_from(collections.join(records, _JOINED))
        .where(collections.c.user_id == user_id, records.c.expires > Stamp.now())
        .group_by(collections.c.name)
        .order_by(collections.c.name)
    )


class Storage:
    """Records in a Database. `quota_kb` of None sets no limit."""

    def __init__(
        self, database, create_tables, standard_collections=True, quota_kb=None
    ):
        self._database = database
        self._standard_collections = standard_collections
        self.quota_kb = quota_kb
        database.require(METADATA, create_tables)

    def timestamps(self, user_id):
        """{name: Stamp} of the collections that hold something."""
        # Not _live_groups(): this one is asked at the start of each sync, and
        # must not depend on how many records there are.
        alive = exists().where(_JOINED, records.c.expires > Stamp.now())
        query = (
            select(collections.c.name, collections.c.modified)
            .where(collections.c.user_id == user_id, alive)
            .order_by(collections.c.name)
        )
        return {row.name: Stamp(row.modified) for row in self._all(query)}

    def counts(self, user_id):
        """{name: number of records}"""
        query = _live_groups(user_id, func.count().label("total"))
        return {row.name: row.total for row in self._all(query)}

    def usage(self, user_id):
        """{name: KB of payload}"""
        query = _live_groups(user_id, func.sum(records.c.payload_size).label("total"))
        return {row.name: int(row.total) / KB for row in self._all(query)}

    def select(self, user_id, collection, selection):
        """Yields the selected records, or only their ids unless selection.full.

        The transaction lasts as long as the iteration: whoever reads this must
        not wait for a client meanwhile.
        """
        with self._database.reading() as connection:
            number = collection_number(connection, user_id, collection)
            if number is None:
                return
            listing = Listing(connection, user_id, number, selection, Stamp.now())
            if not selection.full:
                for ids in listing.ids():
                    yield from ids
                return
            for rows in listing.records():
                yield from map(_as_record, rows)

    def get(self, user_id, collection, record_id):
        """The record, or None."""
        query = (
            select(*(records.c[name] for name in FIELDS))
            .join(collections, _JOINED)
            .where(
                records.c.user_id == user_id,
                records.c.id == record_id,
                is_live(),
                collections.c.name == collection,
            )
        )
        rows = self._all(query)
        return _as_record(rows[0]) if rows else None

    @contextlib.contextmanager
    def writing(self, user_id):
        """A Writer in a transaction of its own."""
        with self._database.writing() as connection:
            last = lock_user(self._database, connection, user_id)
            stamp = Stamp(max(Stamp.now(), last + 1))
            yield Writer(
                connection, user_id, stamp, self._standard_collections, self.quota_kb
            )

    def purge(self, at_most):
        """Removes expired records of everybody, at most so many; how many."""
        with self._database.writing() as connection:
            return purge_expired(connection, [], at_most)

    def ping(self):
        """Raises what keeps records from being read."""
        self._all(select(users.c.user_id).limit(1))

    def _all(self, query):
        with self._database.reading() as connection:
            return connection.execute(query).all()
