# SPDX-License-Identifier: Apache-2.0
"""The dialect of sync.ini, as mod_weave reads it in C (src/core/weave_ini.h).

A file in RawConfigParser's dialect whose values are then, in this order:

- a list, when the value has two or more lines that are not empty;
- a string taken literally, when it stands in double quotes;
- expanded: `%(here)s` is the absolute folder of the file it stands in,
  `${NAME}` an environment variable, an error when unset;
- an integer, a boolean (`true`, `false`, in any case), or else a string.

`[DEFAULT] extends` names a file, or several, relative to the file it stands
in: what is read first wins, key by key. Only values that win are expanded.
"""

import configparser
import functools
import io
import os
import pwd
import re
import stat
import string
from dataclasses import dataclass

DEFAULT = "DEFAULT"
MAX_BYTES = 1024 * 1024
MAX_DEPTH = 8
MAX_FILES = 32

_EXPANSION = re.compile(r"%\(here\)s|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_UPPER_TO_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


ERROR, NOTICE = "error", "notice"


def printable(text):
    """The text for a terminal: names of keys and files may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


@dataclass(frozen=True, order=True)
class Problem:
    """One line for the administrator. It quotes no value: logs are read by others.

    line is 0 where the file as a whole is meant.
    """

    path: str
    line: int
    severity: str
    message: str

    def __str__(self):
        where = "%s:%d" % (self.path, self.line) if self.line else self.path
        return printable("%s: %s" % (where, self.message))


class ConfigError(Exception):
    """Something in the configuration is wrong.

    problems is all of it, and str() has a line for each, with place and cure.
    """

    def __init__(self, *problems):
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def in_file(path, message, line=0):
    """A ConfigError about a file rather than a key."""
    return ConfigError(Problem(path, line, ERROR, message))


def fold(key):
    """The name under which a key is kept: names of variables keep their case."""
    for prefix in ("environ.", "env."):
        head, tail = key[: len(prefix)], key[len(prefix) :]
        if head.translate(_UPPER_TO_LOWER) == prefix:
            return prefix + tail
    return key.translate(_UPPER_TO_LOWER)


class File:
    """An ini file and its text, looked through again where a message needs a line."""

    def __init__(self, path):
        self.path = path
        self.text = _read_text(path)

    @functools.cached_property
    def lines(self):
        """{(section, key): line of the key}."""
        found, section = {}, None
        for number, text in enumerate(self.text.split("\n"), 1):
            header = re.match(r"\s*\[(.+)\]", text)
            if header:
                section = header.group(1)
            else:
                key = fold(re.split("[=:]", text, maxsplit=1)[0].strip())
                found.setdefault((section, key), number)
        return found


@dataclass(frozen=True)
class Entry:
    """One key as it was written, and where."""

    file: File
    section: str
    key: str
    raw: str

    @property
    def path(self):
        return self.file.path

    def problem(self, severity, message):
        """A Problem that says where this entry stands."""
        line = self.file.lines.get((self.section, self.key), 0)
        message = "[%s] %s: %s" % (self.section, self.key, message)
        return Problem(self.path, line, severity, message)

    def error(self, message):
        """The same as a ConfigError."""
        return ConfigError(self.problem(ERROR, message))

    def value(self, typed=True):
        """The value; ConfigError where it cannot be expanded.

        A key that is known to hold text asks for it as it is written: with
        typed=False there are no integers and booleans.
        """
        lines = [line.strip() for line in self.raw.split("\n") if line.strip()]
        if len(lines) > 1:
            return [self._scalar(line, typed) for line in lines]
        return self._scalar(lines[0] if lines else "", typed)

    def _scalar(self, text, typed):
        if len(text) >= 2 and text[0] == text[-1] == '"':
            return text[1:-1]
        text = _EXPANSION.sub(self._expand, text)
        if not typed:
            return text
        if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            return int(text)
        return {"true": True, "false": False}.get(text.lower(), text)

    def _expand(self, match):
        name = match.group(1)
        if name is None:
            return os.path.dirname(self.path)
        if name not in os.environ:
            raise self.error(
                "the environment variable %s is not set: set it where the "
                "server is started, or write the value itself" % name
            )
        return os.environ[name]


class Config:
    """A sync.ini and what it extends; see the module's docstring."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self._sections = {}
        self._count = 0
        self._read(self.path, ())

    def sections(self):
        """Names of the sections, without DEFAULT."""
        return [name for name in self._sections if name != DEFAULT]

    def entries(self, section):
        """{key: Entry} of what stands in the section itself."""
        return dict(self._sections.get(section, {}))

    def find(self, section, key):
        """The Entry of a key in its section, or else in DEFAULT, or None."""
        own = self._sections.get(section, {})
        return own.get(key) or self._sections.get(DEFAULT, {}).get(key)

    def _read(self, path, parents):
        self._count += 1
        if path in parents:
            raise in_file(path, "extends itself: remove one `extends`")
        if len(parents) > MAX_DEPTH or self._count > MAX_FILES:
            raise in_file(
                path,
                "too many files extend each other (at most %d, %d deep)"
                % (MAX_FILES, MAX_DEPTH),
            )
        file = File(path)
        own = _parse(file)
        for section, keys in own.items():
            merged = self._sections.setdefault(section, {})
            for key, raw in keys.items():
                merged.setdefault(key, Entry(file, section, key, raw))
        if "extends" in own[DEFAULT]:
            entry = Entry(file, DEFAULT, "extends", own[DEFAULT]["extends"])
            names = entry.value(typed=False)
            for name in names if isinstance(names, list) else [names]:
                other = os.path.abspath(os.path.join(os.path.dirname(path), name))
                if not os.path.isfile(other):
                    raise entry.error("there is no file %s" % other)
                self._read(other, parents + (path,))


def _read_text(path):
    """The text of a file, with \\n at the end of each line."""
    try:
        _, data = read_regular(path, MAX_BYTES)
    except OSError as error:
        text = "cannot be read: " + error.strerror
        if isinstance(error, PermissionError):
            text += ": give it a group of the user %s, and the mode 0640" % _user_name()
        raise in_file(path, text) from None
    if len(data) > MAX_BYTES or b"\0" in data:
        raise in_file(path, "is no ini file (too large, or binary)")
    try:
        return io.StringIO(data.decode("utf-8-sig"), newline=None).getvalue()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise in_file(path, "is not UTF-8", line) from None


def _user_name():
    """What the user of this process is called, or its number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def read_regular(path, max_bytes):
    """(os.stat_result, the first max_bytes and one more) of a file; OSError, ConfigError.

    Root reads what others name: a FIFO would let it wait for ever.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise in_file(path, "cannot be read: not a regular file")
        with open(handle, "rb", closefd=False) as stream:
            return status, stream.read(max_bytes + 1)
    finally:
        os.close(handle)


def _parse(file):
    """{section: {key: raw}} of one file, with DEFAULT always there."""
    parser = configparser.RawConfigParser()
    parser.optionxform = fold
    # As of Python 3.10; before, a name ended at the first bracket.
    parser.SECTCRE = re.compile(r"\[(?P<header>.+)\]")
    try:
        parser.read_string(file.text, file.path)
    except configparser.Error as error:
        raise ConfigError(*_syntax_problems(file.path, error)) from None
    sections = {DEFAULT: dict(parser.defaults())}
    parser.defaults().clear()  # or they would show up as everybody's own
    for name in parser.sections():
        sections[name] = dict(parser.items(name))
    return sections


def _syntax_problems(path, error):
    """What configparser says, without the line that it quotes."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        places = [(error.lineno, "stands above the first [section]")]
    elif isinstance(error, configparser.DuplicateSectionError):
        places = [(error.lineno, "[%s] begins a second time" % error.section)]
    elif isinstance(error, configparser.DuplicateOptionError):
        text = "[%s] %s stands there twice" % (error.section, error.option)
        places = [(error.lineno, text)]
    else:
        places = [
            (line, "is neither a [section] nor `key = value`")
            for line, _ in getattr(error, "errors", [])
        ]
    return [Problem(path, line, ERROR, text) for line, text in places]
