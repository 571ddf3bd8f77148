# SPDX-License-Identifier: Apache-2.0
"""What an archive may have in it: it is looked through before pip, or its own code, sees it.

Nothing is unpacked here. Wheels have more rules of their own: wheels.py.
"""

import bz2
import csv
import gzip
import os
import stat
import tarfile
import zipfile
import zlib

from mozupload import names

from . import wheels
from .members import (CHUNK, MAX_TEXT, Archive, ArchiveError, Budget, Members, metadata_read,
                      zip_members, zip_open, zip_text)
from .pypa import version_same
from .words import shown


def archive_check(path, project=None, version=None):
    """Looks through an sdist or a wheel; returns its Archive, or raises ArchiveError.

    project and version are what it has to be (a manifest's words, or the request's).
    """
    name = os.path.basename(path)
    try:
        if names.is_wheel(name):
            found = wheels.wheel_read(path)
        else:
            found = sdist_read(path)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile,
            NotImplementedError, UnicodeError, ValueError, OverflowError, IndexError,
            RuntimeError, RecursionError, csv.Error) as problem:
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
    info = texts.member_read(top + "/PKG-INFO")
    if info is None:
        raise ArchiveError(name, "is no sdist of a Python project: it has no PKG-INFO",
                           "`python setup.py sdist` and `python -m build` make one.")
    archive = Archive(path, "sdist", metadata_read(name, info))
    backend = texts.member_read(top + "/pyproject.toml")
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
                data = texts.member_read("/".join(parts)) or b""
                lines = data.decode("utf-8", "replace").split("\n")
                found += [line.strip() for line in lines if line.strip() and line[:1] not in "[#"]
    return found


class Texts:
    """The paths of an archive's members (in parts) and the content of the few that count."""

    def __init__(self):
        self.paths = []
        self.contents = {}

    def member_read(self, path):
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
