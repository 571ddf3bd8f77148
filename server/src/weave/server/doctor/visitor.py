# SPDX-License-Identifier: Apache-2.0
"""A user of Sync 1.5 who is there for a small sync, and is forgotten then.

The token server has no token for it, and it takes nobody's place among the members.
"""

import contextlib
import secrets

from sqlalchemy import bindparam, select

from weave.server.doctor_api import FXA_UID
from weave.server.members import add_member, new_user_id, with_new_id
from weave.server.people import forget_member
from weave.server.queries import Query
from weave.server.schema15 import members
from weave.server.stamps import Stamp

# A doctor takes less time than that. The next one, or purge, removes the users that a
# killed one has left.
STALE_SECONDS = 600

_STALE = Query(
    select(members.c.user_id).where(
        members.c.fxa_uid.like(FXA_UID + "%"),
        members.c.created <= bindparam("until"),
    )
)


@contextlib.contextmanager
def visitor(storage):
    """The (user_id, fxa_uid) of a user, for a block."""
    forget_stale(storage)
    fxa_uid = FXA_UID + secrets.token_hex(8)
    user_id = _add(storage.database, fxa_uid)
    try:
        yield user_id, fxa_uid
    finally:
        forget_member(storage, user_id)


def forget_stale(storage):
    """Forgets visitors whose program was killed."""
    until = Stamp(Stamp.now() - STALE_SECONDS * 100)
    for (user_id,) in storage.database.read(
        lambda connection: _STALE.rows(connection, until=until)
    ):
        forget_member(storage, user_id)


def _add(database, fxa_uid):
    """Makes a user who is nobody else's; returns the user_id."""

    def add(connection):
        user_id, now = new_user_id(), Stamp.now()
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
        add_member(connection, row)
        return user_id

    return with_new_id(database, add)
