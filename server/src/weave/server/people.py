# SPDX-License-Identifier: Apache-2.0
"""The users for the administrator: accounts of Sync 1.1, and members of Sync 1.5.

It reads a user at a time, so that a long list keeps nobody from writing.
"""

import time
from dataclasses import dataclass
from typing import Optional

from sqlalchemy import bindparam, delete, or_, select, update

from weave.server import admission, settings_table, usage
from weave.server.members import LOCK
from weave.server.queries import Query
from weave.server.schema import NEVER, collections, users
from weave.server.schema15 import allowed, batches, members
from weave.server.stamps import Stamp
from weave.server.writer import Writer, lock_user, purge_expired

# Data of a replaced key are kept for so long, in seconds.
REPLACED_SECONDS = 7 * 24 * 3600

# Records that are removed in one transaction.
AT_ONCE = 1000

# The collection with a record for each device.
DEVICES = "clients"

IN_USE, REPLACED, ADMITTED = "in use", "replaced", "admitted"

_M = members.c


def _has_any(table):
    return select(table.c.user_id).where(table.c.user_id == _M.user_id).exists()


_ALL = Query(
    select(
        _M.user_id, _M.fxa_uid, _M.note, _M.created, _M.replaced, _M.seen
    ).order_by(_M.fxa_uid, _M.created, _M.user_id)
)
_LAST = Query(select(users.c.modified).where(users.c.user_id == bindparam("user_id")))
_OF_ACCOUNT = Query(
    select(_M.user_id).where(_M.fxa_uid == bindparam("fxa_uid")).order_by(_M.user_id)
)
_END = Query(
    update(members)
    .where(_M.fxa_uid == bindparam("its_account"), _M.replaced.is_(None))
    .values(replaced=bindparam("now"))
)
_NOTE = Query(
    update(members)
    .where(_M.fxa_uid == bindparam("its_account"))
    .values(note=bindparam("new_note"))
)
_NOTE_ALLOWED = Query(
    update(allowed)
    .where(allowed.c.fxa_uid == bindparam("its_account"))
    .values(note=bindparam("new_note"))
)
_NUMBERS = Query(
    select(collections.c.number)
    .where(collections.c.user_id == bindparam("user_id"))
    .order_by(collections.c.user_id, collections.c.number)
)
_REMOVE = Query(delete(members).where(_M.user_id == bindparam("user_id")))
# Replaced users that still have data.
_REPLACED = Query(
    select(_M.user_id)
    .where(
        _M.replaced <= bindparam("until"),
        or_(*(_has_any(table) for table in (collections, batches))),
    )
    .order_by(_M.user_id)
)


@dataclass(frozen=True)
class Person:
    """A line of the list. who is the name of an account, or the id at the account server.

    since is when the state began. devices, records and bytes do not count what has expired.
    """

    who: str
    note: Optional[str]
    protocol: str
    user_id: Optional[int]
    state: str
    since: Optional[Stamp]
    last_sync: Optional[Stamp]
    devices: int = 0
    records: int = 0
    bytes: int = 0


def _empty(storage, user_id):
    """Removes the data of a user who does not write any more, in many transactions.

    In between, others can write.
    """

    def remove_some(connection):
        lock_user(connection, user_id)
        for (number,) in _NUMBERS.rows(connection, user_id=user_id):
            # All records have expired by the end of time.
            found = purge_expired(connection, user_id, number, Stamp(NEVER), AT_ONCE)
            if found[0]:
                usage.subtract(connection, user_id, number, *found)
                return True
        return False

    while storage.database.write(remove_some):
        pass
    storage.write(user_id, Writer.delete_all)


def forget_member(storage, user_id):
    """Removes a user of Sync 1.5 with all data; its tokens are refused from then on.

    storage is that of Sync 1.5.
    """
    _empty(storage, user_id)
    storage.write(
        user_id,
        Writer.forget_user,
        guard=lambda connection: _REMOVE.change(connection, user_id=user_id),
    )


