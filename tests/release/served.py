# SPDX-License-Identifier: Apache-2.0
"""A real httpd of a test's own, and clients that ask it all the time."""

import os
import shutil
import subprocess
import threading
import time

import httpds
from conftest import BUILD


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


class Httpd(httpds.Server):
    """It has one application, of top/sync.ini, at /."""

    def __init__(self, top, libdir):
        super().__init__(top)
        self.top = self.folder
        self.libdir = libdir
        self.ini = self.top / "sync.ini"
        self.configure(libdir, """ServerLimit 4
ThreadsPerChild 16
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
WeaveRuntimeDir "{top}/run"
WeaveStateDir "{top}/state"
WeaveApp / "{top}/sync.ini"
""".format(top=self.top))

    def weavectl(self, *words, env=None, typed=None):
        """(exit status, standard output, standard error)"""
        done = subprocess.run(
            [self.libdir / "weavectl", *words, "-d", self.top / "run", "-s", self.top / "state",
             "-i", self.ini], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", env=dict(os.environ, **(env or {})))
        return done.returncode, done.stdout, done.stderr


class Load:
    """Clients that ask from __enter__ to __exit__.

    `answers` is [(when asked, when answered, status, headers, body)], by monotonic time.
    """

    def __init__(self, httpd, clients=2, pause=0.03):
        self.httpd = httpd
        self.answers = []
        self._is_over = threading.Event()
        self._pause = pause
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        while not self._is_over.is_set():
            asked = time.monotonic()
            answer = self.httpd.get()
            self.answers.append((asked, time.monotonic(), *answer))
            time.sleep(self._pause)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def goes_on(self):
        """Returns when something was asked and answered after the call."""
        now = time.monotonic()
        httpds.eventually(lambda: any(answer[0] > now for answer in list(self.answers)),
                          "the clients go on")

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join()
