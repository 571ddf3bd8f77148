#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ini reader in C against Python's configparser, over generated files.

    tests/ini_differential.t [SEED [CASES]]

What ini_dump makes of a file is held against ini_reference.py, and, where the
file is good, against the reader of weave.server, which is the one that the
application really uses. Every difference is printed with its files.
"""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(HERE), os.environ.get("BUILD", "build"))
DUMP = os.path.join(BUILD, "tests", "ini_dump")
SERVER = os.path.join(HERE, "../server/src/weave/server/config.py")
BATCH = 200
SHOWN = 3

sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import ini_reference  # noqa: E402

ENVIRON = {
    "SET": "set",
    "PORT": "8080",
    "EMPTY": "",
    "LINES": "one\n  two",
    "QUOTED": '"quoted"',
    "NESTED": "${SET}%(here)s",
    "_u1": " true ",
    "TRUTH": "TRUE",
}

SPACES = ["", " ", "  ", "\t", "    ", "\x0b", "\x0c", "\x1c", "\x1f", "\x85",
          "\xa0", "\u1680", "\u2003", "\u2028", "\u3000", "\u200b", "\ufeff"]
HEADERS = ["[a]", "[b]", "[c]", "[DEFAULT]", "[default]", "[ a ]", "[]", "[]]",
           "[a]x", "[[a]]", "[a][b]", "[wsgi]", "[host:x.org:80]", "[a",
           "a]", "[\u00fc]", "[a] = b", "[a;b]", "[#]", "[\u3000]"]
KEYS = ["x", "X", "y", "two words", "environ.Foo", "ENVIRON.foo", "env.Bar",
        "Env.bar", "env.", "environ", "\u00c9", "\u00e9", "\u0130", "a[b]",
        "%(here)s", "${SET}", '"q"', "a.b", "-", "", "k#", "x;", "\U0001f600"]
DELIMITERS = ["=", ":", " = ", " : ", "\t=", "=:", "==", ":=", "", " ", "= ",
              "\u3000=\u2003", "\xa0:"]
VALUES = ["", "0", "1", "-7", "--7", "-", "+1", "007", "1_000", "1 2", "1.5",
          "\u0661", "9223372036854775807", "9223372036854775808",
          "-9223372036854775808", "-9223372036854775809", "9" * 30,
          "true", "False", "TRUE", "fAlSe", "truex", "yes", "\u017ftrue",
          '"quoted"', '""', '"', '"a" b', '"a" "b"', "'a'", '"true"', '"1"',
          '"%(here)s${SET}"', "%(here)s", "a%(here)s/b%(here)s", "%(HERE)s",
          "%%(here)s", "%(here)", "%", "${SET}", "${PORT}", "${EMPTY}",
          "${LINES}", "${QUOTED}", "${NESTED}", "${_u1}", "${TRUTH}",
          "${UNSET}", "a${UNSET}${SET}", "${}", "${SET", "$SET", "$${SET}",
          "${1}", "${SE T}", "${\u00fc}", "$", "${${SET}}", "; inline", "# x",
          "a ; b", "a # b", "a = b : c", "[a]", "\\", "\u00fc\u4e2d\U0001f600",
          "a\x01b", "\x7f"]
COMMENTS = ["# c", "; c", "#", ";x=1", "  # c", "\t; c", "\u3000# c", "#[a]"]


class Generator:
    """Random files: bytes, by name; `a.ini` is the one to read."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tame = False  # or nearly every file would be a bad one

    def one(self, words):
        return self.random.choice(words)

    def often(self, percent):
        return self.random.random() * 100 < percent

    def value(self):
        text = self.one(VALUES)
        if self.often(20):
            text += self.one(SPACES) + self.one(VALUES)
        return text

    def key(self):
        number = "%d" % self.random.randrange(99)
        if self.tame:
            return self.one(KEYS) + number + "="
        return self.one(KEYS) + self.one(["", "", number]) + self.one(DELIMITERS)

    def line(self):
        kind = self.random.random() * (0.97 if self.tame else 1)
        if kind < 0.12 and not self.tame:
            return self.one(SPACES) * self.often(20) + self.one(HEADERS)
        if kind < 0.55:
            indent = self.one(SPACES) if self.often(15) else ""
            return indent + self.key() + self.value()
        if kind < 0.75 and not (self.tame and self.often(50)):
            return self.one(SPACES[1:]) + self.value() + self.one(SPACES)
        if kind < 0.85:
            return self.one(COMMENTS)
        if kind < 0.97:
            return self.one(SPACES)
        return self.value()

    def text(self, head=()):
        lines = list(head)
        self.tame = self.often(60)
        if self.tame or not self.often(10):
            lines.append(self.one(["[a]", "[b]", "[DEFAULT]"]))
        lines += [self.line() for _ in range(self.random.randrange(12))]
        end = self.one(["\n", "\n", "\n", "\r\n", "\r"])
        data = "".join(
            line + (self.one(["\n", "\r", "\r\n"]) if self.often(2) else end)
            for line in lines
        ).encode()
        if self.often(20):
            data = data.rstrip(b"\r\n")
        return b"\xef\xbb\xbf" + data if self.often(5) else data

    def mutated(self):
        data = bytearray(self.text())
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(data) + 1)
            if self.often(30):
                del data[at:at + self.random.randrange(4)]
            else:
                data[at:at] = self.one(
                    [b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80",
                     b"\xf4\x90\x80\x80", b"\xc2\x85", b"\n", b"\r", b"[", b"]",
                     b"=", b" ", b'"', b"\n \n", b"\n# c\n", b"\n[a]\n",
                     b"\xef\xbb\xbf", bytes([self.random.randrange(256)])])
        return bytes(data)

    def extended(self):
        names = ["a.ini", "b.ini", "c.ini", "d.ini"]
        files = {}
        for name in names:
            values = [self.one(names[1:] + ["none.ini", "sub/../b.ini"] * self.often(20)
                               + ["a.ini"] * self.often(10))
                      for _ in range(self.random.randrange(3))]
            values = [self.one(["", "./", "%(here)s/"]) + value for value in values]
            if self.often(5):
                values.append("${UNSET}.ini")
            head = ["[DEFAULT]", "extends = " + "\n  ".join(values)] if values else []
            files[name] = self.text(head)
        return files


