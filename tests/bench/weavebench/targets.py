# SPDX-License-Identifier: Apache-2.0
"""What mod_weave must reach, as data, and the verdict on a report."""

from dataclasses import dataclass

from . import databases, events, memory, python_cpu, releases

# clients may not notice what happens to the server: milliseconds
SLOWEST_MS = 150


@dataclass(frozen=True)
class Target:
    """One figure: `metric` of `one` ÷ `other`, or of `one` alone when there is
    no other, or an instruction count.

    reached() of every kind of target gives (median, min, max), or None when
    that was not measured.
    """

    workload: str
    metric: str
    one: str
    other: str
    must: float
    aim: float
    connections: int = 16

    @property
    def at_most(self):
        return self.metric != "rps"

    @property
    def title(self):
        if self.metric == "instructions":
            return f"{self.workload}: instructions over the {self.other}"
        what = {"rps": "throughput", "cpu_us": "CPU", "p50_us": "latency",
                "voluntary": "voluntary switches a request"}[self.metric]
        over = f" ÷ {self.other}" if self.other else ""
        return f"{self.workload} c={self.connections}: {what}{over}"

    def instructions(self, report):
        row = report["instructions"].get(self.workload, {})
        value = row.get(self.one, {}).get("over_floor")
        return None if value is None else (value, value, value)

    def reached(self, report):
        if self.metric == "instructions":
            return self.instructions(report)
        for found in report["sets"]:
            rows = found["ratios"].get(f"{self.one}/{self.other}", {}) \
                if self.other else found["servers"].get(self.one, {})
            if (found["workload"], found["connections"]) == \
                    (self.workload, self.connections) and \
                    self.metric in rows and not found["thrown_away"]:
                row = rows[self.metric]
                return row["median"], row["min"], row["max"]
        return None


class AtMost:
    """A target that is an upper bound, with nothing to aim at beyond it."""

    at_most = True

    @property
    def aim(self):
        return self.must


class ServerAtMost(AtMost):
    """A bound of weave.server on a database."""

    one = "server"


@dataclass(frozen=True)
class MemoryTarget:
    """MB that an idle worker has more than Python with the application."""

    one: str
    field: str
    must: float
    aim: float

    at_most = True

    @property
    def title(self):
        return (f"idle worker over plain Python: MB of "
                f"{self.field.partition('_')[0].upper()}")

    def reached(self, report):
        value = memory.over_python(report.get("memory", {}), self.one,
                                   self.field)
        return None if value is None else (value, value, value)


@dataclass(frozen=True)
class SteadyTarget:
    """What clients noticed of an event: `field` of its row."""

    one: str
    event: str
    field: str
    must: float
    aim: float

    at_most = True

    @property
    def title(self):
        what = {"failed": "failed requests", "undone": "times without effect",
                "slowest_ms": "slowest answer, ms"}[self.field]
        return f"{self.event}: {what}"

    def reached(self, report):
        for row in report.get("steady", ()):
            if (row["server"], row["event"]) == (self.one, self.event) and \
                    row[self.field] is not None:
                return (row[self.field],) * 3
        return None


@dataclass(frozen=True)
class OffTarget:
    """ns that a request costs in which it is asked twice whether there is
    maintenance, and there is none.

    The least of all loops: what else the machine does only adds to one.
    """

    one: str
    must: float
    aim: float

    at_most = True
    title = "maintenance off: ns a request, in a loop"

    def reached(self, report):
        for row in report.get("maintenance", ()):
            if row["server"] == self.one and row.get("loop"):
                return tuple(2 * row["loop"][name]
                             for name in ("min", "min", "max"))
        return None


@dataclass(frozen=True)
class ReleaseTarget(AtMost):
    """What clients noticed of a command for releases: `field` of its row."""

    event: str
    field: str
    must: float

    one = releases.SERVER

    @property
    def title(self):
        what = {"failed": "failed requests",
                "beyond": "slowest answer ÷ what it may be",
                "own_s": "s, without the application's start"}[self.field]
        return f"{self.event}: {what}"

    def reached(self, report):
        for row in (report.get("releases") or {}).get("rows", ()):
            if row["event"] == self.event:
                value = row["took_s"] - row["start_s"] \
                    if self.field == "own_s" else row[self.field]
                return (value,) * 3
        return None


