# SPDX-License-Identifier: Apache-2.0
"""Clients of one account that write at once, and what must come of it.

Each write that was answered is kept as an Operation. As the server gives each a stamp of
its own, their order is known: replay() makes the state that they must have led to.
"""

import contextlib
import http.client
import json
import random
import threading
import time

import client
from client import hundredths, seconds
from conftest import PASSWORD, basic

SHARED = ["k%d" % number for number in range(10)]


class Answer(client.Answer):
    """An answer whose times are integers."""

    @property
    def json(self):
        return json.loads(self.body, parse_float=hundredths)

    @property
    def stamp(self):
        return hundredths(self.headers["X-Weave-Timestamp"])


class Device:
    """A client with a connection of its own, or one for each request, that repeats nothing."""

    def __init__(self, port, name="alice", address="127.0.0.1", keep=True):
        self.name = name
        self._keep = keep
        self._http = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=240, source_address=(address, 0)
        )
        self._authorization = basic(name, PASSWORD)

    def sign_up(self):
        body = json.dumps({"email": self.name + "@example.org", "password": PASSWORD})
        self._http.request("PUT", "/user/1.0/" + self.name, body)
        answer = Answer(self._http.getresponse())
        assert answer.status == 200, answer.body
        if not self._keep:
            self._http.close()

    def ask(self, method, path, body=None, since=None):
        """The Answer; an exception of http.client, or OSError, where there is none."""
        headers = {"Authorization": self._authorization}
        if since is not None:
            headers["X-If-Unmodified-Since"] = seconds(since)
        if body is not None:
            body = json.dumps(body)
        try:
            self._http.request(method, "/1.1/%s/%s" % (self.name, path), body, headers)
            answer = Answer(self._http.getresponse())
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise
        if not self._keep:
            self._http.close()
        return answer

    def get(self, path):
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer

    def close(self):
        self._http.close()


class Operation:
    """A write: `changes` is {id: payload, or None where it is deleted}, or None for all."""

    def __init__(self, collection, changes, since, begin, answer):
        self.collection = collection
        self.changes = changes
        self.since = since
        self.begin = begin
        self.end = time.monotonic()
        self.status = answer.status
        self.stamp = answer.stamp


class Writer(threading.Thread):
    """Does so many operations that are drawn with its number; `failure` is what was wrong."""

    def __init__(self, port, number, count):
        super().__init__(daemon=True)
        self.operations = []
        self.increments = 0
        self.failure = None
        self._number = number
        self._count = count
        self._device = Device(port)
        self._random = random.Random(number)
        self._known = 0

    def run(self):
        try:
            while len(self.operations) < self._count:
                self._kinds()()
        except BaseException as failure:
            self.failure = failure
        self._device.close()

    def _kinds(self):
        kinds = [self._put] * 8 + [self._post] * 4 + [self._remove] * 3 + [self._count_up] * 2
        return self._random.choice(kinds + [self._wipe, self._look])

    def _unique(self):
        return "%d-%d" % (self._number, len(self.operations))

    def _write(self, method, path, changes, body=None, since=None):
        begin = time.monotonic()
        answer = self._device.ask(method, "storage/" + path, body, since)
        collection = path.partition("/")[0].partition("?")[0]
        allowed = (200,) if since is None else (200, 412)
        assert answer.status in allowed, (method, path, answer.status, answer.body)
        done = Operation(collection, changes, since, begin, answer)
        self.operations.append(done)
        if answer.status == 200:
            self._known = answer.stamp
            if method == "PUT":
                assert answer.json == answer.stamp
        return done

    def _condition(self):
        return self._known if self._random.random() < 0.3 else None

    def _put(self):
        id_, payload = self._random.choice(SHARED), self._unique() + "é😀"
        self._write("PUT", "shared/" + id_, {id_: payload}, {"payload": payload},
                    self._condition())  # fmt: skip

    def _post(self):
        payload = self._unique()
        ids = self._random.sample(SHARED, 2) + ["%s-%d" % (payload, n) for n in range(5)]
        body = [{"id": id_, "payload": payload} for id_ in ids]
        self._write("POST", "shared", dict.fromkeys(ids, payload), body, self._condition())

    def _remove(self):
        ids = self._random.sample(SHARED, 2)
        if self._random.random() < 0.5:
            self._write("DELETE", "shared/" + ids[0], {ids[0]: None})
        else:
            self._write("DELETE", "shared?ids=" + ",".join(ids), dict.fromkeys(ids))

    def _wipe(self):
        if self._random.random() < 0.3:
            self._write("DELETE", "wiped", None)
        else:
            self._write("PUT", "wiped/x", {"x": self._unique()}, {"payload": self._unique()})

    def _count_up(self):
        """Adds one, unless somebody else has counted since: no count may be lost."""
        answer = self._device.ask("GET", "storage/counter/c")
        assert answer.status in (200, 404), answer.body
        before = int(answer.json["payload"]) if answer.status == 200 else 0
        payload = str(before + 1)
        done = self._write("PUT", "counter/c", {"c": payload}, {"payload": payload}, answer.stamp)
        self.increments += done.status == 200

    def _look(self):
        answer = self._device.get("info/collections")
        assert answer.stamp >= self._known
        assert answer.stamp >= max(answer.json.values(), default=0)
        self._known = answer.stamp


