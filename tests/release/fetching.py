# SPDX-License-Identifier: Apache-2.0
"""Shares, homes and jobs for the tests of PLAN, FETCH and BUILD."""

import hashlib
import os
import sys

from conftest import TOP
from mozupload import manifest as manifests
from mozupload import names
from weave_release import fetch, programs, pythons
from weave_release.archives import archive_check
from weave_release.errors import ReleaseError
from weave_release.home import Home
from weave_release.job import Job, Request

sys.path.insert(0, str(TOP / "mozupload" / "tests"))

import archives as make  # noqa: F401

DISTRIBUTION = "/usr/bin/python3"       # the one whose packages conf/deps installs


def run(argv, seconds=None, cwd=None, env=None):
    """As task.Task.run, without a log."""
    said = []
    ended = programs.program_run(argv, env=env, cwd=cwd, output=said.append, seconds=seconds)
    return ended.status, "\n".join(said)


def python_of(executable=DISTRIBUTION):
    return pythons.Python(executable, run)


def prepare(job):
    """PLAN, FETCH and BUILD in one."""
    plan = fetch.plan(job)
    return fetch.wheels(job, plan, fetch.fetch(job, plan))


class Share:
    """A share in a folder; release() puts manifests there."""

    def __init__(self, folder):
        self.path = str(folder)
        os.makedirs(self.path, exist_ok=True)

    def file(self, path, role):
        data = open(str(path), "rb").read()
        archive = archive_check(str(path))
        return manifests.File(os.path.basename(str(path)), hashlib.sha256(data).hexdigest(),
                              len(data), archive.canonical, archive.version, role)

    def release(self, project, version, files, at="2026-11-30T09:00:00Z", **more):
        """Writes the manifest of files, (path, role) pairs or paths (their role is guessed)."""
        rows = [entry if isinstance(entry, tuple) else (entry, None) for entry in files]
        found = []
        for path, role in rows:
            file = self.file(path, role or "dependency")
            if role is None and file.project == names.canonical(project):
                file.role = "application"
            found.append(file)
        requires = {file.project: file.version for file in found if file.role == "dependency"}
        members = dict({"requires": requires, "system": {}, "python": ["3.11"], "platforms": [],
                        "vcs": None, "allowed": [], "by": "alice", "at": at, "tools": {}}, **more)
        manifest = manifests.make(name=names.canonical(project), project=project, version=version,
                                  files=found, **members)
        self.write(manifests.path_of(manifest.name, version), manifest.data())
        return manifest

    def write(self, path, data):
        path = os.path.join(self.path, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(data)
        return path

    def channel(self, channel, release):
        self.write("channels/" + channel, (release + "\n").encode())


class Node:
    """A release.home, and jobs in it. settings: those of the broker that count."""

    def __init__(self, folder, python, shares=(), **settings):
        self.home = Home(str(folder))
        os.makedirs(self.home.path, exist_ok=True)
        self.home.folders_make()
        self.python = python
        self.settings = dict({"find_links": [getattr(share, "path", share) for share in shares],
                              "keyring": "", "system_site_packages": False}, **settings)
        self.said = []
        self.jobs = 0

    def job(self, text=None, channel=None, file=None, **more):
        self.jobs += 1
        folder = os.path.join(self.home.incoming_path, str(self.jobs))
        os.mkdir(folder)
        self.settings.update(more.pop("settings", {}))
        return Job(self.settings, Request(text, channel, file and str(file)), self.home, folder,
                   self.python, run, say=self.said.append,
                   **dict({"wait_share_s": 0}, **more))

    def plan(self, *arguments, **more):
        return fetch.plan(self.job(*arguments, **more))

    def prepare(self, *arguments, **more):
        try:
            return prepare(self.job(*arguments, **more))
        except ReleaseError as problem:
            print("\n".join(problem.lines))        # for whoever reads why a test has failed
            raise

    def installed(self, plan):
        """Makes a release of what was planned, as far as PLAN looks at it."""
        path = os.path.join(self.home.releases_path, self.home.name_free(plan.name, plan.version))
        os.mkdir(path)
        self.home.ready_write(path, {
            "name": plan.name, "project": plan.project, "version": plan.version,
            "manifest": plan.manifest and plan.manifest.members})
