# SPDX-License-Identifier: Apache-2.0
"""A database as release 0.1.0 has left it, version 1 of the tables."""

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
    create_engine,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.pool import NullPool

METADATA = MetaData()
MYSQL = ("mysql", "mariadb")
NEVER = 2**53
NOW = 179604147449


def _with(type_, other):
    for name in MYSQL:
        type_ = type_.with_variant(other, name)
    return type_


def _exact():
    return _with(String(64), mysql.VARCHAR(64, charset="utf8mb4", collation="utf8mb4_bin"))


users = Table(
    "weave_users",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("modified", BigInteger, nullable=False),
)
collections = Table(
    "weave_collections",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", _exact(), nullable=False),
    Column("modified", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name"),
    ForeignKeyConstraint(["user_id"], [users.c.user_id]),
)
records = Table(
    "weave_records",
    METADATA,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("collection", Integer, primary_key=True, autoincrement=False),
    Column("id", _exact(), primary_key=True),
    Column("modified", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("sortindex", Integer),
    Column("parentid", _exact()),
    Column("predecessorid", _exact()),
    Column("payload_size", Integer, nullable=False),
    Column("payload", _with(Text(), mysql.MEDIUMTEXT(charset="utf8mb4")), nullable=False),
    ForeignKeyConstraint(
        ["user_id", "collection"], [collections.c.user_id, collections.c.number]
    ),
    Index("weave_records_modified", "user_id", "collection", "modified"),
    Index("weave_records_usage", "user_id", "collection", "expires", "payload_size"),
)
accounts = Table(
    "weave_accounts",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("user_id", BigInteger, nullable=False, unique=True, autoincrement=False),
    Column("email", String(254), nullable=False),
    Column("password_hash", String(255), nullable=False),
)
logins = Table(
    "weave_logins",
    METADATA,
    Column("subject", String(200), primary_key=True),
    Column("ends", BigInteger, nullable=False, index=True),
)


def stored(stamp, dialect):
    """What release 0.1.0 has stored of a time; on MySQL and MariaDB, seconds."""
    return (stamp + 50) // 100 if dialect in MYSQL else stamp


def make(url, users_count=3, records_count=5):
    """Makes the tables, and rows in them."""
    engine = create_engine(url, poolclass=NullPool, future=True)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        now = stored(NOW, engine.dialect.name)
        for user in range(1, users_count + 1):
            name = "user%d" % user
            row = {"name": name, "user_id": user, "email": name + "@example.org"}
            connection.execute(accounts.insert(), dict(row, password_hash="none"))
            connection.execute(users.insert(), {"user_id": user, "modified": now})
            row = {"user_id": user, "number": 4, "name": "history", "modified": now}
            connection.execute(collections.insert(), row)
            row = {"user_id": user, "collection": 4, "modified": now, "payload_size": 1}
            rows = [
                dict(row, id="r%d" % number, expires=NEVER, payload="x")
                for number in range(records_count)
            ]
            connection.execute(records.insert(), rows)
        connection.execute(logins.insert(), {"subject": "name user1", "ends": NOW + 100})
