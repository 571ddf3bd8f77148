# SPDX-License-Identifier: Apache-2.0
"""The tables that Sync 1.5 has beside those of the records.

They are in the database of the records, and only where Sync 1.5 is served.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
)

from weave.server.columns import ExactText, LongText, StampColumn
from weave.server.schema import MAX_COLLECTION_CHARS, MAX_ID_CHARS, users

METADATA = MetaData(info={"part": "sync15"})

# An upload that is not committed yet. It is locked by the row of the user. `records` and
# `bytes` are what clients have sent for it: the sum over all POSTs.
batches = Table(
    "weave_batches",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("collection", ExactText(MAX_COLLECTION_CHARS), nullable=False),
    Column("expires", StampColumn, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    ForeignKeyConstraint(["user_id"], [users.c.user_id]),
    Index("weave_batches_expires", "expires"),
)

# A field is NULL where no client has sent it. `ttl` is in seconds from the commit.
batch_records = Table(
    "weave_batch_records",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("id", ExactText(MAX_ID_CHARS), primary_key=True),
    Column("sortindex", Integer),
    Column("ttl", Integer),
    Column("payload_size", Integer),
    Column("payload", LongText()),
    ForeignKeyConstraint(["user_id", "batch"], [batches.c.user_id, batches.c.batch]),
)
