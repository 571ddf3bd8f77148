# SPDX-License-Identifier: Apache-2.0
"""The accounts that store records by Sync 1.5, and the user whose records they are.

Changes of members take turns, in all processes, so that two devices of a new account get
one user, and two newcomers do not share one place. Most requests for a token change
nothing, and read one or two rows.
"""

import logging
import secrets
from dataclasses import dataclass, fields

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from weave.server import settings_table
from weave.server.claims import Member, Refused, check_claims, times_after
from weave.server.queries import Query
from weave.server.retries import reason
from weave.server.schema import users
from weave.server.schema15 import METADATA, members
from weave.server.stamps import Stamp

log = logging.getLogger(__name__)

# Ids have ten digits at most, as those of other servers. They are random, not counted:
# where a database is lost and made anew, old tokens name no user of the new one.
MAX_NEW_ID = 9_999_999_999
DRAWS = 5

# `seen` is written again when it is older than this.
SEEN_SECONDS = 600

# The name in weave_settings that is locked by each transaction that changes members.
LOCK = "members"

_FIELDS = tuple(field.name for field in fields(Member))
_USER = members.c.user_id == bindparam("its_user")

_CURRENT = Query(select(members.c.replaced).where(_USER))
_OF_ACCOUNT = Query(
    select(*(members.c[name] for name in _FIELDS)).where(
        members.c.fxa_uid == bindparam("fxa_uid")
    )
)
_ADD_USER = Query(
    insert(users).values(user_id=bindparam("user_id"), modified=0)
)
_ADD = Query(
    insert(members).values({name: bindparam(name) for name in members.columns.keys()})
)
_RAISE = Query(
    update(members)
    .where(_USER)
    .values(
        generation=bindparam("new_generation"),
        keys_changed_at=bindparam("new_keys_changed_at"),
    )
)
_SEE = Query(
    update(members)
    .where(_USER)
    .values(seen=bindparam("now"), endpoint=bindparam("new_endpoint"))
)
_REPLACE = Query(
    update(members)
    .where(members.c.fxa_uid == bindparam("its_account"), members.c.replaced.is_(None))
    .values(replaced=bindparam("now"))
)


def is_current(connection, user_id):
    """Whether the user was neither deleted nor replaced, so that its tokens are good."""
    row = _CURRENT.row(connection, its_user=user_id)
    return row is not None and row[0] is None


def new_user_id():
    """A random id for a user, who may be there already: see with_new_id()."""
    return 1 + secrets.randbelow(MAX_NEW_ID)


def with_new_id(database, act):
    """Returns database.write(act), which is repeated where a new_user_id() is in use."""
    for draw in range(1, DRAWS + 1):
        try:
            return database.write(act)
        except IntegrityError:
            if draw == DRAWS:
                raise


def add_member(connection, fxa_uid, client_state, times, node, note):
    """Makes a user of an account; returns the Member. IntegrityError: see with_new_id().

    times is (generation, keys_changed_at), in ms; node is the URL of the server.
    """
    user_id, now = new_user_id(), Stamp.now()
    member = Member(
        user_id,
        client_state,
        *times,
        replaced=None,
        endpoint=endpoint_of(node, user_id),
        seen=now,
        note=note,
    )
    _ADD_USER.change(connection, user_id=user_id)
    _ADD.change(connection, fxa_uid=fxa_uid, created=now, **vars(member))
    return member


def endpoint_of(node, user_id):
    """The URL below which the records of a user are; node is the URL of the server."""
    return "%s/1.5/%d" % (node.rstrip("/"), user_id)


def node_of(endpoint):
    """The URL of the server in an endpoint."""
    return endpoint.rpartition("/1.5/")[0]


@dataclass(frozen=True)
class Entered:
    """The user of a device, and the URL of the server for it, without a slash at its end."""

    user_id: int
    node: str


class Members:
    """The members in a Database. admission is an Admission.

    public_url is the URL of this server for all members. Where it is None, each member
    keeps the one by which it came first.
    """

    def __init__(self, database, create_tables, admission, public_url=None):
        self._database = database
        self._admission = admission
        self._public_url = public_url and public_url.rstrip("/")
        database.require(METADATA, create_tables)

    def enter(self, claims, node):
        """Returns the Entered of a device with these Claims; Refused.

        node is the URL by which the device came. The account becomes a member, or gets
        another user, where the rules of claims.py say so.
        """
        found = self._database.read(lambda connection: self._look(connection, claims))
        row, has_changed = found
        if has_changed:
            row = self._change(claims, node)
        node = self._node(row, node)
        self._see(row, endpoint_of(node, row.user_id))
        return Entered(row.user_id, node)

    def _node(self, row, node):
        return self._public_url or (node_of(row.endpoint) if row else node.rstrip("/"))

    def _look(self, connection, claims):
        """Returns (current Member or None, whether the Claims change anything); Refused."""
        row, old = _read(connection, claims.fxa_uid)
        if row is None:
            self._admission.check(connection, claims.fxa_uid)
            if old:
                raise Refused(
                    "the account %s was not deleted completely: do it again by "
                    "weave-server users delete INI %s" % (claims.fxa_uid, claims.fxa_uid),
                    "error",
                    "Resource is not available",
                    http_status=503,
                )
            return None, True
        check_claims(claims, row, old)
        has_other_key = claims.client_state != row.client_state
        return row, has_other_key or times_after(claims, row) != row.times

    def _change(self, claims, node):
        """Stores what the Claims change, and returns the current Member; Refused."""
        return with_new_id(
            self._database,
            lambda connection: self._change_in_turn(connection, claims, node),
        )

    def _change_in_turn(self, connection, claims, node):
        settings_table.lock(connection, LOCK)
        # Another process may have changed something since.
        row, has_changed = self._look(connection, claims)
        if not has_changed:
            return row
        times = times_after(claims, row)
        if row is None:
            note = self._admission.take(connection, claims.fxa_uid)
        elif row.client_state == claims.client_state:
            generation, keys_changed_at = times
            _RAISE.change(
                connection,
                its_user=row.user_id,
                new_generation=generation,
                new_keys_changed_at=keys_changed_at,
            )
            return row
        else:
            note = row.note
            _REPLACE.change(connection, its_account=claims.fxa_uid, now=Stamp.now())
        return add_member(
            connection,
            claims.fxa_uid,
            claims.client_state,
            times,
            self._node(row, node),
            note,
        )

    def _see(self, row, endpoint):
        """Stores when the member was last here, and the endpoint that it was told."""
        now = Stamp.now()
        age_seconds = abs(now - row.seen) / 100
        if age_seconds < SEEN_SECONDS and endpoint == row.endpoint:
            return
        try:
            self._database.write(
                lambda connection: _SEE.change(
                    connection, its_user=row.user_id, now=now, new_endpoint=endpoint
                )
            )
        except SQLAlchemyError as error:
            # The device gets its token all the same; a later visit is stored again.
            log.warning(
                "a visit of user %d could not be noted, so that `users list` shows an earlier "
                "one; the next visit is noted again: %s",
                row.user_id,
                reason(error),
            )


def _read(connection, fxa_uid):
    """Returns (the account's current Member or None, {client states of its other rows})."""
    rows = [Member(*row) for row in _OF_ACCOUNT.rows(connection, fxa_uid=fxa_uid)]
    current = [row for row in rows if row.replaced is None]
    old = {row.client_state for row in rows if row.replaced is not None}
    return (current[0] if current else None), old
