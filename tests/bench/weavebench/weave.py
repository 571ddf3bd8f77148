# SPDX-License-Identifier: Apache-2.0
"""An httpd with mod_weave whose application runs in worker processes."""

import json
import os
import signal
import socket
import struct
import subprocess
import time

from . import BenchError, process
from .httpd import Httpd

RUNTIME_DIR = "run"
# what lasts; of each server its own
STATE_DIR = "state"
CONTROL_SOCKET = "weaved.sock"
STARTUP_TIMEOUT_S = 60
ENDING_TIMEOUT_S = 10


class WeaveHttpd(Httpd):
    """`pids()` and `stop()` also know weaved and the workers."""

    name = "httpd with mod_weave"

    @property
    def runtime(self):
        return self.root / RUNTIME_DIR

    @property
    def ini(self):
        return self.root / "bench.ini"

    def ours(self, program):
        """Processes of `program` that are this server's.

        By title: neither is for ever a descendant of the parent. weaved
        has the runtime directory behind its name, a worker its ini.
        """
        return [pid for pid in process.titled(program, str(self.root))
                if (process.command(pid).split() or [""])[0].rstrip(":")
                .rpartition("/")[2] == program]

    def supervisor(self):
        """weaved's pid, or None: whoever listens at the control socket."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(1)
            try:
                control.connect(str(self.runtime / CONTROL_SOCKET))
            except OSError:
                return None
            peer = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                      struct.calcsize("3i"))
        return struct.unpack("3i", peer)[0]

    def workers(self):
        return self.ours("weave-worker")

    def pids(self):
        if not self.running:
            return []
        supervisor = self.supervisor()
        return sorted({*super().pids(), *self.workers(),
                       *(process.tree(supervisor) if supervisor else ())})

    def python_pids(self):
        return self.workers()

    def weavectl(self, *words):
        """Its output; it must succeed."""
        done = subprocess.run(
            [self.root / "lib" / "weavectl", "-d", self.runtime, *words],
            capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise BenchError(f"weavectl {' '.join(words)} fails "
                             f"({done.returncode}):\n"
                             f"{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def status(self):
        return json.loads(self.weavectl("status", "--json"))

    def start(self, **options):
        """Also waits for the first worker that is ready."""
        super().start(**options)
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while not (self.supervisor() and self.workers()):
            if time.monotonic() > deadline:
                log = self.log()
                self.stop()
                raise BenchError("no weaved, or no worker of it, in "
                                 f"{self.root}:\n{log[-4000:]}")
            time.sleep(0.02)

    def stop(self):
        """And nothing of it is left, or it is killed and said."""
        if not self.running:
            return
        supervisor = self.supervisor()
        mine = {*self.workers(), *self.ours("weaved"),
                *([supervisor] if supervisor else ())}
        super().stop()
        for pid in process.wait_ended(mine, ENDING_TIMEOUT_S):
            what = process.command(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            raise BenchError(f"httpd has ended but not process {pid}: {what}")
