# SPDX-License-Identifier: Apache-2.0
"""What the kernel knows about processes: CPU, switches, memory, files."""

import os
import time
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


def wait_ended(pids, timeout_s):
    """Those of `pids` that still run when all have ended, or at the latest."""
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if alive(pid)]) and \
            time.monotonic() < deadline:
        time.sleep(0.02)
    return left


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
    """Spent so far by the threads of some processes.

    {(pid, tid): (CPU in ns, voluntary, involuntary switches)}.
    """

    threads: dict

    def by_kind(self, before, kinds):
        """{kind: [CPU in µs, voluntary, involuntary switches]} since `before`.

        `kinds` is what thread_kinds() gave. A thread that ended in between is
        missing here and so counts nothing; the pools that the bench configures
        keep their threads.
        """
        found = {}
        for key, now in self.threads.items():
            old = before.threads.get(key, (0, 0, 0))
            row = found.setdefault(kinds.get(key, ""), [0, 0, 0])
            for place, unit in enumerate((1000, 1, 1)):
                row[place] += (now[place] - old[place]) / unit
        return found

    def since(self, before):
        """The same three of all threads together."""
        return tuple(self.by_kind(before, {}).get("", (0, 0, 0)))


def tasks(pids):
    """(pid, tid) of every thread of `pids`."""
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/task")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for name in names:
            yield pid, int(name)


def usage(pids):
    """The Usage of every thread of `pids` as of now."""
    spent = {}
    for pid, task in tasks(pids):
        schedstat = read(f"/proc/{pid}/task/{task}/schedstat")
        switches = status(f"{pid}/task/{task}", "voluntary_ctxt_switches",
                          "nonvoluntary_ctxt_switches")
        if schedstat and switches:
            spent[pid, task] = (int(schedstat.split()[0]), *switches)
    return Usage(spent)


def thread_kinds(pids):
    """{(pid, tid): what the thread is for}, of servers that have no work.

    Its own name says it. httpd's threads have none: the listener is the one
    that waits for events, and the first one of a process handles no requests.
    """
    found = {}
    for pid in pids:
        program = command(pid).partition(" ")[0].rpartition("/")[2]
        for _, task in tasks([pid]):
            name = (read(f"/proc/{pid}/task/{task}/comm") or "").strip()
            if name in ("apache2", "httpd"):
                name = httpd_thread_kind(pid, task, name, program)
            found[pid, task] = name
    return found


def httpd_thread_kind(pid, task, name, program):
    if program != name:  # mod_wsgi's daemon is a fork with another title
        return program
    if task == pid:
        return "httpd main"
    waits = read(f"/proc/{pid}/task/{task}/wchan") or ""
    return "httpd listener" if "ep" in waits and "poll" in waits \
        else "httpd worker"


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
