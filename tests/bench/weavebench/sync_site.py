# SPDX-License-Identifier: Apache-2.0
"""weave.server in the workers of an httpd with mod_weave, on a database."""

import contextlib
import os
import shutil
import stat

from . import databases, process, servers, sync15
from .httpd import CHILDREN
from .weave import RUNTIME_DIR, STATE_DIR, WeaveHttpd

SYNC_INI = """\
[wsgi]
module = weave.server.wsgi
python_path = {sources}

[maintenance]
style = sync

[workers]
mode = processes
processes = {processes}
threads = {threads}

[storage]
sqluri = {url}
create_tables = true

[auth]
strict_usernames = false
"""

DIRECTIVES = f"""\
WeaveRuntimeDir "{RUNTIME_DIR}"
WeaveStateDir "{STATE_DIR}"
WeaveApp "/" bench.ini"""


def sources(bench, tree):
    """A copy of a checkout's weave.server that every user can read."""
    target = bench.folder / "server-src"
    if not target.exists():
        shutil.copytree(tree / "server" / "src", target,
                        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for folder, _, files in os.walk(target):
            os.chmod(folder, 0o755)
            for name in files:
                os.chmod(os.path.join(folder, name),
                         stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP
                         | stat.S_IROTH)
    return target


class SyncSite:
    """An httpd, its workers and a database: start(), stop(), port, usage()."""

    def __init__(self, bench, database, tree=servers.TOP):
        self.database = database
        self.url = database.create()
        self.httpd = bench.httpd("sync", DIRECTIVES,
                                 "LoadModule weave_module lib/mod_weave.so",
                                 WeaveHttpd)
        servers.copy_programs(bench.build, self.httpd.root / "lib")
        self.sources = sources(bench, tree)
        self.serves_15 = sync15.serves(tree)
        text = SYNC_INI.format(sources=self.sources, url=self.url,
                               processes=CHILDREN, threads=servers.WORKER_THREADS)
        if self.serves_15:
            text += sync15.section(self.httpd.root, f"http://127.0.0.1:{self.port}")
        self.httpd.ini.write_text(text)

    @property
    def port(self):
        return self.httpd.port

    def start(self):
        self.httpd.start()
        if self.serves_15:
            sync15.load_keys(self.sources, self.httpd.ini, self.httpd.root)

    def stop(self):
        self.httpd.stop()

    def usage(self):
        """{who: Usage} of the workers, the rest of httpd and the database."""
        workers = set(self.httpd.python_pids())
        return {"workers": process.usage(workers),
                "httpd": process.usage(set(self.httpd.pids()) - workers),
                "database": process.usage(self.database.pids())}

    def spent_us(self, before):
        """{who: µs of CPU} since usage() was before."""
        return {who: usage.since(before[who])[0]
                for who, usage in self.usage().items()}


def running_sites(options, say):
    """Yields (kind of database, SyncSite that runs) one after the other."""
    bench = servers.Bench(options.build, options.python)
    try:
        for kind in options.databases:
            with contextlib.ExitStack() as stack:
                database = stack.enter_context(
                    databases.running(kind, bench.scratch))
                site = SyncSite(bench, database,
                                options.against or servers.TOP)
                stack.callback(site.stop)
                site.start()
                yield kind, site
    finally:
        if options.keep:
            say(f"kept: {bench.folder}")
        else:
            bench.close()
