# SPDX-License-Identifier: Apache-2.0
"""The Pythons and platforms of the nodes that a release is for."""

import os
import re
import sys
import sysconfig

from . import names
from .errors import UploadError
from .identity import archive_identity

_MANYLINUX = re.compile(r"manylinux_2_(\d+)_(\w+)\Z")
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
_PYTHON = re.compile(r"3\.\d+\Z")


class Target:
    """A Python and the names of its platforms, as wheels have them.

    native: that of this machine and of the Python that runs mozupload, which may
    build wheels of sdists; for others, wheels must be found.
    """

    def __init__(self, python, platforms, native):
        self.python = python
        self.platforms = platforms
        self.native = native

    def __str__(self):
        return "Python %s on %s" % (self.python, ", ".join(self.platforms))

    @classmethod
    def all(cls, pythons, platforms):
        """The targets of --python and --platform; without them, this Python here."""
        here = "%d.%d" % sys.version_info[:2]
        platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
        for python in pythons:
            if not _PYTHON.match(python):
                raise UploadError("--python %s is no version as 3.11 is." % python)
        for text in platforms:
            if not re.match(r"\w+\Z", text):
                raise UploadError("--platform %s is no platform of wheels." % text)
        return [
            cls(python, platforms or [platform], python == here and not platforms)
            for python in dict.fromkeys(pythons or [here])
        ]

    def command(self, folder, isolation=True):
        """The command of pip that puts wheels for the target into a folder."""
        if self.native:
            # old sdists, too, are built with setuptools and wheel from where the rest is
            command = ["wheel", "--wheel-dir", folder, "--use-pep517"]
            return command + ["--no-build-isolation"] * (not isolation)
        command = ["download", "--dest", folder, "--only-binary", ":all:"]
        command += ["--implementation", "cp", "--python-version", self.python]
        for name in _older(self.platforms):
            command += ["--platform", name]
        return command

    def wheel_of(self, wheels):
        """The one of the project's own wheels that fits, as well as names tell it."""
        version = self.python.replace(".", "")
        for wheel in wheels:
            found = names.wheel_split(os.path.basename(wheel))
            pythons = {tag[0] for tag in found[2]} if found else set()
            if pythons & {"py3", "cp" + version, "py" + version}:
                return wheel
            if any(tag[1] == "abi3" for tag in found[2]):
                return wheel
        raise UploadError(
            "There is no wheel of the project for %s: build it there, and name it beside the sdist."
            % self
        )

    def required(self, wheels):
        """{canonical name: requirement} of all that the wheels need on the target."""
        packaging = _packaging()
        environment = dict({} if self.native else self._environment(), extra="")
        found = {}
        for wheel in wheels:
            metadata = archive_identity(wheel).metadata
            for text in metadata.get_all("Requires-Dist", []):
                try:
                    requirement = packaging.Requirement(text)
                except packaging.InvalidRequirement:
                    raise UploadError("%r is no requirement of PEP 508." % text)
                if not requirement.marker or requirement.marker.evaluate(environment):
                    requirement.marker = None
                    found[names.canonical(requirement.name)] = str(requirement)
        return found

    def _environment(self):
        return {
            "python_version": self.python,
            "python_full_version": self.python + ".0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


def _older(platforms):
    """The platforms with those whose wheels run on them: older glibc."""
    found = []
    for platform in platforms:
        match = _MANYLINUX.match(platform)
        if not match:
            found.append(platform)
            continue
        newest, machine = int(match.group(1)), match.group(2)
        for minor in range(newest, 4, -1):
            found.append("manylinux_2_%d_%s" % (minor, machine))
            if minor in _OLD_NAMES:
                found.append("%s_%s" % (_OLD_NAMES[minor], machine))
        found.append("linux_" + machine)
    return list(dict.fromkeys(found))


def _packaging():
    try:
        from packaging import requirements
    except ImportError:
        from pip._vendor.packaging import requirements
    return requirements
