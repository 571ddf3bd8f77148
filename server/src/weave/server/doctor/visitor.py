# SPDX-License-Identifier: Apache-2.0
"""A user of Sync 1.5 who is there for a small sync, and is forgotten then.

The token server has no token for it, and it takes nobody's place among the members.
"""

import contextlib
import secrets

from sqlalchemy import bindparam, select

from weave.server.doctor_api import FXA_UID
from weave.server.members import add_member, with_new_id
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
    member = with_new_id(
        storage.database,
        lambda connection: add_member(
            connection, fxa_uid, "", (0, 0), "", "weave-server doctor"
        ),
    )
    try:
        yield member.user_id, fxa_uid
    finally:
        forget_member(storage, member.user_id)


def forget_stale(storage):
    """Forgets visitors whose program was killed."""
    until = Stamp(Stamp.now() - STALE_SECONDS * 100)
    for (user_id,) in storage.database.read(
        lambda connection: _STALE.rows(connection, until=until)
    ):
        forget_member(storage, user_id)
