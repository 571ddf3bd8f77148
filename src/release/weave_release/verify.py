# SPDX-License-Identifier: Apache-2.0
"""weavectl verify: whether the files of a release are those that were installed."""

import os
import re
import stat

from mozupload.names import canonical

from . import records, words
from .errors import ReleaseError
from .release import READY

# Paths within a release that are in no RECORD: what venv makes, and what we do.
OWN = re.compile(
    r"pyvenv\.cfg|lib64|\.gitignore|\.weave/.*"
    r"|bin/(python[0-9.]*|activate(\..*)?|Activate\.ps1|pip)"
)


def run(context):
    """Prints each finding. The exit status is 1 when there is one."""
    release = _release(context)
    say = context.say
    verifying = Verifying(release)
    with say.step("compare", release.title) as step:
        verifying.all_compare(step)
        step.detail = "%s, %s" % (release.title, words.counted(verifying.count, "file"))
    for system in _system_findings(context, release):
        verifying.finding_add(*system)
    for path, problem in verifying.findings:
        say.line("%s: %s" % (path, problem))
    findings = [{"path": path, "problem": problem} for path, problem in verifying.findings]
    facts = {"release": release.name, "files": verifying.count, "findings": findings}
    if findings:
        say.warn("%s is not as it was installed: install its version again, with --again"
                 % release.title)
        say.result("changed", **facts)
        return 1
    say.done("%s is as it was installed." % release.title, "unchanged", **facts)
    return 0


def _release(context):
    text = context.options.version
    release = context.home.find(text) if text else context.home.current()
    if release is None:
        raise ReleaseError("no release serves in %s: say which one" % context.home.path)
    if release.state != READY:
        raise ReleaseError("%s cannot be compared: %s" % (release.name, release.problem))
    return release


def _system_findings(context, release):
    """(name, what has changed) of each project that the distribution provides."""
    lock = release.fact("lock")
    entries = lock.values() if isinstance(lock, dict) else ()
    if not any(isinstance(entry, dict) and entry.get("system") for entry in entries):
        return []
    from . import closure, pythons, task  # they load what few releases need

    python = pythons.Python(release.fact("python", "executable"), task.Task(context, "verify").run)
    return [
        (name, "is %s in the distribution, was %s" % (now, was)
         if now else "is in the distribution no more, was %s" % was)
        for name, was, now in closure.system_changed(lock, python.system())
    ]


class Verifying:
    """Compares one release. findings are (path or name of a project, half a sentence)."""

    def __init__(self, release):
        self.path = release.path
        self.release = release
        self.findings = []
        self.count = 0
        self._known = set()
        self._owner = os.lstat(release.path).st_uid

    def finding_add(self, path, problem):
        if path.startswith(self.path + os.sep):
            path = path[len(self.path) + 1 :]
        self.findings.append((path, problem))

    def all_compare(self, step):
        """Looks at all projects, then at what lies beside them."""
        installed = records.projects(self.path)
        self._lock_compare(installed)
        hashes = self.release.fact("records")
        hashes = hashes if isinstance(hashes, dict) else {}
        hashes = {canonical(name): digest for name, digest in hashes.items()}
        for project in installed:
            self._record_compare(project, hashes)
            self._project_compare(project, step)
        self._strangers_find()
        python = os.path.join(self.path, "bin", "python")
        if not os.path.exists(python):
            self.finding_add(python, "leads to no Python any more")

    def _lock_compare(self, installed):
        """The projects by name and version."""
        lock = self.release.fact("lock")
        if not isinstance(lock, dict):
            return
        found = {project.name: project.version for project in installed}
        for name, entry in sorted(lock.items()):
            entry = entry if isinstance(entry, dict) else {}
            if entry.get("system"):
                continue
            if name not in found:
                self.finding_add(name, "is not installed any more")
            elif not _same_version(found[name], entry.get("version")):
                self.finding_add(
                    name, "is %s, was installed as %s" % (found[name], entry.get("version"))
                )

    def _record_compare(self, project, hashes):
        """RECORD itself, which says what all others should be."""
        if project.name not in hashes:
            self.finding_add(project.record, "belongs to a project that was not installed here")
            return
        try:
            digest = records.sha256_of(project.record).hexdigest()
        except (OSError, ValueError) as error:
            self.finding_add(project.record, _said(error))
            return
        if digest != hashes[project.name]:
            self.finding_add(project.record, "has changed")

    def _project_compare(self, project, step):
        self._known.add(project.record)
        try:
            rows = list(project.rows())
        except (OSError, ValueError) as error:
            self.finding_add(project.record, _said(error))
            return
        for path, hashed, _ in rows:
            self._known.add(path)
            if hashed and path != project.record:
                self._file_compare(path, hashed)
                step.progress("%s, %s" % (self.release.title, words.counted(self.count, "file")))

    def _file_compare(self, path, hashed):
        self.count += 1
        try:
            if not path.startswith(self.path + os.sep):
                raise ValueError("is outside of the release")
            if records.hash_differs(path, hashed):
                self.finding_add(path, "has changed")
        except FileNotFoundError:
            self.finding_add(path, "is missing")
        except (OSError, ValueError) as error:
            self.finding_add(path, _said(error))

    # ---- what is there besides ----

    def _strangers_find(self):
        """Files in no RECORD, and what others may write."""
        for folder, folders, names in os.walk(self.path, onerror=self._walk_failed):
            self._rights_look(folder)
            folders.sort()
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in sorted(names) + links:
                path = os.path.join(folder, name)
                self._rights_look(path)
                if path not in self._known and not self._is_own(path):
                    self.finding_add(path, "is in no RECORD")

    def _is_own(self, path):
        """Whether venv has made it, or Python keeps what it has compiled there."""
        in_cache = os.path.basename(os.path.dirname(path)) == "__pycache__"
        return in_cache or OWN.fullmatch(path[len(self.path) + 1 :]) is not None

    def _walk_failed(self, error):
        self.finding_add(error.filename, _said(error))

    def _rights_look(self, path):
        info = os.lstat(path)
        if info.st_uid != self._owner:
            self.finding_add(path, "belongs to another user than the release")
        elif info.st_mode & 0o022 and not stat.S_ISLNK(info.st_mode):
            self.finding_add(path, "may be written by others than its owner")


def _same_version(one, other):
    """Whether two spellings of a version in names of folders are the same."""
    plain = [str(version).replace("-", "_").replace("_", ".").lower() for version in (one, other)]
    return plain[0] == plain[1]


def _said(error):
    return "cannot be read (%s)" % (getattr(error, "strerror", None) or error)
