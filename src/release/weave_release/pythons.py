# SPDX-License-Identifier: Apache-2.0
"""A Python that releases are made for: its tags and markers, and what its distribution provides."""

import json

from mozupload import names

from . import pypa
from .errors import ReleaseError
from .members import ArchiveError
from .words import shown

PROBE_SECONDS = 60
_MARK = "weave-python:"

# argv: where pip's modules lie, and whether the installed distributions are wanted.
_PROBE = r"""
import json, sys
found = {}
if sys.argv[2] == "all":
    try:
        from importlib.metadata import distributions
    except ImportError:
        distributions = lambda: ()
    for one in distributions():
        try:
            name, version = one.metadata["Name"], one.version
            if name and version and name not in found:
                found[name] = [version, list(one.requires or [])]
        except Exception:
            continue
sys.path.insert(0, sys.argv[1])
import pip
from pip._vendor.packaging import markers, tags
def say(key, values):
    # few lines, which are cut off in the log; longer ones would not come through whole
    size = 10 if key == "installed" else 500
    for start in range(0, len(values), size):
        print("weave-python:" + json.dumps([key, values[start:start + size]]))
say("facts", [{"version": "%d.%d.%d" % sys.version_info[:3], "pip": pip.__version__,
               "environment": markers.default_environment()}])
say("tag", [[tag.interpreter, tag.abi, tag.platform] for tag in tags.sys_tags()])
say("installed", [[name] + found[name] for name in found])
"""


class Installed:
    """A distribution that is installed: project, version, requires (texts)."""

    def __init__(self, project, version, requires):
        self.project = project
        self.version = version
        self.requires = requires


class Python:
    """An interpreter: executable, version ("3.11.2"), tags (best first), environment (markers),
    pip (the path that it runs pip with), pip_version."""

    def __init__(self, executable, run):
        self.executable = executable
        self.run = run
        self.pip = pypa.pip_path(executable)
        self._system = None
        said = self._probe("none")
        facts = said["facts"][0]
        self.version = facts["version"]
        self.pip_version = facts["pip"]
        self.environment = facts["environment"]
        self.tags = {tuple(tag): rank for rank, tag in enumerate(said["tag"])}

    @property
    def short(self):
        """The version as tags have it: cp311."""
        return "cp" + "".join(self.version.split(".")[:2])

    def system(self):
        """What is installed for it, outside of any virtualenv: {canonical name: Installed}."""
        if self._system is None:
            self._system = {
                names.canonical(name): Installed(name, version, requires)
                for name, version, requires in self._probe("all")["installed"]}
        return self._system

    def rank(self, filename):
        """How well a wheel's tags fit, 0 is best; None when it is for another Python or machine."""
        split = names.wheel_split(filename)
        ranks = [self.tags[tag] for tag in (split[2] if split else ()) if tag in self.tags]
        return min(ranks) if ranks else None

    def pip_argv(self, *arguments, python=None):
        """The command line of pip for this Python, or for `python`, a virtualenv of it."""
        return [python or self.executable, "-I", self.pip, "--isolated", "--no-input",
                "--disable-pip-version-check", "--no-color", "--no-cache-dir"] + list(arguments)

    def requires_check(self, archive):
        """Refuses an archive whose Requires-Python leaves this Python out."""
        text = archive.requires_python
        if not text:
            return
        packaging = pypa.packaging()
        try:
            fits = packaging.specifiers.SpecifierSet(text).contains(self.version, prereleases=True)
        except packaging.specifiers.InvalidSpecifier:
            raise ArchiveError(archive.name, "has a Requires-Python that is none (%s)"
                               % shown(text)) from None
        if not fits:
            raise ReleaseError(
                "%s needs Python %s, this node has %s" % (archive.name, shown(text),
                                                          self.version),
                hint="release.python says which Python a new release gets.")

    def _probe(self, wanted):
        folder = self.pip.rpartition("/")[0]
        if self.pip.endswith("__pip-runner__.py"):
            folder = folder.rpartition("/")[0]
        status, output = self.run([self.executable, "-I", "-B", "-c", _PROBE, folder, wanted],
                                  seconds=PROBE_SECONDS)
        said = {"facts": [], "tag": [], "installed": []}
        for line in output.splitlines():
            if line.startswith(_MARK):
                key, value = json.loads(line[len(_MARK):])
                said[key].extend(value)
        if status != 0 or not said["facts"]:
            raise ReleaseError("%s does not say what it is" % self.executable,
                               hint="release.python must be a Python that runs.",
                               lines=output.splitlines()[-10:])
        return said
