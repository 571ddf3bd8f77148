# SPDX-License-Identifier: Apache-2.0
"""What an archive may have in it: it is looked through before pip, or its own code, sees it.

Nothing is unpacked here. Wheels have more rules of their own: wheels.py.
"""

import bz2
import email.parser
import gzip
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib

from mozupload import names

from . import pypa
from .errors import ReleaseError

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
        if version_read(self.version) is None:
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


def archive_check(path, project=None, version=None):
    """Looks through an sdist or a wheel; returns its Archive, or raises ArchiveError.

    project and version are what it has to be (a manifest's words, or the request's).
    """
    name = os.path.basename(path)
    try:
        if names.is_wheel(name):
            from . import wheels
            found = wheels.wheel_read(path)
        else:
            found = sdist_read(path)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile,
            NotImplementedError, UnicodeError, ValueError, OverflowError, IndexError,
            RuntimeError, RecursionError) as problem:
        raise ArchiveError(name, "is damaged (%s)" % shown(str(problem) or type(problem).__name__),
                           "Take a whole copy of it.")
    except OSError as problem:
        if problem.errno is None:       # bz2 and gzip say so when they meet something else
            raise ArchiveError(name, "is damaged (%s)" % shown(str(problem)),
                               "Take a whole copy of it.")
        raise ArchiveError(name, "cannot be read (%s)" % problem.strerror, "")
    identity_check(found, project, version)
    return found


def identity_check(archive, project, version):
    """Refuses an archive whose metadata are of something else than was asked for."""
    if project and archive.canonical != names.canonical(project):
        raise ArchiveError(archive.name, "is an archive of %s and not of %s"
                           % (shown(archive.project), project))
    if version and not version_same(archive.version, version):
        raise ArchiveError(archive.name, "is an archive of version %s and not of %s"
                           % (shown(archive.version), version))


def version_read(text):
    """The version as packaging has it, or None when the text is none."""
    version = pypa.packaging().version
    try:
        return version.Version(text) if len(text) <= 128 and text.isascii() else None
    except version.InvalidVersion:
        return None


def version_same(one, other):
    """Whether two texts are the same version: 1.0 and 1.0.0 are."""
    first = version_read(one)
    return first is not None and first == version_read(other)


def shown(text, most=100):
    """The text for a message: short, and without control characters."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= most else text[: most - 3] + "..."


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


# ---- sdists ----

def sdist_read(path):
    """The Archive of an sdist; ArchiveError where it must not be unpacked."""
    name = os.path.basename(path)
    texts = zip_texts(path) if name.endswith(".zip") else tar_texts(path)
    tops = {parts[0] for parts in texts.paths}
    if len(tops) != 1:
        raise ArchiveError(name, "is no sdist: it has %s instead of one folder NAME-VERSION"
                           % ("%d folders" % len(tops) if tops else "nothing"))
    top = tops.pop()
    info = texts.read(top + "/PKG-INFO")
    if info is None:
        raise ArchiveError(name, "is no sdist of a Python project: it has no PKG-INFO",
                           "`python setup.py sdist` and `python -m build` make one.")
    archive = Archive(path, "sdist", metadata_read(name, info))
    backend = texts.read(top + "/pyproject.toml")
    if backend is not None:
        archive.backend = backend.decode("utf-8", "replace")
    elif not texts.has(top + "/setup.py"):
        raise ArchiveError(name, "has neither a pyproject.toml nor a setup.py to build it with")
    archive.requires = sdist_requires(archive, texts)
    return archive


def sdist_requires(archive, texts):
    """What an sdist says that it needs: Requires-Dist, else setuptools' requires.txt.

    None where only its build knows. That of requires.txt is without markers and extras.
    """
    if archive.requires or archive.is_static:
        return archive.requires
    found = None
    for parts in texts.paths:
        if len(parts) > 1 and parts[-2].endswith(".egg-info"):
            found = found or []
            if parts[-1] == "requires.txt":
                lines = (texts.read("/".join(parts)) or b"").decode("utf-8", "replace").split("\n")
                found += [line.strip() for line in lines if line.strip() and line[:1] not in "[#"]
    return found


class Texts:
    """The paths of an archive's members (in parts) and the content of the few that count."""

    def __init__(self):
        self.paths = []
        self.contents = {}

    def read(self, path):
        """The bytes of a file, or None when it is not there."""
        return self.contents.get(path)

    def has(self, path):
        return path.split("/") in self.paths

    @staticmethod
    def is_wanted(parts):
        """Whether a file's content is kept: it says what the sdist is and needs."""
        return (len(parts) == 2 and parts[1] in ("PKG-INFO", "pyproject.toml")
                or len(parts) > 1 and parts[-1] == "requires.txt"
                and parts[-2].endswith(".egg-info"))


