# SPDX-License-Identifier: Apache-2.0
"""Runs pip: that of the Python which runs mozupload, with people's own settings."""

import os
import re
import subprocess
import sys
import urllib.parse

from .errors import UploadError

_YANKED = re.compile(r"yanked version: '([^']+)' candidate \(version (\S+)")


class PipError(UploadError):
    """pip did not succeed; lines: what it said last."""

    def __init__(self, message, lines):
        super().__init__(message)
        self.lines = lines


class Pip:
    """pip with the sources that it may use.

    share: the share's folder, or its URL; arguments: what else it may look into,
    as pip's own options. yanked: {(project, version)} that it took although the
    index says that they have been withdrawn (PEP 592).
    """

    def __init__(self, share, arguments=()):
        self.arguments = list(arguments)
        self.share = ["--find-links", share] if share else []
        parts = urllib.parse.urlsplit(share or "")
        if parts.scheme == "http":
            # who names a share by http means it: nodes compare hashes and signatures
            self.share += ["--trusted-host", parts.netloc.rpartition("@")[2]]
        self.yanked = set()
        self.from_share = False

    def version(self):
        try:
            import pip
        except ImportError:
            raise UploadError(
                "%s has no pip, which finds what a release depends on: install python3-pip."
                % sys.executable
            )
        return pip.__version__

    def find(self, command, more):
        """Runs a command of pip that looks for distributions: in the share, else anywhere.

        Raises PipError with what pip said when it finds them nowhere.
        """
        if self.share:
            try:
                self.run(command + ["--no-index"] + self.share + more, no_index=True)
                self.from_share = True
                return
            except PipError:
                pass
        self.from_share = False
        self.run(command + self.share + self.arguments + more)

    def run(self, arguments, no_index=False):
        """Runs pip; raises PipError with what it said last."""
        self.version()
        environment = dict(os.environ, PYTHONWARNINGS="ignore", LC_ALL="C.UTF-8")
        if no_index:
            for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
                environment.pop(name, None)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        done = subprocess.run(
            command + arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        text = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            lines = [line for line in text.splitlines() if line.strip()]
            raise PipError("pip %s failed." % arguments[0], lines[-15:])
        self.yanked.update(_YANKED.findall(text))
