# SPDX-License-Identifier: Apache-2.0
"""A share as the uploader writes it: archives and manifests once, the index again and again.

Whoever reads a share while it is written sees a file whole or not at all. An
upload that is cut off leaves whole files that no manifest names, or temporary
ones whose names begin with a ".": nobody believes either.
"""

import ctypes
import errno
import hashlib
import os
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree

from . import names, share

TEMPORARY = ".mozupload-"
TEMPORARY_AGE_S = 86400
LOCK_S = 10

PROPFIND = b"""<?xml version="1.0"?>
<propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>"""

AT_FDCWD = -100
RENAME_NOREPLACE = 1
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)


class ShareConflict(share.ShareError):
    """The share has something else under this name; path: where in the share."""

    def __init__(self, where, path):
        super().__init__("%s has another %s already." % (where, path))
        self.path = path


def writer_open(where):
    """The writer of the share at `where`, which share_open() explains."""
    reader = share.share_open(where)
    return HttpWriter(reader) if isinstance(reader, share.HttpShare) else FolderWriter(reader)


class Source:
    """What is to be written: a file's path, or bytes. size in bytes, sha256 in hex."""

    def __init__(self, content):
        self.content = content
        digest, self.size = hashlib.sha256(), 0
        with self.open() as stream:
            for chunk in iter(lambda: stream.read(share.CHUNK), b""):
                digest.update(chunk)
                self.size += len(chunk)
        self.sha256 = digest.hexdigest()

    def open(self):
        if isinstance(self.content, bytes):
            stream = tempfile.TemporaryFile()
            stream.write(self.content)
            stream.seek(0)
            return stream
        return open(self.content, "rb")


class Writer:
    """What both kinds have. reader: the same share for reading."""

    def __init__(self, reader):
        self.reader = reader
        self.where = reader.where

    def begin(self):
        """Makes what a share needs before anything is put into it."""
        raise NotImplementedError

    def put_new(self, path, content):
        """Writes what must not change any more; "stored", or "same" when it is there.

        content: a local file's path, or bytes. Raises ShareConflict when the share has
        something else under this name.
        """
        raise NotImplementedError

    def replace(self, path, content):
        """Writes what may change: readers see the old one or the new one."""
        raise NotImplementedError

    def remove(self, path):
        """Removes a file; it may be missing."""
        raise NotImplementedError

    def releases(self):
        """(name, version) of all manifests in the share, sorted."""
        found = (names.release_split(name[:-5]) for name in self._manifests())
        return sorted(split for split in found if split)

    def _manifests(self):
        """Names of the files in releases/ that end with .json."""
        raise NotImplementedError


class FolderWriter(Writer):
    """Writes into a folder, which may be NFS."""

    def begin(self):
        for name in ("releases", "simple", "channels"):
            self._folder_make(name)
        for folder in ("", "releases", "channels"):
            self._temporary_remove(os.path.join(self.reader.folder, folder))

    def put_new(self, path, content):
        source = Source(content)
        target = self._path(path)
        if not os.path.lexists(target):
            temporary = self._temporary_write(os.path.dirname(target), source)
            try:
                self._name_give(temporary, target)
                _folder_sync(os.path.dirname(target))
                return "stored"
            except FileExistsError:
                pass
            except OSError as problem:
                raise self._error(problem, path)
            finally:
                _unlink(temporary)
        # the other writer may have been killed before this
        _folder_sync(os.path.dirname(target))
        if Source(target).sha256 != source.sha256:
            raise ShareConflict(self.where, path)
        return "same"

    def replace(self, path, content):
        target = self._path(path)
        self._folder_make(os.path.dirname(path))
        temporary = self._temporary_write(os.path.dirname(target), Source(content))
        try:
            os.rename(temporary, target)
        except OSError as problem:
            _unlink(temporary)
            raise self._error(problem, path)
        _folder_sync(os.path.dirname(target))

    def remove(self, path):
        _unlink(self._path(path))
        _folder_sync(os.path.dirname(self._path(path)))

    def _manifests(self):
        names_found = os.listdir(self._path("releases"))
        return [name for name in names_found if name.endswith(".json")]

    def _path(self, path):
        return os.path.join(self.reader.folder, path)

    def _folder_make(self, path):
        """Makes a folder (and those above it) that has the rights that the share has."""
        folder = self.reader.folder
        mode = os.stat(folder).st_mode & 0o7777
        for part in path.split("/"):
            folder = os.path.join(folder, part)
            try:
                os.mkdir(folder)
                os.chmod(folder, mode | 0o555)
                _folder_sync(os.path.dirname(folder))
            except FileExistsError:
                pass
            except OSError as problem:
                raise self._error(problem, path)

    def _temporary_write(self, folder, source):
        """The path of a file with the content, safe on the disk, readable for all."""
        name = TEMPORARY + os.urandom(8).hex()
        path = os.path.join(folder, name)
        try:
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                with source.open() as stream, open(opened, "wb", closefd=False) as out:
                    for chunk in iter(lambda: stream.read(share.CHUNK), b""):
                        out.write(chunk)
                os.fchmod(opened, 0o644)
                os.fsync(opened)
            except BaseException:
                _unlink(path)
                raise
            finally:
                os.close(opened)
        except OSError as problem:
            raise self._error(problem, name)
        return path

    def _name_give(self, temporary, target):
        """Gives a file its final name, at once and only when nothing has it."""
        try:
            os.link(temporary, target)
        except OSError as problem:
            if problem.errno not in _NO_LINKS:
                raise
            if not _rename_noreplace(temporary, target):
                self._name_give_locked(temporary, target)

    def _name_give_locked(self, temporary, target):
        """The same where the file system can neither link nor rename without replacing.

        A file that only one upload can make stands for the right to give the name. One
        that an upload left which was cut off counts for LOCK_S.
        """
        lock = os.path.join(os.path.dirname(target), TEMPORARY + os.path.basename(target))
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
                break
            except FileExistsError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        try:
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
            os.rename(temporary, target)
        finally:
            _unlink(lock)

    def _temporary_remove(self, folder):
        """Removes what uploads left that were cut off a day ago."""
        for name in os.listdir(folder):
            if name.startswith(TEMPORARY):
                path = os.path.join(folder, name)
                try:
                    if time.time() - os.stat(path).st_mtime > TEMPORARY_AGE_S:
                        os.unlink(path)
                except OSError:
                    pass

    def _error(self, problem, path):
        return share.ShareError(
            "%s cannot be written: %s." % (self._path(path), problem.strerror or problem)
        )


