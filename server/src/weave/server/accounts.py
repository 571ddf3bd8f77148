# SPDX-License-Identifier: Apache-2.0
"""The accounts of Sync 1.1: names, e-mail addresses, password hashes."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from weave.server.columns import ExactText
from weave.server.queries import Query
from weave.server.records import is_text

MAX_NAME_CHARS = 128
MAX_EMAIL_CHARS = 254

METADATA = MetaData(info={"part": "accounts"})

_accounts = Table(
    "weave_accounts",
    METADATA,
    Column("name", ExactText(MAX_NAME_CHARS), primary_key=True),
    Column("user_id", BigInteger, nullable=False, unique=True, autoincrement=False),
    Column("email", ExactText(MAX_EMAIL_CHARS), nullable=False),
    Column("password_hash", ExactText(255), nullable=False),
)

_FIND = Query(select(_accounts).where(_accounts.c.name == bindparam("name")))
_ALL = Query(select(_accounts).order_by(_accounts.c.name))
_ANY = Query(select(_accounts.c.name).limit(1))
_CREATE = Query(
    insert(_accounts).values({name: bindparam(name) for name in _accounts.c.keys()})
)
_NAMED = _accounts.c.name == bindparam("its_name")
_UNCHANGED = (
    _NAMED,
    _accounts.c.user_id == bindparam("its_user"),
    _accounts.c.password_hash == bindparam("its_hash"),
)
_RESET_HASH = Query(
    update(_accounts).where(_NAMED).values(password_hash=bindparam("new_hash"))
)
_SET_HASH = Query(
    update(_accounts).where(*_UNCHANGED).values(password_hash=bindparam("new_hash"))
)
_SET_EMAIL = Query(
    update(_accounts).where(*_UNCHANGED).values(email=bindparam("new_email"))
)
_DELETE = Query(delete(_accounts).where(*_UNCHANGED))

_NAME = re.compile(r"[a-z0-9._-]+", re.ASCII)
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f/]+")


class NameTaken(Exception):
    """Somebody has the name already."""


@dataclass(frozen=True)
class Account:
    """What was read about somebody, and verified with that password hash."""

    name: str
    user_id: int
    email: str
    password_hash: str


def is_email(value):
    return (
        is_text(value)
        and len(value) <= MAX_EMAIL_CHARS
        and _EMAIL.fullmatch(value) is not None
    )


def canonical_name(value):
    """The name under which an account is kept; ValueError when it cannot be one.

    Names are lower case; an e-mail address becomes the hash that clients make
    of it.
    """
    value = value.lower()
    if is_email(value):
        digest = hashlib.sha1(value.encode("utf-8")).digest()
        return base64.b32encode(digest).decode("ascii").lower()
    if len(value) > MAX_NAME_CHARS or not _NAME.fullmatch(value):
        raise ValueError("not a user name")
    return value


def find(connection, name):
    """The Account with a canonical name, or None."""
    row = _FIND.row(connection, name=name)
    return Account(*row) if row else None


class Accounts:
    """The table of accounts in a Database."""

    def __init__(self, database, create_tables):
        self.database = database
        database.require(METADATA, create_tables)

    def find(self, name):
        """The Account with a canonical name, or None."""
        return self.database.read(lambda connection: find(connection, name))

    def all(self):
        """Each Account, by name."""
        return [Account(*row) for row in self.database.read(_ALL.rows)]

    def create(self, name, email, password_hash):
        """Raises NameTaken."""
        # Ids are drawn, not counted: where an accounts database is lost and
        # made anew, nobody is given the records of somebody else.
        row = {
            "name": name,
            "user_id": secrets.randbits(62),
            "email": email,
            "password_hash": password_hash,
        }
        try:
            self.database.write(lambda connection: _CREATE.change(connection, **row))
        except IntegrityError:
            raise NameTaken from None

    def reset_password_hash(self, name, password_hash):
        """For administrators: whatever the account is now; whether there is one."""
        return self._change(_RESET_HASH, its_name=name, new_hash=password_hash)

    # These do what a password allowed only while it is still the password, of the
    # same account: between the look at it and here, others may have changed it,
    # deleted the account, or signed up under its name.

    def set_password_hash(self, account, password_hash):
        """Whether the account was still as it was read."""
        return self._change_unchanged(_SET_HASH, account, new_hash=password_hash)

    def set_email(self, account, email):
        """Whether the account was still as it was read."""
        return self._change_unchanged(_SET_EMAIL, account, new_email=email)

    def delete(self, account):
        """Whether the account was still as it was read."""
        return self._change_unchanged(_DELETE, account)

    def ping(self):
        """Raises what keeps accounts from being read."""
        self.database.read(_ANY.row)

    def _change_unchanged(self, query, account, **values):
        return self._change(
            query,
            its_name=account.name,
            its_user=account.user_id,
            its_hash=account.password_hash,
            **values,
        )

    def _change(self, query, **values):
        changed = self.database.write(
            lambda connection: query.change(connection, **values)
        )
        return changed > 0
