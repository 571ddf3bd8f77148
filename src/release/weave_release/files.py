# SPDX-License-Identifier: Apache-2.0
"""Small files that may be damaged, cut off or planted, and files that must last.

Small files are read and written below a folder that is open already (dir_fd), and no link
is followed.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from datetime import datetime, timezone

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CHUNK = 1 << 16


class Damaged(Exception):
    """The file is there, but says nothing that can be used; str() is half a sentence."""


def now():
    """The time as "2026-11-30T09:00:00Z"."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text):
    """Seconds since 1970 of what now() has written; None when it is no such text."""
    if not isinstance(text, str) or len(text) != 20 or text[-1] != "Z":
        return None
    try:
        at = datetime.fromisoformat(text[:-1])
    except ValueError:
        return None
    return at.replace(tzinfo=timezone.utc).timestamp()


@contextlib.contextmanager
def folder(path, dir_fd=None):
    """A descriptor of a folder, within `with`. A link is refused, but for one before "/."."""
    fd = os.open(path, FOLDER, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def hash_read(stream, kind="sha256"):
    """(hash object of hashlib, bytes) of all that a stream of bytes has."""
    digest, size = hashlib.new(kind), 0
    for chunk in iter(lambda: stream.read(CHUNK), b""):
        digest.update(chunk)
        size += len(chunk)
    return digest, size


def file_hash(path):
    """(SHA-256 in hex, bytes) of a file."""
    with open(path, "rb") as stream:
        digest, size = hash_read(stream)
    return digest.hexdigest(), size


def json_read(name, dir_fd, most):
    """The object in a JSON file of at most `most` bytes.

    FileNotFoundError when there is none, Damaged when it is anything else.
    """
    try:
        fd = os.open(name, READ, dir_fd=dir_fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else _said(error)
        raise Damaged("%s %s" % (name, reason)) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Damaged("%s is no regular file" % name)
        data = _read(fd, most + 1)
    except OSError as error:
        raise Damaged("%s %s" % (name, _said(error))) from error
    finally:
        os.close(fd)
    if len(data) > most:
        raise Damaged("%s is larger than %d bytes" % (name, most))
    value = json_of(data)
    if not isinstance(value, dict):
        raise Damaged("%s is damaged" % name)
    return value


def _read(fd, most):
    parts = []
    while most > 0:
        part = os.read(fd, min(most, CHUNK))
        if not part:
            break
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _said(error):
    return "cannot be read (%s)" % error.strerror


def json_of(data):
    """What a JSON text of bytes says; None when it is none."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def file_replace(name, data, dir_fd, mode=0o644):
    """Writes a file that is there as a whole, or not at all, whenever the power goes."""
    fresh = ".%s.new" % name
    unlink_if_there(fresh, dir_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(fresh, flags, mode, dir_fd=dir_fd)
    try:
        try:
            write_all(fd, data)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(fresh, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError:
        unlink_if_there(fresh, dir_fd)
        raise
    os.fsync(dir_fd)


def file_overwrite(name, data, dir_fd):
    """Writes a text in place, for a full disk: a new file may remain empty.

    Blanks fill it up to its former size, so that one write does it. OSError when there was
    a file before, and it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(name, flags, 0o644, dir_fd=dir_fd)
    try:
        size = os.fstat(fd).st_size
        try:
            write_all(fd, data.ljust(size))
        except OSError:
            if size:
                raise
        os.fsync(fd)
    finally:
        os.close(fd)
    os.fsync(dir_fd)


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


def unlink_if_there(name, dir_fd):
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        pass


def syncfs(fd):
    """Has the whole file system of fd written. OSError when that has failed."""
    try:
        import ctypes  # only where it is needed: the import takes 10 ms

        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (ImportError, AttributeError):
        os.sync()
        return
    if call(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
