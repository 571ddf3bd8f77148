# SPDX-License-Identifier: Apache-2.0
"""What sdists and wheels have in common: names of members, bounds, metadata, and zips."""

import email.parser
import os
import stat
import unicodedata
import zipfile

from mozupload import names

from . import pypa
from .errors import ReleaseError
from .words import shown

MAX_MEMBERS = 100000
MAX_BYTES = 4 << 30         # unpacked, of all members
MAX_RATIO = 200             # unpacked to packed, beyond FREE_BYTES
FREE_BYTES = 64 << 20
MAX_TEXT = 4 << 20          # of a file that is read here: METADATA, RECORD, ...
MAX_DIRECTORY = 16 << 20    # of a zip's central directory
MAX_PATH = 1024
MAX_COMPONENT = 255
CHUNK = 1 << 16

REMAKE = "Make the archive anew, and put it into the share under a new version."


class ArchiveError(ReleaseError):
    """An archive is refused. The sentence begins with its name."""

    def __init__(self, name, text, hint=REMAKE):
        super().__init__("%s %s" % (name, text), hint=hint)


class Archive:
    """What a good archive says of itself.

    path, name (of the file), kind ("sdist" or "wheel"), project and version (as
    its metadata have them), canonical, requires (texts of Requires-Dist; None
    where an sdist says that only its build knows), extras, requires_python ("" or
    a specifier), backend (an sdist's pyproject.toml as text, or None).
    """

    def __init__(self, path, kind, metadata):
        self.path = path
        self.name = os.path.basename(path)
        self.kind = kind
        self.project = field_only(self.name, metadata, "Name")
        self.version = field_only(self.name, metadata, "Version")
        if not names.is_name(self.project):
            raise ArchiveError(self.name, "says that its name is %s, which is no name of a "
                               "project" % shown(self.project))
        if pypa.version_read(self.version) is None:
            raise ArchiveError(self.name, "says that its version is %s, which is no version "
                               "(PEP 440)" % shown(self.version))
        self.canonical = names.canonical(self.project)
        self.requires = [str(line) for line in metadata.get_all("Requires-Dist") or []]
        self.extras = [str(line) for line in metadata.get_all("Provides-Extra") or []]
        self.requires_python = str(metadata.get("Requires-Python") or "").strip()
        self.backend = None
        dynamic = {str(line).lower() for line in metadata.get_all("Dynamic") or []}
        self.is_static = ("requires-dist" not in dynamic and
                          str(metadata.get("Metadata-Version") or "") not in
                          ("", "1.0", "1.1", "1.2", "2.0", "2.1"))


# ---- metadata ----

def metadata_read(name, data):
    """PKG-INFO or METADATA as a message with all its fields."""
    text = data.decode("utf-8", "replace")
    return email.parser.Parser().parsestr(text, headersonly=True)


def field_only(name, metadata, field):
    """A field that must be there once; pip and we would else read different ones."""
    values = metadata.get_all(field) or []
    if len(values) != 1:
        raise ArchiveError(name, "says its %s %s" % (
            field.lower(), "%d times" % len(values) if values else "nowhere"))
    return str(values[0]).strip()


# ---- names of members ----

