# SPDX-License-Identifier: Apache-2.0
"""Names of distributions, versions and archives, and what an archive says it is."""

import collections
import email.parser
import re
import tarfile
import zipfile
import zlib

ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".zip", ".whl")

# PEP 508, "Names"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
# What PEP 440 leaves of a version when it is normalised; no "-", so that
# NAME-VERSION says where the version begins.
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!_]*\Z")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*\Z")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")

# Bounds for what an archive may make us read in search of its metadata.
MAX_METADATA = 1 << 20
MAX_MEMBERS = 100000
MAX_UNPACKED = 1 << 30

Identity = collections.namedtuple("Identity", "name version kind metadata")


class ArchiveError(Exception):
    """An archive cannot be used; its text is one sentence for people."""


def canonical(name):
    """The name as PEP 503 compares it: WeaveServer and weave_server differ, A.b and a-b do not."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_name(text):
    """Whether the text is the name of a distribution."""
    return bool(_NAME.match(text)) and len(text) <= 128


def is_version(text):
    """Whether the text may be a version in file names and manifests."""
    return bool(_VERSION.match(text)) and len(text) <= 128


def is_channel(text):
    """Whether the text may be the name of a channel."""
    return bool(_WORD.match(text)) and len(text) <= 64


def is_archive(text):
    """Whether the text is a plain file name of an archive."""
    return bool(_FILE.match(text)) and len(text) <= 255 and text.endswith(ENDINGS)


def is_wheel(filename):
    return filename.endswith(".whl")


def release_name(name, version):
    """NAME-VERSION, as manifests, folders of releases and channels say it."""
    return "%s-%s" % (canonical(name), version)


def release_split(text):
    """(name, version) of NAME-VERSION, or None when the text is no such thing."""
    name, dash, version = text.rpartition("-")
    if dash and is_name(name) and canonical(name) == name and is_version(version):
        return name, version
    return None


def wheel_split(filename):
    """(canonical name, version, tags) of a wheel's file name, or None.

    tags is a set of (python, abi, platform), each pair of which was compressed
    with dots (PEP 427).
    """
    parts = filename[: -len(".whl")].split("-")
    if not is_wheel(filename) or len(parts) not in (5, 6) or not all(parts):
        return None
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    tags = {(p, a, o) for p in pythons for a in abis for o in platforms}
    return canonical(parts[0]), parts[1], tags


def archive_guess(filename):
    """(canonical name, version) as the file's name has it, or None.

    Names of sdists are ambiguous, and some have no "-" at all: only
    archive_identity() tells.
    """
    wheel = wheel_split(filename)
    if wheel:
        return wheel[:2]
    for ending in ENDINGS:
        if filename.endswith(ending):
            found = re.match(r"(.+)-([0-9][^-]*)\Z", filename[: -len(ending)])
            if found and is_name(found.group(1)):
                return canonical(found.group(1)), found.group(2)
    return None


def archive_identity(path):
    """Reads what an archive says of itself: Identity(name, version, kind, metadata).

    kind is "sdist" or "wheel", name and version are as PKG-INFO or METADATA
    have them, metadata is the message with all fields. Raises ArchiveError when
    it is damaged, has no metadata, or a name or version that cannot be used.
    """
    filename = str(path).rpartition("/")[2]
    kind = "wheel" if is_wheel(filename) else "sdist"
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
    if not is_name(name):
        raise ArchiveError("%s says that its name is %r: that is none." % (filename, name))
    if not is_version(version):
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
