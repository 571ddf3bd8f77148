# SPDX-License-Identifier: Apache-2.0
"""The table of servers: how each is configured and what it needs.

A row's `make(bench)`, or `make(bench, threads)` where workers have threads,
gives an object with `start()`, `stop()`, `port`, `pids()`, `python_pids()`,
`log()` and `root`: an Httpd, or a Chain of a front and a back end.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import BenchError, peers, process
from .httpd import CHILDREN, Httpd, Installation, run_text, unprivileged_user
from .passenger import passenger
from .program import Chain
from .weave import RUNTIME_DIR, STATE_DIR, WeaveHttpd

HERE = Path(__file__).resolve().parent.parent
TOP = HERE.parent.parent

WEAVE_INI = """\
[wsgi]
script = {application}
virtualenv = {virtualenv}

[maintenance]
style = sync

[workers]
mode = {mode}
"""

PROGRAMS = ("weaved", "weave-worker", "weavectl")

# what they have but in `sleep`, where the threads must not be what is short
WORKER_THREADS = 15


class Bench:
    """The folder all servers of a run share, and what lies in it.

    A copy of everything: the checkout may be unreadable for the user that
    httpd's children run as.
    """

    def __init__(self, build, python="/usr/bin/python3"):
        self.build = Path(build).resolve()
        self.python = python
        self.installation = Installation.find()
        # resolved: processes are found by paths in their titles
        self.folder = Path(tempfile.mkdtemp(prefix="weave-bench-")).resolve()
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

    def httpd(self, name, directives, modules, kind=Httpd):
        root = Path(self.root(name))
        root.chmod(0o755)
        return kind(self.installation, root, directives, modules)


def build_module(bench, name):
    """build/bench/NAME.so, made by apxs when NAME.c is newer."""
    target = bench.build / "bench" / f"{name}.so"
    source = HERE / f"{name}.c"
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
    shutil.copyfile(folder / ".libs" / target.name, target)
    return target


def build_program(bench, name):
    """build/bench/NAME, compiled when NAME.c is newer."""
    target = bench.build / "bench" / name
    source = HERE / f"{name}.c"
    if not target.exists() or \
            target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        run_text(os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-pthread",
                 "-o", str(target), str(source))
    return target


def make_floor(bench):
    return bench.httpd(
        "floor", '<Location "/">\n    SetHandler weave-floor\n</Location>',
        f'LoadModule floor_module "{build_module(bench, "mod_floor")}"')


def weave_module(bench):
    return bench.build / "mod_weave.so"


def weave_worker(bench):
    return bench.build / "weave-worker"


def copy_programs(build, lib):
    """Makes the folder lib, with a copy of what was built."""
    lib.mkdir()
    for path in (build / "mod_weave.so", *build.glob("weave-engine*.so"),
                 *(build / name for name in PROGRAMS)):
        if path.exists():
            shutil.copy(path, lib, follow_symlinks=False)


def weave(bench, name, kind, directives, mode, virtualenv=None, build=None):
    """An httpd with a copy of what was built, and its sync.ini."""
    server = bench.httpd(
        name, f'{directives}\nWeaveStateDir "{STATE_DIR}"\n'
        f'WeaveApp "/" bench.ini',
        "LoadModule weave_module lib/mod_weave.so", kind)
    copy_programs(build or bench.build, server.root / "lib")
    (server.root / "bench.ini").write_text(WEAVE_INI.format(
        application=bench.application, mode=mode,
        virtualenv=virtualenv or bench.virtualenv))
    return server


def make_weave(bench):
    return weave(bench, "weave", Httpd, "", "embedded")


def make_workers(bench, threads=WORKER_THREADS, virtualenv=None, build=None):
    return weave(bench, "workers", WeaveHttpd,
                 f'WeaveRuntimeDir "{RUNTIME_DIR}"',
                 f"processes\nprocesses = {CHILDREN}\nthreads = {threads}",
                 virtualenv, build)


def before(build):
    """The Server of an older build, with today's configuration."""
    return Server("before", f"mod_weave workers of {build}",
                  lambda bench, threads: make_workers(bench, threads,
                                                      build=build),
                  lambda bench: build / "weave-worker", "build it: make")


def mod_wsgi_module(bench):
    return bench.installation.modules / "mod_wsgi.so"


def make_mod_wsgi(bench):
    return bench.httpd(
        "mod_wsgi",
        f'WSGIPythonHome "{bench.virtualenv}"\n'
        f'WSGIApplicationGroup %{{GLOBAL}}\n'
        f'WSGIScriptAlias / "{bench.application}"',
        f'LoadModule wsgi_module "{mod_wsgi_module(bench)}"')


def passenger_module(bench):
    return bench.installation.modules / "mod_passenger.so"


