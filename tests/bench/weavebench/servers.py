# SPDX-License-Identifier: Apache-2.0
"""The table of servers: how each is configured and what it needs.

A row's `make(bench)` gives an object with `start()`, `stop()`, `port`,
`pids()`, `log()` and `root`; Httpd is one, a server with a back end beside
httpd is another.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import BenchError
from .httpd import Httpd, Installation, run_text, unprivileged_user

HERE = Path(__file__).resolve().parent.parent
TOP = HERE.parent.parent

WEAVE_INI = """\
[wsgi]
script = {application}
virtualenv = {virtualenv}

[workers]
mode = embedded
"""


class Bench:
    """The folder all servers of a run share, and what lies in it.

    A copy of everything: the checkout may be unreadable for the user that
    httpd's children run as.
    """

    def __init__(self, build, python="/usr/bin/python3"):
        self.build = Path(build).resolve()
        self.python = python
        self.installation = Installation.find()
        self.folder = Path(tempfile.mkdtemp(prefix="weave-bench-"))
        self.folder.chmod(0o755)
        self.application = self.folder / "app.wsgi"
        shutil.copyfile(HERE / "app.wsgi", self.application)
        self.virtualenv = self.folder / "venv"
        run_text(python, "-m", "venv", "--without-pip", str(self.virtualenv))
        user = unprivileged_user()
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        if user:
            os.chown(self.scratch, user.pw_uid, user.pw_gid)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def root(self, name):
        """A fresh ServerRoot."""
        return tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)

    def httpd(self, name, directives, modules):
        root = Path(self.root(name))
        root.chmod(0o755)
        return Httpd(self.installation, root, directives, modules)


def build_floor(bench):
    """build/bench/mod_floor.so, made by apxs when the source is newer."""
    target = bench.build / "bench" / "mod_floor.so"
    source = HERE / "mod_floor.c"
    if target.exists() and \
            target.stat().st_mtime >= source.stat().st_mtime:
        return target
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    # apxs leaves its files beside the source, so it gets a copy
    shutil.copyfile(source, folder / source.name)
    done = subprocess.run(
        [bench.installation.apxs, "-c", "-Wc,-std=gnu11 -Wall -Wextra",
         source.name], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"apxs cannot build {source.name}:\n{done.stderr}")
    shutil.copyfile(folder / ".libs" / "mod_floor.so", target)
    return target


def make_floor(bench):
    return bench.httpd(
        "floor", '<Location "/">\n    SetHandler weave-floor\n</Location>',
        f'LoadModule floor_module "{build_floor(bench)}"')


def weave_module(bench):
    return bench.build / "mod_weave.so"


def make_weave(bench):
    server = bench.httpd("weave", 'WeaveApp "/" bench.ini',
                         "LoadModule weave_module lib/mod_weave.so")
    lib = server.root / "lib"
    lib.mkdir()
    for path in (weave_module(bench),
                 *bench.build.glob("weave-engine-*.so")):
        shutil.copy(path, lib)
    (server.root / "bench.ini").write_text(WEAVE_INI.format(
        application=bench.application, virtualenv=bench.virtualenv))
    return server


def mod_wsgi_module(bench):
    return bench.installation.modules / "mod_wsgi.so"


def make_mod_wsgi(bench):
    return bench.httpd(
        "mod_wsgi",
        f'WSGIPythonHome "{bench.virtualenv}"\n'
        f'WSGIApplicationGroup %{{GLOBAL}}\n'
        f'WSGIScriptAlias / "{bench.application}"',
        f'LoadModule wsgi_module "{mod_wsgi_module(bench)}"')


@dataclass(frozen=True)
class Server:
    """A row of the table.

    `needs` is a file (or a function of the Bench that names one) without
    which the server cannot run, `cure` what to do about it.
    """

    name: str
    label: str
    make: Callable
    needs: Callable = None
    cure: str = ""
    floor: bool = False

    def check(self, bench):
        path = self.needs(bench) if self.needs else None
        if path and not path.exists():
            raise BenchError(f"{self.label}: no {path}\n  {self.cure}\n"
                             f"  or leave it out with --servers")


SERVERS = {server.name: server for server in (
    Server("floor", "C handler (floor)", make_floor, floor=True),
    Server("weave", "mod_weave embedded", make_weave,
           weave_module, "build it: make"),
    Server("mod_wsgi", "mod_wsgi embedded", make_mod_wsgi, mod_wsgi_module,
           "Debian: apt-get install libapache2-mod-wsgi-py3; "
           "RPM systems: dnf install python3-mod_wsgi"),
)}


def choose(names, bench):
    """The rows named in a comma-separated list, checked."""
    unknown = [name for name in names if name not in SERVERS]
    if unknown:
        raise BenchError(f"no server {unknown[0]!r}: there are "
                         f"{', '.join(SERVERS)}")
    chosen = [SERVERS[name] for name in names]
    for server in chosen:
        server.check(bench)
    return chosen