class Members:
    """The names of an archive's members, as they come; refuses those that must not be."""

    def __init__(self, name):
        self.name = name
        self.count = 0
        self.kinds = {}         # folded path: (path, "file" | "folder" | "link")

    def refuse(self, text, hint=REMAKE):
        raise ArchiveError(self.name, text, hint)

    def add(self, raw, kind):
        """Takes in a member; returns its path in parts, or [] for the root itself."""
        self.count += 1
        if self.count > MAX_MEMBERS:
            self.refuse("has more than %d members" % MAX_MEMBERS)
        parts = self.parts_check(raw)
        for depth in range(1, len(parts)):
            self._note(parts[:depth], "folder")
        if parts:
            self._note(parts, kind)
        elif kind != "folder":
            self.refuse("has a member without a name")
        return parts

    def parts_check(self, raw):
        """The parts of a path that stays inside; ArchiveError for any other."""
        if raw.startswith("/"):
            self.refuse("has a member with an absolute path (%s)" % shown(raw))
        if "\\" in raw or any(unicodedata.category(c) in ("Cc", "Cs") for c in raw):
            self.refuse("has a member whose name no file should have (%s)" % shown(raw))
        parts = [part for part in raw.split("/") if part]
        if parts[:1] == ["."]:
            del parts[0]
        if ".." in parts:
            self.refuse("has a member outside of its folder (%s)" % shown(raw))
        if "." in parts:
            self.refuse("has a member whose name no file should have (%s)" % shown(raw))
        if (len(raw.encode("utf-8")) > MAX_PATH
                or any(len(part.encode("utf-8")) > MAX_COMPONENT for part in parts)):
            self.refuse("has a member whose name is too long (%s)" % shown(raw))
        return parts

    def _note(self, parts, kind):
        path = "/".join(parts)
        before, kind_before = self.kinds.setdefault(folded(path), (path, None))
        if before != path:
            self.refuse("has two members whose names differ in case only (%s and %s)"
                        % (shown(before), shown(path)))
        if kind_before is None:
            self.kinds[folded(path)] = (path, kind)
        elif kind_before == "link" and kind == "folder":
            self.refuse("has a member that lies behind a link (%s)" % shown(path))
        elif kind_before != "folder" or kind != "folder":
            self.refuse("has the same member twice (%s)" % shown(path))

    def is_file(self, path):
        """Whether a member of this path was added, and is a file."""
        return self.kinds.get(folded(path)) == (path, "file")

    def link_check(self, parts, target, hard):
        """Refuses a link that leads out of the archive's one folder.

        ".." counts at the beginning only: behind a name, which may be a link
        itself, it may lead anywhere.
        """
        if hard:
            inside = self.is_file(target)
        else:
            steps, folder = target.split("/"), parts[:-1]
            while steps and folder and steps[0] in (".", ".."):
                if steps.pop(0) == "..":
                    folder = folder[:-1]
            inside = bool(folder) and not {"", ".."}.intersection(steps) and "\\" not in target
        if not inside:
            self.refuse("has a link that leads out of it (%s -> %s)"
                        % (shown("/".join(parts)), shown(target)))


def folded(path):
    """The path as a file system that ignores case and composition compares it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


class Budget:
    """Counts what is unpacked from an archive of `packed` bytes; refuses bombs."""

    def __init__(self, name, packed):
        self.name = name
        self.most = min(MAX_BYTES, FREE_BYTES + MAX_RATIO * packed)
        self.used = 0

    def spend(self, size):
        self.used += size
        if self.used > self.most:
            raise ArchiveError(
                self.name, "would be more than %d MiB unpacked, from %s"
                % (self.most >> 20, "so little" if self.most < MAX_BYTES else "one archive"))


# ---- zips, of sdists and wheels ----

def zip_open(path):
    """A ZipFile whose directory is small enough to be read."""
    name = os.path.basename(path)
    with open(path, "rb") as stream:
        # zipfile has no other way to know it before all is in memory
        end = zipfile._EndRecData(stream)
    if not end:
        raise zipfile.BadZipFile("it has no end")
    if end[4] > MAX_MEMBERS:
        raise ArchiveError(name, "has more than %d members" % MAX_MEMBERS)
    if end[5] > MAX_DIRECTORY:
        raise ArchiveError(name, "has a directory of more than %d MiB" % (MAX_DIRECTORY >> 20))
    return zipfile.ZipFile(path)


def zip_members(archive, name):
    """The members as (path in parts, ZipInfo); ArchiveError for one that must not be."""
    members = Members(name)
    for member in archive.infolist():
        if member.flag_bits & 0x1:
            members.refuse("is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            members.refuse("is packed in a way that not every pip knows (%s)"
                           % shown(member.filename))
        if "\0" in getattr(member, "orig_filename", ""):
            members.refuse("has a member whose name no file should have (%s)"
                           % shown(member.filename))
        mode = member.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            members.refuse("has a link or a device (%s)" % shown(member.filename))
        if (kind == stat.S_IFDIR) != member.is_dir() and kind:
            members.refuse("has a member that is a folder and a file (%s)"
                           % shown(member.filename))
        if mode & (stat.S_ISUID | stat.S_ISGID) and not member.is_dir():
            members.refuse("has a file that is setuid or setgid (%s)" % shown(member.filename))
        yield members.add(member.filename, "folder" if member.is_dir() else "file"), member


def zip_text(archive, member):
    """All bytes of a small file in a zip."""
    name = os.path.basename(archive.filename)
    if member.file_size > MAX_TEXT:
        raise ArchiveError(name, "has a %s of more than %d MiB"
                           % (member.filename.rpartition("/")[2], MAX_TEXT >> 20))
    with archive.open(member) as stream:
        data = stream.read(MAX_TEXT + 1)
    if len(data) != member.file_size:
        raise EOFError("it ends in the middle of %s" % member.filename)
    return data
