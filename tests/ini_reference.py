# SPDX-License-Identifier: Apache-2.0
"""The dialect of sync.ini once more, for ini_differential.t.

The lines are left to Python's own configparser. What it raises is noted, that
line is mended, and it is asked again, so that all problems of a file come out,
as they do in C. Values, `extends` and the rest are written from the contract
in src/core/weave_ini.h, in a different way than the C code does it.
"""

import configparser
import os
import re

DEFAULT = "DEFAULT"
MENDED = "mended-by-the-reference-"
PART = re.compile(r"(%\(here\)s|\$\{[A-Za-z_][A-Za-z0-9_]*\})")


def lower(text):
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def fold(key):
    for prefix in ("environ.", "env."):
        if lower(key).startswith(prefix):
            return prefix + key[len(prefix):]
    return lower(key)


def split_lines(data):
    """Universal newlines, on bytes."""
    return re.split(rb"\r\n|\r|\n", data)


def decode(data, note):
    """The text of a file; what is none becomes '?', one for each byte."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    lines = []
    for number, line in enumerate(split_lines(data), 1):
        if b"\0" in line:
            note("encoding", number)
        text = line.replace(b"\0", b"?").decode("utf-8", "surrogateescape")
        if any("\udc80" <= c <= "\udcff" for c in text):
            note("encoding", number)
        lines.append(re.sub("[\udc80-\udcff]", "?", text))
    return lines


def new_parser():
    parser = configparser.RawConfigParser()
    parser.optionxform = fold
    # its own since Python 3.10; before, a name ended at the first bracket
    parser.SECTCRE = re.compile(r"\[(?P<header>.+)\]")
    return parser


def parse(lines, note):
    """RawConfigParser over the lines, mended until it takes them; None where
    it cannot be mended without a change to other lines."""
    lines = list(lines)
    orphans = 0
    while True:
        parser = new_parser()
        try:
            parser.read_file([line + "\n" for line in lines])
        except configparser.MissingSectionHeaderError as error:
            if not orphans:
                note("missing-section", error.lineno)
            orphans += 1
            lines[error.lineno - 1] = ""
            continue
        except configparser.DuplicateOptionError as error:
            note("duplicate-option", error.lineno)
            at = error.lineno - 1
            key = lines[at].lstrip()
            if key[0] in "=:":
                return None  # no name stands in for one without
            indent = lines[at][:len(lines[at]) - len(key)]
            lines[at] = "%s%s%d%s" % (indent, MENDED, at, key)
            continue
        except configparser.DuplicateSectionError as error:
            note("duplicate-section", error.lineno)
            return None
        except configparser.ParsingError as error:
            for number, _ in error.errors:
                note("parsing", number)
        return sections_of(parser)


def sections_of(parser):
    found = {DEFAULT: dict(parser.defaults())}
    parser.defaults().clear()
    for name in parser.sections():
        found[name] = dict(parser.items(name))
    for keys in found.values():
        for key in [key for key in keys if key.startswith(MENDED)]:
            del keys[key]
    return found


class Entry:
    def __init__(self, path, raw):
        self.path = path
        self.raw = raw

    def value(self, unset):
        lines = [line for line in self.raw.split("\n") if line.strip()]
        values = [self.scalar(line.strip(), unset) for line in lines]
        return values if len(values) > 1 else values[0] if values else ""

    def scalar(self, text, unset):
        if re.fullmatch(r'".*"', text, re.S):
            return text[1:-1]
        parts = PART.split(text)
        for i in range(1, len(parts), 2):
            if parts[i] == "%(here)s":
                parts[i] = os.path.dirname(self.path)
            elif parts[i][2:-1] in os.environ:
                parts[i] = os.environ[parts[i][2:-1]]
            else:
                unset(parts[i][2:-1])
                parts[i] = ""
        text = "".join(parts)
        if re.fullmatch("-?[0-9]+", text) and abs(2 * int(text) + 1) < 2**64:
            return int(text)
        return {"true": True, "false": False}.get(lower(text), text)


class Reference:
    """sections: {name: {key: Entry}}, or None where Python cannot go on;
    problems: [(kind, path, line)], the line 0 where it is not known."""

    def __init__(self, path):
        self.sections = {}
        self.problems = []
        self.values = {}
        self.seen = []
        self.unread = False
        self.read(path, ())
        if self.sections is not None:
            self.evaluate()

    def read(self, path, parents):
        self.seen.append(path)

        def note(kind, line):
            self.problems.append((kind, path, line))

        with open(path, "rb") as stream:
            own = parse(decode(stream.read(), note), note)
        if own is None or self.sections is None:
            self.sections = None
            return
        for section, keys in own.items():
            merged = self.sections.setdefault(section, {})
            for key, raw in keys.items():
                merged.setdefault(key, Entry(path, raw))
        if "extends" in own[DEFAULT]:
            self.extend(Entry(path, own[DEFAULT]["extends"]), parents + (path,))

    def extend(self, entry, parents):
        def complain(kind):
            self.problems.append((kind, entry.path, 0))

        unset = []
        names = entry.value(unset.append)
        if unset:
            # evaluate() meets the main file's once more; C reports it once
            if len(parents) > 1:
                for _ in unset:
                    complain("unset")
            return
        for name in names if isinstance(names, list) else [names]:
            if isinstance(name, bool):
                name = str(name).lower()
            directory = os.path.dirname(entry.path)
            path = os.path.normpath(os.path.join(directory, str(name)))
            if path in parents:
                complain("extends")
            elif path in self.seen:
                pass
            elif not name or not os.path.isfile(path):
                complain("extends")
            elif len(parents) > 8:
                complain("extends")
            elif self.sections is not None:
                self.read(path, parents)

    def evaluate(self):
        for section, keys in self.sections.items():
            self.values[section] = {}
            for key, entry in keys.items():
                self.values[section][key] = entry.value(
                    lambda name, path=entry.path: self.problems.append(
                        ("unset", path, 0)))