class Reader(threading.Thread):
    """Asks for what is newer than the stamp of its last answer, as Android's client does.

    `seen` is {id: (payload, stamp)} of all that it was shown.
    """

    def __init__(self, port):
        super().__init__(daemon=True)
        self.seen = {}
        self.failure = None
        self.reads = 0
        self._device = Device(port)
        self._last = 0
        self._is_over = threading.Event()

    def run(self):
        try:
            while not self._is_over.wait(0.01):
                self._read()
            self._read()
        except BaseException as failure:
            self.failure = failure
        self._device.close()

    def stop(self):
        """Reads once more, and ends."""
        self._is_over.set()
        self.join()

    def _read(self):
        answer = self._device.get("storage/shared?full=1&newer=" + seconds(self._last))
        for record in answer.json:
            seen = (self._last, record["modified"], answer.stamp)
            assert seen[0] < seen[1] <= seen[2], seen
            self.seen[record["id"]] = (record["payload"], record["modified"])
        assert answer.stamp >= self._last, (answer.stamp, self._last)
        self._last = answer.stamp
        self.reads += 1


class Model:
    """The records that must be stored: {collection: {id: (payload, stamp)}}."""

    def __init__(self):
        self.records = {}
        self.modified = {}

    def apply(self, operation):
        """Of a write that was answered with 200."""
        name, stamp = operation.collection, operation.stamp
        if operation.since is not None:
            assert self.modified.get(name, 0) <= operation.since, "a precondition was ignored"
        records = self.records.setdefault(name, {})
        changes = operation.changes
        if changes is None:
            changes = dict.fromkeys(records)
        for id_, payload in changes.items():
            if payload is None:
                if records.pop(id_, None):
                    self.modified[name] = stamp
            else:
                records[id_] = (payload, stamp)
                self.modified[name] = stamp


def replay(operations):
    """The Model after all operations, whose order and answers are checked."""
    done = sorted((op for op in operations if op.status == 200), key=lambda op: op.stamp)
    for before, after in zip(done, done[1:]):
        assert before.stamp < after.stamp, "two writes were given the same stamp"
    check_order(done)
    model = Model()
    for operation in done:
        model.apply(operation)
    for refused in (op for op in operations if op.status == 412):
        assert any(
            op.collection == refused.collection
            and op.stamp > refused.since
            and op.begin < refused.end
            for op in done
        ), "a write was refused that nobody stood against"
    return model


def check_order(done):
    """A write that began when another was answered has the later stamp."""
    latest, ended = 0, sorted(done, key=lambda op: op.end)
    position = 0
    for operation in sorted(done, key=lambda op: op.begin):
        while position < len(ended) and ended[position].end < operation.begin:
            latest = max(latest, ended[position].stamp)
            position += 1
        assert operation.stamp > latest, "a stamp is earlier than one of before"


def check_state(device, model):
    """The server has what the model has, exactly."""
    full = {name: records for name, records in model.records.items() if records}
    for name, records in model.records.items():
        shown = device.get("storage/%s?full=1" % name).json
        assert {r["id"]: (r["payload"], r["modified"]) for r in shown} == records
    times = device.get("info/collections").json
    assert times == {name: model.modified[name] for name in full}
    counts = device.get("info/collection_counts").json
    assert counts == {name: len(records) for name, records in full.items()}


class Persistent(threading.Thread):
    """Writes on and on, whatever happens to the server, until stop().

    It posts its ten records anew each time, all with the number of the attempt, and puts a
    further record: `answered` has {number: stamp} of the posts, `put` the ids of the puts
    that the server took; `refusals` are the answers that were no 200.
    """

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.answered = {}
        self.put = []
        self.attempts = 0
        self.refusals = []
        self._device = Device(port)
        self._number = number
        self._is_over = threading.Event()

    @property
    def ids(self):
        return ["%d-%d" % (self._number, n) for n in range(10)]

    def run(self):
        while not self._is_over.is_set():
            self.attempts += 1
            payload = str(self.attempts)
            batch = [{"id": id_, "payload": payload} for id_ in self.ids]
            answer = self._ask("POST", "storage/posted", batch)
            if answer:
                self.answered[self.attempts] = answer.stamp
            name = "%d-%d" % (self._number, self.attempts)
            if self._ask("PUT", "storage/put/" + name, {"payload": payload}):
                self.put.append(name)
        self._device.close()

    def stop(self):
        self._is_over.set()
        self.join()

    def _ask(self, *request):
        """The Answer, if it is a 200."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = self._device.ask(*request)
            if answer.status == 200:
                return answer
            self.refusals.append(answer)
            time.sleep(0.05)

    def check(self, posted, put):
        """The records of the server have all that was answered, and nothing by half."""
        if self.answered:
            own = {posted.get(id_) for id_ in self.ids}
            assert len(own) == 1 and None not in own, "a batch was torn"
            ((payload, stamp),) = own
            last = max(self.answered)
            assert int(payload) >= last, "a batch that was answered is lost"
            assert stamp >= self.answered[last]
            if int(payload) in self.answered:
                assert stamp == self.answered[int(payload)]
        lost = [name for name in self.put if put.get(name, (None,))[0] != name.split("-")[1]]
        assert not lost, "records that were answered are lost"
