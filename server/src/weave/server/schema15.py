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
    UniqueConstraint,
)

from weave.server.columns import ExactText, LongText, StampColumn
from weave.server.schema import MAX_COLLECTION_CHARS, MAX_ID_CHARS, users

MAX_FXA_UID_CHARS = 64
MAX_ENDPOINT_CHARS = 500
MAX_NOTE_CHARS = 200

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

# The accounts of the account server (fxa_uid) that may store records. An account has a row,
# and a user, for each key that it has had, since records of one key cannot be read with
# another one; client_state is the fingerprint of the key, in hexadecimal digits. `replaced`
# is when the next key came: the one row without it is current. generation and
# keys_changed_at are milliseconds since 1970 as the account server counts them, 0 where
# no device has told. `seen` is when a token was last given out, or some minutes earlier.
members = Table(
    "weave_fxa_users",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("fxa_uid", ExactText(MAX_FXA_UID_CHARS), nullable=False),
    Column("client_state", ExactText(32), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("keys_changed_at", BigInteger, nullable=False),
    Column("created", StampColumn, nullable=False),
    Column("replaced", StampColumn),
    Column("endpoint", ExactText(MAX_ENDPOINT_CHARS), nullable=False),
    Column("seen", StampColumn, nullable=False),
    Column("note", ExactText(MAX_NOTE_CHARS)),
    UniqueConstraint("fxa_uid", "client_state"),
    ForeignKeyConstraint(["user_id"], [users.c.user_id]),
)

# Accounts that may become members, whatever sync15.allow_new_users says.
allowed = Table(
    "weave_fxa_allowed",
    METADATA,
    Column("fxa_uid", ExactText(MAX_FXA_UID_CHARS), primary_key=True),
    Column("note", ExactText(MAX_NOTE_CHARS)),
)

# Values that all processes share: the modules that use them say what each name means.
settings = Table(
    "weave_settings",
    METADATA,
    Column("name", ExactText(64), primary_key=True),
    Column("value", LongText(), nullable=False),
)
