# SPDX-License-Identifier: Apache-2.0
"""Collects what a release consists of: its sdist, its wheel, and wheels of all that it needs."""

import os
import re
import tarfile
import zipfile

from . import names
from .errors import UploadError
from .identity import archive_identity
from .pip import PipError
from .publish import DraftFile, row
from .targets import Target

# PEP 508: NAME[EXTRAS] @ URL
_DIRECT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?\s*@")
_OTHER_FILE = re.compile(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)")
_EDITABLE = re.compile(r"\s*(-e\b|--editable\b)")

STUB = "Wheel-Version: 1.0\nGenerator: mozupload\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class Collector:
    """Collects in `folder`, with a Pip. say(text): tells people a line.

    options: python, platform, system, constraint (lists), no_build_isolation.
    """

    def __init__(self, pip, folder, options, say):
        self.pip = pip
        self.folder = folder
        self.options = options
        self.say = say
        self.system = {}
        self.used = set()

    def collect(self, sdist, wheels):
        """Files (DraftFile) and the members of the manifest that come from them.

        sdist: path; wheels: paths of the project's own wheels, if somebody has built them.
        """
        identity = archive_identity(sdist)
        self._constraints_check()
        build, source = [], ["--no-build-isolation"]
        if not self.options.no_build_isolation:
            build = self._build_requirements(sdist)
            source = ["--no-index", "--find-links", self._folder("build")]
        if not wheels:
            wheels = [self._wheel_build(sdist, source)]
        for wheel in wheels:
            self._wheel_check(wheel, identity)
        self.system = {name: version for name, version in map(system_split, self.options.system)}
        found, targets = {}, Target.all(self.options.python, self.options.platform)
        for target in targets:
            for path in self._dependencies(wheels, target):
                found[os.path.basename(path)] = path
        for name in sorted(set(self.system) - self.used):
            self.say("  Nothing needs %s: --system %s changes nothing." % (name, name))
        ours = [(path, "application") for path in [sdist] + wheels]
        theirs = [(path, "dependency") for path in found.values()]
        taken = set(found)
        theirs += [(path, "build") for path in build if os.path.basename(path) not in taken]
        files = [_draft_file(path, role) for path, role in ours + theirs]
        return files, {
            "name": names.canonical(identity.name),
            "project": identity.name,
            "version": identity.version,
            "requires": _closure([file for file in files if file.role == "dependency"]),
            "system": {name: self.system[name] for name in sorted(self.used)},
            "python": [target.python for target in targets],
            "platforms": sorted({name for target in targets for name in target.platforms}),
        }

    def _folder(self, name):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        return folder

    def _constraints_check(self):
        """Looks through the files of constraints, and through those that they name."""
        paths = list(self.options.constraint)
        for path in paths:
            try:
                with open(path, encoding="utf-8") as stream:
                    lines = stream.read().splitlines()
            except OSError as problem:
                raise UploadError("%s cannot be read: %s." % (path, problem.strerror))
            for line in lines:
                if _EDITABLE.match(line) or _DIRECT.match(line):
                    raise UploadError(
                        "%s has %r: a dependency by URL, or an editable one, cannot be put into "
                        "a share; name it by NAME==VERSION." % (path, line.strip())
                    )
                other = _OTHER_FILE.match(line)
                if other:
                    other = os.path.join(os.path.dirname(path), other.group(1))
                    paths += [other] * (other not in paths)

    # ---- the project's own wheel ----

    def _build_requirements(self, sdist):
        """Paths of wheels of what is needed to build a wheel of the sdist."""
        wanted = build_requires(sdist)
        folder = self._folder("build")
        command = ["download", "--dest", folder, "--only-binary", ":all:"]
        try:
            self.pip.find(command, wanted)
        except PipError as problem:
            raise _explained(
                problem,
                "pip finds nothing to build a wheel with (%s): say where it is with --find-links "
                "or --index-url, or build with what is installed here (--no-build-isolation)."
                % ", ".join(wanted),
            )
        return _archives(folder)

    def _wheel_build(self, sdist, source):
        folder = self._folder("own")
        command = ["wheel", "--no-deps", "--no-cache-dir", "--use-pep517", "--wheel-dir", folder]
        try:
            self.pip.run(command + source + ["--", sdist])
        except PipError as problem:
            raise _explained(
                problem, "No wheel can be built of %s." % os.path.basename(sdist)
            )
        (wheel,) = _archives(folder)
        self.say(row(os.path.basename(wheel), "", "built"))
        return wheel

    def _wheel_check(self, wheel, identity):
        found = archive_identity(wheel)
        if (names.canonical(found.name), found.version) != (
            names.canonical(identity.name),
            identity.version,
        ):
            raise UploadError(
                "%s is of %s %s, and not of %s %s."
                % (os.path.basename(wheel), *found[:2], *identity[:2])
            )
        _direct_check(found)

    # ---- dependencies ----

    def _dependencies(self, wheels, target):
        """Paths of wheels of all that the project's wheel needs on a target."""
        stubs = [self._stub(*item) for item in self.system.items()]
        wanted = [target.wheel_of(wheels)] + stubs
        for path in self.options.constraint:
            wanted += ["--constraint", path]
        for attempt in range(10):
            folder = self._folder("needs-%s-%d" % (target.python, attempt))
            command = target.command(folder, not self.options.no_build_isolation)
            try:
                self.pip.find(command, wanted)
            except PipError as problem:
                raise _explained(
                    problem,
                    "pip does not find all that %s needs for %s: say where it is with "
                    "--find-links or --index-url." % (os.path.basename(wheels[0]), target),
                )
            mine = {os.path.basename(path) for path in wheels + stubs}
            found = [path for path in _archives(folder) if os.path.basename(path) not in mine]
            for path in found:
                _direct_check(archive_identity(path))
            needed = target.required([wanted[0]] + found)
            there = {names.canonical(archive_identity(path).name) for path in found}
            missing = [text for name, text in needed.items()
                       if name not in there and name not in self.system]
            if not missing:
                self.used.update(set(needed) & set(self.system))
                where = "the share" if self.pip.from_share else "share and indexes"
                self.say("  %d dependencies for %s, from %s" % (len(found), target, where))
                return found
            # pip judges "; python_version < ..." by the Python that runs it
            wanted += missing
        raise UploadError("pip does not find %s for %s." % (", ".join(missing), target))

    def _stub(self, name, version):
        """A wheel that has nothing in it, for what the nodes' distribution provides."""
        stem = name.replace("-", "_")
        path = os.path.join(self._folder("system"), "%s-%s-py3-none-any.whl" % (stem, version))
        info = "%s-%s.dist-info/" % (stem, version)
        members = {
            "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version),
            "WHEEL": STUB,
        }
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in members.items():
                archive.writestr(info + member, text)
            rows = ["%s%s,," % (info, member) for member in list(members) + ["RECORD"]]
            archive.writestr(info + "RECORD", "\n".join(rows) + "\n")
        return path


