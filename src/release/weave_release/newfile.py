# SPDX-License-Identifier: Apache-2.0
"""A file that is made as a whole, or not at all, and never over another one."""

import contextlib
import os

from . import folders
from .errors import ReleaseError
from .folders import quote


def parent_open(path, trusted=()):
    """A descriptor of the folder above PATH; ReleaseError unless it is there, and safe."""
    above = os.path.dirname(path)
    try:
        return folders.folder_open(above, trusted)
    except FileNotFoundError:
        raise ReleaseError("%s is not there" % above,
                           "make it first: mkdir -p %s" % quote(above)) from None
    except OSError as error:
        raise ReleaseError("%s: %s" % (above, error.strerror)) from error


def file_make(path, data, mode, owner=None, trusted=()):
    """Makes the file with DATA; owner is (uid, gid), or None for the caller.

    It has its name when it is whole, and on disk. ReleaseError where it cannot be made,
    somebody has just made it, or a user who is not trusted could exchange it.
    """
    folder = parent_open(path, trusted)
    name = os.path.basename(path)
    fresh = ".%s.weavectl-init" % name
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600,
                     dir_fd=folder)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            os.fsync(fd)
        # unlike a rename it fails where somebody has made the file meanwhile
        os.link(fresh, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.fsync(folder)
    except FileExistsError:
        raise ReleaseError("somebody has just made %s" % path, "call weavectl again") from None
    except OSError as error:
        raise ReleaseError("cannot write %s: %s" % (path, error.strerror)) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        os.close(folder)
