# SPDX-License-Identifier: Apache-2.0
"""Batches and pages in several processes at once, one that is killed, and the largest."""

import json
import random
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

import client
from client15 import Client
from conftest import KIND, LONG_SECONDS
from served import Served
from test_batches import add, begin, commit, full, records
from weave.server.batches import Batches
from weave.server.writer import Writer
from writers import Answer, Operation, replay

PROCESSES, THREADS = 2, 3


def through(device, served):
    """The same device, whose requests a process answers."""
    connection = client.Connection("http://127.0.0.1:%d" % served.port)
    return Client(connection, device.endpoint, device.id, device.key)


@pytest.fixture
def processes(site15):
    made = [Served(site15.ini, threads=True) for _ in range(PROCESSES)]
    yield made
    for served in made:
        served.close()


def run_all(functions):
    """Runs each in a thread; the first of their exceptions is raised."""
    failures = []

    def guarded(function):
        try:
            function()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_SECONDS)
        assert not thread.is_alive(), "a client hangs"
    if failures:
        raise failures[0]


def test_many_add_to_one_batch_that_is_committed_meanwhile(site15, processes):
    """Records that were answered 202 are stored, those that were answered 400 are not."""
    device = site15.device()
    batch, results = begin(device), {202: set(), 400: set()}
    added = threading.Semaphore(0)

    def write(number, served):
        own = through(device, served)
        for turn in range(12):
            ids = ["%d-%d-%d" % (number, turn, n) for n in range(10)]
            body = records(*ids, payload="x") + records("shared", payload="y")
            answer = own.post("storage/col?batch=" + batch, body, None)
            results[answer.status].update(ids)
            added.release()

    def end():
        for _ in range(THREADS * PROCESSES * 5):
            assert added.acquire(timeout=LONG_SECONDS)
        commit(through(device, processes[0]), batch, records("last"))

    writers = [lambda n=n: write(n, processes[n % PROCESSES]) for n in range(THREADS * PROCESSES)]
    run_all([*writers, end])
    shown = full(device)
    assert shown.keys() == results[202] | {"shared", "last"}
    assert not results[202] & results[400]
    assert len({record["modified"] for record in shown.values()}) == 1
    assert device.get("info/collection_counts").json == {"col": len(shown)}


class Uploader:
    """A device that uploads batches and single records under the condition of what it knows."""

    def __init__(self, device, number, turns):
        self.operations = []
        self._device = device
        self._number = number
        self._turns = turns
        self._random = random.Random(number)
        self._known = 0

    def run(self):
        for turn in range(self._turns):
            payload = "%d-%d" % (self._number, turn)
            kind = self._random.choice([self._batch, self._batch, self._put, self._look])
            kind(payload)

    def _ask(self, method, path, body, since):
        """An answer with the times of writers.Answer."""
        headers = {} if since is None else {"X_If_Unmodified_Since": "%.2f" % (since / 100)}
        answer = self._device.call(method, "storage/" + path, body, None, **headers)
        assert answer.status in (200, 202, 412), (path, answer)
        answer.__class__ = Exact
        return answer

    def _done(self, changes, since, begun, answer):
        self.operations.append(Operation("col", changes, since, begun, answer))
        if answer.status == 200:
            self._known = answer.stamp

    def _put(self, payload):
        begun = time.monotonic()
        id_ = self._random.choice("abcdef")
        answer = self._ask("PUT", "col/" + id_, {"payload": payload}, None)
        self._done({id_: payload}, None, begun, answer)

    def _batch(self, payload):
        begun, since = time.monotonic(), self._random.choice([None, self._known])
        changes, path = {}, "col?batch=true"
        for part in range(3):
            ids = self._random.sample("abcdef", 2) + ["%s-%d" % (payload, part)]
            changes.update(dict.fromkeys(ids, payload))
            body = [{"id": id_, "payload": payload} for id_ in ids]
            answer = self._ask("POST", path + "&commit=true" * (part == 2), body, since)
            if answer.status == 412:
                break
            path = "col?batch=" + answer.json.get("batch", "")
        self._done(changes, since, begun, answer)

    def _look(self, _payload):
        self._known = self._ask("GET", "col?full=1", None, None).last_modified


