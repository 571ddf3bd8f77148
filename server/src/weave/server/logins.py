# SPDX-License-Identifier: Apache-2.0
"""How often passwords may be tried, and which were right lately.

Verifying a password is slow on purpose, so that whoever sends wrong ones costs
much more than he spends. Each wrong one fills three buckets: that of the name,
that of the address that it came with, and that of both. While one of them is
full, a password that nobody has verified is not verified: the answer is 503,
never 401, which would stop a client until a person acts. A bucket of both is
smaller than that of the name, and slower, so that one address alone never fills
that of a name.

A password that was verified lately is recognised, so that nobody can be locked
out by what others send. Where its owner has used it before, no bucket counts.
Elsewhere that of the name does not. That of the address does, and is filled by
each attempt that is refused: a guess that is answered differently when it is
right has been tried, whatever the answer to the others is.

Both are kept in the database of the accounts, because that is what all
processes share: a subject, and when its row has no meaning any more.
"""

import ipaddress
import logging
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    Table,
    and_,
    bindparam,
    case,
    delete,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from weave.server.columns import ExactText
from weave.server.database import reason
from weave.server.queries import Query, insert_or_update
from weave.server.stamps import Stamp
from weave.server.turns import Busy

log = logging.getLogger(__name__)

# A verified password is recognised for so long after it was last used: a week
# away from the desk, and the day by which note_verified() may be late.
VERIFIED_DAYS = 8

# Rows without meaning that are removed by each that is written.
PURGE_AT_ONCE = 100

DAY = 24 * 3600 * 100  # as a Stamp

METADATA = MetaData(info={"part": "logins"})

_logins = Table(
    "weave_logins",
    METADATA,
    Column("subject", ExactText(200), primary_key=True),
    Column("ends", BigInteger, nullable=False, index=True),
)


_ENDS = Query(
    select(_logins.c.subject, _logins.c.ends).where(
        _logins.c.subject.in_(bindparam("subjects", expanding=True))
    )
)
_WITHOUT_MEANING = Query(
    select(_logins.c.subject).where(_logins.c.ends < bindparam("now")).limit(PURGE_AT_ONCE)
)
_PURGE = Query(
    delete(_logins).where(
        _logins.c.subject.in_(bindparam("subjects", expanding=True)),
        _logins.c.ends < bindparam("now"),
    )
)
# A time that is over, or too far ahead because the clock was set back, counts as now.
_IS_SOUND = and_(_logins.c.ends > bindparam("now"), _logins.c.ends <= bindparam("highest"))
_COUNTED = case((_IS_SOUND, _logins.c.ends), else_=bindparam("now"))
_CHARGE = Query(insert_or_update(_logins, ends=_COUNTED + bindparam("interval")))
_NOTE = Query(insert_or_update(_logins))


@dataclass(frozen=True)
class Bucket:
    """Holds `burst` attempts, and loses one every `seconds`."""

    subject: str
    burst: int
    seconds: int

    @property
    def interval(self):
        return self.seconds * 100

    def wait_seconds(self, ends, now):
        """How long until there is room; `ends` is when it will be empty."""
        if self.is_impossible(ends, now):
            return 0
        over = ends - now - (self.burst - 1) * self.interval
        return max(0, -(-over // 100))

    def is_impossible(self, ends, now):
        """Whether the clock was set back since: the bucket is empty then."""
        return ends > now + 2 * self.burst * self.interval


def of_address(its_network):
    return Bucket("address " + its_network, burst=20, seconds=6)


def of_name(name):
    return Bucket("name " + name, burst=20, seconds=30)


def of_both(name, its_network):
    # Less than that of a name, in both numbers: see above.
    return Bucket("login %s %s" % (its_network, name), burst=10, seconds=60)


def of_sign_up(its_network):
    return Bucket("sign-up " + its_network, burst=100, seconds=10)


def of_new_password(name):
    return Bucket("new password " + name, burst=20, seconds=60)


def network(address):
    """What one client can choose its address from: with IPv6, a /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


class Logins:
    """The table of both in a Database."""

    def __init__(self, database, create_tables):
        self._database = database
        database.require(METADATA, create_tables)

    def check(self, *buckets):
        """Raises Busy when one of the buckets is full."""
        waits = self.waits(*buckets)
        if any(waits):
            raise Busy("too many attempts", max(waits))

    def waits(self, *buckets):
        """For each bucket, in how many seconds it has room."""
        return self.look((), buckets)[1]

    def look(self, tags, buckets):
        """(the tags that are known, [in how many seconds each bucket has room]).

        Known are those that note_verified() was told of, and not too long ago.
        """
        subjects = [_of_tag(tag) for tag in tags]
        subjects += [bucket.subject for bucket in buckets]
        ends = dict(
            self._database.read(
                lambda connection: _ENDS.rows(connection, subjects=subjects)
            )
        )
        now = int(Stamp.now())
        left = {tag: ends.get(_of_tag(tag), 0) - now for tag in tags}
        known = [tag for tag in tags if left[tag] > 0]
        if any(left[tag] < (VERIFIED_DAYS - 1) * DAY for tag in known):
            self.note_verified(*known)
        waits = [
            bucket.wait_seconds(ends.get(bucket.subject, 0), now) for bucket in buckets
        ]
        return known, waits

    def charge(self, *buckets):
        """Puts one attempt into each of the buckets."""
        self.purge()
        now = int(Stamp.now())

        def act(connection):
            # In one order everywhere, so that writers wait and do not deadlock.
            for bucket in sorted(buckets, key=lambda bucket: bucket.subject):
                _CHARGE.change(
                    connection,
                    subject=bucket.subject,
                    ends=now + bucket.interval,
                    now=now,
                    highest=now + 2 * bucket.burst * bucket.interval,
                    interval=bucket.interval,
                )

        self._database.write(act)

    def note_verified(self, *tags):
        """Remembers a password by its Passwords.tags()."""
        ends = int(Stamp.now()) + VERIFIED_DAYS * DAY

        def act(connection):
            for subject in sorted(map(_of_tag, tags)):
                _NOTE.change(connection, subject=subject, ends=ends)

        try:
            self._database.write(act)
        except SQLAlchemyError as error:
            # The request has its answer all the same; a later one tries again.
            log.warning("a login could not be noted: %s", reason(error))

    def purge(self):
        """Removes some rows without meaning; how many."""
        now = int(Stamp.now())
        try:
            rows = self._database.read(
                lambda connection: _WITHOUT_MEANING.rows(connection, now=now)
            )
            doomed = sorted(subject for subject, in rows)
            if doomed:
                self._database.write(
                    lambda connection: _PURGE.change(
                        connection, subjects=doomed, now=now
                    )
                )
        except SQLAlchemyError as error:
            # They harm nobody, and the next one removes them.
            log.info("old logins could not be removed: %s", reason(error))
            return 0
        return len(doomed)


def _of_tag(tag):
    return "verified " + tag
