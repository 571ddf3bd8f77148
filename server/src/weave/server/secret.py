# SPDX-License-Identifier: Apache-2.0
"""A secret that the processes of one user share, and that no disk ever sees.

They may have been started at different times by different parents, so it is a
file in the memory file system. It lasts until the machine is restarted.
"""

import contextlib
import logging
import os
import secrets
import stat
import tempfile

log = logging.getLogger(__name__)

FOLDER = "/dev/shm"
SIZE = 32


def shared_secret():
    """SIZE bytes; those of this process alone where there can be no others."""
    path = os.path.join(FOLDER, "weave-server-%d" % os.geteuid())
    try:
        if not os.path.lexists(path):
            _create(path)
        return _read(path)
    except (OSError, ValueError) as error:
        log.warning(
            "%s: %s: until that is mended and the server restarted, each process "
            "verifies passwords for itself",
            path,
            getattr(error, "strerror", None) or error,
        )
        return secrets.token_bytes(SIZE)


def _create(path):
    # It gets its name when it is whole, and only if nobody was quicker.
    handle, name = tempfile.mkstemp(prefix=".weave-server-", dir=FOLDER)
    try:
        with open(handle, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def _read(path):
    """The secret; OSError, or ValueError where others may have had a hand in it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no file")
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ValueError("belongs to somebody else, or others may use it")
        secret = file.read(SIZE + 1)
    if len(secret) != SIZE:
        raise ValueError("has not the right size")
    return secret
