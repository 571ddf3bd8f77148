# SPDX-License-Identifier: Apache-2.0
"""Reading records, and the transactions in which they are written.

Every answer comes from one state of the database. Writers of one user take
turns, and each is given a stamp that is later than all before it, even when
the clock stands still or goes back: a client that asks for what is newer than
the last stamp it saw misses nothing. What is read comes with the last stamp of
its state, so that it is never later than a write that was not shown.
"""

import copy
from dataclasses import dataclass, replace
from typing import Callable, Optional

from sqlalchemy import and_, bindparam, or_, select

from weave.server import usage
from weave.server.queries import Query
from weave.server.rows import FIELDS, KB
from weave.server.rules import V11, Rules
from weave.server.schema import METADATA, collections, records, users
from weave.server.stamps import Stamp
from weave.server.writer import (
    Writer,
    check,
    last_stamp,
    lock_or_make_user,
    lock_user,
    purge_expired,
    stamp_user,
)

_OF_USER = collections.c.user_id == users.c.user_id
_USER = users.c.user_id == bindparam("user_id")
_TIMES = (users.c.modified, collections.c.name, collections.c.modified)
_TIMES_OF_ALL = Query(
    select(*_TIMES).select_from(users.outerjoin(collections, _OF_USER)).where(_USER)
)
# This is asked at the start of each sync, and must not depend on how many records
# there are: it looks at the last expiry of each collection.
_TIMES_OF_LIVE = Query(
    select(*_TIMES)
    .select_from(
        users.outerjoin(
            collections,
            and_(_OF_USER, usage.expiry(descending=True) > bindparam("now")),
        )
    )
    .where(_USER)
)
_RECORD = Query(
    select(users.c.modified, *(records.c[name] for name in FIELDS))
    .select_from(
        users.outerjoin(
            collections, and_(_OF_USER, collections.c.name == bindparam("name"))
        ).outerjoin(
            records,
            and_(
                records.c.user_id == users.c.user_id,
                records.c.collection == collections.c.number,
                records.c.id == bindparam("record_id"),
                records.c.expires + 0 > bindparam("now"),
            ),
        )
    )
    .where(_USER)
)
_ANY_USER = Query(select(users.c.user_id).limit(1))
_WITH_EXPIRED = Query(
    select(collections.c.user_id, collections.c.number)
    .where(
        or_(
            collections.c.user_id > bindparam("last_user"),
            and_(
                collections.c.user_id == bindparam("last_user"),
                collections.c.number > bindparam("last_number"),
            ),
        ),
        usage.expiry() <= bindparam("now"),
    )
    .order_by(collections.c.user_id, collections.c.number)
    .limit(100)
)


def _as_record(row):
    """Returns the record that clients are shown, from a row of FIELDS."""
    record = {name: value for name, value in zip(FIELDS, row) if value is not None}
    record["modified"] = Stamp(record["modified"])
    return record


@dataclass(frozen=True)
class Options:
    """`quota_bytes` of None sets no limit.

    forget_batches(connection, user_id, collection) drops what is not committed yet of
    a collection that is deleted, or of all (None).
    """

    rules: Rules
    standard_collections: bool
    quota_bytes: Optional[int]
    forget_batches: Optional[Callable] = None


class Storage:
    """Records in a Database. `quota_kb` of None sets no limit.

    What reads takes the connection of a transaction that reads one state, and returns
    what it found and the user's last stamp (0 where there is none yet).
    """

    last_stamp = staticmethod(last_stamp)

    def __init__(
        self, database, create_tables, standard_collections=True, quota_kb=None
    ):
        self.database = database
        self.quota_kb = quota_kb
        self.quota_bytes = None if quota_kb is None else quota_kb * KB
        self._options = Options(V11, standard_collections, self.quota_bytes)
        database.require(METADATA, create_tables)

    def under(self, rules, forget_batches=None):
        """Returns the same storage under other Rules; forget_batches as in Options."""
        storage = copy.copy(self)
        storage._options = replace(
            self._options, rules=rules, forget_batches=forget_batches
        )
        return storage

    def timestamps(self, connection, user_id):
        """({name: Stamp} of the collections that hold something, last stamp)"""
        if self._options.rules.shows_empty:
            rows = _TIMES_OF_ALL.rows(connection, user_id=user_id)
        else:
            now = Stamp.now()
            rows = _TIMES_OF_LIVE.rows(connection, user_id=user_id, now=now)
        found = {name: Stamp(time) for _, name, time in rows if name is not None}
        return found, Stamp(rows[0][0] if rows else 0)

    def counts(self, connection, user_id):
        """({name: number of records}, last stamp)"""
        found, last = usage.read(connection, user_id, Stamp.now())
        return {each.name: each.records for each in found if each.records}, Stamp(last)

    def usage(self, connection, user_id):
        """({name: KB of payload}, last stamp)"""
        found, last = usage.read(connection, user_id, Stamp.now())
        return {each.name: each.bytes / KB for each in found if each.records}, Stamp(
            last
        )

    def get(self, connection, user_id, collection, record_id):
        """(the record or None, last stamp)"""
        row = _RECORD.row(
            connection,
            user_id=user_id,
            name=collection,
            record_id=record_id,
            now=Stamp.now(),
        )
        if row is None:
            return None, Stamp(0)
        last, *fields = row
        return None if fields[0] is None else _as_record(fields), Stamp(last)

    def write(self, user_id, act, condition=None, guard=None):
        """Returns act(writer), run in one transaction; act may be called again.

        guard(connection) raises what refuses the user; it is called first, with the lock
        of the user. Raises what they raise, and Modified where a Condition says so;
        nothing has changed then.
        """

        def write(connection):
            now = Stamp.now()
            if guard is not None or condition is not None:
                self._begin(connection, user_id, now, condition, guard)
            stamp = stamp_user(connection, user_id, now)
            return act(Writer(connection, user_id, now, stamp, self._options))

        return self.database.write(write)

    def hold(self, user_id, act, condition=None, guard=None):
        """Returns act(connection, now), run like write(), but no time is changed."""

        def hold(connection):
            now = Stamp.now()
            self._begin(connection, user_id, now, condition, guard)
            return act(connection, now)

        return self.database.write(hold)

    def purge(self, at_most):
        """Removes the expired records of everybody; how many.

        It writes at most so many in one transaction.
        """
        total, last, found = 0, (-1, -1), True
        while found:
            found = self.database.read(
                lambda connection, last=last: _WITH_EXPIRED.rows(
                    connection, last_user=last[0], last_number=last[1], now=Stamp.now()
                )
            )
            for last in found:
                count = at_most
                while count == at_most:
                    count = self._purge(*last, at_most)
                    total += count
        return total

    def ping(self):
        """Raises what keeps records from being read."""
        self.database.read(_ANY_USER.row)

    def _begin(self, connection, user_id, now, condition, guard):
        """Locks the user, and raises what refuses the write."""
        lock_or_make_user(connection, user_id)
        if guard is not None:
            guard(connection)
        if condition is not None:
            check(connection, user_id, now, condition, self._options.rules)

    def _purge(self, user_id, number, at_most):
        def purge(connection):
            if not lock_user(connection, user_id):
                return 0
            count, size = purge_expired(
                connection, user_id, number, Stamp.now(), at_most
            )
            if count:
                usage.subtract(connection, user_id, number, count, size)
            return count

        return self.database.write(purge)
