# SPDX-License-Identifier: Apache-2.0
"""A copy of a virtualenv beside it, which takes its place again when an upgrade has failed.

    HOME/in-place.json    the marker: from when it is there, the virtualenv may be half
    HOME/in-place/        former/: the copy; failed/: what was put out of the way

Where the virtualenv is on another file system than HOME, the folder is beside it, called
.NAME.in-place. The copy is put back from one moment to the next (renameat2), or by two
renames; and entry by entry where the virtualenv is HOME itself, or in a folder that its
owner may not write. What cannot be renamed is copied. Whoever is killed meanwhile can do it
again: what is back has the file .weave-in-place, or is no longer in former/.
"""

import ctypes
import errno
import json
import os
import secrets
import shutil
import stat

from . import files, programs
from .errors import ReleaseError
from .files import Damaged
from .users import HOME_ENTRIES, user_by_uid

FORMAT = 1
MARKER = "in-place.json"
PLACE = "in-place"
TOKEN = ".weave-in-place"
MARKER_MOST = 1 << 20
# What pip writes at the top of a virtualenv.
PARTS = frozenset(("bin", "lib", "lib64", "include", "share", "etc", "man", "pyvenv.cfg"))
BEGUN, BACK, DONE = "begun", "back", "done"  # the phases of a marker
_EXCHANGE = 2
_AT_FDCWD = -100


def exchange(one, other):
    """Exchanges two paths in one step. OSError (EINVAL, ENOSYS) where that is not possible."""
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


