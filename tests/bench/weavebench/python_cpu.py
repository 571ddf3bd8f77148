# SPDX-License-Identifier: Apache-2.0
"""What a request to weave.server costs in Python: the WSGI callable alone.

In worker processes of its own for each tree of sources, so that a change can
be measured beside the tree before it, in pairs: each round asks all trees for
each kind of request, beginning with another tree each time, and ratios are
taken within the round. What Sync 1.5 costs is measured beside the same request of
Sync 1.1, for trees that have both, and what HAWK and tokens are of that on its own.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile

from . import BenchError, callee, databases, servers, sync15

INI = """\
[storage]
sqluri = {url}
create_tables = true
{more}
[auth]
strict_usernames = false
"""

NOW, BEFORE = "now", "before"
# of records and collections that the user has
COLLECTIONS = ("clients", "crypto", "meta", "bookmarks", "history", "forms",
               "passwords", "prefs", "tabs", "addons")
RECORDS = 100
# calls of each kind of request in a round
CALLS = 400
WARM = 20

LIST = {"query": "full=1&newer=1", "count": 40}
REQUESTS = {
    "a constant": {"path": "/__lbheartbeat__"},
    "info/collections": {"path": "info/collections"},
    "a record": {"path": "storage/meta/id0"},
    "nothing newer": {"path": "storage/history",
                      "query": "full=1&newer=9999999999.99"},
    "100 records": dict(LIST, path="storage/history"),
    "POST of 1": {"path": "storage/tabs", "method": "POST", "count": 100,
                  "body": json.dumps([{"id": "id0", "payload": "x" * 200}])},
}
OF_15 = ", 1.5"
REQUESTS_15 = {
    **{title + OF_15: dict(request, of_15=True)
       for title, request in REQUESTS.items() if title != "a constant"},
    "HAWK, known token": {"hawk": "known"},
    "HAWK, new token": {"hawk": "new"},
}


class Callee:
    """callee.py on a tree of sources and a database of its own."""

    def __init__(self, tree, url, folder, more=""):
        self.tree, self.folder, self.token = tree, folder, None
        if sync15.serves(tree):
            more += sync15.section(folder, callee.NODE)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".ini",
                                         delete=False) as ini:
            ini.write(INI.format(url=url, more=more))
        self.ini = ini.name
        sources = tree / "server" / "src"
        self.process = subprocess.Popen(
            [sys.executable, callee.__file__, sources, ini.name], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, of_15=False, **request):
        """What callee.py answers; the application's answer must be a 200."""
        if of_15:
            request["token"] = self.token
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"weave.server ended with {self.process.wait()} "
                             f"at {request}")
        answer = json.loads(line)
        if answer["status"] != 200:
            raise BenchError(f"weave.server answered {answer['status']} to "
                             f"{request}: {answer['text']}")
        return answer

    def fill(self):
        """The user, and what they have."""
        who = {"email": "alice@example.org", "password": callee.PASSWORD}
        self.ask(method="PUT", path=f"/user/1.0/{callee.NAME}",
                 body=json.dumps(who))
        self.store()
        if sync15.serves(self.tree):
            sources = self.tree / "server" / "src"
            sync15.load_keys(sources, self.ini, self.folder)
            self.token = self.ask(path=sync15.TOKEN_PATH,
                                  headers=sync15.token_headers(1))["text"]
            self.store(of_15=True)

    def store(self, **request):
        for name in COLLECTIONS:
            records = [{"id": f"id{number}", "sortindex": number,
                        "payload": "x" * 200} for number in range(RECORDS)]
            self.ask(method="POST", path=f"storage/{name}",
                     body=json.dumps(records), **request)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def described(values):
    return {"median": statistics.median(values), "min": min(values),
            "max": max(values)}


def measure_round(callees, database, request, first):
    """{tree: {"cpu_us", "wall_us", "database_us"}} of one round, without the trees
    that do not know the request.
    """
    of_15 = request.get("of_15") or "hawk" in request
    names = [name for name, one in callees.items() if one.token or not of_15]
    found, first = {}, first % max(1, len(names))
    for name in names[first:] + names[:first]:
        meter = databases.CpuMeter(database)
        answer = callees[name].ask(**{"count": CALLS, **request})
        calls = request.get("count", CALLS)
        found[name] = {"cpu_us": answer["cpu_us"],
                       "wall_us": answer["wall_us"],
                       "database_us": meter.spent_us() / calls}
    return found


def least(rounds):
    """What else the machine does only adds to it."""
    return min(one[NOW]["cpu_us"] for one in rounds)


def rows_of(kind, rounds):
    """A row of the report for each kind of request; rounds is {title: [round]}"""
    for title, some in rounds.items():
        row = {"database": kind, "request": title}
        twin = rounds.get(title[:-len(OF_15)]) if title.endswith(OF_15) else None
        if twin:
            row["of_11"] = described(
                [one[NOW]["cpu_us"] / other[NOW]["cpu_us"]
                 for one, other in zip(some, twin)])
            row["of_11"]["least"] = least(some) / least(twin)
        for name in some[0]:
            row[name] = {what: described([one[name][what] for one in some])
                         for what in some[0][name]}
        if BEFORE in some[0]:
            row["ratio"] = described(
                [one[NOW]["cpu_us"] / one[BEFORE]["cpu_us"] for one in some])
        yield row


def measure_one(database, trees, folder, options, say):
    """The rows of one database."""
    with contextlib.ExitStack() as stack:
        callees = {}
        for name, tree in trees.items():
            url = database.create()
            callees[name] = Callee(tree, url, folder)
            stack.callback(callees[name].stop)
            callees[name].fill()
            databases.of_tests("plenty").analyze(url)
            for request in REQUESTS.values():
                callees[name].ask(**dict(request, count=1, warm=WARM))
        asked = dict(REQUESTS)
        if callees[NOW].token:
            for request in REQUESTS_15.values():
                callees[NOW].ask(**dict(request, count=1, warm=WARM))
            asked.update(REQUESTS_15)
        rounds = {title: [] for title in asked}
        for number in range(options.rounds):
            for title, request in asked.items():
                rounds[title].append(measure_round(
                    callees, database, request, number % len(callees)))
    rows = list(rows_of(database.kind, rounds))
    for row in rows:
        told = ", ".join(f"{name} {row[name]['cpu_us']['median']:.0f}"
                         for name in trees if name in row)
        say(f"{row['database']}, {row['request']}: µs of CPU: {told}")
    return rows


def measure(options, say, rows):
    """Appends the rows of all databases."""
    trees = {NOW: servers.TOP}
    if options.against:
        trees[BEFORE] = options.against
    for kind in options.databases:
        with tempfile.TemporaryDirectory(prefix="weave-bench-") as folder, \
                databases.running(kind, folder) as database:
            rows += measure_one(database, trees, folder, options, say)
