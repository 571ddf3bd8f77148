# SPDX-License-Identifier: Apache-2.0
"""A file that others may not read, and that gets its name when it is whole."""

import contextlib
import errno
import os
import pwd
import tempfile


class NewFile:
    """Gives `path` to write to, and moves that to `target` with publish().

    A file that is there already stays, and the mode is 0600, whatever the umask.
    What is not published goes when the block ends. OSError says which file or
    folder is meant, and why.
    """

    def __init__(self, target):
        self.target = target
        self.path = None
        self._folder = os.path.dirname(os.path.abspath(target))
        self._own = None

    def __enter__(self):
        if os.path.lexists(self.target):
            raise self._refusal()
        try:
            # Nobody else can enter it: a journal beside the file is safe, too.
            self._own = tempfile.TemporaryDirectory(
                prefix=".weave-server-", dir=self._folder
            )
        except OSError as error:
            text = "%s can make no file there: %s" % (_user(), error.strerror)
            raise OSError(error.errno, text, self._folder) from None
        os.chmod(self._own.name, 0o700)
        self.path = os.path.join(self._own.name, "new")
        _create(self.path)
        return self

    def __exit__(self, *_):
        self._own.cleanup()

    def publish(self):
        """Gives it its name."""
        _sync(self.path)
        try:
            os.link(self.path, self.target)
        except FileExistsError:
            raise self._refusal() from None
        except OSError:
            self._move()  # some file systems have no links
        with contextlib.suppress(OSError):  # nor folders that can be written out
            _sync(self._folder)

    def _move(self):
        """Reserves the name, and replaces nothing but that."""
        try:
            _create(self.target)
        except FileExistsError:
            raise self._refusal() from None
        try:
            os.replace(self.path, self.target)
        except OSError:
            os.unlink(self.target)
            raise

    def _refusal(self):
        text = "is there already: remove it, or name another file"
        return FileExistsError(errno.EEXIST, text, self.target)


def _create(path):
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)
    os.close(handle)


def _sync(path):
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _user():
    try:
        return "user " + pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "user number %d" % os.geteuid()
