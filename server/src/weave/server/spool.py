# SPDX-License-Identifier: Apache-2.0
"""Bodies and answers that may be too long for memory.

A list is written here as fast as the database gives it, and read here by who sends
it: so a slow client holds a file and no connection to the database, and mod_weave
can hand the file to httpd. A large body is written here as it comes, and is in
memory when it is its turn.

What slow clients hold is bounded, for all and for each owner.
"""

import contextlib
import errno
import fcntl
import os
import tempfile
import threading

from weave.server.turns import Busy

MEMORY_BYTES = 1024 * 1024

# Of the files of one process, whoever has them now. What is longer has a place
# when there is nothing else.
MAX_BYTES = 512 * 1024 * 1024
MAX_FILES = 64

# The part of both that one owner may hold.
OWNERS = 4


class SpoolError(Exception):
    """The temporary folder cannot be written; str() says why."""


class _File:
    """A file without a name, and a way to see whether anybody has it open.

    It may be httpd that sends it. But whoever has got this descriptor shares
    its lock, and a second one, opened on its own, cannot be locked until then.
    """

    def __init__(self, owner):
        self.owner = owner
        self.size = 0
        # Bytes that it will have at its end, as far as they are known.
        self.expected = 0
        # Without a buffer it is what wsgi.file_wrapper sends itself.
        self.stream = tempfile.TemporaryFile(buffering=0)
        fcntl.flock(self.stream, fcntl.LOCK_SH)
        path = "/proc/self/fd/%d" % self.stream.fileno()
        self._second = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def write(self, data):
        data = memoryview(data)
        while data:
            written = self.stream.write(data)
            self.size += written
            data = data[written:]

    def check_room(self):
        """OSError where its folder has no room for what is expected."""
        room = os.fstatvfs(self.stream.fileno())
        # Without blocks, it is one that has no limit.
        if room.f_blocks and room.f_bavail * room.f_frsize < self.expected - self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def held(self):
        """Bytes that count as taken."""
        return max(self.size, self.expected)

    def forget(self):
        """Closes what it takes to watch, once nobody has the file; whether so."""
        try:
            fcntl.flock(self._second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.close(self._second)
        return True

    def leave(self):
        """Closes all that this process has of it."""
        self.stream.close()
        os.close(self._second)


class _Files:
    """The files of this process that somebody still has open."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held = []

    def forget(self):
        """Lets go of those that are sent."""
        with self._lock:
            self._held = [file for file in self._held if not file.forget()]

    def held(self):
        return list(self._held)

    def add(self, file):
        with self._lock:
            self._held.append(file)

    def check(self, file):
        """Raises Busy where this one is too much beside the others."""
        self.forget()
        with self._lock:
            others = [other for other in self._held if other is not file]
        own = [other for other in others if other.owner == file.owner]
        for some, part in ((others, 1), (own, OWNERS)):
            size = file.held + sum(other.held for other in some)
            if some and (
                size > MAX_BYTES // part or len(some) >= MAX_FILES // part
            ):
                raise Busy("too many long lists or large bodies are under way")


_files = _Files()


def _leave_files_to_the_parent():
    """In a process that was forked: the other one has the files, and sends them."""
    global _files
    for file in _files.held():
        file.leave()
    _files = _Files()


os.register_at_fork(after_in_child=_leave_files_to_the_parent)


class Spool:
    """Bytes in memory up to MEMORY_BYTES, else in a file without a name."""

    def __init__(self, owner=None):
        self._owner = owner
        self._parts = []
        self._held = 0
        self._file = None
        self._is_read_meanwhile = False
        _files.forget()

    @property
    def size(self):
        """Bytes that are in the file."""
        return self._file.size

    def write(self, data):
        self._parts.append(data)
        self._held += len(data)
        if self._held > MEMORY_BYTES or self._is_read_meanwhile:
            self._flush()

    def read(self):
        """All of it (bytes)."""
        if self._file is None:
            return b"".join(self._parts)
        self._flush()
        self._file.stream.seek(0)
        return self._file.stream.read()

    def close(self):
        """Forgets what is in the file, unless it is being sent."""
        if self._file is not None:
            self._file.stream.close()

    def send(self, resp):
        """Makes this the body of a falcon.Response, which closes it."""
        if self._file is None:
            resp.data = b"".join(self._parts)
            return
        self._flush()
        self._file.stream.seek(0)
        resp.set_stream(self._file.stream, self._file.size)

    def open(self, expected):
        """The file, for one who reads what is written so far, and from now on.

        expected: bytes of all. Raises Busy now, and never later on, where they are
        too many; and SpoolError where the folder has no room for them now.
        """
        self._flush()
        self._file.expected = expected
        _files.check(self._file)
        with _told():
            self._file.check_room()
        self._is_read_meanwhile = True
        return self._file.stream

    def _flush(self):
        data = b"".join(self._parts)
        self._parts, self._held = [], 0
        with _told():
            if self._file is None:
                self._file = _File(self._owner)
                _files.add(self._file)
            self._file.write(data)
        if not self._is_read_meanwhile:
            _files.check(self._file)


@contextlib.contextmanager
def _told():
    try:
        yield
    except OSError as error:
        raise SpoolError(
            "%s: %s" % (tempfile.gettempdir(), error.strerror)
        ) from error
