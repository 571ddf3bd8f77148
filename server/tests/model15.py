# SPDX-License-Identifier: Apache-2.0
"""A model of one user of Sync 1.5, by the rules of the protocol, and a client that does
the same to a server and to this model, and compares the answers.

Stamps are hundredths of a second, as the server gave them; the clock is in seconds.
"""

import json
from urllib.parse import quote

from client import hundredths, seconds

FOREVER = float("inf")
BATCH_SECONDS = 7200

# Payloads count towards a quota in units of this.
KB = 1024


class Model:
    """The records, the times and the open batches of one user."""

    def __init__(self, quota_bytes=None):
        self.items = {}
        self.moved = {}
        self.batches = {}
        self.last = 0
        self.now = 0
        self.quota_bytes = quota_bytes

    def live(self, name):
        """{id: record} that has not expired."""
        return {id_: r for id_, r in self.items.get(name, {}).items() if r["until"] > self.now}

    def time_of(self, name=None, id_=None):
        """When a record, a collection or the whole store was modified; 0 for never."""
        if name is None:
            return self.last
        if id_ is None:
            return self.moved.get(name, 0)
        return self.live(name).get(id_, {"modified": 0})["modified"]

    def changed(self, name, changes, stamp, moves_all=False):
        """The collection as it will be after the changes, {id: fields}."""
        live = self.live(name)
        for id_, fields in changes.items():
            sent = {key: value for key, value in fields.items() if value is not None}
            record = live.get(id_)
            if record is None:
                record = {"payload": "", "sortindex": None, "until": FOREVER, "modified": stamp}
            record = dict(record, **{k: sent[k] for k in ("payload", "sortindex") if k in sent})
            if "ttl" in sent:
                record["until"] = self.now + sent["ttl"]
            if moves_all or "payload" in sent or "sortindex" in sent:
                record["modified"] = stamp
            live[id_] = record
        return live

    def put(self, name, changes, stamp, moves_all=False):
        self.items[name] = self.changed(name, changes, stamp, moves_all)
        self.moved[name] = self.last = stamp

    def used_bytes(self):
        return sum(size_of(self.live(name)) for name in self.items)

    def is_over_quota(self, name, changes):
        """Whether the changes would add to what is stored, and beyond the quota."""
        if self.quota_bytes is None:
            return False
        growth = size_of(self.changed(name, changes, 0), self.now) - size_of(self.live(name))
        return growth > 0 and self.used_bytes() + growth > self.quota_bytes

    def select(self, name, args):
        """[(id, record)] in the order of the arguments, which is any order without sort."""
        found = list(self.live(name).items())
        tests = {
            "ids": lambda id_, r, v: id_ in v,
            "newer": lambda id_, r, v: r["modified"] > v,
            "older": lambda id_, r, v: r["modified"] < v,
        }
        for key, value in args.items():
            if key in tests:
                found = [pair for pair in found if tests[key](*pair, value)]
        return found

    def delete_ids(self, name, ids, stamp):
        """DELETE ?ids=: the collection stays, if it was there."""
        self.items[name] = {i: r for i, r in self.live(name).items() if i not in ids}
        if name in self.moved:
            self.moved[name] = stamp
        self.last = stamp

    def delete_collection(self, name, stamp):
        """With the batches that would go there."""
        self.items.pop(name, None)
        self.moved.pop(name, None)
        self.batches = {i: b for i, b in self.batches.items() if b["collection"] != name}
        self.last = stamp

    def wipe(self, stamp):
        self.items, self.moved, self.batches = {}, {}, {}
        self.last = stamp

    def has_no_room(self, batch, changes):
        """Whether a batch alone would be larger than all that may be stored."""
        sent = self.batches[batch]["bytes"] if batch else 0
        return self.quota_bytes is not None and sent + sent_bytes(changes) > self.quota_bytes

    def add_to_batch(self, batch, changes):
        """Whether all batches together are now larger than that."""
        kept = self.batches[batch]
        for id_, fields in changes.items():
            kept["changes"][id_] = merged(kept["changes"].get(id_, {}), fields)
        kept["bytes"] += sent_bytes(changes)
        total = sum(one["bytes"] for one in self.batches.values())
        return self.quota_bytes is not None and total > self.quota_bytes

    def open_batch(self, id_, name):
        """The records of a batch that can be continued, or None."""
        found = self.batches.get(id_)
        if found and found["collection"] == name and found["until"] > self.now:
            return found["changes"]
        return None


