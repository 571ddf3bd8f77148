# SPDX-License-Identifier: Apache-2.0
"""A server that runs in the foreground, in a folder of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import BenchError, process

STOP_TIMEOUT_S = 15


# ports that were given out
held = []


def free_port():
    """A port that nobody else gets, to the end of this process.

    It stays bound here by a socket that does not listen; a server may bind it
    as well, as both allow it.
    """
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.append(holder)
    return holder.getsockname()[1]


def accepts(address):
    """Whether something listens at `address`: a port here, or a path."""
    kind = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(kind) as probe:
        probe.settimeout(1)
        try:
            probe.connect(("127.0.0.1", address)
                          if isinstance(address, int) else str(address))
            return True
        except OSError:
            return False


class Program:
    """`command` in `root`, run by start() and stop().

    `address` is where it listens: a port on loopback or the path of a socket.
    """

    name = "program"

    def __init__(self, root, command, address, **popen):
        self.root = Path(root)
        self.command = command
        self.address = address
        self.popen = popen
        self.running = None

    @property
    def port(self):
        return self.address

    @property
    def pid(self):
        return self.running.pid

    def pids(self):
        """Every process whose CPU is this server's."""
        return process.tree(self.pid)

    def python_pids(self):
        """Those that run the application."""
        return sorted(set(self.pids()) - {self.pid})

    def log(self):
        return "".join(path.read_text(errors="replace") for path in
                       (self.root / "start.log", self.root / "error.log")
                       if path.exists())

    def start(self, before=(), after=(), timeout=30, **popen):
        """Runs it (`before` in front of the command) till it accepts.

        A session of its own keeps the terminal's Ctrl-C away from it: stop()
        ends it in order.
        """
        with open(self.root / "start.log", "wb") as output:
            self.running = subprocess.Popen(
                [*before, *self.command, *after], stdout=output,
                stderr=output, stdin=subprocess.DEVNULL, cwd=self.root,
                start_new_session=True, **{**self.popen, **popen})
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.running.poll() is None:
            if accepts(self.address):
                return
            time.sleep(0.02)
        self.stop()
        raise BenchError(f"{self.name} in {self.root} did not start:\n"
                         + self.log()[-4000:])

    def stop(self):
        """TERM, and KILL for all of its session after 15 s."""
        if not self.running:
            return
        try:
            self.running.terminate()
            self.running.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()
        self.running = None


class Chain:
    """A front server and the back end that runs the application."""

    def __init__(self, front, back):
        self.front, self.back = front, back

    @property
    def port(self):
        return self.front.port

    @property
    def root(self):
        return self.front.root

    def pids(self):
        return sorted({*self.front.pids(), *self.back.pids()})

    def python_pids(self):
        return self.back.python_pids()

    def log(self):
        return self.front.log() + self.back.log()

    def start(self):
        self.back.start()
        self.front.start()

    def stop(self):
        self.front.stop()
        self.back.stop()