@dataclass(frozen=True)
class ListingTarget:
    """How long weavectl releases takes; on a machine with other work, how long
    its processes ran.
    """

    one = releases.SERVER
    must = aim = 100
    at_most = True
    title = f"weavectl releases with {releases.LISTED} of them: ms"

    def reached(self, report):
        found = (report.get("releases") or {}).get("listing")
        if found and found["load"] >= releases.LOAD_MOST:
            return (found["cpu_ms"],) * 3
        return found and (found["ms"], found["min"], found["max"])


@dataclass(frozen=True)
class PythonTarget(ServerAtMost):
    """µs of CPU of a call of weave.server's WSGI callable.

    The least of all rounds: what else the machine does only adds to one.
    """

    database: str
    must: float
    request: str = "info/collections"

    @property
    def title(self):
        return f"{self.database}, {self.request}: µs of Python"

    def reached(self, report):
        for row in report.get("python", ()):
            if (row["database"], row["request"]) == \
                    (self.database, self.request):
                found = row["now"]["cpu_us"]
                return found["min"], found["min"], found["max"]
        return None


@dataclass(frozen=True)
class Beside11Target(ServerAtMost):
    """CPU of a request of Sync 1.5 ÷ that of the same one of Sync 1.1.

    The least of each, beside the range of the ratios within a round.
    """

    database: str
    must: float = 1
    request: str = "info/collections" + python_cpu.OF_15

    @property
    def title(self):
        return f"{self.database}, {self.request}: Python ÷ that of 1.1"

    def reached(self, report):
        for row in report.get("python", ()):
            if (row["database"], row["request"]) == \
                    (self.database, self.request) and "of_11" in row:
                found = row["of_11"]
                return found["least"], found["min"], found["max"]
        return None


@dataclass(frozen=True)
class ScaleTarget(ServerAtMost):
    """The dearest request's CPU with many records ÷ that with few."""

    database: str
    must: float

    @property
    def title(self):
        return f"{self.database}: a request at many records ÷ at few"

    def reached(self, report):
        rows = [row["cost_us_ratio"] for row in report.get("scale", ())
                if row["database"] == self.database]
        if not rows:
            return None
        worst = max(rows, key=lambda row: row["median"])
        return worst["median"], worst["min"], worst["max"]


@dataclass(frozen=True)
class SyncTarget(ServerAtMost):
    """Requests of whole syncs that failed."""

    database: str
    must: float = 0

    @property
    def title(self):
        return f"{self.database}, whole syncs: failed requests"

    def reached(self, report):
        rows = [row["failed"] for row in report.get("sync", ())
                if row["database"] == self.database]
        return (sum(rows),) * 3 if rows else None


@dataclass(frozen=True)
class BoundTarget(ServerAtMost):
    """A figure of what one client costs the others: `what` is list or guesses."""

    database: str
    what: str
    must: float

    @property
    def title(self):
        what = {"list": "a list of 100 MB, MB of memory",
                "guesses": "50 wrong passwords/s, p99 of others ÷ without"}
        return f"{self.database}: {what[self.what]}"

    def reached(self, report):
        for row in report.get("bounds", ()):
            if row["database"] == self.database:
                if self.what == "list":
                    return (row["list"]["worker_kb"] / 1024,) * 3
                found = row["guesses"]
                return (found["ratio"], min(found["ratios"]),
                        max(found["ratios"]))
        return None


def maintenance_targets(one):
    return (*(Target("maintenance", "rps", one, "floor", 0.9, 1.0,
                     connections=connections) for connections in (1, 16, 48)),
            OffTarget(one, 100, 60))


