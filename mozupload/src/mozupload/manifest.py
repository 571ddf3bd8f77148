# SPDX-License-Identifier: Apache-2.0
"""The manifest of a release: which files it consists of, and where they come from.

It stands in the share as releases/NAME-VERSION.json, and nodes believe it alone.
"""

import json
import re

from . import names

FORMAT = 1
MAX_BYTES = 1 << 20
MAX_FILES = 10000
ROLES = ("application", "dependency", "build")

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")

# Member of a file in the manifest: type
_FILE_MEMBERS = {
    "name": str,
    "sha256": str,
    "size": int,
    "project": str,
    "version": str,
    "role": str,
}


class ManifestError(Exception):
    """A manifest cannot be believed; its text is one sentence for people."""


class File:
    """A file of a release: name, sha256 (hex), size (bytes), project, version, role.

    project is a canonical name. role is "application" (the sdist and the wheel of
    what is released), "dependency", or "build" (only needed to build wheels of sdists).
    """

    __slots__ = tuple(_FILE_MEMBERS)

    def __init__(self, name, sha256, size, project, version, role):
        self.name = name
        self.sha256 = sha256
        self.size = size
        self.project = project
        self.version = version
        self.role = role

    def members(self):
        return {name: getattr(self, name) for name in self.__slots__}


class Manifest:
    """A release: attributes are as the members of the JSON; files is a list of File.

    Raises ManifestError when the members do not make a release. What it does not
    know is kept in `members`, and written again by data().
    """

    def __init__(self, members):
        self.members = members
        self.name = _member(members, "name", str)
        self.project = _member(members, "project", str)
        self.version = _member(members, "version", str)
        self.requires = _versions(members, "requires")
        self.system = _versions(members, "system")
        self.python = _strings(members, "python")
        self.platforms = _strings(members, "platforms")
        self.allowed = _strings(members, "allowed")
        self.vcs = _vcs(members)
        self.by = _member(members, "by", str, "")
        self.at = _member(members, "at", str, "")
        self.tools = _member(members, "tools", dict, {})
        self._check_names()
        self.files = _files(_member(members, "files", list))
        self._check_files()

    @property
    def release(self):
        """NAME-VERSION."""
        return names.release_name(self.name, self.version)

    def data(self):
        """The bytes of its file."""
        text = json.dumps(self.members, indent=1, sort_keys=True, ensure_ascii=False)
        data = (text + "\n").encode("utf-8")
        if len(data) > MAX_BYTES:
            raise ManifestError("The manifest would have more than %d bytes." % MAX_BYTES)
        return data

    def files_of(self, *roles):
        return [file for file in self.files if file.role in roles]

    def _check_names(self):
        if not names.is_name(self.name) or names.canonical(self.name) != self.name:
            raise ManifestError("%r is no canonical name of a project." % self.name)
        if not names.is_name(self.project) or names.canonical(self.project) != self.name:
            raise ManifestError("%r is no spelling of %s." % (self.project, self.name))
        if not names.is_version(self.version):
            raise ManifestError("%r is no version." % self.version)
        both = set(self.requires) & set(self.system)
        if both:
            raise ManifestError("%s is in the share and in the system." % min(both))

    def _check_files(self):
        there = {(file.project, file.version) for file in self.files_of("dependency")}
        for name, version in self.requires.items():
            if (name, version) not in there:
                raise ManifestError("It has no file of %s %s." % (name, version))
        applications = self.files_of("application")
        if not applications:
            raise ManifestError("It has no file of %s itself." % self.name)
        for file in applications:
            if (file.project, file.version) != (self.name, self.version):
                raise ManifestError(
                    "%s is said to be %s, and is of %s %s."
                    % (file.name, self.release, file.project, file.version)
                )


def path_of(name, version):
    """The manifest's path in a share; its signature's has ".asc" at the end."""
    return "releases/%s.json" % names.release_name(name, version)


def make(**members):
    """A Manifest of these members; `files` is a list of File."""
    members = dict(members, format=FORMAT)
    members["files"] = [file.members() for file in members["files"]]
    return Manifest(members)


def manifest_read(data):
    """The Manifest that the bytes are; raises ManifestError with one sentence."""
    if len(data) > MAX_BYTES:
        raise ManifestError("It has more than %d bytes." % MAX_BYTES)
    try:
        members = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant
        )
    except RecursionError:
        raise ManifestError("It is nested too deeply.")
    except ValueError as problem:
        raise ManifestError("It is no JSON: %s." % problem)
    if not isinstance(members, dict):
        raise ManifestError("It is no JSON object.")
    found = members.get("format")
    if type(found) is not int or found != FORMAT:
        raise ManifestError(
            "Its format is %r, and this program knows %d: a newer one may know it."
            % (found, FORMAT)
        )
    return Manifest(members)


def _object(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _constant(text):
    raise ValueError("%s is no number of JSON" % text)


_NEEDED = object()


def _member(members, name, kind, default=_NEEDED):
    value = members.get(name, default)
    if value is _NEEDED:
        raise ManifestError("It has no member %r." % name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ManifestError("Its member %r is of the wrong type." % name)
    if isinstance(value, str):
        _printable(name, value)
    return value


def _printable(name, text):
    """People see these texts on terminals, where others could do harm."""
    if not text.isprintable():
        raise ManifestError("Its member %r has what is no text for people." % name)


def _strings(members, name):
    values = _member(members, name, list, [])
    if not all(isinstance(value, str) for value in values):
        raise ManifestError("Its member %r has something else than texts." % name)
    for value in values:
        _printable(name, value)
    return values


def _versions(members, name):
    """A member that maps canonical names to versions."""
    values = _member(members, name, dict, {})
    for project, version in values.items():
        if not names.is_name(project) or names.canonical(project) != project:
            raise ManifestError("%r in %r is no canonical name." % (project, name))
        if not isinstance(version, str) or not names.is_version(version):
            raise ManifestError("%r in %r has no version." % (project, name))
    return values


def _vcs(members):
    """The member "vcs": {"kind", "url", "revision", "tag"}, or None."""
    found = _member(members, "vcs", (dict, type(None)), None)
    for name, value in (found or {}).items():
        if isinstance(value, str):
            _printable("vcs", name + value)
    return found


def _files(rows):
    if len(rows) > MAX_FILES:
        raise ManifestError("It has more than %d files." % MAX_FILES)
    files, seen = [], set()
    for row in rows:
        file = _file(row)
        # file systems that ignore case hold one of the two only
        if file.name.lower() in seen:
            raise ManifestError("The file %s is there twice." % file.name)
        seen.add(file.name.lower())
        files.append(file)
    return files


def _file(row):
    if not isinstance(row, dict):
        raise ManifestError("One of its files is no object.")
    file = File(*(_member(row, name, kind) for name, kind in _FILE_MEMBERS.items()))
    if not names.is_archive(file.name):
        raise ManifestError("%r is no plain name of an archive." % file.name)
    if not _SHA256.match(file.sha256):
        raise ManifestError("%s has no SHA-256." % file.name)
    if not 0 <= file.size < 1 << 53:
        raise ManifestError("%s has no size." % file.name)
    if not names.is_name(file.project) or names.canonical(file.project) != file.project:
        raise ManifestError("%s has no canonical name of a project." % file.name)
    if not names.is_version(file.version):
        raise ManifestError("%s has no version." % file.name)
    if file.role not in ROLES:
        raise ManifestError("%s has the role %r, which is none." % (file.name, file.role))
    return file
