# SPDX-License-Identifier: Apache-2.0
"""BUILD: wheels of sdists, in a throw-away virtualenv that knows setuptools and wheel.

setup.py is the code of whoever wrote it. It runs as the owner of release.home, who has
neither the ini nor the workers' secrets.
"""

import json
import os

from mozupload import names

from . import archives, closure, pypa
from .errors import ReleaseError
from .members import ArchiveError
from .words import shown

BUILD_SECONDS = 1800
LEGACY = ("setuptools", "wheel")
SETUPTOOLS = "setuptools."       # names of its backends begin so
CURE = "Put its wheel into the share (mozupload does); the log has all of the build."
_MARK = "weave-build:"

_PROBE = """
import importlib.metadata as metadata, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print("weave-build:" + json.dumps(found))
"""


def environment_make(job, tools):
    """A virtualenv that sees the distribution's packages, and these wheels before them.

    Made once for a job; returns its python.
    """
    folder = os.path.join(job.folder, "build")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        job.program([job.python.executable, "-I", "-m", "venv", "--without-pip",
                     "--system-site-packages", folder],
                    "%s makes no virtualenv to build in" % job.python.executable)
        if tools:
            job.program(job.python.pip_argv(
                "install", "--no-index", "--no-deps", "--only-binary", ":all:",
                "--ignore-installed", "--no-warn-script-location", *tools, python=python),
                "the share's tools to build with could not be installed")
    return python


def wheel_make(job, path, project, version, tools):
    """Builds the wheel of an sdist that was checked; returns its path."""
    name = os.path.basename(path)
    archive = archives.archive_check(path, project, version)
    python = environment_make(job, tools)
    requirements_check(job, archive, python)
    out = os.path.join(job.folder, "wheels", project)
    os.makedirs(out)
    job.program(job.python.pip_argv(
        "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--use-pep517",
        "--wheel-dir", out, path, python=python),
        "%s could not be built" % name, seconds=BUILD_SECONDS, cwd=out, hint=CURE)
    made = [one for one in os.listdir(out) if names.is_wheel(one)]
    if len(made) != 1:
        raise ReleaseError("the build of %s has made %d wheels" % (name, len(made)), hint=CURE)
    if job.python.rank(made[0]) is None:
        raise ReleaseError("the build of %s has made a wheel for another Python or machine (%s)"
                           % (name, made[0]), hint=CURE)
    return os.path.join(out, made[0])


def requirements_check(job, archive, python):
    """Refuses an sdist whose build needs what is neither in the share nor in the distribution."""
    wanted = requirements_read(archive, job.python.environment)
    output = job.program([python, "-I", "-c", _PROBE,
                          json.dumps(sorted({name for name, _ in wanted} | set(LEGACY)))],
                         "%s does not run" % python)
    line = [one for one in output.splitlines() if one.startswith(_MARK)][-1]
    found = json.loads(line[len(_MARK):])
    missing = [(name, said) for name, said in wanted
               if not is_there(name, said, found)]
    if not missing:
        return
    what = " and ".join(name + said for name, said in missing)
    if not {name for name, _ in missing} <= set(LEGACY):
        packages = "put what it needs there"
    elif job.python.executable.startswith("/usr/bin/"):
        packages = "install " + " ".join("python3-" + name for name, _ in missing)
    else:
        packages = "install them for %s" % job.python.executable
    raise ReleaseError(
        "%s is an sdist, and there is no %s here to build it with" % (archive.name, what),
        hint="Put its wheel into the share (mozupload does), or %s." % packages)


def tools_choose(job, sdists, wheels):
    """Paths of those wheels that the builds of these sdists need, with what they need themselves.

    wheels: {canonical name: Archive}, sdists: Archives.
    """
    environment, chosen = job.python.environment, {}
    queue = [name for sdist in sdists for name, _ in requirements_read(sdist, environment)]
    while queue:
        name = queue.pop()
        if name not in wheels or name in chosen:
            continue
        chosen[name] = wheels[name].path
        requirements = [closure.requirement_read(text) for text in wheels[name].requires]
        queue.extend(names.canonical(one.name) for one in requirements
                     if one is not None and closure.is_wanted(one, (), environment))
    return sorted(chosen.values())


def is_there(name, said, found):
    """Whether a requirement of a build is met by {name: version}."""
    if name not in found:
        # newer ones have the command bdist_wheel themselves
        newer = pypa.version_read(found.get("setuptools", "0"))
        return name == "wheel" and newer >= pypa.version_read("70.1")
    return not said or pypa.packaging().specifiers.SpecifierSet(said).contains(
        found[name], prereleases=True)


def requirements_read(archive, environment):
    """[(canonical name, specifier)] of what the build of an sdist needs."""
    texts, is_setuptools = LEGACY, False
    if archive.backend is not None:
        try:
            system = pypa.toml(archive.backend).get("build-system")
            if system is not None:
                texts = [str(text) for text in system["requires"]]
                is_setuptools = str(system.get("build-backend", SETUPTOOLS)).startswith(SETUPTOOLS)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
            raise ArchiveError(
                archive.name, "has a pyproject.toml that cannot be read (%s)"
                % shown(str(problem))) from problem
    wanted = []
    for text in texts:
        requirement = closure.requirement_read(text)
        if requirement is None or requirement.url:
            raise ArchiveError(archive.name, "needs %s for its build, which is no requirement"
                               % shown(text))
        if closure.is_wanted(requirement, (), environment):
            wanted.append((names.canonical(requirement.name), str(requirement.specifier)))
    # a setuptools before 70.1 wants it as well when it is asked for a wheel
    if is_setuptools and "setuptools" in dict(wanted) and "wheel" not in dict(wanted):
        wanted.append(("wheel", ""))
    return wanted
