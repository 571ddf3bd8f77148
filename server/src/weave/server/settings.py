# SPDX-License-Identifier: Apache-2.0
"""The keys of sync.ini that are the application's, and their values."""

import difflib
import re
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from weave.server.config import Config, ConfigError

HOST = "host:"


@dataclass(frozen=True)
class Key:
    """One key: `kind` is the type of its value, `help` ends in the unit."""

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


def _database(value):
    try:
        url = make_url(value)
    except ArgumentError:
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


def _node(value):
    url = value if "://" in value else "https://" + value
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://sync.example.org/")
    return url.rstrip("/") + "/"


def _never(why):
    def check(value):
        if value:
            raise ValueError(why)
        return value

    return check


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
    Key("global.shared_secret", str, None, "X-Weave-Secret that skips the captcha"),
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
    Key(
        "storage.shard",
        bool,
        False,
        "Spread records over tables",
        check=_never("one table holds all records here: remove this key"),
    ),
    Key("storage.shardsize", int, 100, "Number of tables of storage.shard", 1, 10000),
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
        check=_node,
    ),
    Key(
        "captcha.use",
        bool,
        False,
        "Ask for a captcha at sign-up",
        check=_never("captchas are not supported: remove this key"),
    ),
    Key("captcha.public_key", str, None, "For captcha.use"),
    Key("captcha.private_key", str, None, "For captcha.use"),
    Key("smtp.host", str, None, "Server for mail to users"),
    Key("smtp.port", int, 25, "Port of smtp.host", 1, 65535),
    Key("smtp.sender", str, None, "Sender of mail to users"),
    Key("smtp.user", str, None, "Login at smtp.host"),
    Key("smtp.password", str, None, "Password at smtp.host"),
)

_BY_NAME = {key.name: key for key in KEYS}
_SECTIONS = {name.split(".")[0] for name in _BY_NAME}
_MODULE_SECTIONS = {"wsgi", "workers", "limits", "maintenance", "release"}


def load(path):
    """(Settings, {host: Settings}) of a sync.ini; ConfigError."""
    config = Config(path)
    common = {}
    for section in _SECTIONS:
        for name, entry in config.entries(section).items():
            common[section + "." + name] = entry
    for key in KEYS:
        section, name = key.name.split(".")
        inherited = config.find(section, name)
        if inherited:
            common.setdefault(key.name, inherited)
    hosts = {}
    for section in config.sections():
        if section.startswith(HOST):
            own = _host_entries(config, section)
            host = section[len(HOST) :].strip().lower()
            hosts[host] = Settings(path, dict(common, **own))
    return Settings(path, common), hosts


def _host_entries(config, section):
    entries = {}
    for name, entry in config.entries(section).items():
        head = name.split(".")[0]
        if head in _MODULE_SECTIONS:
            raise entry.error(
                "is mod_weave's and cannot differ by host: set it in [%s], or "
                "with WeaveSet in the virtual host" % head
            )
        if head in _SECTIONS or "." not in name:
            entries[name] = entry
    return entries


class Settings:
    """Values by `section.key`, checked. Construction raises ConfigError."""

    def __init__(self, path, entries):
        self.path = path
        self._values = {key.name: key.default for key in KEYS}
        for name, entry in entries.items():
            self._set(name, entry)
        self._complete(entries)

    def __getitem__(self, name):
        return self._values[name]

    def pool(self, section):
        """What decides about the connections of a section's database."""
        names = ("pool_size", "pool_recycle")
        pool = {name: self[section + "." + name] for name in names}
        for name in ("pool_timeout", "pool_max_overflow", "reset_on_return"):
            pool[name] = self["storage." + name]
        return pool

    def _set(self, name, entry):
        key = _BY_NAME.get(name)
        if key is None:
            close = difflib.get_close_matches(name, _BY_NAME, 1, 0)
            raise entry.error("is unknown; did you mean %s?" % close[0])
        try:
            self._values[name] = key.convert(entry.value(typed=key.kind is not str))
        except ValueError as error:
            raise entry.error("%s (%s)" % (error, key.help)) from None

    def _complete(self, entries):
        """Fills in what depends on other keys, and checks it."""
        values = self._values
        if values["storage.sqluri"] is None:
            raise ConfigError(
                "%s: storage.sqluri is missing: name the database, as in "
                "`[storage]` `sqluri = sqlite:///%%(here)s/weave.db`" % self.path
            )
        for name in ("sqluri", "create_tables"):
            if values["auth." + name] is None:
                values["auth." + name] = values["storage." + name]
        if values["storage.use_quota"] and not values["storage.quota_size"]:
            raise entries["storage.use_quota"].error(
                "needs storage.quota_size, in KB, above 0"
            )