def make_passenger(bench, threads=WORKER_THREADS):
    """Two processes; where the threads must not be what is short, as many as
    others have threads.
    """
    return passenger(bench, CHILDREN if threads == WORKER_THREADS
                     else CHILDREN * threads)


def make_wsgi_daemon(bench, threads=WORKER_THREADS):
    return bench.httpd(
        "wsgi_daemon",
        f'WSGISocketPrefix "{bench.folder}/wsgi"\n'
        f'WSGIRestrictEmbedded On\n'
        f'WSGIDaemonProcess bench processes={CHILDREN} threads={threads} '
        f'python-home="{bench.virtualenv}" display-name=wsgi-bench\n'
        f'WSGIScriptAlias / "{bench.application}" process-group=bench '
        f'application-group=%{{GLOBAL}}',
        f'LoadModule wsgi_module "{mod_wsgi_module(bench)}"', WsgiDaemonHttpd)


class WsgiDaemonHttpd(Httpd):
    """mod_wsgi's daemons are children of the parent, like the MPM's."""

    def python_pids(self):
        return [pid for pid in self.pids()
                if process.command(pid).startswith("wsgi-bench")]


def proxy(bench, name, module, back, scheme):
    front = bench.httpd(
        name, f'ProxyPass "/" "unix:{back.address}|{scheme}://localhost/"',
        bench.installation.load_lines("proxy", module))
    return Chain(front, back)


def make_proxy_uwsgi(bench, threads=WORKER_THREADS):
    return proxy(bench, "proxy_uwsgi", "proxy_uwsgi",
                 peers.uwsgi(bench, threads), "uwsgi")


def make_gunicorn(bench, threads=WORKER_THREADS):
    return proxy(bench, "proxy_http", "proxy_http",
                 peers.gunicorn(bench, threads), "http")


def make_nginx(bench, threads=WORKER_THREADS):
    back = peers.uwsgi(bench, threads)
    return Chain(peers.nginx(bench, back.address), back)


@dataclass(frozen=True)
class Server:
    """A row of the table.

    `modes` are the comparisons it takes part in. `needs` is a function of
    the Bench that names a file without which the server cannot run, `cure`
    what to do about it.
    """

    name: str
    label: str
    make: Callable
    needs: Callable = None
    cure: str = ""
    floor: bool = False
    modes: tuple = ("workers",)

    def build(self, bench, threads=WORKER_THREADS):
        """What make() gives; embedded servers have httpd's threads."""
        return self.make(bench, threads) if self.modes == ("workers",) \
            else self.make(bench)

    def check(self, bench):
        path = self.needs(bench) if self.needs else None
        if path and not path.exists():
            raise BenchError(f"{self.label}: no {path}\n  {self.cure}\n"
                             f"  or leave it out with --servers")


MOD_WSGI = ("Debian: apt-get install libapache2-mod-wsgi-py3; "
            "RPM systems: dnf install python3-mod_wsgi")
PASSENGER = ("Debian: apt-get install libapache2-mod-passenger; "
             "RPM systems: dnf install mod_passenger")
UWSGI = "apt-get install uwsgi-core uwsgi-plugin-python3"

SERVERS = {server.name: server for server in (
    Server("floor", "C handler (floor)", make_floor, floor=True,
           modes=("embedded", "workers")),
    Server("weave", "mod_weave embedded", make_weave,
           weave_module, "build it: make", modes=("embedded",)),
    Server("mod_wsgi", "mod_wsgi embedded", make_mod_wsgi, mod_wsgi_module,
           MOD_WSGI, modes=("embedded",)),
    Server("workers", "mod_weave workers", make_workers,
           weave_worker, "build it: make"),
    Server("wsgi_daemon", "mod_wsgi daemon mode", make_wsgi_daemon,
           mod_wsgi_module, MOD_WSGI),
    Server("proxy_uwsgi", "mod_proxy_uwsgi, uWSGI", make_proxy_uwsgi,
           lambda bench: peers.program("uwsgi"), UWSGI),
    Server("passenger", "Phusion Passenger", make_passenger, passenger_module,
           PASSENGER),
    Server("gunicorn", "mod_proxy_http, gunicorn", make_gunicorn,
           lambda bench: peers.program("gunicorn"),
           "apt-get install gunicorn"),
    Server("nginx", "nginx, uWSGI", make_nginx,
           lambda bench: peers.program("nginx"),
           f"{UWSGI} nginx"),
)}
MODES = ("embedded", "workers")


def choose(names, bench, older=None):
    """The rows named in a list, checked, and that of an older build."""
    unknown = [name for name in names if name not in SERVERS]
    if unknown:
        raise BenchError(f"no server {unknown[0]!r}: there are "
                         f"{', '.join(SERVERS)}")
    chosen = [SERVERS[name] for name in names]
    if older:
        chosen.append(before(older))
    for server in chosen:
        server.check(bench)
    return chosen