def _archives(folder):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def _draft_file(path, role):
    name = os.path.basename(path)
    if not names.is_archive(name):
        raise UploadError("%s has a name that no share takes: rename it." % name)
    identity = archive_identity(path)
    return DraftFile(path, name, names.canonical(identity.name), identity.version, role)


def _closure(files):
    """{project: version}; two versions of one are refused, which targets may want."""
    found = {}
    for file in files:
        if found.setdefault(file.project, file.version) != file.version:
            raise UploadError(
                "%s is %s for one Python and %s for another: say one of them with --constraint."
                % (file.project, found[file.project], file.version)
            )
    return found


def _direct_check(identity):
    for text in identity.metadata.get_all("Requires-Dist", []):
        if _DIRECT.match(text) and not re.search(r";.*\bextra\b", text):
            raise UploadError(
                "%s %s depends on %r: a dependency by URL cannot be put into a share; name it "
                "by NAME and version." % (identity.name, identity.version, text)
            )


def system_split(text):
    """(canonical name, version) of NAME or NAME==VERSION that the nodes' system provides."""
    name, _, version = (part.strip() for part in text.partition("=="))
    if not names.is_name(name):
        raise UploadError("--system %s is no name of a distribution." % text)
    if not version:
        from importlib.metadata import PackageNotFoundError, version as installed

        try:
            version = installed(name)
        except PackageNotFoundError:
            raise UploadError(
                "%s is not installed here, so say which version nodes have: --system %s==VERSION."
                % (name, name)
            )
    if not names.is_version(version):
        raise UploadError("--system %s has no version of PEP 440." % text)
    return names.canonical(name), version


def build_requires(sdist):
    """What the sdist says that building it needs (PEP 518), as requirements."""
    text = _member_text(sdist, "pyproject.toml")
    table = _toml(text).get("build-system", {}) if text else {}
    requires = [str(item) for item in table.get("requires", ["setuptools"])]
    for item in requires:
        if _DIRECT.match(item):
            raise UploadError(
                "%s needs %r to be built: name it by NAME and version."
                % (os.path.basename(sdist), item)
            )
    backend = str(table.get("build-backend", "setuptools.build_meta"))
    if backend.startswith("setuptools") and not any(_is(item, "wheel") for item in requires):
        # what setuptools before 70.1 asks for besides
        requires.append("wheel")
    return requires


def _is(requirement, name):
    found = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
    return bool(found) and names.canonical(found.group(1)) == name


def _toml(text):
    try:
        import tomllib as toml
    except ImportError:
        from pip._vendor import tomli as toml
    try:
        return toml.loads(text)
    except ValueError as problem:
        raise UploadError("pyproject.toml of the sdist is no TOML: %s." % problem)


def _member_text(sdist, name):
    """The text of a file in the top folder of an sdist, or None."""
    if sdist.endswith(".zip"):
        with zipfile.ZipFile(sdist) as archive:
            for member in archive.namelist():
                if member.split("/")[1:] == [name]:
                    return archive.read(member).decode("utf-8", "replace")
        return None
    with tarfile.open(sdist, "r:*") as archive:
        for member in archive:
            if member.isreg() and member.name.split("/")[1:] == [name]:
                return archive.extractfile(member).read().decode("utf-8", "replace")
    return None


def _explained(problem, sentence):
    lines = "\n".join("    " + line for line in problem.lines)
    return UploadError("%s\npip said:\n%s" % (sentence, lines))
