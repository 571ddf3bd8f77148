# SPDX-License-Identifier: Apache-2.0
"""Real Git and Mercurial repositories for tests, without the user's settings."""

import os
import subprocess

from hg_server import hg_run


def environment():
    found = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "HG"))}
    found.update(
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_AUTHOR_NAME="t",
        GIT_AUTHOR_EMAIL="t@localhost",
        GIT_COMMITTER_NAME="t",
        GIT_COMMITTER_EMAIL="t@localhost",
        HGPLAIN="1",
        HGRCPATH="",
        HGUSER="t <t@localhost>",
    )
    return found


class Repository:
    """A repository; `folder` is its root."""

    def __init__(self, kind, folder, is_new=True):
        self.kind = kind
        self.folder = folder
        if is_new:
            folder.mkdir(parents=True, exist_ok=True)
            self.run("init", *["--quiet"] * (kind == "git"))

    def run(self, *arguments):
        if self.kind == "hg":
            status, output = hg_run(arguments, self.folder, environment())
        else:
            done = subprocess.run(
                [self.kind, *arguments], cwd=self.folder, env=environment(),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )
            status, output = done.returncode, done.stdout
        text = os.fsdecode(output)
        assert status == 0, "%s %s: %s" % (self.kind, arguments, text)
        return text

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return self

    def commit(self, files=None, message="change"):
        self.write(files or {})
        if self.kind == "git":
            self.run("add", "--all")
            self.run("commit", "-m", message)
        else:
            self.run("commit", "--addremove", "-m", message)

    def tag(self, name):
        self.run("tag", name)

    def revision(self):
        if self.kind == "git":
            return self.run("rev-parse", "HEAD").strip()
        return self.run("log", "-r", ".", "-T", "{node}").strip()
