# SPDX-License-Identifier: Apache-2.0
"""Which version the tables of a database have, and which releases may serve them.

Each part of a database (records, accounts, logins) has a row, since parts may be in
several databases, and in some that are older than others. A database without this
table is of the releases before it, version 1.
"""

from dataclasses import dataclass

from sqlalchemy import Column, Integer, MetaData, Table, insert, inspect, select, update

from weave.server.columns import ExactText
from weave.server.version import VERSION

# The version of the tables that this release makes, and the lowest version of a
# release that may serve them, with the name of the first such release. A release
# that changes tables counts SCHEMA_VERSION up; one that an older release could not
# serve beside, such as by a column that must be filled, sets the other two.
SCHEMA_VERSION = 2
SERVES_FROM = 1
OLDEST_RELEASE = "0.1.0"

# Releases from this SCHEMA_VERSION on keep counts of collections.
COUNTS_FROM = 2

METADATA = MetaData()

_versions = Table(
    "weave_schema",
    METADATA,
    Column("part", ExactText(32), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("oldest", Integer, nullable=False),
    Column("release", ExactText(64), nullable=False),
    Column("oldest_release", ExactText(64), nullable=False),
)


@dataclass(frozen=True)
class Recorded:
    """A row about a part: `release` has made it, for releases from version `oldest` on."""

    version: int
    oldest: int
    release: str
    oldest_release: str


FIRST = Recorded(1, 1, "0.1.0", "0.1.0")
OURS = Recorded(SCHEMA_VERSION, SERVES_FROM, VERSION, OLDEST_RELEASE)


def read_versions(connection):
    """{part: Recorded} of the parts that a release has recorded; FIRST is that of others."""
    if not inspect(connection).has_table(_versions.name):
        return {}
    return {row[0]: Recorded(*row[1:]) for row in connection.execute(select(_versions))}


def record_version(connection, part):
    """Records that this release has made the tables of a part; whether that was news."""
    before = read_versions(connection).get(part)
    after = OURS if before is None else _newer(before)
    if after == before:
        return False
    row = dict(vars(after), part=part)
    if before is None:
        connection.execute(insert(_versions), row)
    else:
        query = update(_versions).where(_versions.c.part == part)
        connection.execute(query.values(**vars(after)))
    return True


def _newer(before):
    """Returns what is recorded after `before`; what a newer release has recorded stays."""
    ours = (SCHEMA_VERSION, VERSION)
    if before.version >= SCHEMA_VERSION:
        ours = (before.version, before.release)
    oldest = (SERVES_FROM, OLDEST_RELEASE)
    if before.oldest >= SERVES_FROM:
        oldest = (before.oldest, before.oldest_release)
    return Recorded(ours[0], oldest[0], ours[1], oldest[1])
