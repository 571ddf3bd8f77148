# SPDX-License-Identifier: Apache-2.0
"""Names of distributions, versions and archives."""

import re

ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".zip", ".whl")

# PEP 508, "Names"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
# A version that PEP 440 has normalised. It has no "-", so NAME-VERSION shows where the
# version begins.
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!_]*\Z")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*\Z")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")


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

    Names of sdists are ambiguous, and some have no "-" at all: only the
    metadata of the archive tell.
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
