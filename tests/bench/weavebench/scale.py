# SPDX-License-Identifier: Apache-2.0
"""What each request of a sync costs a user who has very many records, beside what
it costs one who has few.

Two databases of one kind, one user in each, and weave.server's WSGI callable
on each of them. Rounds are those of python_cpu; the cost of a request is the CPU
of that process and of the database's processes.
"""

import contextlib
import json
import tempfile

from . import databases, python_cpu, servers

SMALL, LARGE = 10_000, 1_000_000
COLLECTION = "history"
PAYLOAD_BYTES = 200
QUOTA = "use_quota = true\nquota_size = 2000000"
# of each kind of request; the first call of each is not counted
CALLS = 20


def record(id_):
    return {"id": id_, "sortindex": 7, "payload": "y" * PAYLOAD_BYTES}


def requests(ids, newer):
    """{title: what callee.py is asked}; newer is a stamp, ids are some of many."""
    path = f"storage/{COLLECTION}"

    def listed(query):
        return {"path": path, "query": f"full=1&{query}"}

    def post(ids, **more):
        return {"path": path, "method": "POST",
                "body": json.dumps([record(id_) for id_ in ids]), **more}

    return {
        "info/collections": {"path": "info/collections"},
        "info/collection_counts": {"path": "info/collection_counts"},
        "info/collection_usage": {"path": "info/collection_usage"},
        "info/quota": {"path": "info/quota"},
        "one record": {"path": f"{path}/{ids[50]}"},
        "100 by their ids": listed("ids=" + ",".join(ids)),
        "newest 1,000": listed("sort=newest&limit=1000"),
        "first 1,000 by index": listed("sort=index&limit=1000"),
        "newer, 100": listed(f"newer={newer // 100}.{newer % 100:02d}"),
        "newer, none": listed("newer=9999999999.99"),
        "POST of 100 that are there": post(ids),
        "POST of 100 new ones": post(
            [f"new-{number:03d}-@" for number in range(100)], mark="@"),
        "DELETE of 100": {"path": path, "method": "DELETE",
                          "query": "ids=" + ",".join(
                              f"new-{number:03d}-@" for number in range(100)),
                          "mark": "@"},
    }


class Side:
    """One user with so many records, and the callable that serves them."""

    def __init__(self, database, tree, folder, count):
        url = database.create()
        plenty = databases.of_tests("plenty")
        self.callee = python_cpu.Callee(tree, url, folder, QUOTA)
        try:
            self.callee.fill()
            ids, newer = plenty.fill(url, COLLECTION, count, PAYLOAD_BYTES)
            plenty.analyze(url)
            self.requests = requests(ids, newer)
        except BaseException:
            self.callee.stop()
            raise


def measure_round(sides, database, title, first):
    """{count: {"cpu_us", "wall_us", "database_us", "cost_us"}} of one round."""
    counts, found = list(sides), {}
    for count in counts[first:] + counts[:first]:
        side = sides[count]
        meter = databases.CpuMeter(database)
        answer = side.callee.ask(count=CALLS, **side.requests[title])
        spent = meter.spent_us() / CALLS
        found[count] = {"cpu_us": answer["cpu_us"], "database_us": spent,
                        "cost_us": answer["cpu_us"] + spent,
                        "wall_us": answer["wall_us"],
                        "bytes": answer["bytes"]}
    return found


def rows_of(kind, rounds, counts=(SMALL, LARGE)):
    """A row of the report for each kind of request; rounds is {title: [round]}"""
    small, large = counts
    for title, some in rounds.items():
        row = {"database": kind, "request": title, "counts": list(counts)}
        for name, count in (("small", small), ("large", large)):
            row[name] = {what: python_cpu.described(
                [one[count][what] for one in some]) for what in some[0][count]}
        for what in ("cost_us", "wall_us"):
            row[f"{what}_ratio"] = python_cpu.described(
                [one[large][what] / one[small][what] for one in some])
        yield row


def measure_one(database, options, folder, say):
    """The rows of one database."""
    counts = options.records
    tree = options.against or servers.TOP
    with contextlib.ExitStack() as stack:
        sides = {}
        for count in counts:
            say(f"{database.kind}: making {count:,} records")
            sides[count] = Side(database, tree, folder, count)
            stack.callback(sides[count].callee.stop)
        titles = list(sides[counts[0]].requests)
        for title in titles:
            for side in sides.values():
                side.callee.ask(**side.requests[title])
        rounds = {title: [] for title in titles}
        for number in range(options.rounds):
            for title in titles:
                rounds[title].append(measure_round(
                    sides, database, title, number % 2))
    rows = list(rows_of(database.kind, rounds, counts))
    for row in rows:
        say(f"{row['database']}, {row['request']}: "
            f"{row['large']['cost_us']['median']:,.0f} µs beside "
            f"{row['small']['cost_us']['median']:,.0f}: "
            f"{row['cost_us_ratio']['median']:.2f} times")
    return rows


def measure(options, say, rows):
    """Appends the rows of all databases."""
    for kind in options.databases:
        with tempfile.TemporaryDirectory(prefix="weave-bench-") as folder, \
                databases.running(kind, folder) as database:
            rows += measure_one(database, options, folder, say)