def merged(before, fields):
    """Merges two elements of a batch that have one id."""
    return dict(before, **{key: value for key, value in fields.items() if value is not None})


def sent_bytes(changes):
    return sum(len((fields.get("payload") or "").encode()) for fields in changes.values())


def size_of(records, now=None):
    return sum(len(r["payload"].encode()) for r in records.values()
               if now is None or r["until"] > now)  # fmt: skip


SORTS = {
    "newest": lambda record: -record["modified"],
    "oldest": lambda record: record["modified"],
    "index": lambda record: (
        record["sortindex"] is None,
        -(record["sortindex"] or 0),
    ),
}


class Actor:
    """Does the same to the server and to the model, and compares."""

    def __init__(self, device, clock, quota_bytes=None):
        self.device = device
        self.clock = clock
        self.model = Model(quota_bytes)
        # Conditions and arguments name these times: those that were seen, and their neighbours.
        self.stamps = [0]
        self.known_batches = []

    # ---- conditions ----

    def condition(self, since):
        """(the headers, the stamp, whether it is X-If-Modified-Since)"""
        if since is None:
            return {}, None, False
        kind, position = since
        stamp = self.stamps[position % len(self.stamps)]
        return {"X_If_%s_Since" % kind: seconds(stamp)}, stamp, kind == "Modified"

    def ask(self, method, path, body, since, name=None, id_=None, status=200, more=None):
        """The Answer; None where the condition has refused it."""
        headers, stamp, is_modified = self.condition(since)
        time = self.model.time_of(name, id_)
        refused = stamp is not None and (time <= stamp if is_modified else time > stamp)
        if refused:
            status = 304 if is_modified else 412
        answer = self.device.call(method, path, body, status, **dict(headers, **(more or {})))
        assert answer.headers["X-Weave-Timestamp"]
        if answer.status in (200, 202, 304, 412):
            seen = hundredths(answer.headers["X-Last-Modified"])
            assert hundredths(answer.headers["X-Weave-Timestamp"]) >= seen
            assert method != "GET" and not refused or seen == time, (seen, time)
        assert answer.status != 304 or answer.body == b""
        return None if refused else answer

    def ask_within_quota(self, over, *arguments, status=200, more=None):
        """Like ask(), of a write; None, too, where it would be over the quota."""
        answer = self.ask(*arguments, status=400 if over else status, more=more)
        if answer is None or not over:
            return answer
        assert answer.json == 14
        return None

    def stamp_of(self, answer):
        """The new time after a write, which is later than all before it."""
        stamp = hundredths(answer.headers["X-Weave-Timestamp"])
        assert stamp > self.model.last
        self.stamps += [stamp, stamp - 1, stamp + 1]
        return stamp

    # ---- writes ----

    def put(self, name, id_, fields, since):
        over = self.model.is_over_quota(name, {id_: fields})
        path = "storage/%s/%s" % (name, quote(id_, safe=""))
        answer = self.ask_within_quota(over, "PUT", path, fields, since, name, id_)
        if answer is None:
            return
        stamp = self.stamp_of(answer)
        assert answer.text == answer.headers["X-Last-Modified"] == seconds(stamp)
        self.model.put(name, {id_: fields}, stamp)

    def post(self, name, records, since, query="", as_lines=False):
        body, more = self.body_of(records, as_lines)
        changes, bad = self.sorted_out(records)
        over = self.model.is_over_quota(name, changes)
        path = "storage/%s%s" % (name, query)
        answer = self.ask_within_quota(over, "POST", path, body, since, name, more=more)
        if answer is None:
            return
        self.check_post(answer, changes, bad)
        self.model.put(name, changes, self.stamp_of(answer))

    @staticmethod
    def body_of(records, as_lines):
        if not as_lines:
            return records, {}
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        return body, {"Content_Type": "application/newlines"}

    @staticmethod
    def sorted_out(records):
        """({id: fields} of those that are valid, the ids of the others)"""
        changes, bad = {}, []
        for record in records:
            if record.get("payload") == 5 or "parentid" in record:
                bad.append(record["id"])
            else:
                changes[record["id"]] = record
        return changes, bad

    @staticmethod
    def check_post(answer, changes, bad):
        found = answer.json
        assert sorted(found["success"]) == sorted(changes)
        assert sorted(found["failed"]) == sorted(bad)
        assert all(isinstance(why, str) for why in found["failed"].values())
        if answer.status == 200:
            assert "batch" not in found
            assert '"modified":' + answer.headers["X-Last-Modified"] in answer.text.replace(" ", "")

    def begin(self, name, records, since):
        changes, bad = self.sorted_out(records)
        path = "storage/%s?batch=true" % name
        over = self.model.has_no_room(None, changes)
        answer = self.ask_within_quota(over, "POST", path, records, since, name, status=202)
        if answer is None:
            return
        self.check_post(answer, changes, bad)
        assert hundredths(answer.headers["X-Last-Modified"]) == self.model.time_of(name)
        batch = answer.json["batch"]
        assert batch not in self.model.batches
        until = self.model.now + BATCH_SECONDS
        self.model.batches[batch] = {"collection": name, "until": until, "changes": {},
                                     "bytes": 0}  # fmt: skip
        self.known_batches.append(batch)
        self.add_to(batch, changes)

    def add_to(self, batch, changes):
        if self.model.add_to_batch(batch, changes):
            # Some of the others may be gone, and nothing more is asked of them.
            self.model.batches = {batch: self.model.batches[batch]}
            self.known_batches = [batch]

    def go_on(self, name, position, records, commit, since, others):
        """Continues or commits a batch: of this user, or of others who have none."""
        known = self.known_batches + others
        if not known:
            return
        batch = known[position % len(known)]
        changes, bad = self.sorted_out(records)
        path = "storage/%s?batch=%s" % (name, quote(batch, safe=""))
        path += "&commit=true" if commit else ""
        headers, stamp, _ = self.condition(since)
        if self.model.open_batch(batch, name) is None:
            answer = self.device.call("POST", path, records, None, **headers)
            refused = stamp is not None and self.model.time_of(name) > stamp
            assert answer.status == 400 or refused and answer.status == 412
            return
        everything = {}
        for some in (self.model.batches[batch]["changes"], changes) if commit else ():
            for id_, fields in some.items():
                everything[id_] = merged(everything.get(id_, {}), fields)
        over = self.model.has_no_room(batch, changes)
        if commit:
            over = self.model.is_over_quota(name, everything)
        status = 200 if commit else 202
        answer = self.ask_within_quota(over, "POST", path, records, since, name, status=status)
        if answer is None:
            return
        self.check_post(answer, changes, bad)
        if not commit:
            assert answer.json["batch"] == batch
            assert hundredths(answer.headers["X-Last-Modified"]) == self.model.time_of(name)
            self.add_to(batch, changes)
            return
        del self.model.batches[batch]
        self.model.put(name, everything, self.stamp_of(answer), moves_all=True)

    def delete_item(self, name, id_, since):
        path = "storage/%s/%s" % (name, quote(id_, safe=""))
        is_there = id_ in self.model.live(name)
        answer = self.ask("DELETE", path, None, since, name, id_, 200 if is_there else 404)
        if answer is not None and is_there:
            answer.json
            self.model.delete_ids(name, [id_], self.stamp_of(answer))

    def delete(self, name, ids, since):
        """The collection as a whole, where ids is None."""
        path = "storage/" + name
        if ids is not None:
            path += "?ids=" + ",".join(quote(id_, safe="") for id_ in ids)
        answer = self.ask("DELETE", path, None, since, name)
        if answer is None:
            return
        answer.json
        stamp = self.stamp_of(answer)
        if ids is None:
            self.model.delete_collection(name, stamp)
        else:
            self.model.delete_ids(name, ids, stamp)

    def wipe(self, since, path="storage"):
        answer = self.ask("DELETE", path, None, since)
        if answer is not None:
            answer.json
            self.model.wipe(self.stamp_of(answer))

    # ---- reads ----

    def query(self, args):
        """(the query, the arguments with stamps in the place of positions)"""
        parts, args = [], dict(args)
        for key, value in args.items():
            if key in ("newer", "older"):
                args[key] = value = self.stamps[value % len(self.stamps)]
                value = seconds(value)
            elif key == "ids":
                value = ",".join(value)
            parts.append("%s=%s" % (key, quote(str(value), safe=",")))
        return "&".join(parts), args

    def read(self, name, args, since, as_lines):
        query, args = self.query(args)
        expected = dict(self.model.select(name, args))
        path, more = "storage/%s?%s" % (name, query), {}
        if as_lines:
            more["Accept"] = "application/newlines"
        shown = []
        for full in ("&full=1", ""):
            answer = self.ask("GET", path + full, None, since, name, None, 200, more)
            if answer is None:
                return
            shown.append(self.items_in(answer, as_lines))
        shown_ids = [record["id"] for record in shown[0]]
        assert shown_ids == shown[1] and len(set(shown_ids)) == len(shown_ids)
        for record in shown[0]:
            assert record == self.shown(record["id"], expected[record["id"]])
        limit = args.get("limit", FOREVER)
        assert len(shown_ids) == min(len(expected), limit)
        assert ("X-Weave-Next-Offset" in answer.headers) == (len(expected) > limit)
        self.check_order(shown_ids, expected, args)

    @staticmethod
    def check_order(ids, expected, args):
        """They are the first by sort, in that order; ties are in any."""
        if "sort" in args:
            weight = SORTS[args["sort"]]
            weights = [weight(expected[id_]) for id_ in ids]
            assert weights == sorted(weight(r) for r in expected.values())[: len(ids)]

    @staticmethod
    def items_in(answer, as_lines):
        if as_lines:
            assert answer.headers["Content-Type"].split(";")[0] == "application/newlines"
            assert not answer.body or answer.body.endswith(b"\n")
            found = [json.loads(line) for line in answer.text.split("\n") if line]
        else:
            assert answer.headers["Content-Type"].split(";")[0] == "application/json"
            found = answer.json
        assert answer.headers["X-Weave-Records"] == str(len(found))
        return found

    @staticmethod
    def shown(id_, record):
        shown = {"id": id_, "payload": record["payload"], "modified": record["modified"] / 100}
        if record["sortindex"] is not None:
            shown["sortindex"] = record["sortindex"]
        return shown

    def read_pages(self, name, args, writes):
        """Pages to the end, while the same user writes: what was there all the time comes
        once, and nothing comes twice but what was moved."""
        query, args = self.query(args)
        before, offset, found = dict(self.model.select(name, args)), None, []
        writes = list(writes)
        for _ in range(200):
            path = "storage/%s?full=1&%s" % (name, query)
            path += "" if offset is None else "&offset=" + quote(offset, safe="")
            answer = self.ask("GET", path, None, None, name)
            page = self.items_in(answer, False)
            assert len(page) <= args["limit"]
            found += page
            offset = answer.headers.get("X-Weave-Next-Offset")
            if offset is None:
                break
            assert len(page) == args["limit"]
            if writes:
                self.put(name, *writes.pop())
        else:
            raise AssertionError("the pages do not end")
        after = dict(self.model.select(name, args))
        steady = {id_ for id_ in before if after.get(id_) == before[id_]}
        ids = [record["id"] for record in found]
        assert all(ids.count(id_) == 1 for id_ in steady), (steady, ids)
        assert len({(record["id"], record["modified"]) for record in found}) == len(found)
        if after == before:
            self.check_order(ids, before, args)

    def read_item(self, name, id_, since):
        record = self.model.live(name).get(id_)
        if record is None and since is not None and since[0] == "Modified":
            since = None
        path = "storage/%s/%s" % (name, quote(id_, safe=""))
        answer = self.ask("GET", path, None, since, name, id_, 404 if record is None else 200)
        if answer is not None and record is not None:
            assert answer.json == self.shown(id_, record)

    def read_info(self, since=None):
        found = {}
        for what in ("collections", "collection_counts", "collection_usage", "quota"):
            answer = self.ask("GET", "info/" + what, None, since)
            if answer is None:
                return
            found[what] = answer
        moved = {name: stamp / 100 for name, stamp in self.model.moved.items()}
        assert found["collections"].json == moved
        assert found["collections"].headers["X-Weave-Records"] == str(len(moved))
        live = {name: self.model.live(name) for name in self.model.moved}
        counts = {name: len(records) for name, records in live.items() if records}
        assert without_zeros(found["collection_counts"].json) == counts
        usage = {name: size_of(records) / KB for name, records in live.items()}
        assert without_zeros(found["collection_usage"].json) == without_zeros(usage)
        quota = self.model.quota_bytes
        used = sum(usage.values())
        assert found["quota"].json == [used, None if quota is None else quota / KB]


def without_zeros(hash_):
    return {name: value for name, value in hash_.items() if value}
