# SPDX-License-Identifier: Apache-2.0
"""PLAN for a share of plain files without manifests: pip picks, out of what we have copied.

What pip is shown is a folder of ours with copies that were checked: all archives that what
was asked for may need.
"""

import contextlib
import json
import os
import re
import shutil
from urllib.parse import unquote

from mozupload import names

from . import archives, build, closure, pypa
from .errors import ReleaseError
from .files import file_hash
from .job import Plan, PlanFile, space_error
from .members import MAX_BYTES
from .shares import download, share_errors, tags_error
from .words import shown

RESOLVE_SECONDS = 1800
VOUCH = "nothing vouches for these files: %s has no manifest of %s"


def plan(job, name, version, shares):
    """The Plan of a release whose files lie in plain shares, or of one FILE."""
    if not shares and not job.request.file:
        raise ReleaseError("no share is known", hint="Say --find-links, or set release.find_links.")
    view = _View(job, shares)
    try:
        os.mkdir(view.folder)
        application = view.application(name, version)
        view.fill(application)
        files = resolve(job, view, application)
    except OSError as problem:
        raise space_error(job.home, problem) from problem
    where = " and ".join(share.where for share in shares) or job.request.file
    found = Plan(application.canonical, application.project, application.version, where)
    found.files, found.system = files, view.system
    found.notes.append(job.vouched or VOUCH % (where, found.name))
    return found


class _View:
    """The folder that pip is shown, and what the shares have for it."""

    def __init__(self, job, shares):
        self.job = job
        self.folder = os.path.join(job.folder, "view")
        self.copied = {}            # file name: (Archive, share)
        self.system = {}            # name: version of what the distribution provides
        self.catalog = []           # (canonical name or None, version, file name, share)
        for share in shares:
            with share_errors():
                for filename in share.archives():
                    guess = names.archive_guess(filename) or (None, None)
                    self.catalog.append(guess + (filename, share))

    def copy(self, filename, share):
        """Copies an archive into the view and checks it; returns its Archive."""
        if filename not in self.copied:
            path = os.path.join(self.folder, filename)
            download(self.job, share, filename, path, MAX_BYTES)
            self.copied[filename] = (archives.archive_check(path), share)
        return self.copied[filename][0]

    def candidates(self, name):
        """[(version, file name, share)] of the archives of a project that this Python can use.

        Where a file's name does not tell the version, its metadata do.
        """
        found = []
        for guess, version, filename, share in self.catalog:
            if guess is None and squeezed(filename).startswith(squeezed(name)):
                archive = self.copy(filename, share)
                guess, version = archive.canonical, archive.version
            if guess != name or pypa.version_read(version) is None:
                continue
            if names.is_wheel(filename) and self.job.python.rank(filename) is None:
                continue
            found.append((pypa.version_read(version), filename, share))
        return found

    def application(self, name, version):
        """The Archive of what was asked for."""
        request = self.job.request
        if request.file:
            filename = os.path.basename(request.file)
            path = os.path.join(self.folder, filename)
            shutil.copyfile(request.file, path)
            self.copied[filename] = (archives.archive_check(path), None)
            if names.is_wheel(filename) and self.job.python.rank(filename) is None:
                raise tags_error(self.job, name, version, [filename])
            return self.copied[filename][0]
        found = self.candidates(name)
        if version:
            found = [row for row in found if row[0] == pypa.version_read(version)]
        found = [row for row in found if not row[0].is_prerelease] or found
        if not found:
            self.refuse(name, version)
        best = max(row[0] for row in found)
        # a wheel that fits best, else an sdist
        _, filename, share = min(
            (row for row in found if row[0] == best),
            key=lambda row: (self.job.python.rank(row[1]) if names.is_wheel(row[1]) else 1 << 30,
                             row[1]))
        archive = self.copy(filename, share)
        archives.identity_check(archive, name, str(best))
        return archive

    def refuse(self, name, version):
        """There is no archive of what was asked for."""
        others = [row for row in self.catalog if row[0] == name]
        wheels = [row[2] for row in others if names.is_wheel(row[2])
                  and (not version or pypa.version_same(row[1], version))]
        if wheels:
            raise tags_error(self.job, name, version or "", wheels)
        there = sorted({row[1] for row in others})
        raise ReleaseError("the shares have no %s%s" % (name, " " + version if version else ""),
                           hint="There is %s." % ", ".join(there[-5:]) if there
                           else "Look at release.find_links.")

    def fill(self, application):
        """Copies all that the application may need, as far as archives say what they need."""
        queue, seen = [application], set()
        texts = list(self.job.request.requires)
        while queue or texts:
            extras = [""]
            if queue:
                archive = queue.pop()
                extras += archive.extras
                texts += self.texts(archive)
            for text in texts:
                requirement = closure.requirement_read(text)
                if requirement is None or text in seen:
                    continue
                seen.add(text)
                if closure.is_wanted(requirement, extras, self.job.python.environment):
                    queue.extend(self.fitting(requirement))
            texts = []

    def texts(self, archive):
        """What an archive may need, to be built or to run; all there is where it does not say."""
        texts = list(archive.requires or ())
        if archive.kind == "sdist":
            texts += [name + said for name, said in
                      build.requirements_read(archive, self.job.python.environment)]
        if archive.requires is None:
            texts += sorted({row[0] for row in self.catalog if row[0]})
        return texts

    def fitting(self, requirement):
        """Copies the archives that a requirement allows; returns those that were not there yet."""
        fresh = []
        for version, filename, share in self.candidates(names.canonical(requirement.name)):
            if requirement.specifier.contains(version, prereleases=True):
                if filename not in self.copied:
                    fresh.append(self.copy(filename, share))
        return fresh


