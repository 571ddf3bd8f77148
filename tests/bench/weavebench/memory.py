# SPDX-License-Identifier: Apache-2.0
"""What a process costs that runs the application and has nothing to do.

Beside the Python processes of each server: the virtualenv's own Python that
has imported the same file, in as many processes.
"""

import os
import statistics
import subprocess
import time

from . import process
from .httpd import CHILDREN, run_text, unprivileged_user
from .workloads import WORKLOADS, check

SETTLE_S = 1.0
PYTHON = "python"

# as the servers import it, and then idle
IMPORTER = """\
import sys, types
module = types.ModuleType("bench_app")
with open(sys.argv[1], "rb") as file:
    exec(compile(file.read(), sys.argv[1], "exec"), module.__dict__)
del file
print("ready", flush=True)
sys.stdin.read()
"""


def summary(samples):
    """The median of each field."""
    return {field: statistics.median(sample[field] for sample in samples)
            for field in samples[0]}


def look(pids):
    time.sleep(SETTLE_S)
    samples = [process.memory(pid) for pid in pids]
    return summary([sample for sample in samples if sample])


def plain_python(bench):
    """summary() of Pythons that have imported the application.

    From a copy of the interpreter: a binary that this very bench also runs
    would share its pages with it, which the workers' libpython does not.
    """
    folder = bench.folder / "plain"
    run_text(bench.python, "-m", "venv", "--copies", "--without-pip",
             str(folder))
    user = unprivileged_user()
    identity = {"user": user.pw_uid, "group": user.pw_gid,
                "extra_groups": []} if user else {}
    running = []
    try:
        for _ in range(CHILDREN):
            running.append(subprocess.Popen(
                [folder / "bin" / "python", "-I", "-B", "-c", IMPORTER,
                 bench.application], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, cwd="/",
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                **identity))
        for one in running:
            one.stdout.readline()
        return look([one.pid for one in running])
    finally:
        for one in running:
            one.stdin.close()
            one.stdout.close()
            one.wait()


def measure(bench, chosen, say):
    """{name: {'rss_kb', 'pss_kb', 'private_kb'}}, `python` among them."""
    found = {PYTHON: plain_python(bench)}
    for server in chosen:
        if server.floor or "workers" not in server.modes:
            continue
        running = server.build(bench)
        try:
            running.start()
            check(server.label, running.port, WORKLOADS["hello"], running.log)
            found[server.name] = look(running.python_pids())
        except PermissionError:  # weave-worker keeps its secrets so
            say(f"memory: only root may see that of {server.name}")
            continue
        finally:
            running.stop()
        say(f"memory: {server.name} {found[server.name]['rss_kb']:.0f} kB "
            f"(python {found[PYTHON]['rss_kb']:.0f})")
    return found


def over_python(found, name, field):
    """MB of `field` that a process of `name` has more than plain Python."""
    if name not in found or PYTHON not in found:
        return None
    return (found[name][field] - found[PYTHON][field]) / 1024
