# SPDX-License-Identifier: Apache-2.0
"""A real httpd of a test's own, and clients that ask it all the time."""

import http.client
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time

from conftest import BUILD

WAIT_S = 300
USERS = ("www-data", "apache", "http")


def apxs(name):
    said = subprocess.run([os.environ.get("APXS", "apxs"), "-q", name], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, encoding="utf-8")
    return said.stdout.strip()


def httpd_user():
    """The user that httpd serves as where root starts it."""
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    return pwd.getpwnam("nobody")


def build_copy(folder):
    """A copy of what was built that every user can read, as `make install` makes it."""
    folder.mkdir()
    for name in ("weaved", "weave-worker", "weavectl"):
        shutil.copy(BUILD / name, folder)
    for path in BUILD.glob("*.so"):
        shutil.copy(path, folder, follow_symlinks=False)
    shutil.copytree(BUILD / "weave-release", folder / "weave-release")
    subprocess.check_call(["chmod", "-R", "a+rX,go-w", folder])
    return folder


def eventually(condition, seconds=WAIT_S):
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > until:
            return found
        time.sleep(0.05)


class Httpd:
    """It has one application, of top/sync.ini, at /."""

    def __init__(self, top, libdir, more=""):
        self.top = pathlib.Path(top)
        self.libdir = libdir
        self.ini = self.top / "sync.ini"
        self.pid = 0
        held = self._held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self.port = held.getsockname()[1]
        modules = pathlib.Path(apxs("LIBEXECDIR"))
        user = httpd_user()
        as_root = "User %s\nGroup #%d\n" % (user.pw_name, user.pw_gid) if os.getuid() == 0 else ""
        loaded = "".join(
            "LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name)
            for name in ("mpm_event", "authz_core", "unixd")
            if (modules / ("mod_%s.so" % name)).exists())
        (self.top / "httpd.conf").write_text(
            'ServerRoot "{top}"\nServerName localhost\nListen 127.0.0.1:{port}\n'
            'PidFile "{top}/httpd.pid"\nDefaultRuntimeDir "{top}"\nErrorLog "{top}/error_log"\n'
            '{loaded}LoadModule weave_module {libdir}/mod_weave.so\n{as_root}'
            'StartServers 1\nServerLimit 4\nThreadsPerChild 16\nMaxRequestWorkers 64\n'
            'MinSpareThreads 1\nMaxSpareThreads 64\n'
            'WeaveRuntimeDir "{top}/run"\nWeaveStateDir "{top}/state"\n'
            'WeaveApp / "{top}/sync.ini"\n{more}'.format(
                top=self.top, port=self.port, loaded=loaded, libdir=libdir, as_root=as_root,
                more=more))
        self.program = os.path.join(apxs("SBINDIR"), apxs("PROGNAME"))

    def run(self, *words):
        done = subprocess.run([self.program, "-d", self.top, "-f", self.top / "httpd.conf", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        assert done.returncode == 0, done.stdout + self.log()

    def log(self):
        try:
            return (self.top / "error_log").read_text(errors="replace")
        except OSError:
            return ""

    def start(self):
        self.run("-k", "start")
        assert eventually(lambda: (self.top / "httpd.pid").exists()), self.log()
        self.pid = int((self.top / "httpd.pid").read_text())
        assert eventually(lambda: self.get()[0] is not None), self.log()

    def stop(self):
        if not self.pid:
            return
        os.kill(self.pid, signal.SIGTERM)
        if not eventually(lambda: not os.path.exists("/proc/%d" % self.pid)):
            os.kill(self.pid, signal.SIGKILL)
        self.pid = 0

    def graceful(self):
        self.run("-k", "graceful")

    def get(self, path="/", seconds=30):
        """(status, headers in lower case, body), or (None, {}, why)."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body.decode()
        except (OSError, http.client.HTTPException) as error:
            return None, {}, repr(error)

    def weavectl(self, *words, env=None, typed=None):
        """(exit status, standard output, standard error)"""
        done = subprocess.run(
            [self.libdir / "weavectl", *words, "-d", self.top / "run", "-s", self.top / "state",
             "-i", self.ini], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", env=dict(os.environ, **(env or {})))
        return done.returncode, done.stdout, done.stderr


class Load:
    """Clients that ask from __enter__ to __exit__; `answers` is [(time, status, headers, body)]."""

    def __init__(self, httpd, clients=2, pause=0.03):
        self.httpd = httpd
        self.answers = []
        self._is_over = threading.Event()
        self._pause = pause
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        while not self._is_over.is_set():
            answer = self.httpd.get()
            self.answers.append((time.monotonic(), *answer))
            time.sleep(self._pause)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join()
