# SPDX-License-Identifier: Apache-2.0
"""The load generator: wrk, one thread, with our Lua script."""

import json
import resource
import shutil
import subprocess

from . import BenchError
from .servers import HERE

# fields of load() that count what went wrong
ERRORS = ("connect", "read", "write", "timeout", "status")


def find():
    path = shutil.which("wrk")
    if not path:
        raise BenchError("wrk is missing: apt-get install wrk (RPM systems "
                         "build it from github.com/wg/wrk)")
    return path


def version():
    # wrk -v also prints its usage and exits with 1
    done = subprocess.run([find(), "-v"], capture_output=True, text=True)
    return done.stdout.split(" [")[0].removeprefix("wrk ")


def children_cpu_us():
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (spent.ru_utime + spent.ru_stime) * 1e6


def wrong(said, workload):
    """How many answers had a status that `workload` does not expect.

    wrk counts those above 399.
    """
    return said["requests"] - said["status"] if workload.status > 399 \
        else said["status"]


def load(port, workload, connections, seconds):
    """Runs wrk; returns what wrk.lua's done() says, and `wrk_cpu_us`."""
    command = [find(), "-t1", f"-c{connections}", f"-d{seconds}s",
               "--timeout", "10s", "-s", str(HERE / "wrk.lua"),
               f"http://127.0.0.1:{port}{workload.path}", "--"]
    if workload.body_bytes:
        command.append(str(workload.body_bytes))
    before = children_cpu_us()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT) as running:
        try:
            output = running.communicate(timeout=seconds + 60)[0]
        except BaseException:
            running.kill()
            raise
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if running.returncode or not lines:
        raise BenchError(f"{' '.join(command)} failed:\n{output}")
    said = json.loads(lines[-1])
    return dict(said, status=wrong(said, workload),
                wrk_cpu_us=children_cpu_us() - before)
