# SPDX-License-Identifier: Apache-2.0
"""The values of the keys of sync.ini that are the application's."""

import difflib

from weave.server import check15, mozilla
from weave.server.clients import is_this_machine
from weave.server.config import ERROR, NOTICE, Config, ConfigError, Problem
from weave.server.keys import KEYS

HOST = "host:"
PASTE = "app:main"


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
            for severity, name, text in check15.host_problems(host, hosts[host], settings):
                problems.append(hosts[host].problem(severity, name, text))
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

    def is_set(self, name):
        """Whether the file says something about the key."""
        return name in self._entries

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
            if PASTE in config.sections() and "syncserver" not in config.sections():
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
        if values["sync15.public_url"] is None:
            values["sync15.public_url"] = values["nodes.fallback_node"]
        if is_this_machine(values["nodes.fallback_node"]):
            text = (
                "clients are sent to localhost after they have signed in, which only "
                "browsers on this machine reach: remove the key, or name the URL "
                "that clients use"
            )
            self.problems.append(self.problem(NOTICE, "nodes.fallback_node", text))
        if values["storage.use_quota"] and not values["storage.quota_size"]:
            text = "needs storage.quota_size, in KB, above 0"
            self.problems.append(self.problem(ERROR, "storage.use_quota", text))
        for severity, name, text in check15.problems(self, config):
            self.problems.append(self.problem(severity, name, text))


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
