# SPDX-License-Identifier: Apache-2.0
"""What a wheel may have in it: the rules of the wheel format that older pips do not check."""

import base64
import csv
import io
import os
import re

from mozupload import names

from . import members, pypa
from .files import hash_read
from .members import ArchiveError
from .words import shown

SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
UNSIGNED = ("RECORD", "RECORD.jws", "RECORD.p7s")
HASHES = ("sha256", "sha384", "sha512")

# What becomes a file in bin/. Names that a shell reads in its own way are left out.
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}\Z")
# Files of the virtualenv itself.
_TAKEN = re.compile(r"(?:python|pypy)[0-9.]*\Z|activate(?:[._].*)?\Z", re.IGNORECASE)
_OBJECT = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*\s*:\s*[^\W\d]\w*(?:\.[^\W\d]\w*)*"
                     r"\s*(?:\[[\w\s,.-]*\])?\s*\Z")
_GROUPS = ("console_scripts", "gui_scripts")


def wheel_read(path):
    """The Archive of a wheel; ArchiveError where it must not be installed."""
    return _Wheel(path).archive_read()


class _Wheel:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        self.members = {}           # path: ZipInfo
        self.info = ""              # the folder NAME-VERSION.dist-info

    def refuse(self, text):
        raise ArchiveError(self.name, text)

    def archive_read(self):
        split = names.wheel_split(self.name)
        if not split:
            self.refuse("has not the name of a wheel, NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
        budget = members.Budget(self.name, os.path.getsize(self.path))
        with members.zip_open(self.path) as archive:
            for parts, member in members.zip_members(archive, self.name):
                budget.spend(member.file_size)
                if not member.is_dir():
                    self.members["/".join(parts)] = member
            found = self.metadata_check(archive, split)
            self.wheel_check(archive)
            self.record_check(archive)
            self.data_check()
            self.scripts_check(archive)
        return found

    def text(self, archive, leaf):
        """The text of a file in the .dist-info folder."""
        path = "%s/%s" % (self.info, leaf)
        if path not in self.members:
            self.refuse("has no %s" % path)
        return members.zip_text(archive, self.members[path])

    def metadata_check(self, archive, split):
        """Finds METADATA, and compares them with the names of folder and file."""
        infos = {path.split("/")[0] for path in self.members
                 if path.split("/")[0].endswith(".dist-info")}
        if len(infos) != 1:
            self.refuse("has %d folders .dist-info instead of one" % len(infos))
        self.info = infos.pop()
        metadata = members.metadata_read(self.name, self.text(archive, "METADATA"))
        found = members.Archive(self.path, "wheel", metadata)
        project, dash, version = self.info[:-len(".dist-info")].rpartition("-")
        for place, said in (("file", split[:2]), ("folder .dist-info", (project, version))):
            if (names.canonical(said[0]) != found.canonical
                    or not pypa.version_same(said[1], found.version)):
                self.refuse("says that it is %s %s, and the name of its %s says %s %s"
                            % (shown(found.project), shown(found.version), place,
                               shown(said[0]), shown(said[1])))
        return found

    def wheel_check(self, archive):
        fields = members.metadata_read(self.name, self.text(archive, "WHEEL"))
        version = members.field_only(self.name, fields, "Wheel-Version")
        if not re.match(r"1\.[0-9]+\Z", version):
            self.refuse("is a wheel of version %s, and only 1 is known" % shown(version))

    def record_check(self, archive):
        """RECORD must list each file, with the hash and size that it has."""
        rows = {}
        text = self.text(archive, "RECORD").decode("utf-8")
        for row in csv.reader(io.StringIO(text, newline="")):
            if not row:
                continue
            if len(row) != 3 or rows.setdefault(row[0], row) != row:
                self.refuse("has a RECORD with a line that is no file, hash and size (%s)"
                            % shown(",".join(row)))
        for path in sorted(rows):
            if path not in self.members:
                self.refuse("has a RECORD that names a file which is not there (%s)"
                            % shown(path))
        for path, member in self.members.items():
            if path in ("%s/%s" % (self.info, leaf) for leaf in UNSIGNED):
                continue
            if path not in rows:
                self.refuse("has a file that its RECORD does not name (%s)" % shown(path))
            self.file_check(archive, member, path, rows[path])

    def file_check(self, archive, member, path, row):
        kind, equals, wanted = row[1].partition("=")
        if kind not in HASHES:
            self.refuse("has a RECORD without a SHA-256 of %s" % shown(path))
        with archive.open(member) as stream:
            digest, size = hash_read(stream, kind)
        found = base64.urlsafe_b64encode(digest.digest()).decode("ascii").rstrip("=")
        if found != wanted.rstrip("=") or row[2] not in ("", str(size)):
            self.refuse("has a file that is not the one of its RECORD (%s)" % shown(path))

    def data_check(self):
        """NAME-VERSION.data: its schemes, and what would replace files of the virtualenv."""
        wanted = self.info[:-len(".dist-info")] + ".data"
        for path in self.members:
            parts = path.split("/")
            if not parts[0].endswith(".data"):
                continue
            if parts[0] != wanted or len(parts) < 3 or parts[1] not in SCHEMES:
                self.refuse("has a file for a place that no virtualenv has (%s)" % shown(path))
            inside = parts[2:]
            if parts[1] == "scripts":
                inside = ["bin"] + inside
            if parts[1] not in ("scripts", "data"):
                continue
            if inside[0].lower() in ("pyvenv.cfg", ".weave"):
                self.refuse("would replace a file of the virtualenv (%s)" % shown(path))
            if inside[0] == "bin":
                if len(inside) != 2:
                    self.refuse("has a script in a folder of its own (%s)" % shown(path))
                self.script_check(inside[1])

    def script_check(self, script):
        if not _SCRIPT.match(script):
            self.refuse("has a script whose name leaves bin/ or is none (%s)" % shown(script))
        if _TAKEN.match(script):
            self.refuse("would replace bin/%s of the virtualenv" % script)

    def scripts_check(self, archive):
        """The entry points that become scripts: their names, and what they call."""
        path = self.info + "/entry_points.txt"
        if path not in self.members:
            return
        for group, script, value in entry_points(
                members.zip_text(archive, self.members[path]).decode("utf-8")):
            if group in _GROUPS:
                self.script_check(script)
                if not _OBJECT.match(value):
                    self.refuse("has a script %s that calls no MODULE:FUNCTION (%s)"
                                % (script, shown(value)))


def entry_points(text):
    """Yields (group, name, value) as importlib.metadata reads them, line by line."""
    group = ""
    # it and pkg_resources split at all that Unicode calls an end of a line
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            yield group, name.strip(), value.strip()