def cases_of(kind, generator, count):
    for _ in range(count):
        if kind == "lines and values":
            yield {"a.ini": generator.text()}
        elif kind == "broken bytes":
            yield {"a.ini": generator.mutated()}
        else:
            yield generator.extended()


def compare(path, dumped):
    """None, or what differs between the C reader and the reference."""
    reference = ini_reference.Reference(path)
    found = [(p["kind"], p["file"],
              0 if p["kind"] in ("unset", "extends") else p["line"])
             for p in dumped["problems"]]
    if reference.sections is None:
        missing = [p for p in reference.problems if p not in found]
        return missing and "C does not report %r" % missing
    if sorted(found) != sorted(reference.problems):
        return "problems: C %r, Python %r" % (
            sorted(set(found) - set(reference.problems)) or found,
            sorted(set(reference.problems) - set(found)) or reference.problems)
    raw = {section: {key: entry.raw for key, entry in keys.items()}
           for section, keys in reference.sections.items()}
    c_raw = {section: {key: entry["raw"] for key, entry in keys.items()}
             for section, keys in dumped["sections"].items()}
    if raw != c_raw:
        return "text: C %r, Python %r" % (c_raw, raw)
    values = values_of(dumped)
    if repr(sorted_deep(values)) != repr(sorted_deep(reference.values)):
        return "values: C %r, Python %r" % (values, reference.values)
    return None


def values_of(dumped):
    return {section: {key: entry["value"] for key, entry in keys.items()}
            for section, keys in dumped["sections"].items()}


