# SPDX-License-Identifier: Apache-2.0
"""weave.server under a real httpd with mod_weave, in two worker processes."""

import contextlib
import json
import os
import pathlib
import random
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
        # The pids of all that died by kill -9.
        self.killed = set()
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
        return self._weavectl("reload")

    def maintenance(self, mode, *options):
        """weavectl maintenance, which must go well: from its end on the mode is in force."""
        self._weavectl("maintenance", mode, *options)

    def _weavectl(self, *words):
        status, said = self._httpd.weavectl(*words)
        assert status == 0, said
        return said

    def status(self):
        """The status of weaved and its workers by weavectl; {} while no weaved answers."""
        status, said = self._httpd.weavectl("status", "--json")
        return {} if status else json.loads(said)

    def workers(self):
        """The pids of the workers that serve; [] while no weaved answers."""
        generations = [generation for application in self.status().get("applications", ())
                       for generation in application["generations"]
                       if generation["state"] == "serving"]  # fmt: skip
        return [worker["pid"] for generation in generations for worker in generation["workers"]
                if worker["state"] == "ready"]  # fmt: skip

    def kill_workers(self, count):
        """kill -9 of so many, as soon as so many serve; they are replaced by themselves."""
        pids = random.sample(self._serving(count), count)
        self._kill(pids)
        eventually(lambda: not set(pids) & set(self.workers()), "weaved sees that they died")

    def kill_weaved(self, and_workers=0):
        """kill -9 of weaved, and of so many workers at once. The next weaved goes on with the
        others."""
        pids = self._serving(and_workers + 1)
        dead, left = set(pids[:and_workers]), set(pids[and_workers:])
        weaved = eventually(lambda: self.status().get("pid"), "weaved answers")
        self._kill([weaved, *dead])
        eventually(lambda: self.status().get("pid", weaved) != weaved, "another weaved")
        eventually(lambda: not dead & set(self.workers()), "it sees that they died")
        eventually(lambda: left <= set(self.workers()), "it takes over the others")

    def _kill(self, pids):
        self.killed.update(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)

    def _serving(self, count):
        def find():
            pids = self.workers()
            return pids if len(pids) >= count else None

        return eventually(find, "%d workers serve" % count)


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