def squeezed(text):
    return re.sub(r"[-_.]+", "", text).lower()


def resolve(job, view, application):
    """Has pip choose among what is in the view; returns the PlanFiles."""
    if application.kind == "wheel" and len(view.copied) == 1 and not job.request.requires:
        # nothing to choose from: either the distribution has the rest, or nobody has
        alone = closure.Member(application.project, application.version, application.requires, None)
        lock, _ = closure.closure_check(application.canonical, {application.canonical: alone},
                                        job.system, job.python.environment)
        view.system = {name: entry["version"] for name, entry in lock.items() if entry["system"]}
        return [plan_file(view, application.name, application)]
    sdists = [archive for archive, _ in view.copied.values() if archive.kind == "sdist"]
    tools = build_tools(job, view) if sdists else []
    python = build.environment_make(job, tools)
    if application.kind == "sdist":
        build.requirements_check(job, application, python)
    report = os.path.join(job.folder, "report.json")
    options = [] if job.settings.get("system_site_packages") else ["--ignore-installed"]
    status, output = job.run(job.python.pip_argv(
        "install", "--dry-run", "--report", report, "--no-index", "--find-links", view.folder,
        "--no-build-isolation", *options, application.path, *job.request.requires, python=python),
        seconds=RESOLVE_SECONDS, cwd=view.folder)
    if status != 0:
        raise resolve_error(application, view, status, output)
    with open(report, encoding="utf-8") as stream:
        chosen = json.load(stream)["install"]
    view.system = system_of(job, application, chosen)
    files = [plan_file(view, unquote(os.path.basename(one["download_info"]["url"])), application)
             for one in chosen]
    if application.path not in [file.path for file in files]:
        files.append(plan_file(view, application.name, application))
    build_files = [plan_file(view, os.path.basename(path), application, "build")
                   for path in tools]
    taken = {file.name for file in files}
    return files + [file for file in build_files if file.name not in taken]


def system_of(job, application, chosen):
    """{name: version} of what the distribution provides, by what pip's report says of the rest."""
    members = {}
    for one in chosen:
        facts = one["metadata"]
        members[names.canonical(facts["name"])] = closure.Member(
            facts["name"], facts["version"], facts.get("requires_dist") or (), None)
    if application.canonical not in members:
        return {}
    with contextlib.suppress(ReleaseError):     # it is said when the wheels are there
        lock, _ = closure.closure_check(application.canonical, members, job.system,
                                        job.python.environment)
        return {name: entry["version"] for name, entry in lock.items() if entry["system"]}
    return {}


def plan_file(view, filename, application, role=None):
    archive, share = view.copied[filename]
    role = role or ("application" if archive is application else "dependency")
    file = PlanFile(filename, share, role, archive.canonical, archive.version)
    file.path = archive.path
    file.sha256, file.size = file_hash(archive.path)
    return file


def build_tools(job, view):
    """The wheels of the view that builds need, setuptools and the like: the newest of each."""
    newest = {}
    for archive, _ in view.copied.values():
        before = newest.get(archive.canonical)
        if archive.kind == "wheel" and (not before or pypa.version_read(before.version)
                                        < pypa.version_read(archive.version)):
            newest[archive.canonical] = archive
    sdists = [archive for archive, _ in view.copied.values() if archive.kind == "sdist"]
    return build.tools_choose(job, sdists, newest)


def resolve_error(application, view, status, output):
    """What pip's failure means for people."""
    lines = output.splitlines()
    if status is None:
        return ReleaseError("pip has not found out in %d s what %s needs"
                            % (RESOLVE_SECONDS, application.name), lines=lines[-10:],
                            hint="Upload the release with mozupload, which finds it out once.")
    found = re.search(r"No matching distribution found for ([^\n]+)", output)
    if found:
        return ReleaseError(
            "%s %s needs %s, and the shares have no archive of it that this node can use"
            % (application.project, application.version, shown(found.group(1))),
            hint="Put it there (mozupload does), or have the distribution provide it with "
                 "release.system_site_packages.", lines=lines[-10:])
    return ReleaseError("pip could not find out what %s %s needs"
                        % (application.project, application.version), lines=lines[-10:],
                        hint="The log has all that it has said.")
