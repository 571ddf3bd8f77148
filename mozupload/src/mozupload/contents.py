# SPDX-License-Identifier: Apache-2.0
"""Whether two archives hold the same.

The same commit packed twice gives two sdists: times, and the order of files,
differ. An upload that was cut off can only be finished when these count as the
same, and then the one in the share is taken.
"""

import hashlib
import tarfile
import zipfile
import zlib

from .identity import MAX_MEMBERS

DAMAGED = (OSError, EOFError, ValueError, RuntimeError)
DAMAGED += (tarfile.TarError, zipfile.BadZipFile, zlib.error)


def same_contents(one, other):
    """Whether two archives (paths with the names' endings) have equal members.

    Members are equal when names, contents, kinds, link targets and the right to
    execute are; times, owners and order do not count.
    """
    try:
        return _members(one) == _members(other)
    except DAMAGED:
        return False


def _digest(stream):
    digest = hashlib.sha256()
    for chunk in iter(lambda: stream.read(1 << 16), b""):
        digest.update(chunk)
    return digest.digest()


def _members(path):
    reader = _zip_members if str(path).endswith((".whl", ".zip")) else _tar_members
    found = []
    for member in reader(path):
        found.append(member)
        if len(found) > MAX_MEMBERS:
            raise ValueError("too many members")
    return sorted(found, key=lambda member: member[0])


def _zip_members(path):
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            with archive.open(info) as stream:
                yield info.filename, mode & 0o170111, "", _digest(stream)


def _tar_members(path):
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            content = _digest(archive.extractfile(info)) if info.isreg() else b""
            yield info.name, (info.type, info.mode & 0o111), info.linkname, content
        # the checksum stands behind the last member
        while archive.fileobj.read(1 << 16):
            pass