def _unlink(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _folder_sync(folder):
    """Makes sure that names in a folder survive a power cut, where it can be had."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(opened)


def _rename_noreplace(old, new):
    """Renames, and raises FileExistsError where rename() would replace; False: cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    paths = (os.fsencode(old), os.fsencode(new))
    if not libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_NOREPLACE):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), new)


class HttpWriter(Writer):
    """Writes to a web server with PUT, as mod_dav has it."""

    CURES = {
        404: "there is no such place; its folder must exist",
        405: "this place takes no files: it needs `Dav On` (mod_dav_fs)",
        409: "the folder above it is missing",
        413: "the file is larger than the server takes",
        507: "its disk is full",
    }

    def begin(self):
        for name in ("releases/", "simple/", "channels/"):
            self._folder_make(name)

    def put_new(self, path, content):
        source = Source(content)
        found = self._found(path)
        if found is None:
            try:
                self._put(path, source, [("If-None-Match", "*")])
                state = "stored"
            except share.ShareError as problem:
                # 412, or the connection was closed before the answer could be read
                if self._found(path) is None:
                    raise self._explained(problem)
                state = "same"
            # the server looks and renames in two steps: another upload may come between
            found = self._found(path)
        else:
            state = "same"
        if found != source.sha256:
            raise ShareConflict(self.where, path)
        return state

    def replace(self, path, content):
        folder = path.rpartition("/")[0]
        if folder.count("/"):
            self._folder_make(folder + "/")
        try:
            self._put(path, Source(content), [])
        except share.ShareError as problem:
            raise self._explained(problem)

    def remove(self, path):
        try:
            self.reader.request("DELETE", path).close()
        except share.ShareMissing:
            pass

    def _manifests(self):
        headers = [("Depth", "1"), ("Content-Type", "text/xml")]
        try:
            with self.reader.request("PROPFIND", "releases/", PROPFIND, headers) as answer:
                tree = xml.etree.ElementTree.fromstring(answer.read(share.MAX_INDEX))
        except share.ShareError as problem:
            raise self._explained(problem)
        except xml.etree.ElementTree.ParseError as problem:
            raise share.ShareError("%sreleases/ cannot be listed: %s." % (self.where, problem))
        paths = (urllib.parse.unquote(href.text or "") for href in tree.iter("{DAV:}href"))
        found = (path.rpartition("/")[2] for path in paths)
        return [name for name in found if name.endswith(".json")]

    def _put(self, path, source, headers):
        headers = headers + [
            ("Content-Length", str(source.size)),
            ("Content-Type", "application/octet-stream"),
        ]
        with source.open() as stream:
            self.reader.request("PUT", path, stream, headers).close()

    def _found(self, path):
        """The hash of what the share has under this name, or None."""
        with tempfile.TemporaryFile() as out:
            try:
                return self.reader.copy(path, out.fileno())[0]
            except share.ShareMissing:
                return None

    def _folder_make(self, path, again=True):
        try:
            self.reader.request("MKCOL", path).close()
        except share.ShareError as problem:
            status = problem.status
            # what mod_dav_fs says when another upload makes it at the same moment
            if status == 403 and again:
                self._folder_make(path, again=False)
            # It exists, or there is no WebDAV, which PUT will tell: PROPFIND cannot, since
            # mod_dir takes a folder with an index.html away from mod_dav.
            elif status != 405:
                raise self._explained(problem)

    def _explained(self, problem):
        """The error with what can be done about it."""
        status = problem.status
        if isinstance(problem, share.ShareMissing):
            status = 404
        if status not in self.CURES:
            return problem
        return share.ShareError("%s: %s." % (str(problem).rstrip("."), self.CURES[status]))
