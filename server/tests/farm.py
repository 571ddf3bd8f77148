# SPDX-License-Identifier: Apache-2.0
"""weave.server under a real httpd with mod_weave, in two worker processes."""

import contextlib
import os
import pathlib
import signal
import tempfile

import pytest

from apache import CHEAP_HASHES, e2e, make_httpd
from conftest import eventually

SCRIPT = CHEAP_HASHES + """
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


class Farm:
    """httpd with the workers; `port` is where it listens."""

    def __init__(self, folder, url, more="", conf=""):
        self.folder = folder
        ini = INI.replace("{url}", url.replace("%(here)s", "%(here)s/data")) + more
        conf = CONF + conf.replace("{folder}", str(folder))
        self._httpd = make_httpd(folder, SCRIPT, ini, conf)
        self.port = self._httpd.port
        self.ini = folder / "sync.ini"

    @contextlib.contextmanager
    def running(self):
        try:
            with self._httpd.running():
                yield self
        finally:
            self._httpd.holder.close()

    def log(self):
        return self._httpd.log()

    def graceful(self):
        """A graceful restart; it has begun when this returns."""
        self._httpd.graceful()

    def reload(self):
        """Other workers take the place of all; what weavectl says of it, which must go well."""
        status, said = self._httpd.weavectl("reload")
        assert status == 0, said
        return said

    def workers(self):
        """The pids of the worker processes that have their program by now."""
        return [pid for pid in _family(self._httpd.process.pid) if _name(pid) == "weave-worker"]

    def kill_workers(self, count):
        """kill -9 of so many, unless one of them has just ended; others take their places."""
        eventually(lambda: len(self.workers()) >= 2, "two workers run")
        for pid in self.workers()[:count]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


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
def running_farm(url, prepare=None, more="", conf=""):
    """A Farm on the database of a URL, while it runs; prepare(folder) is called before that.

    more, conf: further lines of its sync.ini, and of httpd's configuration.
    """
    if not (e2e.BUILD / "mod_weave.so").exists():
        assert not os.environ.get("CI"), "mod_weave is not built"
        pytest.skip("mod_weave is not built: run make")
    with tempfile.TemporaryDirectory(prefix="weave-farm-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        if prepare:
            prepare(folder)
        with Farm(folder, url, more, conf).running() as farm:
            yield farm
