# SPDX-License-Identifier: Apache-2.0
"""The keys of sync.ini that are the application's: kinds, defaults, checks."""

import os
import re
from dataclasses import dataclass
from typing import Any, Callable, Optional

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from weave.server.clients import http_url, node_url
from weave.server.rules import Limits


@dataclass(frozen=True)
class Key:
    """A key of sync.ini: `kind` is the type of its value, `help` ends in the unit."""

    name: str
    kind: type
    default: Any
    help: str
    least: Optional[int] = None
    most: Optional[int] = None
    check: Optional[Callable[[str], str]] = None  # converts; ValueError says why

    def convert(self, value):
        """The checked value; ValueError with what is allowed."""
        if type(value) is not self.kind:
            raise ValueError("must be " + _KIND_NAMES[self.kind])
        if self.kind is int and not self.least <= value <= self.most:
            raise ValueError("must be from %d to %d" % (self.least, self.most))
        return self.check(value) if self.check else value


_KIND_NAMES = {int: "a whole number", bool: "true or false", str: "one line of text"}


def _page(value):
    if not re.fullmatch(r"/?[A-Za-z0-9._~/-]+", value):
        raise ValueError("must be a path such as __heartbeat__")
    return value.strip("/")


# The names that Mozilla's servers had for drivers, and SQLAlchemy has no more.
_DRIVERS = {
    "postgres": "postgresql",
    "pymysql": "mysql+pymysql",
    "pymsql": "mysql+pymysql",
}


def _database(value):
    scheme, mark, rest = value.partition("://")
    if scheme in _DRIVERS:
        value = _DRIVERS[scheme] + mark + rest
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):  # the latter quotes what it takes as a port
        raise ValueError(
            "must be a database URL, such as sqlite:///%(here)s/weave.db"
        ) from None
    path = url.database
    if url.get_backend_name() == "sqlite" and path and path != ":memory:":
        if not path.startswith("/"):
            raise ValueError(
                "must name the file by its whole path (sqlite:// and then two "
                "slashes more), or start with sqlite:///%(here)s/"
            )
    return value


def _path(value):
    if not os.path.isabs(value):
        raise ValueError("must be a whole path, or start with %(here)s/")
    return os.path.normpath(value)


def _admission(value):
    value = value.lower()
    if value not in ("first", "true", "false"):
        raise ValueError("must be first, true or false")
    return value


# LongText holds 16 MiB in MySQL, and a body is in memory while it is decoded.
_BYTES = (1024, 2**26)
_POOL = "Connections kept open"
_OVERFLOW = "Connections opened beyond pool_size when all are busy"
_RECYCLE = "Age at which a connection is replaced, in seconds; -1 is never"
_CREATE = "Create missing tables at the first use"

KEYS = (
    Key(
        "global.retry_after",
        int,
        1800,
        "Told to clients with each 503, in seconds",
        1,
        604800,
    ),
    Key(
        "global.heartbeat_page",
        str,
        "__heartbeat__",
        "Path of the health page",
        check=_page,
    ),
    Key(
        "global.debug_page",
        str,
        None,
        "Path of a page with versions and connections",
        check=_page,
    ),
    Key(
        "global.welcome_page",
        bool,
        True,
        "Tell people at / how to set up a browser",
    ),
    Key("storage.sqluri", str, None, "Database of the records", check=_database),
    Key(
        "storage.standard_collections",
        bool,
        True,
        "Fixed numbers for well-known collections",
    ),
    Key("storage.use_quota", bool, False, "Limit what each user may store"),
    Key("storage.quota_size", int, 0, "The limit, in KB of payload", 0, 2**31),
    Key("storage.pool_size", int, 100, _POOL, 1, 10000),
    Key("storage.pool_recycle", int, 60, _RECYCLE, -1, 604800),
    Key(
        "storage.pool_timeout",
        int,
        30,
        "Wait for a free connection, in seconds",
        0,
        600,
    ),
    Key("storage.pool_max_overflow", int, 10, _OVERFLOW, 0, 10000),
    Key("storage.reset_on_return", bool, True, "Roll back what a connection had open"),
    Key("storage.create_tables", bool, False, _CREATE),
    Key("storage.batch_max_count", int, 100, "Records kept of one POST", 1, 100000),
    Key(
        "storage.batch_max_bytes",
        int,
        1024 * 1024,
        "Payload kept of one POST, in bytes",
        1024,
        2**31,
    ),
    Key(
        "auth.sqluri",
        str,
        None,
        "Database of the accounts (storage.sqluri)",
        check=_database,
    ),
    Key("auth.pool_size", int, 20, _POOL, 1, 10000),
    Key("auth.pool_recycle", int, 60, _RECYCLE, -1, 604800),
    Key("auth.create_tables", bool, None, _CREATE + " (storage.create_tables)"),
    Key("auth.allow_new_users", bool, True, "Let people sign up"),
    Key(
        "auth.strict_usernames",
        bool,
        True,
        "The name must be the one made from the e-mail address",
    ),
    Key(
        "nodes.fallback_node",
        str,
        None,
        "URL of this server, as clients reach it",
        check=node_url,
    ),
    Key(
        "sync15.secret_file",
        str,
        None,
        "File with the secrets of tokens; with it, Sync 1.5 is served",
        check=_path,
    ),
    Key(
        "sync15.public_url",
        str,
        None,
        "URL of this server, as Firefox reaches it",
        check=node_url,
    ),
    Key(
        "sync15.allow_new_users",
        str,
        "first",
        "Who may begin to use it: the first account (first), all (true), none (false)",
        check=_admission,
    ),
    Key("sync15.token_duration", int, 3600, "Life of a token, in seconds", 1, 86400),
    Key(
        "sync15.jwks_url",
        str,
        "https://oauth.accounts.firefox.com/v1/jwks",
        "Where the public keys of the account server are",
        check=http_url,
    ),
    Key(
        "sync15.max_request_bytes",
        int,
        Limits.max_request_bytes,
        "Longest body, in bytes",
        *_BYTES,
    ),
    Key(
        "sync15.max_post_records",
        int,
        Limits.max_post_records,
        "Records kept of one POST",
        1,
        100000,
    ),
    Key(
        "sync15.max_post_bytes",
        int,
        Limits.max_post_bytes,
        "Payload kept of one POST, in bytes",
        *_BYTES,
    ),
    Key(
        "sync15.max_total_records",
        int,
        Limits.max_total_records,
        "Records of one batch",
        1,
        10**7,
    ),
    Key(
        "sync15.max_total_bytes",
        int,
        Limits.max_total_bytes,
        "Payload of one batch, in bytes",
        1024,
        2**40,
    ),
    Key(
        "sync15.max_record_payload_bytes",
        int,
        Limits.max_record_payload_bytes,
        "Longest payload of one record, in bytes",
        1024,
        15 * 1024 * 1024,
    ),
)
