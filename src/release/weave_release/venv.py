# SPDX-License-Identifier: Apache-2.0
"""A release's folder: a virtualenv at its final path, filled by one pip outside of it."""

import errno
import hashlib
import os
import shutil
import stat

from . import programs
from .errors import ReleaseError

# What a Python says of itself: version, the program without a virtualenv, has it venv?
_PROBE = """
import importlib.util, os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
exact = os.path.join(os.path.dirname(base), "python%d.%d" % sys.version_info[:2])
print("%d.%d" % sys.version_info[:2])
print(exact if os.access(exact, os.X_OK) else base)
print(importlib.util.find_spec("venv") is not None)
"""


def base_find(path):
    """(path, "3.11") of the Python outside of any virtualenv that a path leads to, such as
    /usr/bin/python3.11, so that a release keeps its version.

    ReleaseError where it is none, or can make no virtualenv.
    """
    said = []
    ended = programs.program_run([path, "-I", "-c", _PROBE], output=said.append)
    if ended.status != 0 or len(said) != 3:
        raise ReleaseError("%s is no Python 3 that starts" % path, lines=ended.lines)
    version, base, has_venv = said
    if has_venv != "True":
        raise ReleaseError("%s has no module venv" % path,
                           "install python%s-venv, or its like" % version)
    return base, version


def base_choose(settings, previous):
    """The path of the Python of a new release: release.python, else that of the release before
    (its ready.json, or None), else the default engine's. ReleaseError where no engine runs it.
    """
    path = settings["python"]
    if not path and previous is not None:
        before = previous.get("python")
        path = before.get("executable") if isinstance(before, dict) else None
        if not isinstance(path, str) or not os.access(path, os.X_OK):
            path = None
    base, version = base_find(path or settings["engine_default"])
    if version not in settings["engines"]:
        raise ReleaseError(
            "there is no engine for Python %s (%s), only for %s"
            % (version, base, " and ".join(settings["engines"]) or "none"),
            "in mod_weave's source: make PYTHONS='%s %s' && make install; or name another Python "
            "in release.python" % (settings["engine_default"], base))
    return base


def version_short(python):
    """"3.11"."""
    return ".".join(python.version.split(".")[:2])


# ---- CREATE ----

def create(path, python, system_site_packages, log):
    """Makes the virtualenv, without pip in it."""
    argv = [python.executable, "-I", "-m", "venv", "--without-pip"]
    if system_site_packages:
        argv.append("--system-site-packages")
    ended = programs.program_run(argv + [path], log=log)
    _must_work(ended, "%s cannot make a virtualenv at %s" % (python.executable, path))


def _must_work(ended, sentence):
    """OSError where a program has failed because the disk is full, else ReleaseError."""
    if ended.status == 0:
        return
    if any("No space left on device" in line for line in ended.lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise ReleaseError(sentence, lines=ended.lines)


# ---- INSTALL ----

def fill(path, python, wheels, folder, log, output=None, upgrade=False):
    """Installs exactly these wheels (job.Wheel), each with its hash, and nothing they ask for.

    With upgrade, what is there in the same version stays, and another version goes. python is
    the pythons.Python whose pip does it; folder is an empty one for links to the wheels: pip
    takes it for a share.
    """
    lines = []
    for wheel in wheels:
        os.symlink(wheel.path, os.path.join(folder, os.path.basename(wheel.path)))
        lines.append("%s==%s --hash=sha256:%s\n" % (wheel.project, wheel.version, wheel.sha256))
    wanted = os.path.join(folder, "requirements.txt")
    with open(wanted, "w", encoding="utf-8") as file:
        file.writelines(lines)
    argv = python.pip_argv(
        "install", "--no-index", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "--upgrade" if upgrade else "--ignore-installed", "--no-warn-script-location",
        "--progress-bar", "off", "--find-links", folder, "-r", wanted,
        python=os.path.join(path, "bin", "python"))
    ended = programs.program_run(argv, log=log, output=output)
    _must_work(ended, "pip could not install the release")
    if not upgrade:
        people_pip_write(path, python.pip)


def people_pip_write(path, pip):
    """Makes bin/pip, for people: a line that runs the pip outside. One that is there stays."""
    script = os.path.join(path, "bin", "pip")
    if os.path.lexists(script):
        return
    quoted = "'%s'" % pip.replace("'", "'\\''")
    with open(script, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n# for people: weavectl itself has installed this release\n"
                   'exec "$(dirname "$0")/python" -I %s "$@"\n' % quoted)
    os.chmod(script, 0o755)


# ---- what was made ----

def site_packages(path, python):
    return os.path.join(path, "lib", "python" + version_short(python), "site-packages")


def records(path, python):
    """{project as pip has it: sha256 of its RECORD}.

    ReleaseError where a RECORD names a file that lies outside of the release.
    """
    found = {}
    site = site_packages(path, python)
    for name in sorted(os.listdir(site)):
        record = os.path.join(site, name, "RECORD")
        if not name.endswith(".dist-info") or not os.path.exists(record):
            continue
        with open(record, "rb") as file:
            data = file.read()
        for line in data.decode("utf-8", "replace").splitlines():
            named = line.split(",")[0].strip('"')
            whole = os.path.normpath(os.path.join(site, named))
            if named and not whole.startswith(path + os.sep):
                raise ReleaseError("%s has put a file outside of the release: %s"
                                   % (name[:-len(".dist-info")], whole),
                                   "remove it, and report the package")
        found[name[:-len(".dist-info")].rsplit("-", 1)[0]] = hashlib.sha256(data).hexdigest()
    return found


def rights_settle(path):
    """Lets every user read the release and none but its owner change it."""
    for folder, folders, files in os.walk(path):
        for name in folders + files + [""]:
            here = os.path.join(folder, name) if name else folder
            info = os.lstat(here)
            if stat.S_ISLNK(info.st_mode):
                continue
            mode = stat.S_IMODE(info.st_mode)
            wanted = (mode | 0o444) & 0o755
            if stat.S_ISDIR(info.st_mode) or mode & 0o100:
                wanted |= 0o111
            if mode != wanted:
                os.chmod(here, wanted)


def labels_restore(path, log):
    """Gives files the labels that SELinux has for their place, where it is on.

    Returns what is wrong, or "": only an application that SELinux confines needs them.
    """
    restorecon = shutil.which("restorecon")
    if not restorecon or not os.path.exists("/sys/fs/selinux/enforce"):
        return ""
    ended = programs.program_run([restorecon, "-RF", path], log=log)
    return "" if ended.status == 0 else "restorecon cannot label %s" % path
