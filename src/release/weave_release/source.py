# SPDX-License-Identifier: Apache-2.0
"""The project in a checkout: where it is, which version its tags give it, and its wheel."""

import configparser
import os
import re
import types

from mozupload import names

from . import archives, build, closure, job as jobs, pypa, pythons, venv
from .errors import ReleaseError

MAX_BYTES = 1 << 20
FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def inside(tree, path):
    """The real path of something in the tree. ReleaseError where it leads out of it."""
    top = os.path.realpath(tree)
    real = os.path.realpath(os.path.join(top, path))
    if path.startswith("/") or os.path.commonpath([real, top]) != top:
        raise ReleaseError("%s leads out of the checkout" % path)
    return real


def project_find(tree, folder):
    """The folder of the project. ReleaseError where it is none that can be built."""
    path = inside(tree, folder)
    if not os.path.isdir(path):
        raise ReleaseError("the checkout has no folder %s" % folder)
    if any(os.path.isfile(os.path.join(path, name)) for name in FILES[:2]):
        return path
    others = sorted(name for name in os.listdir(path)
                    if any(os.path.isfile(os.path.join(path, name, one)) for one in FILES[:2]))
    raise ReleaseError(
        "%s has neither a pyproject.toml nor a setup.py to build it with"
        % ("the folder %s of the checkout" % folder if folder else "the checkout"),
        hint="--project %s" % others[0] if others else "")


def _text(folder, name):
    try:
        with open(inside(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return None


def name_guess(folder):
    """The name of the project where a file says it without being run, or ""."""
    text = _text(folder, "pyproject.toml")
    if text is not None:
        try:
            name = pypa.toml(text).get("project", {}).get("name")
            if isinstance(name, str):
                return name
        except (ValueError, AttributeError, RecursionError):
            pass
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_text(folder, "setup.cfg") or "")
    except configparser.Error:
        return ""
    return parser.get("metadata", "name", fallback="").strip()


def version_of(opened, revision, tags):
    """The version that tags give a revision, for projects that ask git or hg for it; or "".

    That of a tag of its own, else that of the last one, with the number of commits since.
    """
    versions = [found for found in (_tag_version(tag) for tag in tags) if found]
    if versions:
        return str(max(versions))
    before = opened.tag_before(revision.id)
    base = _tag_version(before[0]) if before else None
    commits = before[1] if base else 0
    return "%s.post%d+g%s" % (base.base_version if base else "0", commits, revision.id[:12])


def _tag_version(tag):
    found = re.search(r"(?:^|[-_/vV])([0-9][0-9A-Za-z.+!]*)\Z", tag)
    return pypa.version_read(found.group(1)) if found else None


def wheel_make(task, folder, vendor, version):
    """Builds the wheel of a project with what the vendor folder or the distribution has.

    Returns its path. It is done in a folder of its own, as the owner of release.home.
    """
    python = pythons.Python(venv.base_choose(task.settings, _ready(task)), task.run)
    job = jobs.Job(task.settings, None, task.home, task.folder("application"), python, task.run)
    shown = "the checkout"
    archive = types.SimpleNamespace(name=shown, backend=_text(folder, "pyproject.toml"))
    tools = tools_find(job, vendor, build.requirements_read(archive, python.environment))
    builder = build.environment_make(job, tools)
    build.requirements_check(job, archive, builder)
    out = os.path.join(job.folder, "wheel")
    os.mkdir(out)
    variables = ["env"] + ["%s=%s" % (name, version) for name in _version_variables(folder)]
    job.program(variables + job.python.pip_argv(
        "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--use-pep517",
        "--wheel-dir", out, folder, python=builder),
        "%s could not be built" % shown, seconds=build.BUILD_SECONDS, cwd=out)
    made = [name for name in os.listdir(out) if names.is_wheel(name)]
    if len(made) != 1:
        raise ReleaseError("the build of %s has made %d wheels" % (shown, len(made)))
    return os.path.join(out, made[0])


def _ready(task):
    current = task.home.current()
    return current.ready if current else None


def _version_variables(folder):
    """What setuptools-scm takes a version from, where there is no git or hg to ask."""
    found = ["SETUPTOOLS_SCM_PRETEND_VERSION"]
    name = name_guess(folder)
    if names.is_name(name):
        found.append(found[0] + "_FOR_" + re.sub(r"[-_.]+", "_", name).upper())
    return found


def tools_find(job, vendor, wanted):
    """The wheels in the vendor folder that a build needs, and those that they need themselves.

    wanted: [(canonical name, specifier)]. What is not there may be the distribution's.
    """
    there = {}
    for filename in os.listdir(vendor):
        split = names.wheel_split(filename)
        version = pypa.version_read(split[1]) if split else None
        if version is not None and job.python.rank(filename) is not None:
            there.setdefault(split[0], []).append((version, filename))
    found, queue = {}, [(name, said) for name, said in wanted]
    while queue:
        name, said = queue.pop()
        fitting = [row for row in there.get(name, ()) if name not in found
                   and pypa.packaging().specifiers.SpecifierSet(said).contains(
                       row[0], prereleases=True)]
        if not fitting:
            continue
        found[name] = os.path.join(vendor, max(fitting)[1])
        archive = archives.archive_check(found[name])
        queue += _requirements(archive, job.python.environment)
    return sorted(found.values())


def _requirements(archive, environment):
    """[(canonical name, specifier)] of what a wheel needs, without its extras."""
    wanted = [closure.requirement_read(text) for text in archive.requires or ()]
    return [(names.canonical(one.name), str(one.specifier)) for one in wanted
            if one is not None and closure.is_wanted(one, (), environment)]
