# SPDX-License-Identifier: Apache-2.0
"""How often passwords may be tried, and which were right lately.

Verifying a password is slow on purpose, so that whoever sends wrong ones costs
much more than he spends. Each wrong one fills the buckets of the name and of
the address that it came with, and while one of them is full, neither is served
a password that nobody has verified: the answer is 503, never 401, which would
stop a client until a person acts.

A password that was verified lately is recognised, so that nobody can be locked
out by what others send: where its owner has used it before, no bucket counts,
and elsewhere not that of the name. The one of the address does count there, and
is filled by each attempt that is refused, or whoever guesses could go on until
he is recognised.

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
    case,
    delete,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from weave.server.columns import ExactText
from weave.server.database import reason
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
        ends = self._read([bucket.subject for bucket in buckets])
        now = int(Stamp.now())
        return [
            bucket.wait_seconds(ends.get(bucket.subject, 0), now) for bucket in buckets
        ]

    def charge(self, *buckets):
        """Puts one attempt into each of the buckets."""
        self.purge()
        now = int(Stamp.now())
        with self._database.writing() as connection:
            # In one order everywhere, so that writers wait and do not deadlock.
            for bucket in sorted(buckets, key=lambda bucket: bucket.subject):
                ends = _logins.c.ends
                highest = now + 2 * bucket.burst * bucket.interval
                filled = case((and_(ends > now, ends <= highest), ends), else_=now)
                self._write(
                    connection,
                    bucket.subject,
                    now + bucket.interval,
                    filled + bucket.interval,
                )

    def known(self, *tags):
        """Those that note_verified() was told of, and not too long ago."""
        ends = self._read(["verified " + tag for tag in tags])
        now = int(Stamp.now())
        left = {tag: ends.get("verified " + tag, 0) - now for tag in tags}
        found = [tag for tag in tags if left[tag] > 0]
        if any(left[tag] < (VERIFIED_DAYS - 1) * DAY for tag in found):
            self.note_verified(*found)
        return found

    def note_verified(self, *tags):
        """Remembers a password by its Passwords.tags()."""
        ends = int(Stamp.now()) + VERIFIED_DAYS * DAY
        try:
            with self._database.writing() as connection:
                for tag in sorted(tags):
                    self._write(connection, "verified " + tag, ends, ends)
        except SQLAlchemyError as error:
            # The request has its answer all the same; a later one tries again.
            log.warning("a login could not be noted: %s", reason(error))

    def purge(self):
        """Removes some rows without meaning; how many."""
        now = int(Stamp.now())
        query = select(_logins.c.subject).where(_logins.c.ends < now)
        try:
            with self._database.reading() as connection:
                query = query.limit(PURGE_AT_ONCE)
                doomed = connection.execute(query).scalars().all()
            if doomed:
                query = delete(_logins).where(_logins.c.subject.in_(doomed))
                with self._database.writing() as connection:
                    connection.execute(query.where(_logins.c.ends < now))
        except SQLAlchemyError as error:
            # They harm nobody, and the next one removes them.
            log.info("old logins could not be removed: %s", reason(error))
            return 0
        return len(doomed)

    def _read(self, subjects):
        query = select(_logins.c.subject, _logins.c.ends)
        query = query.where(_logins.c.subject.in_(subjects))
        with self._database.reading() as connection:
            return {row.subject: row.ends for row in connection.execute(query)}

    def _write(self, connection, subject, first, changed):
        row = {"subject": subject, "ends": first}
        query = self._database.insert_or_update(_logins, row, {"ends": changed})
        connection.execute(query)
