# SPDX-License-Identifier: Apache-2.0
"""What an archive says it is: its metadata, read without unpacking it."""

import collections
import email.parser
import tarfile
import zipfile
import zlib

from . import names

# Bounds for what an archive may make us read in search of its metadata.
MAX_METADATA = 1 << 20
MAX_MEMBERS = 100000
MAX_UNPACKED = 1 << 30

Identity = collections.namedtuple("Identity", "name version kind metadata")


class ArchiveError(Exception):
    """An archive cannot be used; its text is one sentence for people."""


def archive_identity(path):
    """Reads what an archive says of itself: Identity(name, version, kind, metadata).

    kind is "sdist" or "wheel", name and version are as PKG-INFO or METADATA
    have them, metadata is the message with all fields. Raises ArchiveError when
    it is damaged, has no metadata, or a name or version that cannot be used.
    """
    filename = str(path).rpartition("/")[2]
    kind = "wheel" if names.is_wheel(filename) else "sdist"
    try:
        if filename.endswith((".whl", ".zip")):
            data = _zip_metadata(path, kind)
        else:
            data = _tar_metadata(path)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as problem:
        raise ArchiveError("%s is damaged: %s." % (filename, problem))
    except (NotImplementedError, RuntimeError, ValueError) as problem:
        raise ArchiveError("%s cannot be read: %s." % (filename, problem))
    except OSError as problem:
        # gzip says so when there is no gzip in it
        text = problem.strerror or str(problem)
        raise ArchiveError("%s cannot be read: %s." % (filename, text))
    if data is None:
        what = "METADATA" if kind == "wheel" else "PKG-INFO"
        raise ArchiveError(
            "%s has no %s: it is no %s of a Python distribution." % (filename, what, kind)
        )
    return _identity(filename, kind, data)


def _identity(filename, kind, data):
    metadata = email.parser.Parser().parsestr(data.decode("utf-8", "replace"))
    name, version = str(metadata["Name"] or ""), str(metadata["Version"] or "")
    if not names.is_name(name):
        raise ArchiveError("%s says that its name is %r: that is none." % (filename, name))
    if not names.is_version(version):
        raise ArchiveError(
            "%s says that its version is %r: that is none." % (filename, version)
        )
    return Identity(name, version, kind, metadata)


def _is_metadata(name, kind):
    """Whether a member of this name says what the archive is."""
    parts = name.split("/")
    if parts[0] == ".":
        del parts[0]
    if len(parts) != 2:
        return False
    if kind == "wheel":
        return parts[0].endswith(".dist-info") and parts[1] == "METADATA"
    return parts[1] == "PKG-INFO"


def _zip_metadata(path, kind):
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise ValueError("it has more than %d members" % MAX_MEMBERS)
        for member in members:
            if _is_metadata(member.filename, kind):
                with archive.open(member) as stream:
                    return _bounded(stream)
    return None


def _tar_metadata(path):
    unpacked = 0
    with tarfile.open(path, "r:*") as archive:
        for count, member in enumerate(archive):
            unpacked += max(0, member.size)
            if count >= MAX_MEMBERS or unpacked > MAX_UNPACKED:
                raise ValueError("it is too large to be searched for its PKG-INFO")
            if member.isreg() and _is_metadata(member.name, "sdist"):
                return _bounded(archive.extractfile(member))
    return None


def _bounded(stream):
    data = stream.read(MAX_METADATA + 1)
    if len(data) > MAX_METADATA:
        raise ValueError("its metadata have more than %d bytes" % MAX_METADATA)
    return data
