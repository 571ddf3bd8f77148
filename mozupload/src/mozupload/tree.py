# SPDX-License-Identifier: Apache-2.0
"""Compares an sdist with the tracked files of the folder that it was made from."""

import configparser
import contextlib
import os
import re
import tarfile
import unicodedata
import zipfile
import zlib

from mozupload.vcs import VcsError, names_list

# Each fault of an sdist has an option --allow-NAME: its name, and the words for it.
ALLOW = (
    ("missing-files", "an sdist that lacks tracked files"),
    ("untracked-files", "an sdist that has files which are not tracked"),
    ("changed-files", "an sdist whose files differ from the tracked ones"),
)

# Repositories' own files, and what setuptools makes.
_NOT_COMPARED = re.compile(r"\APKG-INFO\Z|(?:\A|/)(?:\.hg|\.git)|(?:\A|/)[^/]+\.egg-info(?:/|\Z)")
_BLOCK_BYTES = 1 << 20


def sdist_compare(sdist_path, state):
    """What an sdist has otherwise than the tree: [(name of the allowance, sentence)].

    state is what vcs.state_read() has returned for the folder that the sdist was
    made from. Without a repository there is nothing to compare with, and the
    list is empty. Raises VcsError where the archive cannot be read.
    """
    if not state.kind:
        return []
    tree = _Tree(state)
    archive = os.path.basename(str(sdist_path))
    try:
        with _members_open(str(sdist_path)) as members:
            for name, stream, link in members:
                tree.member_compare(name, stream, link)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, ValueError) as problem:
        raise VcsError("%s is damaged: %s." % (archive, problem))
    except OSError as problem:
        raise VcsError("%s cannot be read: %s." % (archive, problem.strerror or problem))
    return tree.problems(archive)


class _Tree:
    """The tracked files of a project's folder, and what an sdist has of them."""

    def __init__(self, state):
        self._folder = state.folder
        self._root = state.root
        self._tracked = {_normal(path) for path in state.tracked}
        prefix = os.path.relpath(state.folder, state.root).replace(os.sep, "/")
        start = "" if prefix == "." else prefix + "/"
        # a file system may have another normal form than the archive
        self._names = {
            _normal(path[len(start):]): path[len(start):]
            for path in state.tracked
            if path.startswith(start) and not _NOT_COMPARED.search(path[len(start):])
        }
        self._seen = set()
        self._untracked = set()
        self._changed = set()

    def member_compare(self, name, stream, link):
        """Takes a file of the sdist; link is where it leads to, if it is a symbolic link.

        stream has its contents, or is None where it leads to no file.
        """
        name = _normal(name)
        if _NOT_COMPARED.search(name):
            return
        path = os.path.join(self._folder, self._names.get(name, name))
        if link and name in self._names and os.path.islink(path) and os.readlink(path) == link:
            self._seen.add(name)
            return
        if name == "setup.cfg" and stream is not None and not self._is_setup_cfg(path, stream):
            return
        if not self._is_tracked(name, path):
            self._untracked.add(name)
        elif stream is None or not _is_same(path, stream):
            self._changed.add(name)

    def _is_setup_cfg(self, path, stream):
        """False where setup.cfg is done with: setuptools writes it anew, with [egg_info]."""
        text = stream.read()
        stream.seek(0)
        try:
            with open(path, "rb") as file:
                ours = file.read()
        except FileNotFoundError:
            ours = b""
        sections = _sections(text)
        if sections is None or sections != _sections(ours):
            return True
        self._seen.add("setup.cfg")
        return False

    def _is_tracked(self, name, path):
        """Whether a file is tracked, also where links in the tree lead to it."""
        self._seen.add(name)
        real = os.path.realpath(path)
        target = os.path.relpath(real, self._root).replace(os.sep, "/")
        if name not in self._names:
            # below a tracked link that leads to a folder
            parents = [name[: slash.start()] for slash in re.finditer("/", name)]
            links = [parent for parent in parents if parent in self._names]
            self._seen.update(links)
            return bool(links) and _normal(target) in self._tracked
        return not os.path.islink(path) or _normal(target) in self._tracked

    def problems(self, archive):
        found = []
        missing = set(self._names) - self._seen
        if missing:
            found.append((
                "missing-files",
                "%s lacks files that are tracked: %s. MANIFEST.in says which files belong to it."
                % (archive, names_list(missing)),
            ))
        if self._untracked:
            found.append((
                "untracked-files",
                "%s has files that are not tracked: %s. Add and commit them, or keep them"
                " out with MANIFEST.in and remove *.egg-info, which remembers them."
                % (archive, names_list(self._untracked)),
            ))
        if self._changed:
            found.append((
                "changed-files",
                "%s has other contents than the tree: %s. Make it anew." % (
                    archive, names_list(self._changed)),
            ))
        return found


def _normal(name):
    return unicodedata.normalize("NFC", name)


def _is_same(path, stream):
    """Whether a file of the tree has the bytes of the stream."""
    try:
        with open(path, "rb") as file:
            while True:
                block = file.read(_BLOCK_BYTES)
                if block != stream.read(len(block) or 1):
                    return False
                if not block:
                    return True
    except OSError:
        return False


def _sections(text):
    """The sections of a setup.cfg but [egg_info], or None where it is none."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str
    try:
        parser.read_string(text.decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError):
        return None
    parser.remove_section("egg_info")
    return {name: dict(parser.items(name)) for name in parser.sections()}


# ---- archives ----


@contextlib.contextmanager
def _members_open(path):
    """The files of an archive as (name without the top folder, stream or None, link or None)."""
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield _zip_members(archive)
    else:
        with tarfile.open(path, "r:*") as archive:
            yield _tar_members(archive)


def _zip_members(archive):
    for member in archive.infolist():
        if not member.filename.endswith("/"):
            with archive.open(member) as stream:
                yield _without_top(member.filename), stream, None


def _tar_members(archive):
    for member in archive:
        if member.isdir():
            continue
        stream = None
        if member.isreg() or member.islnk() or member.issym():
            try:
                stream = archive.extractfile(member)
            except KeyError:
                pass
        yield _without_top(member.name), stream, member.linkname if member.issym() else None


def _without_top(name):
    parts = name.split("/")
    if parts[0] == ".":
        del parts[0]
    if len(parts) < 2 or not all(parts) or ".." in parts:
        raise ValueError("%r does not lie in one top folder" % name)
    return "/".join(parts[1:])
