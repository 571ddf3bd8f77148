# SPDX-License-Identifier: Apache-2.0
"""A node for tests: a release.home with its owner, a share, a sync.ini, and weavectl.

Run as root, the home belongs to one user and the workers are another; otherwise all is the
caller's. The share holds wheels that are made by hand.
"""

import atexit
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

from conftest import BUILD, TOP

sys.path.insert(0, str(TOP / "mozupload" / "tests"))
import archives
from mozupload import manifest

IS_ROOT = os.getuid() == 0
OWNER, WORKERS, STRANGER = "daemon", "nobody", "games"


def file_of(path, project, version, role):
    """A manifest.File of a file that is there."""
    data = path.read_bytes()
    return manifest.File(path.name, hashlib.sha256(data).hexdigest(), len(data), project, version,
                         role)


def app_files(name, version):
    """The application of a wheel."""
    return {"%s-%s.data/scripts/app.wsgi" % (name, version):
            "#!python\ndef application(environ, start_response):\n"
            "    start_response('200 OK', [])\n    return [b'%s']\n" % version}


def user_ids(name):
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


class Node:
    """A node in a new folder. `options` are lines of [release]; home may be a name."""

    def __init__(self, home="home", options=(), workers=("user = " + WORKERS,)):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weave-node-"))
        self.folder.chmod(0o755)
        atexit.register(Node.close, self)
        self.share = self.folder / "share"
        self.share.mkdir(mode=0o755)
        self.home = self.folder / home
        self.home.mkdir(mode=0o755, parents=True)
        self.own(self.home)
        self.ini = self.folder / "sync.ini"
        self.ini_write(options, workers)

    def ini_write(self, options=(), workers=("user = " + WORKERS,), virtualenv=None):
        lines = ["[wsgi]", "script = bin/app.wsgi",
                 "virtualenv = %s" % (virtualenv or self.home / "current"),
                 "[workers]", *workers, "[release]", "home = %s" % self.home, *options]
        self.ini.write_text("\n".join(lines) + "\n")

    def own(self, path, user=OWNER):
        if IS_ROOT:
            os.chown(path, *user_ids(user))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the share ----

    def release_make(self, version, requires=("dep>=1",), files=None, name="Tiny", plain=False):
        """Puts a version of the application into the share, and what it needs.

        plain: without a manifest.
        """
        members = app_files(name, version)
        members.update(files or {})
        wheel = archives.wheel(self.share, name, version, requires, files=members)
        dep = self.share / "dep-1.1-py3-none-any.whl"
        if not dep.exists():
            archives.wheel(self.share, "dep", "1.1")
        if not plain:
            self.manifest_write(name, version, [
                file_of(wheel, name.lower(), version, "application"),
                file_of(dep, "dep", "1.1", "dependency")])

    def manifest_write(self, name, version, files, **members):
        """Writes the manifest of a release: files are manifest.File."""
        facts = {"format": 1, "name": name.lower(), "project": name, "version": version,
                 "files": files, "python": ["3"], "platforms": ["any"], "vcs": None,
                 "requires": {one.project: one.version for one in files
                              if one.role == "dependency"}, "system": {}, "allowed": [],
                 "by": "alice", "at": "2026-11-30T09:00:00Z", "tools": {}}
        facts.update(members)
        (self.share / "releases").mkdir(exist_ok=True)
        path = self.share / "releases" / ("%s-%s.json" % (name.lower(), version))
        path.write_bytes(manifest.make(**facts).data())

    # ---- weavectl ----

    def command(self, *words):
        return [str(BUILD / "weavectl"), *words, "-i", str(self.ini)]

    def environment(self, **more):
        return dict(os.environ, WEAVE_RUNTIME_DIR=str(self.folder / "run"),
                    WEAVE_STATE_DIR=str(self.folder / "state"), **more)

    def run(self, *words, env=None, umask=None, status=0, prefix=(), **more):
        """Runs weavectl with the ini; asserts its status, and returns what it has said."""
        done = subprocess.run(
            [*prefix, *self.command(*words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
            env=self.environment(**(env or {})),
            **{"preexec_fn": None if umask is None else lambda: os.umask(umask), **more})
        assert status is None or done.returncode == status, done.stdout
        assert "Traceback" not in [line[:9] for line in done.stdout.splitlines()], done.stdout
        return done.stdout

    def install(self, what="Tiny", *words, **more):
        return self.run("install", what, "--find-links", str(self.share), *words, **more)

    # ---- what is there ----

    def current(self):
        try:
            return os.readlink(self.home / "current")
        except FileNotFoundError:
            return None

    def unmarked(self):
        """Names of folders in releases/ that are no release."""
        return [path.name for path in sorted((self.home / "releases").iterdir())
                if not (path / ".weave" / "ready.json").exists()]

    def releases(self):
        return sorted(path.name for path in (self.home / "releases").iterdir())

    def ready(self, name):
        return json.loads((self.home / "releases" / name / ".weave" / "ready.json").read_text())

    def history(self):
        return [json.loads(line) for line in (self.home / "history.jsonl").read_text().splitlines()]

    def snapshot(self):
        """All that is in the home, but for logs, lock and history: paths with what they are."""
        found = {}
        for folder, folders, files in os.walk(self.home):
            for name in folders + files:
                path = os.path.join(folder, name)
                shown = os.path.relpath(path, self.home)
                if shown.split("/")[0] not in ("logs", "lock", "history.jsonl"):
                    info = os.lstat(path)
                    found[shown] = (info.st_mode, info.st_uid, info.st_mtime_ns, info.st_size)
        for name in ("incoming", "store", "releases", "logs"):
            found.pop(name, None)
        return found