class People:
    """The people of one Site; has_15 is False where Sync 1.5 is off, and only accounts are."""

    def __init__(self, site):
        self._site = site
        self._database = site.storage_database
        self.has_15 = site.sync15 is not None

    def all(self):
        """Yields each Person: accounts by name, then members, then those who may come."""
        for account in self._site.accounts.all():
            yield self._person(
                account.user_id, account.name, account.email, "1.1", IN_USE, None, None
            )
        if not self.has_15:
            return
        names = set()
        for user_id, fxa_uid, note, created, replaced, seen in self._read(_ALL.rows):
            names.add(fxa_uid)
            state, since = (REPLACED, replaced) if replaced else (IN_USE, created)
            yield self._person(user_id, fxa_uid, note, "1.5", state, since, seen)
        for fxa_uid, note in self._read(admission.admitted):
            if fxa_uid not in names:
                yield Person(fxa_uid, note, "1.5", None, ADMITTED, None, None)

    def _read(self, act):
        return self._database.read(act)

    def _person(self, user_id, who, note, protocol, state, since, seen):
        def read(connection):
            found, _ = usage.read(connection, user_id, Stamp.now())
            return found, _LAST.value(connection, user_id=user_id)

        found, modified = self._read(read)
        # Purging a replaced user is a write, but no sync.
        times = [seen] if state == REPLACED else [seen, modified]
        last = max(filter(None, times), default=None)
        return Person(
            who,
            note,
            protocol,
            user_id,
            state,
            since and Stamp(since),
            last and Stamp(last),
            sum(each.records for each in found if each.name == DEVICES),
            sum(each.records for each in found),
            sum(each.bytes for each in found),
        )

    def members(self, who):
        """The ids at the account server that who means: that id, or all with that note."""
        if not self.has_15:
            return []
        rows = self._read(_ALL.rows)
        known = {fxa_uid: note for _, fxa_uid, note, *_ in rows}
        known.update(
            (fxa_uid, note) for fxa_uid, note in self._read(admission.admitted)
        )
        if who.lower() in known:
            return [who.lower()]
        return sorted(fxa_uid for fxa_uid, note in known.items() if note and note == who)

    def set_note(self, fxa_uid, note):
        """Sets the note of an account at the account server; None or "" removes it."""

        def write(connection):
            for query in (_NOTE, _NOTE_ALLOWED):
                query.change(connection, its_account=fxa_uid, new_note=note or None)

        self._database.write(write)

    def delete_member(self, fxa_uid):
        """Removes an account at the account server with all its users; returns how many.

        The first transaction ends its tokens and its admission. Where the rest fails, this
        can be called again.
        """

        def end(connection):
            settings_table.lock(connection, LOCK)
            admission.forget(connection, fxa_uid)
            _END.change(connection, its_account=fxa_uid, now=Stamp.now())
            return [user_id for user_id, in _OF_ACCOUNT.rows(connection, fxa_uid=fxa_uid)]

        ids = self._database.write(end)
        for user_id in ids:
            forget_member(self._site.sync15.storage, user_id)
        return len(ids)

    def delete_account(self, account):
        """Removes an account of Sync 1.1; returns False where it has changed meanwhile."""
        storage = self._site.storage
        # The records go first, so that this can be called again where it fails.
        storage.write(account.user_id, Writer.forget_user)
        if not self._site.accounts.delete(account):
            return False
        # A request that was let in before may have written meanwhile.
        storage.write(account.user_id, Writer.forget_user)
        return True

    def purge_replaced(self, seconds=REPLACED_SECONDS):
        """Removes the data of users whose key was replaced so long ago; returns how many.

        Their rows in weave_fxa_users stay, by which a device with the old key is refused.
        """
        until = Stamp(Stamp.now() - seconds * 100)
        ids = self._read(lambda connection: _REPLACED.rows(connection, until=until))
        for (user_id,) in ids:
            _empty(self._site.sync15.storage, user_id)
        return len(ids)

    def admit(self, fxa_uid, note):
        """Lets the account become a member at any later time."""
        self._database.write(lambda connection: admission.admit(connection, fxa_uid, note))

    def open_window(self, count, seconds):
        """Lets the next `count` accounts become members for so many seconds; 0 lets nobody.

        Returns the end in Unix seconds.
        """
        window = admission.Window(count, time.time() + seconds)

        def write(connection):
            settings_table.lock(connection, LOCK)
            admission.write_window(connection, window)

        self._database.write(write)
        return window.until

    def window(self):
        """The admission.Window that is open, or None."""
        if not self.has_15:
            return None
        window = self._read(admission.read_window)
        return window if window and window.is_open(time.time()) else None
