# SPDX-License-Identifier: Apache-2.0
"""Instructions per request: callgrind on `httpd -X`.

Two runs that differ only in the number of requests are subtracted, so that
start-up, the first requests and the end cost nothing.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import BenchError
from .client import Connection
from .httpd import unprivileged_user

COUNTS = (500, 2500)
START_TIMEOUT_S = 120
# file:function [object], after a count and perhaps a percentage
FUNCTION_ROW = re.compile(r"^\s*([\d,]+)\s+(?:\([\d.\s]+%\)\s+)?"
                          r"(.*?):(.+?)(?:\s+\[(.+)\])?$")

# how mod_weave learns, twice, whether there is maintenance
ASKING = ("mod_weave_maintenance_ask", "mod_weave_maintenance_again")


def require():
    if not shutil.which("valgrind"):
        raise BenchError("valgrind is missing: apt-get install valgrind")


def identity():
    """Popen arguments: the ordinary user from the start.

    httpd would change to it after valgrind has opened its files.
    """
    user = unprivileged_user()
    return {"user": user.pw_uid, "group": user.pw_gid,
            "extra_groups": []} if user else {}


def run(bench, server, workload, count):
    """The callgrind file of an `httpd -X` that answered `count` requests."""
    output = bench.scratch / f"callgrind.{server.name}.{count}"
    httpd = server.make(bench)
    if identity():
        os.chown(httpd.root, identity()["user"], identity()["group"])
    try:
        httpd.start(
            before=["valgrind", "--tool=callgrind", "--dump-instr=no",
                    f"--callgrind-out-file={output}"],
            mode="-X", timeout=START_TIMEOUT_S, **identity(),
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
        connection = Connection(httpd.port, timeout=START_TIMEOUT_S)
        for _ in range(count):
            status, body = connection.request(workload)
            if status != workload.status or len(body) != workload.length:
                raise BenchError(f"{server.label} under callgrind answers "
                                 f"{status}:\n{httpd.log()[-3000:]}")
        connection.close()
    finally:
        httpd.stop()
    if not output.exists():
        raise BenchError(f"{server.label}: callgrind wrote nothing:\n"
                         + Path(httpd.root, "start.log").read_text()[-3000:])
    return output


def total(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("summary:", "totals:")):
                return int(line.split()[1])
    raise BenchError(f"{path} has no total")


def functions(path, inclusive):
    """{(function, object): instructions} from callgrind_annotate."""
    done = subprocess.run(
        ["callgrind_annotate", "--threshold=100", "--auto=no",
         f"--inclusive={'yes' if inclusive else 'no'}", str(path)],
        capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise BenchError(f"callgrind_annotate failed:\n{done.stderr}")
    found = {}
    for line in done.stdout.splitlines():
        row = FUNCTION_ROW.match(line)
        if row:
            key = row[3], os.path.basename(row[4] or "")
            found[key] = found.get(key, 0) + int(row[1].replace(",", ""))
    return found


def per_request(few, many, counts):
    return (many - few) / (counts[1] - counts[0])


def costliest(paths, counts, number):
    """The functions that cost a request most, itself and with callees."""
    own = [functions(path, inclusive=False) for path in paths]
    whole = [functions(path, inclusive=True) for path in paths]
    rows = [{
        "function": key[0], "object": key[1],
        "inclusive": per_request(whole[0].get(key, 0), value, counts),
        "self": per_request(own[0].get(key, 0), own[1].get(key, 0), counts),
    } for key, value in whole[1].items()]
    def top(column):
        return sorted(rows, key=lambda row: -row[column])[:number]
    return {"inclusive": top("inclusive"), "self": top("self")}


def asking(few, many, counts):
    """Of two results of functions(), inclusive: what ASKING costs a request.

    A function is named once more, as large, without an object.
    """
    def spent(found):
        return sum(max((value for (name, _), value in found.items()
                        if name == function), default=0)
                   for function in ASKING)
    return per_request(spent(few), spent(many), counts)


def measure(bench, servers, workload, counts=COUNTS, number=0, say=print):
    """{server's name: {'instructions', 'over_floor', 'functions'}}."""
    require()
    found = {}
    for server in servers:
        asked = workload.on(server)
        paths = [run(bench, server, asked, count) for count in counts]
        row = {"instructions": per_request(*map(total, paths), counts)}
        if number and not server.floor:
            row["functions"] = costliest(paths, counts, number)
        if server.name == "weave" and workload.status == 200:
            row["asking"] = asking(
                *(functions(path, inclusive=True) for path in paths), counts)
        found[server.name] = row
        say(f"{workload.name}: {server.name} {row['instructions']:,.0f} "
            f"instructions per request")
    floor = next((found[server.name]["instructions"]
                  for server in servers if server.floor), None)
    if floor is not None and workload.mirrored:
        for row in found.values():
            row["over_floor"] = row["instructions"] - floor
    return found
