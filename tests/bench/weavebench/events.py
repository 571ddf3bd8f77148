# SPDX-License-Identifier: Apache-2.0
"""What an operator does, and what goes wrong, under steady load.

A row of EVENTS is an act upon a running server and what must have become of
it; the load knows nothing of it and counts what clients would have noticed.
"""

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from typing import Callable

from . import BenchError, servers
from .client import Connection
from .httpd import CHILDREN, run_text
from .paced import Paced, Plan
from .workloads import ABOUT, HELLO

# before the first act, between two, and after the last
LEAD_S, INTERVAL_S, TAIL_S = 1.0, 5.0, 2.0
# how long what an act sets off may take to be seen
DONE_TIMEOUT_S = 20
# a load that goes out later than this was short of CPU itself
LATE_MS = 50
RELEASES = ("one", "two")


@dataclass(frozen=True)
class Event:
    """`act(running, scene)` does it and gives a function that says whether
    it has come to what it must; `must` puts it among the targets."""

    name: str
    server: str
    act: Callable
    path: str = "/"
    posts: bool = True
    must: bool = False

    @property
    def title(self):
        return f"{self.server}: {self.name}"


class Scene:
    """Releases and a script that a `Bench` shares with nobody else."""

    def __init__(self, bench):
        self.bench = bench
        self.folder = bench.folder / "releases"
        self.folder.mkdir()
        self.script = self.folder / "steady.wsgi"
        shutil.copyfile(servers.HERE / "steady.wsgi", self.script)
        for name in RELEASES:
            run_text(bench.python, "-m", "venv", "--without-pip",
                     str(self.folder / name))
        self.current = self.folder / "current"
        self.current.symlink_to(RELEASES[0])

    def make(self, server):
        """The Server `server` on this scene."""
        application, virtualenv = self.bench.application, self.bench.virtualenv
        self.bench.application = self.script
        self.bench.virtualenv = self.current
        try:
            return server.build(self.bench)
        finally:
            self.bench.application = application
            self.bench.virtualenv = virtualenv

    def switch(self):
        """`current` names the other release; its folder."""
        old = os.readlink(self.current)
        new, = set(RELEASES) - {old}
        link = self.folder / "new"
        link.symlink_to(new)
        link.rename(self.current)
        return self.folder / new


def replaced(look, old, count):
    """Whether look() has come to `count` pids and none of `old`."""
    def done():
        now = set(look())
        return len(now) == count and not now & set(old)
    return done


def graceful(running, scene):
    done = replaced(running.children, running.children(), CHILDREN)
    running.graceful()
    return done


def rotate_log(running, scene):
    log = running.root / "error.log"
    log.rename(running.root / "error.log.1")
    done = graceful(running, scene)
    return lambda: done() and log.exists()


def reload(running, scene):
    done = replaced(running.workers, running.workers(), CHILDREN)
    running.weavectl("reload")
    return done


def prefix(running):
    connection = Connection(running.port)
    try:
        return json.loads(connection.request(ABOUT)[1])["prefix"]
    finally:
        connection.close()


def switch_release(running, scene):
    done = replaced(running.workers, running.workers(), CHILDREN)
    new = scene.switch()
    running.graceful()
    return lambda: done() and prefix(running) in (str(new),
                                                  str(scene.current))


def kill_worker(running, scene):
    old = running.workers()
    os.kill(old[0], signal.SIGKILL)
    done = replaced(running.workers, old[:1], CHILDREN)
    return lambda: done() and set(old[1:]) <= set(running.workers())


def kill_supervisor(running, scene):
    old, workers = running.supervisor(), running.workers()
    os.kill(old, signal.SIGKILL)
    return lambda: running.supervisor() not in (None, old) and \
        running.workers() == workers


def touch(running, scene):
    done = replaced(running.python_pids, running.python_pids(), CHILDREN)
    os.utime(scene.script)
    return done


EVENTS = (
    Event("graceful", "workers", graceful, must=True),
    Event("log rotation", "workers", rotate_log, must=True),
    Event("weavectl reload", "workers", reload, must=True),
    Event("release switch", "workers", switch_release, must=True),
    Event("kill -9 of a worker", "workers", kill_worker, posts=False,
          must=True),
    Event("kill -9 of weaved", "workers", kill_supervisor, must=True),
    Event("graceful", "floor", graceful, path="/sleep"),
    Event("graceful", "wsgi_daemon", graceful),
    Event("touch", "wsgi_daemon", touch),
)


def wait_until(when):
    time.sleep(max(0.0, when - time.monotonic()))


def settled(act, running, scene):
    """Seconds till it has come to what it must, or None if it has not."""
    begun = time.monotonic()
    done = act(running, scene)
    while time.monotonic() - begun < DONE_TIMEOUT_S:
        if done():
            return time.monotonic() - begun
        time.sleep(0.05)
    return None


def measure_one(event, running, scene, times):
    """What Paced says, with `undone`: acts that did not come to their end."""
    plan = Plan(running.port, event.path, HELLO, posts=event.posts,
                seconds=LEAD_S + INTERVAL_S * times + TAIL_S)
    undone, took = 0, []
    with Paced(plan) as load:
        begun = time.monotonic()
        for turn in range(times):
            wait_until(begun + LEAD_S + INTERVAL_S * turn)
            took.append(settled(event.act, running, scene))
            undone += took[-1] is None
        found = load.result()
    return {**found, "event": event.name, "server": event.server,
            "times": times, "undone": undone,
            "settled_s": max((one for one in took if one is not None),
                             default=None)}


def warm(running, event, count=8):
    """Each server has answered before its load begins."""
    connection = Connection(running.port)
    for _ in range(count):
        connection.http.request("GET", event.path)
        response = connection.http.getresponse()
        body = response.read()
        if response.status != 200 or body != HELLO:
            raise BenchError(f"{event.server} answers {event.path} with "
                             f"{response.status}: {body[:60]!r}\n"
                             + running.log()[-3000:])
    connection.close()


def measure_event(event, scene, options, say):
    """Its row, from a server started anew; again when the load was late."""
    for attempt in range(1 + options.retries):
        running = scene.make(servers.SERVERS[event.server])
        try:
            running.start()
            warm(running, event)
            row = measure_one(event, running, scene, options.times)
        finally:
            running.stop()
        if row["late_ms"] <= LATE_MS:
            break
        say(f"{event.title}: the load itself was {row['late_ms']:.0f} ms "
            "late")
    return row


def measure(bench, chosen, options, say):
    """A row per event of the servers in `chosen`."""
    names = [server.name for server in chosen]
    rows = []
    scene = None
    for event in EVENTS:
        if event.server not in names:
            continue
        scene = scene or Scene(bench)
        row = measure_event(event, scene, options, say)
        rows.append(row)
        say(f"{event.title}: {row['failed']} failed of {row['requests']}, "
            f"{row['resent']} re-sent, slowest {row['slowest_ms']:.0f} ms")
    return rows
