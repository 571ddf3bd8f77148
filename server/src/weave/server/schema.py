# SPDX-License-Identifier: Apache-2.0
"""The tables of the storage database."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

from weave.server.records import MAX_ID_CHARS

MAX_COLLECTION_CHARS = 64

# Later than any time to live: a record that never expires.
NEVER = 2**53

# The numbers that Mozilla's servers gave to well-known collections.
STANDARD_COLLECTIONS = {
    "clients": 1,
    "crypto": 2,
    "forms": 3,
    "history": 4,
    "keys": 5,
    "meta": 6,
    "bookmarks": 7,
    "prefs": 8,
    "tabs": 9,
    "passwords": 10,
    "addons": 11,
}
FIRST_OTHER_COLLECTION = 100

METADATA = MetaData()


def _exact(chars):
    """Text that is compared byte by byte, on MySQL too."""
    binary = mysql.VARCHAR(chars, charset="utf8mb4", collation="utf8mb4_bin")
    return String(chars).with_variant(binary, "mysql").with_variant(binary, "mariadb")


def _payload():
    """Text of any length; MySQL's TEXT ends at 64 KiB."""
    medium = mysql.MEDIUMTEXT(charset="utf8mb4")
    return Text().with_variant(medium, "mysql").with_variant(medium, "mariadb")


# Locking a user's row makes the writers of one user take turns; `modified` is
# the last stamp that was given out, whatever became of the collection since.
users = Table(
    "weave_users",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("modified", BigInteger, nullable=False),
)

# A collection without a live record keeps its row and is not shown.
collections = Table(
    "weave_collections",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", _exact(MAX_COLLECTION_CHARS), nullable=False),
    Column("modified", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name"),
    ForeignKeyConstraint(["user_id"], [users.c.user_id]),
)

# Times are Stamps (hundredths of a second).
records = Table(
    "weave_records",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("collection", Integer, primary_key=True, autoincrement=False),
    Column("id", _exact(MAX_ID_CHARS), primary_key=True),
    Column("modified", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("sortindex", Integer),
    Column("parentid", _exact(MAX_ID_CHARS)),
    Column("predecessorid", _exact(MAX_ID_CHARS)),
    Column("payload_size", Integer, nullable=False),
    Column("payload", _payload(), nullable=False),
    ForeignKeyConstraint(
        ["user_id", "collection"], [collections.c.user_id, collections.c.number]
    ),
    Index("weave_records_modified", "user_id", "collection", "modified"),
    # Counts, sizes and expiry are read from here, without touching payloads.
    Index("weave_records_usage", "user_id", "collection", "expires", "payload_size"),
)
