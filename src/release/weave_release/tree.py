# SPDX-License-Identifier: Apache-2.0
"""Writes the files of a revision into a folder, as git and hg archive them (tar)."""

import os
import stat
import tarfile

from .errors import ReleaseError

MAX_FILES = 100000
MAX_BYTES = 4 << 30
CHUNK = 1 << 16
LFS = b"version https://git-lfs.github.com/spec/"
TOP = "tree"                # the folder that all names in the archive begin with


class Tree:
    """Unpacks one revision; `shown` is its repository for people.

    WANT, where it is given, says for each file in which name it is kept, or None.
    """

    def __init__(self, shown, folder, want=None):
        self.shown = shown
        self.folder = folder
        self.want = want
        self.links = []
        self.files = 0
        self.bytes = 0

    def unpack(self, stream):
        """Unpacks the tar that comes through STREAM. Raises ReleaseError."""
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    self._member_write(archive, member)
        except (tarfile.TarError, EOFError) as e:
            raise ReleaseError("%s: its files cannot be unpacked (%s)" % (self.shown, e))
        for path, target in self.links:
            # last, so that nothing was written through one
            self._link_make(path, target)
        for path, _ in self.links:
            # once all are there: they may lead on through each other
            self._link_check(path)

    def _count(self, size):
        self.files += 1
        self.bytes += size
        if self.files > MAX_FILES or self.bytes > MAX_BYTES:
            raise ReleaseError("%s has more than %d files or %d GiB: this is more than a release "
                               "may have" % (self.shown, MAX_FILES, MAX_BYTES >> 30))

    def _member_write(self, archive, member):
        name = self._name(member.name)
        if member.isdir():
            self._count(0)
            if name and not self.want:
                os.makedirs(os.path.join(self.folder, name), exist_ok=True)
            return
        kept = self.want(name) if self.want else name
        self._count(member.size if kept is not None else 0)
        if kept is None:
            return
        path = os.path.join(self.folder, kept)
        if member.issym() and not self.want:
            self.links.append((name, member.linkname))
        elif member.isreg():
            self._file_write(path, name, archive.extractfile(member), member)
        else:
            raise ReleaseError("%s: %s is no file" % (self.shown, name))

    def _name(self, text):
        """The path within the revision. Raises ReleaseError where it could lead out."""
        parts = text.rstrip("/").split("/")
        if parts[0] != TOP or any(
                part in ("", ".", "..") or part.lower() in (".git", ".hg") for part in parts[1:]):
            raise ReleaseError("%s has a file called %r, which could lead out of its folder"
                               % (self.shown, text))
        return "/".join(parts[1:])

    def _file_write(self, path, name, source, member):
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW,
                         0o755 if member.mode & stat.S_IXUSR else 0o644)
        except (FileExistsError, NotADirectoryError):
            raise ReleaseError("%s has the name %s twice" % (self.shown, name))
        with os.fdopen(fd, "wb") as out:
            chunk = source.read(CHUNK)
            if member.size < 1024 and chunk.startswith(LFS):
                raise ReleaseError("%s: %s is kept by Git LFS, which checkout does not ask: keep "
                                   "the file itself in the repository" % (self.shown, name))
            while chunk:
                out.write(chunk)
                chunk = source.read(CHUNK)

    def _link_make(self, name, target):
        parts = os.path.normpath(os.path.join(os.path.dirname(name), target)).split("/")
        if target.startswith("/") or parts[0] == "..":
            raise ReleaseError("%s: the link %s leads out of it, to %s"
                               % (self.shown, name, target))
        path = os.path.join(self.folder, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)
        except OSError:
            raise ReleaseError("%s has the name %s twice" % (self.shown, name))

    def _link_check(self, name):
        folder = os.path.realpath(self.folder)
        path = os.path.realpath(os.path.join(self.folder, name))
        if os.path.commonpath([path, folder]) != folder:
            raise ReleaseError("%s: the link %s leads out of it" % (self.shown, name))
