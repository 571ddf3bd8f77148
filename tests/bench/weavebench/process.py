# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows about processes: CPU, switches, memory, files."""

import os
from dataclasses import dataclass

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def read(path):
    """The text of a /proc file, or None when its process is gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def parents():
    """{pid: parent's pid} of everything that runs."""
    found = {}
    for name in os.listdir("/proc"):
        stat = read(f"/proc/{name}/stat") if name.isdigit() else None
        if stat:
            found[int(name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def tree(root):
    """`root` and all that descends from it, as a sorted list of pids."""
    children = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return sorted(found)


def status(pid, *fields):
    """Numbers from /proc/PID/status (kB where it says kB), or None."""
    text = read(f"/proc/{pid}/status")
    if not text:
        return None
    rows = dict(line.split(":", 1) for line in text.splitlines())
    return [int(rows[field].split()[0]) if field in rows else 0
            for field in fields]


def children(root):
    """The pids whose parent is `root`."""
    return sorted(pid for pid, parent in parents().items() if parent == root)


def command(pid):
    """Its command line or title; "" when it is gone or a zombie."""
    return (read(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip()


def state(pid):
    """The letter of /proc/PID/stat, or "" when it is gone."""
    stat = read(f"/proc/{pid}/stat")
    return stat.rpartition(")")[2].split()[0] if stat else ""


def alive(pid):
    """Whether it runs: a zombie does not."""
    return state(pid) not in ("", "Z", "X")


def titled(*words):
    """The pids whose command line has all of `words` in it."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            text = command(name)
            if all(word in text for word in words):
                found.append(int(name))
    return sorted(found)


def memory(pid):
    """{'rss_kb', 'pss_kb', 'private_kb'} of a process, or None."""
    text = read(f"/proc/{pid}/smaps_rollup")
    if not text:
        return None
    rows = {line.split(":")[0]: int(line.split()[1])
            for line in text.splitlines()[1:]}
    return {"rss_kb": rows["Rss"], "pss_kb": rows["Pss"],
            "private_kb": rows["Private_Clean"] + rows["Private_Dirty"]}


@dataclass(frozen=True)
class Usage:
    """Spent so far by the threads of some processes: {(pid, tid): number}."""

    cpu_ns: dict
    voluntary: dict
    involuntary: dict

    def since(self, before):
        """(CPU in µs, voluntary, involuntary switches) spent since.

        A thread that ended in between is missing here and so counts
        nothing; the pools that the bench configures keep their threads.
        """
        def grown(name):
            old = getattr(before, name)
            return sum(value - old.get(key, 0)
                       for key, value in getattr(self, name).items())
        return (grown("cpu_ns") / 1000, grown("voluntary"),
                grown("involuntary"))


def usage(pids):
    """The Usage of every thread of `pids` as of now."""
    spent = Usage({}, {}, {})
    for pid in pids:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for task in tasks:
            schedstat = read(f"/proc/{pid}/task/{task}/schedstat")
            switches = status(f"{pid}/task/{task}", "voluntary_ctxt_switches",
                              "nonvoluntary_ctxt_switches")
            if schedstat and switches:
                key = pid, int(task)
                spent.cpu_ns[key] = int(schedstat.split()[0])
                spent.voluntary[key], spent.involuntary[key] = switches
    return spent


def machine_busy_us():
    """CPU time the whole machine has spent working, in µs."""
    fields = [int(value) for value in read("/proc/stat").split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) * 1e6 / CLOCK_TICKS


def descriptors(pid):
    """What the descriptors of a process are open for, or None."""
    folder, found = f"/proc/{pid}/fd", []
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return None
    for name in names:
        try:
            found.append(os.readlink(f"{folder}/{name}"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def footprint(pid):
    """{'rss_kb', 'fds', 'memfds', 'mappings', 'threads'}, or None."""
    rows = status(pid, "VmRSS", "Threads")
    maps = read(f"/proc/{pid}/maps")
    fds = descriptors(pid)
    if not rows or maps is None or fds is None:
        return None
    return {"rss_kb": rows[0], "fds": len(fds),
            "memfds": sum(name.startswith("/memfd:") for name in fds),
            "mappings": maps.count("\n"), "threads": rows[1]}
