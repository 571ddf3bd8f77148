# SPDX-License-Identifier: Apache-2.0
"""Browsers of Sync 1.5 that sync on and on, whatever happens to the server meanwhile.

Two have an account in common. Each writes records of its own into a collection of both, and
knows exactly what must be stored: where a write was not answered, it reads what has come of
it before it goes on. So a record that was acknowledged and is lost, one that comes back, a
batch that is torn, and a 404 for what is there are all found at once.
"""

import collections
import http.client
import json
import random
import threading
import time
from urllib.parse import quote

import client15
from client import hundredths, seconds
from outages15 import check_refusal, refusal_of

TOKEN_PATH = "/1.0/sync/1.5"
TOKEN_SECONDS = 20
SHARED = "bookmarks"

# The name in Browser.done of a page whose list was written to since the page before.
WRITTEN_MEANWHILE = "pages behind another browser's write"

# No answer in this time is a failure.
PATIENCE_SECONDS = 120


class Lost(Exception):
    """The connection broke before there was an answer."""


class Wire:
    """A transport for client15.Client, which repeats nothing."""

    def __init__(self, port):
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def request(self, method, target, body=None, headers=None):
        try:
            self._http.request(method, target, body, headers or {})
            answer = self._http.getresponse()
            return client15.Answer(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise Lost(repr(error)) from None

    def close(self):
        self._http.close()


class Account:
    """The state that the two browsers of an account share."""

    def __init__(self, number):
        self.fxa_uid = "%032x" % (number + 1)
        self.ready = threading.Event()
        # All payloads that meta/global may have.
        self.globals = set()
        self.number_of_globals = 0
        self.lock = threading.Lock()

    def new_global(self):
        with self.lock:
            self.number_of_globals += 1
            payload = "global %d of %s" % (self.number_of_globals, self.fxa_uid)
            self.globals.add(payload)
        return payload


def read(answer):
    """The JSON of an answer, with times as integers."""
    return json.loads(answer.body, parse_float=hundredths)


def last_modified(answer):
    return hundredths(answer.headers["X-Last-Modified"])


class Browser(threading.Thread):
    """`failure` is what was wrong; `counts` has the number of each kind of answer, and `done`
    that of each kind of work; `served` and `refused` are how many answers were what was
    asked for, and how many said that the server is away."""

    def __init__(self, port, account, number, is_first, outages):
        super().__init__(daemon=True)
        self.failure = None
        self.counts = collections.Counter()
        self.done = collections.Counter()
        self.own = "own%d" % number
        # {collection: {id: (payload, stamp)}}: what must be there of this browser's.
        self.records = {SHARED: {}, self.own: {}}
        self.removed = set()
        self.served = self.refused = 0
        self._outages = outages
        self._account = account
        self._number = number
        self._is_first = is_first
        self._wire = Wire(port)
        self._random = random.Random(number)
        self._key = client15.KEY
        self._made = 0
        self._last = 0
        self._global = None  # (payload, stamp) as it was last seen
        self._renew_at = self._expires_at = 0
        self.client = None
        self._is_over = threading.Event()

    def run(self):
        try:
            self._begin()
            while not self._is_over.is_set():
                self._work()
        except BaseException as failure:
            self.failure = failure
        finally:
            self._account.ready.set()  # nobody need wait for what has failed

    def stop(self):
        self._is_over.set()

    # ---- requests ----

    def ask(self, method, path, body=None, expected=(200,), **headers):
        """The Answer; None where the server was away, or the connection broke: nobody knows
        then what has come of a write."""
        self._renew()
        kind = method + (" meta/global" if path == "storage/meta/global" else "")
        answer = self._send(kind, path, lambda: self.client.call(
            method, path, body, None, **headers))  # fmt: skip
        if answer is None:
            return None
        if answer.status == 401 and time.monotonic() >= self._expires_at:
            # It was sent in time, and waited.
            self._renew_at = 0
            return None
        assert answer.status in expected, (method, path, headers, answer, self.own)
        if answer.status < 300:
            # Phones crash without it.
            stamp, shown = hundredths(answer.headers["X-Weave-Timestamp"]), last_modified(answer)
            assert stamp >= shown, (method, path, stamp, shown)
        return answer

    def _send(self, kind, path, send):
        """The Answer of send(), which is counted; None where the server was away, as it may
        be, or the connection broke."""
        sent, mode = time.monotonic(), self._outages.mode
        try:
            answer = send()
        except Lost:
            self.counts["no answer"] += 1
            time.sleep(0.05)
            return None
        refusal = refusal_of(answer)
        self.counts["%s %s" % (kind, refusal or answer.status)] += 1
        check_refusal(self._outages, mode, sent, path, answer)
        if refusal:
            self.refused += 1
            time.sleep(0.05)
            return None
        self.served += 1
        return answer

    def sure(self, method, path, body=None, expected=(200,), **headers):
        """The Answer of what may be asked again until there is one."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.ask(method, path, body, expected, **headers)
            if answer is not None:
                return answer
            assert time.monotonic() < until, ("no answer", method, path)

    def _renew(self):
        """A new token when 80 % of the time of the old one are over, as in Firefox."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self.client is None or time.monotonic() > self._renew_at:
            begun = time.monotonic()
            assert begun < until, "no token"
            jwt = self._key.jwt(sub=self._account.fxa_uid)
            path = "%s?duration=%d" % (TOKEN_PATH, TOKEN_SECONDS)
            answer = self._send("token", path, lambda: client15.ask_for_token(
                self._wire, path, jwt))  # fmt: skip
            if answer is None:
                continue
            assert answer.status == 200, answer
            known = self.client.endpoint if self.client else None
            self.client = client15.Client(self._wire, **client15.endpoint_of(answer.json))
            assert known in (None, self.client.endpoint), "the user has become another one"
            self._renew_at = begun + 0.8 * TOKEN_SECONDS
            # The server counts from the whole second before it has made the token.
            self._expires_at = begun + TOKEN_SECONDS - 1

    # ---- the first sync ----

    def _begin(self):
        if not self._is_first:
            self._account.ready.wait()
        else:
            self._make_store()
            self._account.ready.set()
        self._read_global()

    def _make_store(self):
        """Begins as Firefox does with an empty store: only here a 404 is right."""
        self.sure("GET", "storage/meta/global", expected=(404,))
        self.sure("DELETE", "storage")
        for path, payload in (("meta/global", self._account.new_global()), ("crypto/keys", "k")):
            put = self.ask("PUT", "storage/" + path, {"payload": payload},
                           X_If_Unmodified_Since="0")  # fmt: skip
            if put is None:
                # It may be there now.
                self.sure("PUT", "storage/" + path, {"payload": payload}, (200, 412),
                          X_If_Unmodified_Since="0")  # fmt: skip

    # ---- what it does again and again ----

    def _work(self):
        kinds = [self._read_global] * 6 + [self._write_global] * 2 + [self._read_keys] * 3
        kinds += [self._look, self._list, self._page, self._read_newer, self._read_one] * 2
        kinds += [self._page_on] * 4
        kinds += [self._put, self._post, self._upload, self._upload] * 3
        kinds += [self._remove, self._remove_some, self._begin_anew]
        work = self._random.choice(kinds)
        work()
        self.done[work.__name__.strip("_")] += 1

    def _read_global(self):
        """meta/global: whoever is told that it is not there deletes everything."""
        headers, expected = {}, (200,)
        if self._global and self._random.random() < 0.5:
            headers["X_If_Modified_Since"] = seconds(self._global[1])
            expected = (200, 304)
        answer = self.sure("GET", "storage/meta/global", expected=expected, **headers)
        assert not self._global or last_modified(answer) >= self._global[1], answer
        if answer.status == 304:
            assert last_modified(answer) == self._global[1]
            return
        record = read(answer)
        assert record["payload"] in self._account.globals, record
        if self._global and headers:
            assert record["modified"] > self._global[1], (record, self._global)
        assert record["modified"] == last_modified(answer)
        self._global = record["payload"], record["modified"]

    def _write_global(self):
        payload = self._account.new_global()
        answer = self.ask("PUT", "storage/meta/global", {"payload": payload}, (200, 412),
                          X_If_Unmodified_Since=seconds(self._global[1]))  # fmt: skip
        if answer is not None and answer.status == 200:
            self._global = payload, read(answer)
        elif answer is not None:
            before = self._global[1]
            assert last_modified(answer) > before, "refused, and nothing has changed"
        self._read_global()

    def _read_keys(self):
        assert read(self.sure("GET", "storage/crypto/keys"))["payload"] == "k"

    def _look(self):
        """info/collections shows all that it has ever shown, and nothing goes back."""
        answer = self.sure("GET", "info/collections")
        times, store = read(answer), last_modified(answer)
        assert store >= self._last, "the store's time has gone back"
        self._last = store
        assert max(times.values()) <= store
        for name, records in self.records.items():
            newest = max([stamp for _, stamp in records.values()], default=0)
            assert times.get(name, 0) >= newest, (name, times, newest)
        assert times["meta"] >= self._global[1] and times["crypto"]

    def _compare(self, name, shown, what, since=0):
        """Whether the list has this browser's records as they must be, and no other one of
        its; of those, all that are newer than since."""
        mine = {record["id"]: (record["payload"], record["modified"]) for record in shown
                if record["id"].startswith(self._prefix)}  # fmt: skip
        must = {id_: value for id_, value in self.records[name].items() if value[1] > since}
        assert mine == must, (what, name, self.client.uid, _difference(must, mine))

    @property
    def _prefix(self):
        return "%d-" % self._number

    def _list(self, name=SHARED):
        answer = self.sure("GET", "storage/%s?full=1" % name)
        self._compare(name, read(answer), "a list")
        return answer

    def _read_newer(self):
        stamps = [stamp for _, stamp in self.records[SHARED].values()] or [0]
        since = self._random.choice(stamps)
        path = "storage/%s?full=1&newer=%s" % (SHARED, seconds(since))
        self._compare(SHARED, read(self.sure("GET", path)), "newer", since)

    def _page(self):
        """A list in pages that begins again when somebody has written to it meanwhile."""
        self._read_pages(is_steady=True)

    def _page_on(self):
        """A list in pages, while the other browser of the account writes to it: the records
        of this one come once each all the same."""
        self._read_pages(is_steady=False)

    def _read_pages(self, is_steady):
        path, shown, offset, since = "storage/%s?full=1&limit=40" % SHARED, [], "", None
        sort = self._random.choice(["", "&sort=oldest", "&sort=newest", "&sort=index"])
        while offset is not None:
            headers = {"X_If_Unmodified_Since": since} if since and is_steady else {}
            more = "&offset=" + quote(offset, safe="") if offset else ""
            answer = self.sure("GET", path + sort + more, expected=(200, 412), **headers)
            if answer.status == 412:
                assert is_steady and last_modified(answer) > hundredths(since)
                return
            if since not in (None, answer.headers["X-Last-Modified"]):
                assert not is_steady, "somebody has written"
                self.done[WRITTEN_MEANWHILE] += 1
            since = answer.headers["X-Last-Modified"]
            shown += read(answer)
            offset = answer.headers["X-Weave-Next-Offset"]
        # A record that the other browser has changed in between may come in both versions.
        versions = {(record["id"], record["modified"]) for record in shown}
        assert len(versions) == len(shown), "a record came twice"
        mine = [record for record in shown if record["id"].startswith(self._prefix)]
        assert len({record["id"] for record in mine}) == len(mine), "a record came twice"
        self._compare(SHARED, shown, "pages")

    def _read_one(self):
        """A record that must be there, and one that must not."""
        if self.records[SHARED]:
            id_ = self._random.choice(list(self.records[SHARED]))
            record = read(self.sure("GET", "storage/%s/%s" % (SHARED, id_)))
            assert (record["payload"], record["modified"]) == self.records[SHARED][id_], record
        if self.removed:
            id_ = self._random.choice(list(self.removed))
            self.sure("GET", "storage/%s/%s" % (SHARED, id_), expected=(404,))

    # ---- writes ----

    def _draw(self, count):
        """{id: payload} of records, some of which are there already."""
        known, found = list(self.records[SHARED]), {}
        for _ in range(count):
            self._made += 1
            id_ = "%s%d" % (self._prefix, self._made)
            if known and (len(known) > 300 or self._random.random() < 0.4):
                id_ = self._random.choice(known)
            found[id_] = "%d of %d" % (self._made, self._number)
        return found

    def _put(self):
        ((id_, payload),) = self._draw(1).items()
        answer = self.ask("PUT", "storage/%s/%s" % (SHARED, id_), {"payload": payload})
        self._settle(SHARED, {id_: payload}, answer and read(answer))

    def _post(self):
        changes = self._draw(5)
        answer = self.ask("POST", "storage/" + SHARED, _bodies(changes))
        self._settle(SHARED, changes, self._posted(answer, changes))

    def _posted(self, answer, changes):
        """The stamp of a POST that was answered; all must have been taken."""
        if answer is None:
            return None
        told = read(answer)
        assert not told["failed"] and sorted(told["success"]) == sorted(changes), told
        return told["modified"]

    def _upload(self):
        """A batch of three POSTs, which nobody may see before it is committed."""
        changes, batch = {}, "true"
        for is_last in (False, False, True):
            part = self._draw(20)
            path = "storage/%s?batch=%s" % (SHARED, quote(batch, safe=""))
            answer = self.ask("POST", path + ("&commit=true" if is_last else ""),
                              _bodies(part), (200 if is_last else 202,))  # fmt: skip
            changes.update(part)
            if not is_last:
                if answer is None:
                    self._settle(SHARED, changes, None, may_be_there=False)
                    return
                told = read(answer)
                assert batch in ("true", told["batch"]), "the batch has become another one"
                batch = told["batch"]
                if self._random.random() < 0.3:
                    self._list()
        self._settle(SHARED, changes, self._posted(answer, part))

    def _remove(self):
        if not self.records[SHARED]:
            return
        id_ = self._random.choice(list(self.records[SHARED]))
        answer = self.ask("DELETE", "storage/%s/%s" % (SHARED, id_))
        self._settle(SHARED, {id_: None}, answer and read(answer)["modified"])

    def _remove_some(self):
        known = list(self.records[SHARED])
        changes = dict.fromkeys(self._random.sample(known, min(5, len(known))))
        if changes:
            answer = self.ask("DELETE", "storage/%s?ids=%s" % (SHARED, ",".join(changes)))
            self._settle(SHARED, changes, answer and read(answer)["modified"])

    def _begin_anew(self):
        """An engine's first sync: its collection is deleted, and then made by who is first."""
        answer = self.ask("DELETE", "storage/" + self.own)
        self._settle(self.own, dict.fromkeys(self.records[self.own]), answer and 0)
        if self.records[self.own]:
            return  # it was not deleted
        changes = self._draw(3)
        path = "storage/%s?batch=true&commit=true" % self.own
        self.sure("DELETE", "storage/" + self.own)
        answer = self.ask("POST", path, _bodies(changes), X_If_Unmodified_Since="0")
        self._settle(self.own, changes, self._posted(answer, changes))

    def _settle(self, name, changes, stamp, may_be_there=True):
        """Notes what a write must have done at stamp; None: reads what has come of it, which
        is all or nothing.

        A worker that is killed may have sent a COMMIT that the database is still at. It has
        the lock of the user until then, so a write of this browser waits for it.
        """
        records = self.records[name]
        before = {id_: records[id_] for id_ in changes if id_ in records}
        if stamp is None:
            self.sure("DELETE", "storage/nothing")
            shown = self._read_ids(name, changes)
            if shown == before or not may_be_there:
                assert shown == before, ("a batch shows", _difference(before, shown))
                self.done["writes that were not done"] += 1
                return
            written = {id_: payload for id_, payload in changes.items() if payload is not None}
            assert {id_: value[0] for id_, value in shown.items()} == written, (
                "a write is torn", name, _difference(written, shown))  # fmt: skip
            assert len({value[1] for value in shown.values()}) <= 1, shown
            stamp = max([value[1] for value in shown.values()], default=0)
            self.done["writes that were done without an answer"] += 1
        for id_, payload in changes.items():
            records.pop(id_, None)
            self.removed.discard(id_)
            if payload is not None:
                records[id_] = (payload, stamp)
            elif name == SHARED:
                self.removed.add(id_)

    def _read_ids(self, name, ids):
        """{id: (payload, stamp)} of those that are there."""
        path = "storage/%s?full=1&ids=%s" % (name, ",".join(ids))
        shown = read(self.sure("GET", path)) if ids else []
        return {record["id"]: (record["payload"], record["modified"]) for record in shown}

    # ---- the end ----

    def check(self):
        """Everything once more, when nothing happens to the server any more."""
        self._read_global()
        self._read_keys()
        self._look()
        for name in self.records:
            self._list(name)
        for id_ in list(self.removed)[:50]:
            self.sure("GET", "storage/%s/%s" % (SHARED, id_), expected=(404,))

    def close(self):
        self._wire.close()


def _bodies(changes):
    return [{"id": id_, "payload": payload} for id_, payload in changes.items()]


def _difference(must, shown):
    """The records that are not as they must be: a few, for a message."""
    wrong = [id_ for id_ in {*must, *shown} if must.get(id_) != shown.get(id_)]
    return {id_: (must.get(id_), shown.get(id_)) for id_ in wrong[:5]}
