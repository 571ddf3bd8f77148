# SPDX-License-Identifier: Apache-2.0
"""weave.server under a real httpd with mod_weave, in two worker processes."""

import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import pytest

from conftest import SOURCES

TOP = pathlib.Path(SOURCES).parent.parent
sys.path.insert(0, str(TOP / "tests" / "supp"))

import e2e  # noqa: E402

# Argon2 as cheap as it can be: these tests are not about passwords.
SCRIPT = """
import argon2
from weave.server import passwords


class Hasher(argon2.PasswordHasher):
    def __init__(self, **_):
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)


passwords.PasswordHasher = Hasher

from weave.server.wsgi import application
"""

INI = """
[storage]
sqluri = {url}
create_tables = true
[auth]
strict_usernames = false
[wsgi]
script = %(here)s/weave.wsgi
python_path = %(here)s/src
[workers]
processes = 2
threads = 16
"""

# No connection of a test is closed for having rested.
CONF = """
KeepAliveTimeout 300
MaxKeepAliveRequests 0
"""

WAIT_SECONDS = 240


def eventually(condition, what):
    """Waits until condition() is true; what it returned."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, "not in time: %s" % what
        time.sleep(0.05)


class Farm:
    """httpd with the workers; `port` is where it listens."""

    def __init__(self, folder, url):
        self.folder = folder
        for file in [*e2e.BUILD.glob("*.so"), *(e2e.BUILD / name for name in e2e.PROGRAMS)]:
            (folder / "build").mkdir(exist_ok=True)
            shutil.copy(file, folder / "build")
        shutil.copytree(SOURCES, folder / "src")
        (folder / "weave.wsgi").write_text(SCRIPT)
        url = url.replace("%(here)s", "%(here)s/data")
        (folder / "sync.ini").write_text(INI.replace("{url}", url))
        self._httpd = e2e.Httpd(folder, "event")
        with (folder / "httpd.conf").open("a") as file:
            file.write(CONF)
        self.port = self._httpd.port

    @contextlib.contextmanager
    def running(self):
        try:
            with self._httpd.running():
                yield self
        finally:
            self._httpd.holder.close()

    def log(self):
        return self._httpd.log()

    def workers(self):
        """The pids of the worker processes that have their program by now."""
        return [pid for pid in _family(self._httpd.process.pid) if _name(pid) == "weave-worker"]

    def kill_workers(self, count):
        """kill -9 of so many; they are replaced by themselves. Their pids."""
        pids = eventually(
            lambda: len(self.workers()) >= 2 and self.workers(), "two workers run"
        )[:count]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids


def _name(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc", str(pid), "comm").read_text().strip()


def _family(parent):
    found = []
    for file in pathlib.Path("/proc", str(parent), "task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *_family(child)]
    return found


@contextlib.contextmanager
def running_farm(url):
    """A Farm on the database of a URL, while it runs."""
    if not (e2e.BUILD / "mod_weave.so").exists():
        assert not os.environ.get("CI"), "mod_weave is not built"
        pytest.skip("mod_weave is not built: run make")
    with tempfile.TemporaryDirectory(prefix="weave-farm-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        with Farm(folder, url).running() as farm:
            yield farm