def sorted_deep(sections):
    """As repr() shows True and 1 apart, which == does not."""
    return sorted((name, sorted(keys.items())) for name, keys in sections.items())


def check_lines(path, dumped):
    """Is each entry on the line that C says?"""
    for keys in dumped["sections"].values():
        for key, entry in keys.items():
            with open(path, "rb") as stream:
                lines = ini_reference.decode(stream.read(), lambda *_: None)
            at = lines[entry["line"] - 1].strip()
            name = min(at.split("=")[0], at.split(":")[0], key=len).rstrip()
            if ini_reference.fold(name) != key:
                return "%r is not in line %d" % (key, entry["line"])
    return None


def load_server():
    spec = importlib.util.spec_from_file_location("weave_config", SERVER)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compare_server(server, path, dumped):
    """Good files: the same values. Bad ones: an error there too."""
    try:
        config = server.Config(path)
        values = {
            section: {key: entry.value()
                      for key, entry in config.entries(section).items()}
            for section in ["DEFAULT", *config.sections()]}
    except server.ConfigError as error:
        return None if dumped["problems"] else "weave.server: %s" % error
    if dumped["problems"]:
        return "weave.server takes what C refuses: %r" % dumped["problems"]
    if repr(sorted_deep(values)) != repr(sorted_deep(values_of(dumped))):
        return "C %r, weave.server %r" % (values_of(dumped), values)
    return None


def write_case(folder, number, files):
    where = os.path.join(folder, "%05d" % number)
    os.mkdir(where)
    for name, data in files.items():
        with open(os.path.join(where, name), "wb") as stream:
            stream.write(data)
    return os.path.join(where, "a.ini")


def dump(paths):
    for at in range(0, len(paths), BATCH):
        batch = paths[at:at + BATCH]
        lines = subprocess.run([DUMP, *batch], stdout=subprocess.PIPE,
                               check=True).stdout.decode().split("\n")
        for path, line in zip(batch, lines):
            yield path, json.loads(line)


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def report(self, name, differences):
        self.count += 1
        self.failed += bool(differences)
        print("%sok %d - %s" % ("not " if differences else "", self.count, name))
        for path, text in differences[:SHOWN]:
            print("# " + text.replace("\n", "\\n"))
            folder = os.path.dirname(path)
            for name in sorted(os.listdir(folder)):
                with open(os.path.join(folder, name), "rb") as stream:
                    print("#   %s: %r" % (name, stream.read()))
        if len(differences) > SHOWN:
            print("# and %d more" % (len(differences) - SHOWN))
        sys.stdout.flush()


def run_kind(tap, kind, generator, count, server):
    folder = tempfile.mkdtemp(prefix="weave-ini-")
    differences, unlike_server, good = [], [], 0
    try:
        paths = [write_case(folder, number, files) for number, files
                 in enumerate(cases_of(kind, generator, count))]
        for path, dumped in dump(paths):
            text = compare(path, dumped)
            if not text and kind == "lines and values":
                text = check_lines(path, dumped)
            if text:
                differences.append((path, text))
            text = compare_server(server, path, dumped)
            if text:
                unlike_server.append((path, text))
            good += not dumped["problems"]
        tap.report("%s, %d files: C is configparser" % (kind, count), differences)
        tap.report("%s: C is weave.server" % kind, unlike_server)
        enough = min(good, count - good) * 20 > count
        tap.report("%s: %d good, %d bad" % (kind, good, count - good),
                   [] if enough else [(paths[0], "too few of one sort")])
    finally:
        shutil.rmtree(folder)


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    os.environ.update(ENVIRON)
    os.environ.pop("UNSET", None)
    server = load_server()
    tap = Tap()
    for kind in "lines and values", "broken bytes", "extends":
        run_kind(tap, kind, Generator("%d %s" % (seed, kind)), count, server)
    print("1..%d" % tap.count)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
