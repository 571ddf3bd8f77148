# SPDX-License-Identifier: Apache-2.0
"""System calls per request by kind of thread, as perf trace counts them.

In a load of their own: perf slows everything down, so nothing else is
measured meanwhile.
"""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter

from . import process, wrk

SECONDS = 2
# perf looks up all threads before the first call counts
ATTACH_S = 2
THREAD = re.compile(r" \S.* \((\d+)\), \d+ events")
CALL = re.compile(r"   ([a-z]\w+) +(\d+) +\d+ +[\d.]+ ")


def calls(lines, kinds):
    """{kind of thread: Counter of calls} of perf trace's summary."""
    found, counter = {}, None
    for line in lines:
        if thread := THREAD.match(line):
            counter = found.setdefault(kinds.get(int(thread[1]), "?"),
                                       Counter())
        elif counter is not None and (call := CALL.match(line)):
            counter[call[1]] += int(call[2])
    return found


def of_server(running, workload, connections):
    """{kind of thread: {call: how often in a request}}, or None."""
    pids = running.pids()
    kinds = {task: kind for (_, task), kind in
             process.thread_kinds(pids).items()}
    output = running.root / "perf.txt"
    with subprocess.Popen(
            ["perf", "trace", "-s", "-o", output, "-p",
             ",".join(map(str, pids))], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL) as perf:
        time.sleep(ATTACH_S)
        if perf.poll() is not None:
            return None
        try:
            said = wrk.load(running.port, workload, connections, SECONDS)
        finally:
            perf.send_signal(signal.SIGINT)
    count = max(said["requests"], 1)
    return {kind: {name: number / count for name, number in
                   counter.most_common()} for kind, counter in
            calls(output.read_text().splitlines(), kinds).items()}


def measure(running, workload, connections, say):
    """{name of the server: of_server()}, empty where perf cannot trace."""
    if not shutil.which("perf"):
        say("no system calls: perf is missing (apt-get install linux-perf)")
        return {}
    found = {server.name: of_server(one, workload.on(server), connections)
             for server, one in running.items()}
    if not all(found.values()):
        say("no system calls of "
            + ", ".join(name for name, row in found.items() if not row)
            + ": perf trace needs root")
    return {name: row for name, row in found.items() if row}
