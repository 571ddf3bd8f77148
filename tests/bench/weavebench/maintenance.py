# SPDX-License-Identifier: Apache-2.0
"""Maintenance: what its answer costs, and what it costs while it is off.

Refused are requests to a server whose Python cannot answer: the workers are
stopped, or the embedded application cannot be imported. Off is
timed by mod_stopwatch.c inside httpd.
"""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request

from . import BenchError, process, wrk
from .client import Connection
from .httpd import Httpd
from .rounds import summary
from .servers import build_module
from .weave import STATE_DIR, WeaveHttpd
from .workloads import MAINTENANCE, WORKLOADS, check

SERVERS = ("weave", "workers")
OFF_CONNECTIONS = 16
# asked so often, each time on a connection of its own
OFF_REPORTS = 15

NO_APPLICATION = 'raise ImportError("it cannot be imported")\n'


# ---- without Python ----

class Refusing:
    """An httpd with mod_weave in maintenance, its Python stopped.

    What is asked of a server of the bench, and evidence().
    """

    def __init__(self, running):
        self.running = running
        self.stopped = []
        self.spent = None

    @property
    def port(self):
        return self.running.port

    @property
    def root(self):
        return self.running.root

    def log(self):
        return self.running.log()

    def pids(self):
        return sorted({*Httpd.pids(self.running), *self.stopped})

    def start(self, **options):
        """With options, as callgrind runs it, in maintenance from the start."""
        if options:
            self.say("on")
        self.running.start(**options)
        if isinstance(self.running, WeaveHttpd):
            self.stop_python()
        else:
            self.check_down()
        if not options:
            self.say("on")
        self.spent = process.usage(self.stopped)

    def stop_python(self):
        """It has served, and now every process of it is stopped. Not weaved:
        httpd replaces one that has answered nothing for 30 s."""
        check(self.running.name, self.port, WORKLOADS["hello"], self.log)
        self.stopped = self.running.workers()
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)

    def check_down(self):
        """The application that cannot be imported does not answer."""
        connection = Connection(self.port)
        status, body = connection.request(WORKLOADS["hello"])
        connection.close()
        if status != 503:
            raise BenchError("an application that cannot be imported answers "
                             f"{status}: {body[:60]!r}")

    def say(self, mode):
        """With weavectl, as the user that starts httpd."""
        done = subprocess.run(
            [self.root / "lib" / "weavectl", "-s", self.root / STATE_DIR,
             "maintenance", mode], capture_output=True, text=True, timeout=30,
            user=self.root.stat().st_uid)
        if done.returncode:
            raise BenchError(f"weavectl maintenance {mode} fails:\n"
                             f"{done.stdout}{done.stderr}".rstrip())

    def evidence(self):
        """{'python', 'python_cpu_us'}; raises if any of it has run."""
        states = [process.state(pid) for pid in self.stopped]
        if set(states) - {"T"}:
            raise BenchError(f"not stopped any more: {states}")
        return {
            "python": f"{len(states)} workers stopped"
            if states else "cannot be imported",
            "python_cpu_us": process.usage(self.stopped).since(self.spent)[0]
            if states else None,
        }

    def stop(self):
        for pid in self.stopped:
            if process.alive(pid):
                os.kill(pid, signal.SIGCONT)
        self.stopped = []
        self.running.stop()


def refusing(server):
    """The Server `server` in maintenance; the floor as it is."""
    def make(bench, *threads):
        if "workers" in server.modes:
            return Refusing(server.make(bench, *threads))
        application = bench.application
        bench.application = bench.folder / "none.wsgi"
        bench.application.write_text(NO_APPLICATION)
        try:
            return Refusing(server.make(bench))
        finally:
            bench.application = application
    return server if server.floor else dataclasses.replace(server, make=make)


# ---- the same bytes ----

def shape(answer):
    """An answer without its Date and with all digits alike."""
    lines = [line for line in answer.split(b"\r\n")
             if not line.startswith(b"Date:")]
    return re.sub(rb"\d", b"0", b"\r\n".join(lines))


def answer_of(port):
    """Every byte of one, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(f"GET {MAINTENANCE.path} HTTP/1.1\r\n"
                       "Host: localhost\r\nConnection: close\r\n\r\n"
                       .encode("ascii"))
        return b"".join(iter(lambda: client.recv(65536), b""))


def check_alike(running):
    """Whatever is compared answers with the same bytes, numbers aside."""
    seen = {server.name: shape(answer_of(httpd.port))
            for server, httpd in running.items()}
    if len(set(seen.values())) > 1:
        raise BenchError("the answers are not alike:\n" + "\n".join(
            f"{name}:\n{text.decode('ascii', 'replace')}"
            for name, text in seen.items()))


# ---- off ----

def timed(server):
    """The Server `server` with mod_stopwatch in it."""
    def make(bench, *threads):
        running = server.make(bench, *threads)
        path = running.root / "httpd.conf"
        module = build_module(bench, "mod_stopwatch")
        path.write_text(f'LoadModule stopwatch_module "{module}"\n'
                        + path.read_text())
        return running
    return dataclasses.replace(server, make=make)


def ask_stopwatch(port):
    with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/hello?stopwatch", timeout=30) as answer:
        return json.load(answer)


def digest(reports):
    """The requests of the child that had most, and the loops of all."""
    most = max(reports, key=lambda report: report["requests"])
    return {**{name: most[name] for name in
               ("requests", "clock_p50", "p50", "p90")},
            "loop": summary([report["loop"] for report in reports])}


def off(server, running, options, say):
    """ns that it takes to ask once whether there is maintenance."""
    hello = WORKLOADS["hello"]
    check(server.label, running.port, hello, running.log)
    wrk.load(running.port, hello, OFF_CONNECTIONS, options.seconds)
    row = {"server": server.name, **digest(
        [ask_stopwatch(running.port) for _ in range(OFF_REPORTS)])}
    say(f"maintenance off: {server.name} {row['loop']['median']:.0f} ns in a "
        f"loop, {row['p50'] - row['clock_p50']:.0f} in a request")
    return row