class Exact:
    """Gives the answers of client15 integers for times."""

    json, stamp = Answer.json, Answer.stamp

    @property
    def last_modified(self):
        return client.hundredths(self.headers["X-Last-Modified"])


def test_batches_beside_other_writes(site15, processes):
    """All are stored in the order of their stamps, and no condition is ignored."""
    device = site15.device()
    uploaders = [
        Uploader(through(device, processes[n % PROCESSES]), n, 25)
        for n in range(THREADS * PROCESSES)
    ]
    run_all([uploader.run for uploader in uploaders])
    model = replay([op for uploader in uploaders for op in uploader.operations])
    shown = json.loads(
        device.get("storage/col?full=1").text,
        parse_float=lambda text: int(text.replace(".", "")),
    )
    assert {r["id"]: (r["payload"], r["modified"]) for r in shown} == model.records["col"]
    assert device.get("info/collection_counts").json["col"] == len(shown)


# ---- what the database ends, and a process that is killed ----


STEADY = ["s%02d" % number for number in range(40)]


def write_other_records(device, has_begun, is_over):
    """Makes, changes and deletes records of 30 other ids, by batches, too, until it is over."""
    turn = 0
    while not is_over.wait(0.002):
        turn += 1
        ids = ["o%02d" % ((turn * step) % 30) for step in (1, 7, 11)]
        some = [{"id": id_, "payload": "x", "sortindex": turn % 4} for id_ in sorted(set(ids))]
        if turn % 4:
            device.post("storage/col", some)
        else:
            commit(device, begin(device), some)
        device.delete("storage/col?ids=" + ids[0])
        has_begun.set()


def steady_of_pages(device, sort):
    """The ids of STEADY in the order in which the pages of the list have them."""
    found, offset = [], ""
    while offset is not None:
        answer = device.get("storage/col?limit=7&sort=%s%s" % (sort, offset))
        found += [id_ for id_ in answer.json if id_[0] == "s"]
        offset = answer.headers.get("X-Weave-Next-Offset")
        offset = offset and "&offset=" + offset
    return found


def test_pages_while_another_device_writes(site15, processes):
    """A record that nobody changes comes once, and at its place."""
    device, has_begun, is_over = site15.device(), threading.Event(), threading.Event()
    for part in range(4):
        device.post("storage/col", [
            {"id": id_, "payload": "x", "sortindex": number % 3}
            for number, id_ in enumerate(STEADY) if number % 4 == part
        ])  # fmt: skip
    sorts = {sort: device.get("storage/col?sort=" + sort).json
             for sort in ("newest", "oldest", "index")}  # fmt: skip

    def read():
        own = through(device, processes[1])
        try:
            assert has_begun.wait(LONG_SECONDS)
            for sort, expected in list(sorts.items()) * 4:
                assert steady_of_pages(own, sort) == expected, sort
        finally:
            is_over.set()

    other = through(device, processes[0])
    run_all([lambda: write_other_records(other, has_begun, is_over), read])
    assert sorted(sorts["index"]) == STEADY


def test_a_commit_that_meets_a_deadlock_begins_again(site15, monkeypatch):
    """In its midst, after records were moved; and so does what adds to a batch."""
    device = site15.device()
    device.put("storage/col/0001", {"payload": "old"})
    many = records(*("%04d" % n for n in range(1000)), payload="new")
    fails = []

    def meet(function):
        def run(*arguments, **options):
            result = function(*arguments, **options)
            if fails:
                fails.pop()
                raise OperationalError("a statement", None, Exception(1213, "a deadlock"))
            return result

        return run

    monkeypatch.setattr(Batches, "_store", meet(Batches._store))
    monkeypatch.setattr(Writer, "_store", meet(Writer._store))
    fails.append("add")
    batch = begin(device, body=many[:100])
    for start in range(100, 1000, 100):
        add(device, batch, many[start : start + 100])
    fails += ["first", "second"]
    commit(device, batch, records("last", payload="new"))
    assert not fails
    assert {record["payload"] for record in full(device).values()} == {"new"}
    assert device.get("info/collection_counts").json == {"col": 1001}
    assert not site15.sql("select 1 from weave_batch_records")