class Aside:
    """The copy of one virtualenv, as the marker says, or as it is going to be made.

    facts is the content of the marker.
    """

    def __init__(self, home, facts):
        self.home = home  # its path
        self.facts = facts
        self.virtualenv = facts["virtualenv"]
        self.place = facts["place"]
        self.former = os.path.join(self.place, "former")
        self.failed = os.path.join(self.place, "failed")

    phase = property(lambda self: self.facts["phase"])
    is_by_entries = property(lambda self: self.facts["entries"] is not None)

    # ---- the copy ----

    def copy(self, log=None):
        """Makes the copy; nothing else changes. ReleaseError when it cannot."""
        self.place_remove()
        fresh = os.path.join(self.place, "former.new")
        try:
            os.mkdir(self.place, 0o700)
            if self.is_by_entries:
                os.mkdir(fresh, 0o755)
                for name in self.facts["entries"]:
                    self._copy_one(os.path.join(self.virtualenv, name),
                                   os.path.join(fresh, name), log)
            else:
                self._copy_one(self.virtualenv, fresh, log)
                self._token_write(fresh)
            os.rename(fresh, self.former)
            with files.folder(self.place) as fd:
                files.syncfs(fd)
        except OSError as error:
            self.place_remove()
            raise ReleaseError("cannot copy %s to %s: %s" % (
                self.virtualenv, self.place, error.strerror)) from error
        except BaseException:
            self.place_remove()
            raise

    def _copy_one(self, source, target, log):
        done = programs.program_run(
            ["cp", "-a", "--reflink=auto", "-T", "--", source, target], log)
        if done.status != 0:
            raise ReleaseError("cannot copy %s to %s" % (source, self.place),
                               "there must be room for a second %s" % self.virtualenv,
                               done.lines)

    def _token_write(self, path):
        with files.folder(path) as fd:
            files.file_replace(TOKEN, self.facts["token"].encode(), fd)

    # ---- the marker ----

    def mark(self, phase):
        """Says so in the marker, for good."""
        facts = dict(self.facts, phase=phase)
        with files.folder(self.home) as fd:
            files.file_replace(MARKER, json.dumps(facts).encode() + b"\n", fd)
        self.facts = facts

    def end(self):
        """Removes the marker, and then the copy. What cannot be removed is left."""
        with files.folder(self.home) as fd:
            files.unlink_if_there(MARKER, fd)
            os.fsync(fd)
        if self.phase == BACK and not self.is_by_entries:
            with files.folder(self.virtualenv) as fd:
                files.unlink_if_there(TOKEN, fd)
        self.place_remove()

    def place_remove(self):
        shutil.rmtree(self.place, ignore_errors=True)

    # ---- back ----

    def put_back(self):
        """Has the copy take its place again; it may be called again at any moment."""
        if self.is_by_entries:
            self._entries_put_back()
        elif not self._is_back():
            self._folder_put_back()
        for path in (self.place, os.path.dirname(self.virtualenv), self.virtualenv):
            with files.folder(path) as fd:
                os.fsync(fd)

    def failed_remove(self):
        """Behind put_back(): removes what was put out of the way, which may fill the disk."""
        for path in (self.former, self.failed):
            shutil.rmtree(path, ignore_errors=True)

    def _is_back(self):
        try:
            with files.folder(self.virtualenv) as fd:
                with open(os.open(TOKEN, files.READ, dir_fd=fd), "rb") as file:
                    return file.read(100) == self.facts["token"].encode()
        except OSError:
            return False

    def _folder_put_back(self):
        if not os.path.isdir(self.former):
            raise ReleaseError(
                "the copy %s is gone" % self.former,
                "bring %s into order, and remove %s" % (
                    self.virtualenv, os.path.join(self.home, MARKER)))
        try:
            exchange(self.former, self.virtualenv)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOENT,
                                   errno.EXDEV):
                raise
        try:
            if os.path.lexists(self.virtualenv):
                remove(self.failed)
                os.rename(self.virtualenv, self.failed)
            os.rename(self.former, self.virtualenv)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._contents_put_back()

    def _contents_put_back(self):
        """Copies it back, where folders cannot be renamed: those of an image, on overlayfs."""
        for name in os.listdir(self.virtualenv):
            remove(os.path.join(self.virtualenv, name))
        # the file that tells that it is back comes last
        for name in sorted(os.listdir(self.former), key=lambda name: name == TOKEN):
            self._copy_one(os.path.join(self.former, name),
                           os.path.join(self.virtualenv, name), None)

    def _entries_put_back(self):
        os.makedirs(self.failed, exist_ok=True)
        is_home = os.path.samefile(self.home, self.virtualenv)
        for name in entries_of(self.virtualenv, self.home):
            if name not in self.facts["entries"] and (name in PARTS or not is_home):
                self._put_out(name)
        for name in self.facts["entries"]:
            former = os.path.join(self.former, name)
            if os.path.lexists(former):
                self._put_out(name)
                self._entry_put_back(former, os.path.join(self.virtualenv, name))

    def _entry_put_back(self, former, target):
        try:
            os.rename(former, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy_one(former, target, None)
            remove(former)

    def _put_out(self, name):
        """Moves an entry out of the way, under a name that is free there."""
        path = os.path.join(self.virtualenv, name)
        target = "%s.%s" % (os.path.join(self.failed, name), secrets.token_hex(4))
        try:
            os.rename(path, target)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            remove(path)


def remove(path):
    """Removes a file, a link or a whole folder, if there is one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path)


# ---- what there is ----

def aside_read(home):
    """The Aside that a marker in HOME tells of; None when there is no marker."""
    with files.folder(home) as fd:
        try:
            facts = files.json_read(MARKER, fd, MARKER_MOST)
        except FileNotFoundError:
            return None
        except Damaged as error:
            raise ReleaseError(
                "%s: an install in place was interrupted, and its marker cannot be used" % error,
                "bring the virtualenv into order, and remove %s" % os.path.join(home, MARKER),
            ) from error
    kinds = (("virtualenv", str), ("place", str), ("token", str), ("phase", str))
    entries = facts.get("entries")
    if facts.get("format") != FORMAT or not all(
            isinstance(facts.get(name), kind) for name, kind in kinds) or not (
            entries is None or (isinstance(entries, list) and all(map(_is_name, entries)))):
        raise ReleaseError(
            "%s is of another version of weavectl" % os.path.join(home, MARKER),
            "use the version that has written it")
    return Aside(home, facts)


def leftover_remove(home):
    """Removes a copy without a marker: it was not whole, or is not needed any more."""
    shutil.rmtree(os.path.join(home, PLACE), ignore_errors=True)


def _is_name(name):
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name


def aside_plan(home, virtualenv):
    """An Aside for a copy that is to be made. ReleaseError when VIRTUALENV is not fit for it.

    It must be a folder, no link, and all of it must belong to this user.
    """
    try:
        info = os.lstat(virtualenv)
    except OSError as error:
        raise ReleaseError("%s: %s" % (virtualenv, error.strerror),
                           "--in-place upgrades a virtualenv that is there") from error
    if stat.S_ISDIR(info.st_mode) and info.st_uid != os.geteuid():
        raise ReleaseError(
            "%s does not belong to %s, the owner of %s" % (virtualenv, programs_user(), home),
            "chown -R -h %s %s" % (programs_user(), virtualenv))
    if not stat.S_ISDIR(info.st_mode):
        raise ReleaseError(
            "%s is no folder%s" % (virtualenv, ", but a link" * stat.S_ISLNK(info.st_mode)),
            "leave --in-place out, or name the folder itself in the sync.ini")
    is_home = os.path.samefile(home, virtualenv)
    if os.path.ismount(virtualenv) and not is_home:
        raise ReleaseError("%s is where a file system is mounted, so no copy could take its place"
                           % virtualenv, "use a folder in it, or leave --in-place out")
    names = entries_of(virtualenv, home)
    for name in names:
        foreign = foreign_find(os.path.join(virtualenv, name))
        if foreign:
            raise ReleaseError(
                "%s does not belong to %s, the owner of %s" % (
                    foreign, programs_user(), home),
                "chown -R -h %s %s" % (programs_user(), os.path.join(virtualenv, name)))
    above = os.path.dirname(virtualenv)
    is_near = os.stat(virtualenv).st_dev == os.stat(home).st_dev
    can_exchange = not is_home and info.st_uid == os.geteuid() and os.access(above, os.W_OK)
    if not can_exchange and not is_near:
        raise ReleaseError(
            "%s is on another file system than %s, and %s cannot be written by %s" % (
                virtualenv, home, above, programs_user()),
            "let release.home be on the same file system")
    place = os.path.join(home, PLACE) if is_near else os.path.join(
        above, ".%s.in-place" % os.path.basename(virtualenv))
    return Aside(home, {
        "format": FORMAT, "virtualenv": virtualenv, "place": place, "phase": "",
        "entries": None if can_exchange else names, "token": secrets.token_hex(16)})


def entries_of(virtualenv, home):
    """What belongs to a virtualenv at its top, sorted.

    Where it is HOME, beside the names that pip writes all others do, but our own, those that
    begin with a dot, and what belongs to another user.
    """
    names = sorted(os.listdir(virtualenv))
    if not os.path.samefile(home, virtualenv):
        return names
    found = []
    for name in names:
        uid = os.lstat(os.path.join(virtualenv, name)).st_uid
        if name in PARTS or (uid == os.geteuid() and name not in HOME_ENTRIES and name[0] != "."):
            found.append(name)
    return found


def foreign_find(path):
    """The first path in a tree that does not belong to this user, or None."""
    if os.lstat(path).st_uid != os.geteuid():
        return path
    for above, folders, names in os.walk(path):
        for name in folders + names:
            found = os.path.join(above, name)
            if os.lstat(found).st_uid != os.geteuid():
                return found
    return None


def programs_user():
    return user_by_uid(os.geteuid()).name
