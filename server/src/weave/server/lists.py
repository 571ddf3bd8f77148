# SPDX-License-Identifier: Apache-2.0
"""The answer to a GET of a collection."""

from sqlalchemy import and_, bindparam, select

from weave.server import formats, spool, stream
from weave.server.queries import Query
from weave.server.rows import Listing
from weave.server.schema import collections, users
from weave.server.spool import Spool
from weave.server.stamps import Stamp

# How much longer a list may be than its beginning tells.
MARGIN = 1.1

_STATE = Query(
    select(users.c.modified, collections.c.number, collections.c.modified)
    .select_from(
        users.outerjoin(
            collections,
            and_(
                collections.c.user_id == users.c.user_id,
                collections.c.name == bindparam("name"),
            ),
        )
    )
    .where(users.c.user_id == bindparam("user_id"))
)


def collection_state(connection, user_id, name):
    """Returns (the user's last Stamp, the collection's number or None, its Stamp)."""
    row = _STATE.row(connection, user_id=user_id, name=name)
    last, number, modified = row or (0, None, None)
    return Stamp(last), number, Stamp(modified or 0)


class Found:
    """The beginning of a list, and how it goes on; all from one state of the database.

    stamp: the user's last one. modified: the collection's. count: of the records. end: as
    that of a Listing. Where it is long, its transaction is left open: send() must be
    called at once, and sees to its end.
    """

    def __init__(self, stamp, modified, batches, encode, media_type):
        self.stamp = stamp
        self.modified = modified
        self.count = 0
        self.end = None
        self._pieces = []
        self._rest = formats.encode_list(self._texts(batches, encode), media_type)
        self._transaction = None
        self._record_bytes = 0

    def read(self):
        """Reads what may be in memory; whether that is all."""
        size = 0
        for piece in self._rest:
            self._pieces.append(piece)
            size += len(piece)
            if size > spool.MEMORY_BYTES:
                self._record_bytes = size / self.count
                return False
        return True

    def leave_open(self, database, connection, count):
        """Lets it go on behind database.read(); count is that of all records."""
        self.count = count
        self._transaction = database.kept(connection)

    def send(self, resp, owner, may_stream):
        """Makes it the body of a falcon.Response. owner: as for a Spool.

        may_stream: whether a client can tell that the body lacks its end. Raises Busy
        and SpoolError; where it is not streamed, what the database raises.
        """
        if self._transaction is None:
            resp.data = b"".join(self._pieces)
            return
        give_back = stream.take_place() if may_stream else None
        parts = Spool(owner)
        if give_back is None:
            self._collect(parts)
            parts.send(resp)
            return
        expected = int(self._record_bytes * self.count * MARGIN)
        resp.stream = stream.Stream(
            parts, self._all(), self._transaction, expected, give_back
        )

    def _texts(self, batches, encode):
        for rows in batches:
            if self._transaction is None:
                self.count += len(rows)
            yield [encode(row) for row in rows]

    def _all(self):
        yield from self._pieces
        yield from self._rest

    def _collect(self, parts):
        try:
            with self._transaction:
                for piece in self._all():
                    parts.write(piece)
        except BaseException:
            parts.close()
            raise


def find(
    storage, connection, user_id, collection, selection, media_type, check=None
):
    """The Found of a list; an act of database.read().

    check(modified, stamp) gets the Stamps of the collection and of the user, and raises
    where the list is not to be read.
    """
    stamp, number, modified = collection_state(connection, user_id, collection)
    if check is not None:
        check(modified, stamp)
    if number is None:
        found = Found(stamp, modified, (), None, media_type)
        found.read()
        return found
    listing = Listing(connection, user_id, number, selection, Stamp.now())
    if selection.full:
        batches, encode = listing.records(), formats.encode_record
    else:
        batches, encode = listing.ids(), formats.quote
    found = Found(stamp, modified, batches, encode, media_type)
    if not found.read():
        found.leave_open(storage.database, connection, listing.count())
    found.end = listing.end
    return found
