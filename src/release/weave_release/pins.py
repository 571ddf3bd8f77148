# SPDX-License-Identifier: Apache-2.0
"""Which versions a checkout wants: its requirements files, where all that they say are pins."""

import os
import re

from mozupload import names

from . import pypa
from .errors import ReleaseError

MAX_BYTES = 1 << 20
MAX_DEPTH = 8
# Files that are for those who work on the application.
_OTHERS = re.compile(r"(?:^|[-_.])(?:dev|devel|develop|development|tests?|testing|docs?|lint|build|"
                     r"ci|local|optional|extras?|all)(?:[-_.]|$)")
# Options of pip that name sources or kinds of archives; the vendor repository is the only source.
_IGNORED = re.compile(r"(?:-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host"
                      r"|--no-index|--pre|--prefer-binary|--only-binary|--no-binary"
                      r"|--require-hashes)(?:[ =]|$)")
_NESTED = re.compile(r"(-r|-c|--requirement|--constraint)[ =]?\s*(\S+)\Z")
_HASH = re.compile(r"\s--hash[ =](\w+):([0-9a-fA-F]+)")


class Pins:
    """What the requirements files of a checkout say.

    files: their paths within it. requires: texts "NAME==VERSION", with extras and
    markers. versions: {canonical name: the versions that a line pins it to}, those of
    constraints too. hashes: {(canonical name, version): set of sha256}. skipped: files
    that are for developers.
    """

    def __init__(self):
        self.files = []
        self.skipped = []
        self.requires = []
        self.versions = {}
        self.hashes = {}
        self.unpinned = []

    def is_wanted(self, name, version):
        """Whether an archive of this canonical name and version may be taken."""
        return name not in self.versions or any(
            _same(version, one) for one in self.versions[name])

    def is_hash_good(self, name, version, sha256):
        """Whether an archive is one whose hash is demanded; sha256() returns its own."""
        demanded = [hashes for (other, pinned), hashes in self.hashes.items()
                    if other == name and _same(version, pinned)]
        return not demanded or all(sha256() in hashes for hashes in demanded)


def _same(one, other):
    return one == other or pypa.version_same(one, other)


def pins_read(folder, top):
    """The Pins of the requirements*.txt in a folder of a checkout; `top` is all of the checkout.

    requirements.txt alone where it is there, else all but those for developers. Files
    without any pin count for nothing: then the metadata say what is needed. One that
    has both kinds of lines is refused.
    """
    pins = Pins()
    found = sorted(name for name in os.listdir(folder)
                   if name.startswith("requirements") and name.endswith(".txt"))
    if "requirements.txt" in found:
        found = ["requirements.txt"]
    for name in found:
        if _OTHERS.search(name[len("requirements"):-len(".txt")]):
            pins.skipped.append(name)
            continue
        _Reader(pins, top).file_read(os.path.join(folder, name), False, 0)
    if pins.requires and pins.unpinned:
        raise ReleaseError("%s is no pin: write NAME==VERSION, or have no pins at all, for the "
                           "metadata to say what is needed" % pins.unpinned[0])
    if not pins.requires:
        pins.files = []
    return pins


class _Reader:
    def __init__(self, pins, top):
        self.pins = pins
        self.top = os.path.realpath(top)

    def file_read(self, path, is_constraint, depth):
        shown = os.path.relpath(os.path.realpath(path), self.top)
        if shown.startswith("..") or depth > MAX_DEPTH:
            raise ReleaseError("the requirements lead out of the checkout, to %s" % shown)
        if shown in self.pins.files:
            return
        try:
            with open(path, "rb") as file:
                text = file.read(MAX_BYTES).decode("utf-8-sig", "replace")
        except OSError as e:
            raise ReleaseError("%s of the checkout cannot be read (%s)" % (shown, e.strerror))
        self.pins.files.append(shown)
        for number, line in _lines(text):
            self._line("%s:%d" % (shown, number), line, path, is_constraint, depth)

    def _line(self, where, line, path, is_constraint, depth):
        nested = _NESTED.match(line)
        if nested:
            self.file_read(os.path.join(os.path.dirname(path), nested.group(2)),
                           is_constraint or nested.group(1) in ("-c", "--constraint"), depth + 1)
        elif line.startswith("-"):
            if not _IGNORED.match(line):
                raise ReleaseError("%s: a release is made of archives, so %r cannot be followed"
                                   % (where, line))
        else:
            self._requirement(where, line, is_constraint)

    def _requirement(self, where, line, is_constraint):
        packaging = pypa.packaging()
        hashes = _HASH.findall(line)
        text = _HASH.sub("", line).strip()
        try:
            requirement = packaging.requirements.Requirement(text)
        except packaging.requirements.InvalidRequirement:
            requirement = None
        if requirement is None or requirement.url:
            raise ReleaseError("%s: %r is no requirement of the form NAME==VERSION" % (where, text))
        specifiers = list(requirement.specifier)
        if len(specifiers) != 1 or specifiers[0].operator not in ("==", "===") \
                or specifiers[0].version.endswith(".*"):
            if not is_constraint:
                self.pins.unpinned.append("%s: %s" % (where, text))
            return
        name, version = names.canonical(requirement.name), specifiers[0].version
        self.pins.versions.setdefault(name, []).append(version)
        if not is_constraint:
            self.pins.requires.append(str(requirement))
        sums = {value.lower() for kind, value in hashes if kind == "sha256"}
        if sums:
            self.pins.hashes.setdefault((name, version), set()).update(sums)
        elif hashes:
            raise ReleaseError("%s: only sha256 is compared; write --hash=sha256:..." % where)


def _lines(text):
    """(number, text) of each line that says something; \\ at the end joins two."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        said = re.sub(r"(?:^|\s)#.*", "", held).strip()
        if said:
            yield first, said
        held, first = "", 0
    if held.strip():
        yield first, re.sub(r"(?:^|\s)#.*", "", held).strip()