# The third part of a commit is never written.
STOPS = """
from weave.server.writer import Writer
store, calls = Writer._store, []
def stop(self, *arguments, **options):
    calls.append(1)
    if len(calls) == 3:
        import time
        print("in the middle", flush=True)
        time.sleep(10000)
    return store(self, *arguments, **options)
Writer._store = stop
"""


def test_a_process_is_killed_in_the_middle_of_a_commit(site15):
    device = site15.device()
    device.put("storage/col/0001", {"payload": "old"})
    many = records(*("%04d" % n for n in range(1500)), payload="new")
    batch = begin(device, body=many[:100])
    for start in range(100, 1400, 100):
        add(device, batch, many[start : start + 100])
    before = site15.digest()
    served = Served(site15.ini, STOPS)
    failures = []

    def ask():
        try:
            commit(through(device, served), batch, many[1400:])
        except BaseException as failure:
            failures.append(failure)
        served.process.kill()  # or the test would wait for it for ever

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert served.process.stdout.readline() == "in the middle\n", failures
    assert full(device).keys() == {"0001"}, "readers do not wait, and see nothing of it"
    served.close()
    thread.join(LONG_SECONDS)
    assert isinstance(failures[0], OSError), failures
    assert site15.digest() == before
    answer = commit(device, batch, many[1400:])
    shown = full(device)
    assert len(shown) == 1500
    assert {(r["payload"], r["modified"]) for r in shown.values()} == {
        ("new", answer.json["modified"])
    }


# ---- the largest ----

# Of a process that serves nothing else, from its first request to the last one: bodies
# of 2.6 MB are in it, too.
GROWTH_KB = 40 * 1024

# 200 MB of as many records as a batch may have, and 78 MB of the longest ones.
LARGEST = {
    "sqlite": [(9999, 20000), (30, 2600000)],
    "mariadb": [(30, 2600000)],
    "postgresql": [(30, 2600000)],
}


@pytest.mark.parametrize("count, size", LARGEST[KIND])
def test_memory_of_a_large_batch(site15, count, size):
    device = site15.device()
    served = Served(site15.ini)
    try:
        own = through(device, served)
        batch = begin(own)
        before = served.rest_kb()
        ids, some = list(map(str, range(count))), min(100, 2600000 // size)
        for start in range(0, count, some):
            add(own, batch, records(*ids[start : start + some], payload="x" * size))
        commit(own, batch, records("last", payload="x"))
        assert served.peak_kb() - before < GROWTH_KB
    finally:
        served.close()
    assert device.get("info/collection_counts").json == {"col": count + 1}
    assert device.get("info/collection_usage").json["col"] == (count * size + 1) / 1024


@pytest.mark.skipif(KIND == "sqlite", reason="who writes takes turns there")
def test_nobody_waits_for_batches_of_others(site15):
    """MariaDB locks the record behind a range, too: that is the next user's."""
    mine, theirs = site15.device(100), site15.device(101)
    begin(theirs, body=records("a", payload="x"))
    rows = "SELECT batch FROM weave_batch_records WHERE user_id = 101"
    ((number,),) = site15.sql(rows)
    with site15._engine.connect() as connection:
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            lock = "%s AND batch = %d AND id = 'a' FOR UPDATE" % (rows, number)
            connection.exec_driver_sql(lock).fetchall()
            # With a lock in the way, each of them would be a 503 in the end.
            for end in (
                lambda batch: commit(mine, batch),
                lambda batch: mine.delete("storage/col"),
                lambda batch: mine.delete("storage"),
            ):
                end(begin(mine, body=records("a", "b", payload="x")))
    assert site15.sql("SELECT count(*) FROM weave_batch_records") == [(1,)]