EMBEDDED = (
    Target("hello", "rps", "weave", "mod_wsgi", 1.4, 1.8),
    Target("hello", "cpu_us", "weave", "mod_wsgi", 0.65, 0.5),
    Target("hello", "rps", "weave", "floor", 0.75, 0.95),
    Target("hello", "rps", "weave", "floor", 0.85, 0.95, connections=48),
    Target("hello", "instructions", "weave", "floor", 15000, 5000),
    Target("env", "rps", "weave", "mod_wsgi", 1.3, 1.6),
    Target("post", "rps", "weave", "mod_wsgi", 1.3, 1.6),
    Target("big", "rps", "weave", "mod_wsgi", 1.3, 1.6),
    Target("cpu", "rps", "weave", "mod_wsgi", 0.97, 1.0),
    Target("mix", "rps", "weave", "mod_wsgi", 1.3, 1.7),
    *maintenance_targets("weave"),
)


WORKERS = (
    Target("hello", "rps", "workers", "nginx", 1.1, 1.3),
    Target("hello", "cpu_us", "workers", "nginx", 0.9, 0.75),
    Target("hello", "rps", "workers", "floor", 0.65, 0.8),
    Target("hello", "rps", "workers", "wsgi_daemon", 2.2, 3),
    Target("hello", "cpu_us", "workers", "wsgi_daemon", 0.45, 0.35),
    Target("hello", "rps", "workers", "proxy_uwsgi", 1.7, 2),
    Target("hello", "rps", "workers", "passenger", 2.5, 3),
    Target("hello", "p50_us", "workers", "floor", 1.8, 1.5, connections=1),
    Target("hello", "voluntary", "workers", "", 3.0, 2.2),
    Target("post", "rps", "workers", "wsgi_daemon", 2, 3),
    Target("big", "rps", "workers", "wsgi_daemon", 2, 3),
    Target("cpu", "rps", "workers", "wsgi_daemon", 1.2, 1.4),
    Target("sleep", "cpu_us", "workers", "wsgi_daemon", 0.5, 0.35),
    MemoryTarget("workers", "rss_kb", 1.5, 1),
    MemoryTarget("workers", "pss_kb", 1.5, 1),
    *maintenance_targets("workers"),
)

# with --before; what sleeps is as quick as its sleep, so its CPU must tell
BEFORE = (
    *(Target(workload, "rps", "workers", "before", 1.0, 1.2)
      for workload in ("hello", "mix", "cpu", "post", "big")),
    *(Target(workload, "cpu_us", "workers", "before", 1.0, 0.83)
      for workload in ("hello", "mix", "sleep", "cpu", "post", "big")),
)

STEADY = tuple(
    SteadyTarget(event.server, event.name, field, must, must)
    for event in events.EVENTS if event.must
    for field, must in (("failed", 0), ("slowest_ms", SLOWEST_MS),
                        ("undone", 0)))

RELEASES = (
    *(ReleaseTarget(event, field, must)
      for event in (*releases.GOOD, *releases.BAD)
      for field, must in (("failed", 0), ("beyond", 1))),
    *(ReleaseTarget(event, "own_s", 2) for event in releases.QUICK),
    ListingTarget(),
)

SERVER = (
    PythonTarget("sqlite", 250),
    PythonTarget("mariadb", 450),
    PythonTarget("postgresql", 450),
    *(PythonTarget("sqlite", 100, title) for title in python_cpu.REQUESTS_15
      if title.startswith("HAWK")),
    *(Beside11Target(kind) for kind in databases.KINDS),
    *(ScaleTarget(kind, 2) for kind in databases.KINDS),
    *(SyncTarget(kind) for kind in databases.KINDS),
    *(BoundTarget(kind, what, must) for kind in databases.KINDS
      for what, must in (("list", 20), ("guesses", 2))),
)

TARGETS = EMBEDDED + WORKERS + STEADY + RELEASES + SERVER


def judge(report, targets=TARGETS):
    """A row per target, with the verdict PASS, below or not measured."""
    rows = []
    for target in targets:
        value = target.reached(report)
        verdict = "not measured"
        if value:
            good = value[0] <= target.must if target.at_most \
                else value[0] >= target.must
            verdict = "PASS" if good else "below"
        rows.append({
            "title": target.title, "server": target.one,
            "bound": "≤" if target.at_most else "≥",
            "must": target.must, "aim": target.aim,
            "reached": value[0] if value else None,
            "min": value[1] if value else None,
            "max": value[2] if value else None, "verdict": verdict})
    return rows
