# SPDX-License-Identifier: Apache-2.0
"""Releases of the server that run in processes of their own, older and newer ones too."""

import contextlib
import shutil
import subprocess
import sys

from conftest import SOURCES
from served import PROGRAM
from syncing import Client, extract_first, make_newer

from weave.server.schema_version import SCHEMA_VERSION

COMMAND = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import weave.server.__main__ as admin
admin.become_owner = lambda *_: None
admin.main()
"""


class Release:
    """A release whose packages are in the folder sources."""

    def __init__(self, sources):
        self._sources = str(sources)

    def run(self, *words):
        """(exit status, what weave-server has said)"""
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, self._sources, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def serving(self, ini):
        """A Server; EOFError, with its log, where it does not come up."""
        server = Server(self._sources, ini)
        try:
            yield server
        finally:
            server.close()


class Server(Client):
    """A release that serves."""

    def __init__(self, sources, ini):
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, sources, str(ini), "threads"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(self._process.communicate()[1])
        super().__init__(int(line))

    def close(self):
        """Ends it; its log, the second time nothing."""
        if self._process.returncode is not None:
            return ""
        self._process.terminate()
        return self._process.communicate()[1]


def ours():
    return Release(SOURCES)


def newer(folder, serves_from):
    """A release with another column and index, for those from a SCHEMA_VERSION on."""
    sources = folder / ("newer%d" % serves_from)
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
    make_newer(sources / "weave" / "server", "9.9", SCHEMA_VERSION + 1, serves_from)
    return Release(sources)


def first(folder):
    """Release 0.1.0 as git has it, whose tables have version 1; None in a shallow clone."""
    sources = extract_first(folder / "first")
    return sources and Release(sources / "src")
