# SPDX-License-Identifier: Apache-2.0
"""What clients notice of weavectl install and rollback, and how long those
take, on a node with an httpd of its own as tests/release makes it.

Each row is a command under 200 requests/s. The first one is none: what the
machine does to the load by itself.
"""

import importlib
import json
import os
import resource
import shutil
import statistics
import sys
import time
from dataclasses import dataclass

from . import BenchError, servers
from .paced import Paced, Plan

LEAD_S, TAIL_S = 1.0, 1.0
# of the row without a command
UNDISTURBED_S = 5.0
# longer than a command takes: the load ends with it
MOST_S = 300
SERVER = "releases"
UNDISTURBED = "nothing"
# what must last no more than 2 s, the application's own start not counted
QUICK = ("install of what is built", "rollback")
GOOD = ("install", *QUICK)
BAD = ("import error", "warm-up 500", "hang at import", "exit at import",
       "missing dependency", "bad checksum", "migration that fails",
       "wrong Python tag", "bad signature")
# releases on the node when they are listed, and how often
LISTED, LISTINGS = 50, 9
# a machine with more load than this delays answers by itself
LOAD_MOST = 2.0
SLOWEST_MS, P99_MOST = 150, 1.5


@dataclass(frozen=True)
class Command:
    """A command under load; words of weavectl, and its exit status."""

    event: str
    words: tuple = ()
    status: int = 0


def tests_of(build):
    """The module `wholes` of tests/release, whose nodes run what is in BUILD."""
    os.environ["BUILD"] = str(build.resolve())
    sys.path.insert(0, str(servers.TOP / "tests" / "release"))
    try:
        return importlib.import_module("wholes")
    except ImportError as error:
        raise BenchError(f"the releases need python3-pytest: {error}") \
            from error


def commands(node, wholes):
    """What is done one after the other: 1.0 serves at first and at last."""
    found = [Command(UNDISTURBED),
             Command("install", ("install", "Tiny==2.0")),
             Command("rollback", ("rollback",)),
             Command("install of what is built", ("install", "Tiny==2.5"))]
    wholes.put(node, "2.5")
    node.install("Tiny==2.5", "--no-switch")
    for failure in wholes.failures_put(node):
        found.append(Command(failure.title, ("install", *failure.words,
                                             "--wait-share", "0s"), 1))
    return found


def objects(text):
    """What --json has said, without the lines for people."""
    return [json.loads(line) for line in text.splitlines()
            if line.startswith("{")]


def carry_out(node, command):
    """Runs it. Seconds it took in all, and those of the application's start."""
    if not command.words:
        time.sleep(UNDISTURBED_S)
        return None, None
    words = [*command.words, "--json"]
    if words[0] == "install":
        words += ["--find-links", str(node.share)]
    began = time.monotonic()
    said = node.run(*words, status=command.status)
    took = time.monotonic() - began
    start = sum(row["ms"] for row in objects(said)
                if row.get("name") == "prove")
    return took, start / 1000


def measure_one(node, command):
    """What Paced says of the command, and how it went."""
    plan = Plan(node.httpd.port, "/ok", b"ok", seconds=MOST_S)
    load = os.getloadavg()[0]
    with Paced(plan) as paced:
        time.sleep(LEAD_S)
        try:
            took, start = carry_out(node, command)
        except AssertionError as error:
            raise BenchError(f"{command.event}: {error}") from error
        time.sleep(TAIL_S)
        found = paced.end()
    return {**found, "event": command.event, "load": load, "took_s": took,
            "start_s": start}


def listing(node):
    """Milliseconds of `weavectl releases` with LISTED of them."""
    some = node.home / "releases" / "tiny-1.0" / ".weave"
    for number in range(LISTED - len(node.releases())):
        made = node.home / "releases" / f"tiny-0.{number}" / ".weave"
        shutil.copytree(some, made)
        for folder in (made.parent, made, *made.iterdir()):
            node.own(folder)
    took, cpu = [], cpu_s()
    for _ in range(LISTINGS):
        began = time.monotonic()
        said = node.run("releases", "--json")
        took.append((time.monotonic() - began) * 1000)
    cpu = (cpu_s() - cpu) / LISTINGS
    count = len(objects(said)[0]["releases"])
    if count != LISTED:
        raise BenchError(f"weavectl releases shows {count} of {LISTED}")
    return {"count": count, "load": os.getloadavg()[0], "cpu_ms": cpu * 1000,
            "ms": statistics.median(took), "min": min(took), "max": max(took)}


def cpu_s():
    """Of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def beyond(row, rows):
    """How much slower than it may be: 1 is the most.

    The slowest answer counts. On a machine with other work the 99th percentile
    does as well, beside that of the row without a command.
    """
    slowest = row["slowest_ms"] / SLOWEST_MS
    if row["load"] < LOAD_MOST:
        return slowest
    still, = [one for one in rows if one["event"] == UNDISTURBED]
    return min(slowest, row["p99_ms"] / (P99_MOST * still["p99_ms"]))


def measure(options, say):
    """{"rows": a row per command, "listing": of weavectl releases}."""
    wholes = tests_of(options.build)
    node = wholes.Whole("processes")
    rows = []
    try:
        for command in commands(node, wholes):
            row = measure_one(node, command)
            rows.append(row)
            say(f"{command.event}: {row['failed']} failed of "
                f"{row['requests']}, slowest {row['slowest_ms']:.0f} ms, "
                f"p99 {row['p99_ms']:.0f} ms, load {row['load']:.1f}")
        found = listing(node)
    finally:
        node.close()
    for row in rows:
        row["beyond"] = beyond(row, rows)
    return {"rows": rows, "listing": found}
