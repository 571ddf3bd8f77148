# SPDX-License-Identifier: Apache-2.0
"""The keys of sync.ini that are the application's, and their values."""

import difflib
import re
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from weave.server import mozilla
from weave.server.config import ERROR, NOTICE, Config, ConfigError, Problem

HOST = "host:"
PASTE = "app:main"


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


def _node(value):
    url = value if "://" in value else "https://" + value
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://sync.example.org/")
    return url.rstrip("/") + "/"


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
        check=_node,
    ),
)

_BY_NAME = {key.name: key for key in KEYS}
_THEIRS = {**mozilla.ALIASES, **mozilla.IDLE, **mozilla.JUDGED}
_SECTIONS = {name.split(".")[0] for name in (*_BY_NAME, *_THEIRS)}
_MODULE_SECTIONS = {"wsgi", "workers", "limits", "maintenance", "release"}


def read(path):
    """(Settings, {host: Settings}, [Problem]): whatever is wrong, read to its end.

    ConfigError where that cannot be, since the file is no ini file.
    """
    config = Config(path)
    problems = _section_problems(config)
    common = {}
    for section in _SECTIONS:
        for name, entry in config.entries(section).items():
            common[section + "." + name] = entry
    for key in KEYS:
        section, name = key.name.split(".")
        inherited = config.find(section, name)
        if inherited:
            common.setdefault(key.name, inherited)
    settings = Settings(config, common)
    problems += settings.problems
    hosts = {}
    for section in config.sections():
        if section.startswith(HOST):
            own = _host_entries(config, section, problems)
            host = section[len(HOST) :].strip().lower()
            hosts[host] = Settings(config, dict(common, **own))
            problems += hosts[host].problems
    return settings, hosts, sorted(set(problems))


def load(path):
    """(Settings, {host: Settings}) of a sync.ini; ConfigError with all errors."""
    settings, hosts, problems = read(path)
    errors = [problem for problem in problems if problem.severity == ERROR]
    if errors:
        raise ConfigError(*errors)
    return settings, hosts


def _section_problems(config):
    """Of sections that are not this server's, which it leaves alone."""
    problems = []
    for section in config.sections():
        entry = next(iter(config.entries(section).values()), None)
        if entry is None or section.startswith(HOST):
            continue
        if section in mozilla.IDLE_SECTIONS:
            why = "the section does nothing here: " + mozilla.IDLE_SECTIONS[section]
            problems.append(entry.problem(NOTICE, why))
        elif section not in _SECTIONS | _MODULE_SECTIONS:
            ours = sorted(_SECTIONS | _MODULE_SECTIONS)
            for close in difflib.get_close_matches(section, ours, 1, 0.75):
                text = "this section is unknown and not used; did you mean [%s]?" % close
                problems.append(entry.problem(NOTICE, text))
    return problems


def _host_entries(config, section, problems):
    entries = {}
    for name, entry in config.entries(section).items():
        head = name.split(".")[0]
        if head in _MODULE_SECTIONS:
            text = "is mod_weave's and cannot differ by host: set it in [%s], " % head
            text += "or with WeaveSet in the virtual host"
            problems.append(entry.problem(ERROR, text))
        elif head in _SECTIONS or "." not in name:
            entries[name] = entry
    return entries


class Settings:
    """Values by `section.key`, checked. problems is a list of Problem.

    What is wrong has its default value.
    """

    def __init__(self, config, entries):
        self.path = config.path
        self.problems = []
        self._values = {key.name: key.default for key in KEYS}
        self._entries = {}
        for name, entry in entries.items():
            self._set(name, entry, entries)
        self._complete(config)

    def __getitem__(self, name):
        return self._values[name]

    def pool(self, section):
        """What decides about the connections of a section's database."""
        names = ("pool_size", "pool_recycle")
        pool = {name: self[section + "." + name] for name in names}
        for name in ("pool_timeout", "pool_max_overflow", "reset_on_return"):
            pool[name] = self["storage." + name]
        return pool

    def problem(self, severity, name, message):
        """The Problem of the key name, where it is set, or else of the file."""
        entry = self._entries.get(name)
        if entry:
            return entry.problem(severity, message)
        return Problem(self.path, 0, severity, "%s: %s" % (name, message))

    def _set(self, name, entry, entries):
        ours = mozilla.ALIASES.get(name, name)
        try:
            if name != ours and ours in entries:
                text = "does nothing beside %s, which means the same" % ours
                self.problems.append(entry.problem(NOTICE, text))
            elif ours in _BY_NAME:
                self._take(_BY_NAME[ours], entry)
                if name != ours:
                    text = "is taken as %s, its name here" % ours
                    self.problems.append(entry.problem(NOTICE, text))
            elif name in _THEIRS:
                self._judge(name, entry)
            else:
                self.problems.append(entry.problem(ERROR, _unknown(name)))
        except ConfigError as error:  # of a variable that is not set
            self.problems += error.problems

    def _take(self, key, entry):
        self._entries[key.name] = entry
        try:
            value = entry.value(typed=key.kind is not str)
            self._values[key.name] = key.convert(value)
        except ValueError as error:
            text = "%s (%s)" % (error, key.help)
            self.problems.append(entry.problem(ERROR, text))

    def _judge(self, name, entry):
        why, wrong = mozilla.IDLE.get(name), None
        if why is None:
            wrong, why = mozilla.JUDGED[name](entry.value())
        if wrong:
            self.problems.append(entry.problem(ERROR, wrong))
        else:
            self.problems.append(entry.problem(NOTICE, "does nothing here: " + why))

    def _complete(self, config):
        """Fills in what depends on other keys, and checks it."""
        values = self._values
        if "storage.sqluri" not in self._entries:
            text = (
                "is missing: name the database, as in `[storage]` "
                "`sqluri = sqlite:///%(here)s/weave.db`"
            )
            if PASTE in config.sections():
                text += (
                    ". This is the file of Paste: WeaveApp needs the one that "
                    "`configuration` in [%s] names" % PASTE
                )
            self.problems.append(self.problem(ERROR, "storage.sqluri", text))
        for name in ("sqluri", "create_tables"):
            if values["auth." + name] is None:
                values["auth." + name] = values["storage." + name]
                entry = self._entries.get("storage." + name)
                if entry:
                    self._entries["auth." + name] = entry
        if _is_this_machine(values["nodes.fallback_node"]):
            text = (
                "clients are sent to localhost after they have signed in, which only "
                "browsers on this machine reach: remove the key, or name the URL "
                "that clients use"
            )
            self.problems.append(self.problem(NOTICE, "nodes.fallback_node", text))
        if values["storage.use_quota"] and not values["storage.quota_size"]:
            text = "needs storage.quota_size, in KB, above 0"
            self.problems.append(self.problem(ERROR, "storage.use_quota", text))


def _is_this_machine(url):
    host = urlsplit(url).hostname if url else None
    return host in ("localhost", "::1") or (host or "").startswith("127.")


def _unknown(name):
    known = [*_BY_NAME, *_THEIRS]
    section, _, key = name.partition(".")
    siblings = [other for other in known if other.startswith(section + ".")]
    close = difflib.get_close_matches(name, siblings, 1, 0.8)
    close += [other for other in known if other.split(".", 1)[1] == key]
    if close:
        return "is unknown; did you mean %s?" % close[0]
    ours = [other.split(".")[1] for other in siblings if other in _BY_NAME]
    if not ours:
        return "is unknown: remove it"
    return "is unknown: remove it. [%s] has %s" % (section, ", ".join(ours))
