# SPDX-License-Identifier: Apache-2.0
"""A user of Sync 1.5 who is there for a small sync, and is forgotten then.

The token server has no token for it, and it takes nobody's place among the members.
"""

import contextlib
import secrets

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from weave.server.doctor_api import FXA_UID
from weave.server.members import DRAWS, MAX_USER_ID
from weave.server.people import forget_member
from weave.server.queries import Query
from weave.server.schema import users
from weave.server.schema15 import members
from weave.server.stamps import Stamp

# A doctor takes less time than that. The next one, or purge, removes the users that a
# killed one has left.
STALE_SECONDS = 600

# The id of an account has no such character.
_MARK = "-"

_ADD_USER = Query(insert(users).values(user_id=bindparam("user_id"), modified=0))
_ADD = Query(
    insert(members).values({name: bindparam(name) for name in members.c.keys()})
)
_STALE = Query(
    select(members.c.user_id).where(
        members.c.fxa_uid >= bindparam("first"),
        members.c.fxa_uid < bindparam("end"),
        members.c.created <= bindparam("until"),
    )
)


@contextlib.contextmanager
def visitor(storage):
    """The (user_id, fxa_uid) of a user, for a block."""
    forget_stale(storage)
    fxa_uid = FXA_UID + _MARK + secrets.token_hex(8)
    user_id = _add(storage.database, fxa_uid)
    try:
        yield user_id, fxa_uid
    finally:
        forget_member(storage, user_id)


def forget_stale(storage):
    """Forgets visitors whose program was killed."""
    names = {"first": FXA_UID + _MARK, "end": FXA_UID + chr(ord(_MARK) + 1)}
    until = Stamp(Stamp.now() - STALE_SECONDS * 100)
    for (user_id,) in storage.database.read(
        lambda connection: _STALE.rows(connection, until=until, **names)
    ):
        forget_member(storage, user_id)


def _add(database, fxa_uid):
    """Makes a user who may be nobody else's; the user_id."""
    for draw in range(1, DRAWS + 1):
        user_id, now = 1 + secrets.randbelow(MAX_USER_ID), Stamp.now()
        row = {
            "user_id": user_id,
            "fxa_uid": fxa_uid,
            "client_state": "",
            "generation": 0,
            "keys_changed_at": 0,
            "created": now,
            "replaced": None,
            "endpoint": "",
            "seen": now,
            "note": "weave-server doctor",
        }

        def add(connection, row=row):
            _ADD_USER.change(connection, user_id=row["user_id"])
            _ADD.change(connection, **row)

        try:
            database.write(add)
            return user_id
        except IntegrityError:
            if draw == DRAWS:
                raise