def zip_texts(path):
    """The Texts of an sdist that is a zip."""
    texts, budget = Texts(), Budget(os.path.basename(path), os.path.getsize(path))
    with zip_open(path) as archive:
        for parts, member in zip_members(archive, os.path.basename(path)):
            texts.paths.append(parts)
            budget.spend(member.file_size)
            if Texts.is_wanted(parts) and not member.is_dir():
                texts.contents["/".join(parts)] = zip_text(archive, member)
    return texts


def tar_texts(path):
    """The Texts of an sdist that is a tar; all of it is unpacked once, and forgotten."""
    name = os.path.basename(path)
    if zipfile.is_zipfile(path):
        raise ArchiveError(name, "is a zip and a tar at once, and pip would unpack the zip")
    texts, members = Texts(), Members(name)
    opener = bz2.BZ2File if name.endswith(".bz2") else gzip.GzipFile
    with opener(path) as unpacked:
        stream = Forward(unpacked, Budget(name, os.path.getsize(path)), name)
        with tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as archive:
            member = archive.next()
            while member is not None:
                parts = tar_member(members, member)
                if parts:
                    texts.paths.append(parts)
                if Texts.is_wanted(parts) and member.isreg():
                    texts.contents["/".join(parts)] = tar_text(archive, member, name)
                archive.members = []        # or a million of them would stay
                member = archive.next()
        stream.finish()
    return texts


def tar_member(members, member):
    """Checks a member of a tar; returns its path in parts."""
    if member.size < 0 or member.issparse():
        members.refuse("has a member of a kind that no sdist needs (%s)" % shown(member.name))
    if member.isdir():
        return members.add(member.name, "folder")
    if member.issym() or member.islnk():
        members.link_check(members.parts_check(member.name), member.linkname, member.islnk())
        return members.add(member.name, "link" if member.issym() else "file")
    if not member.isreg():
        members.refuse("has a device or a pipe (%s)" % shown(member.name))
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        members.refuse("has a file that is setuid or setgid (%s)" % shown(member.name))
    return members.add(member.name, "file")


def tar_text(archive, member, name):
    if member.size > MAX_TEXT:
        raise ArchiveError(name, "has a %s of more than %d MiB"
                           % (member.name.rpartition("/")[2], MAX_TEXT >> 20))
    with archive.extractfile(member) as stream:
        data = stream.read(member.size + 1)
    if len(data) != member.size:
        raise EOFError("it ends in the middle of %s" % member.name)
    return data


class Forward:
    """What tarfile reads an unpacked stream through: forward only, within a budget.

    tarfile asks for headers as large as they say they are, and goes one byte back
    at most, to see whether the stream ends.
    """

    def __init__(self, source, budget, name):
        self.source = source
        self.budget = budget
        self.name = name
        self.at = 0
        self.last = b""         # the byte before `at`, and whether it is read again
        self.again = False

    def tell(self):
        return self.at - self.again

    def seek(self, to, whence=0):
        if whence or to < self.at - 1:
            raise tarfile.ReadError("a header leads backwards")
        self.again = to == self.at - 1
        while self.at < to:
            if not self._take(min(CHUNK, to - self.at)):
                raise tarfile.ReadError("it ends in the middle of a member")
        return to

    def read(self, size=-1):
        if size < 0 or size > MAX_TEXT + tarfile.BLOCKSIZE:
            raise ArchiveError(self.name, "has a header of more than %d MiB" % (MAX_TEXT >> 20))
        data = b""
        if self.again and size:
            data, self.again = self.last, False
        chunks = [data]
        size -= len(data)
        while size > 0:
            chunk = self._take(min(CHUNK, size))
            if not chunk:
                break
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def finish(self):
        """Reads what is left: its checksum, and what other programs might see there."""
        while self._take(CHUNK):
            pass

    def _take(self, size):
        chunk = self.source.read(size)
        self.budget.spend(len(chunk))
        self.at += len(chunk)
        if chunk:
            self.last = chunk[-1:]
        return chunk


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
