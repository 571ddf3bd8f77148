# SPDX-License-Identifier: Apache-2.0
"""The tables of the storage database."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    bindparam,
)

from weave.server.columns import ExactText, LongText, StampColumn

# Of all versions of the protocol.
MAX_ID_CHARS = 64
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

METADATA = MetaData(info={"part": "records"})

# Locking a user's row makes the writers of one user take turns; `modified` is
# the last stamp that was given out, whatever became of the collection since.
users = Table(
    "weave_users",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("modified", StampColumn, nullable=False),
)

# A collection without a live record keeps its row and is not shown. `records` and
# `bytes` are how many rows it has and the sum of their payloads, whether they have
# expired or not; they are right only where `counted` equals `modified`: a release
# that does not keep them changes `modified` alone.
collections = Table(
    "weave_collections",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", ExactText(MAX_COLLECTION_CHARS), nullable=False),
    Column("modified", StampColumn, nullable=False),
    Column("records", BigInteger),
    Column("bytes", BigInteger),
    Column("counted", StampColumn),
    UniqueConstraint("user_id", "name"),
    ForeignKeyConstraint(["user_id"], [users.c.user_id]),
)

# Times are Stamps (hundredths of a second).
records = Table(
    "weave_records",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("collection", Integer, primary_key=True, autoincrement=False),
    Column("id", ExactText(MAX_ID_CHARS), primary_key=True),
    Column("modified", StampColumn, nullable=False),
    Column("expires", StampColumn, nullable=False),
    Column("sortindex", Integer),
    Column("parentid", ExactText(MAX_ID_CHARS)),
    Column("predecessorid", ExactText(MAX_ID_CHARS)),
    Column("payload_size", Integer, nullable=False),
    Column("payload", LongText(), nullable=False),
    ForeignKeyConstraint(
        ["user_id", "collection"], [collections.c.user_id, collections.c.number]
    ),
    # The orders of lists: by time, by sortindex, and otherwise by the primary key.
    Index("weave_records_newest", "user_id", "collection", "modified", "id"),
    Index("weave_records_sortindex", "user_id", "collection", "sortindex", "id"),
    # Counts, sizes and expiry are read from here, without touching payloads.
    Index("weave_records_usage", "user_id", "collection", "expires", "payload_size"),
)

# Conditions of a Query with the parameters user_id and number: the records of a
# collection, and its row.
RECORDS_OF_COLLECTION = (
    records.c.user_id == bindparam("user_id"),
    records.c.collection == bindparam("number"),
)
ROW_OF_COLLECTION = (
    collections.c.user_id == bindparam("user_id"),
    collections.c.number == bindparam("number"),
)
