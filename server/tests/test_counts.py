# SPDX-License-Identifier: Apache-2.0
"""Counts, sizes and the quota, beside a model that counts everything each time."""

import random

import pytest

from conftest import KIND
from weave.server import writer
from weave.server.stamps import Stamp

NEVER = 2**53
QUOTA_KB = 6
COLLECTIONS = ("history", "tabs", "notes")


class Clock:
    """What Stamp.now() says instead of the time; it can jump."""

    def __init__(self, monkeypatch):
        self.now = int(Stamp.now())
        monkeypatch.setattr(Stamp, "now", classmethod(lambda cls: cls(self.now)))

    def jump(self, seconds):
        self.now += int(seconds * 100)


@pytest.fixture
def jumping(monkeypatch):
    return Clock(monkeypatch)


class Model:
    """What a user has: {collection: {id: [size, expires]}}, expired ones included."""

    def __init__(self, clock):
        self.clock = clock
        self.records = {name: {} for name in COLLECTIONS}
        self.modified = dict.fromkeys(COLLECTIONS, 0)

    def live(self, name):
        now = self.clock.now
        return {id_: r for id_, r in self.records[name].items() if r[1] > now}

    def used(self):
        return sum(r[0] for name in COLLECTIONS for r in self.live(name).values())

    def put(self, name, changes):
        """Whether there was room; changes is a list of records."""
        before = {id_: list(r) for id_, r in self.records[name].items()}
        used_before = self.used()
        # A write removes what has expired, up to writer.PURGE_PER_WRITE.
        self.records[name] = self.live(name)
        for record in changes:
            old_size = self.records[name].get(record["id"], (0, 0))[0]
            size = len(record["payload"]) if "payload" in record else old_size
            ttl = record.get("ttl")
            expires = NEVER if ttl is None else self.clock.now + ttl * 100
            self.records[name][record["id"]] = [size, expires]
        if self.used() > max(used_before, QUOTA_KB * 1024):
            self.records[name] = before
            return False
        return True

    def delete(self, name, ids=None):
        """Whether it hit something."""
        live = self.live(name)
        hit = [id_ for id_ in live if ids is None or id_ in ids]
        if ids is None:
            self.records[name] = {}
        for id_ in hit:
            self.records[name].pop(id_, None)
        return bool(hit)


class Run:
    """Random requests of one user, and the model of what they did."""

    def __init__(self, seed, site, user, clock, jumps):
        self.jumps = jumps
        self.random = random.Random(seed)
        self.site = site
        self.user = user
        self.clock = clock
        self.model = Model(clock)

    def step(self):
        actions = [self.post] * 5 + [self.put, self.delete_some, self.delete_item]
        actions += [self.delete_collection, self.jump, self.jump, self.purge]
        self.random.choice(actions)()
        self.check()

    def record(self):
        record = {"id": "id%d" % self.random.randrange(12)}
        if self.random.random() < 0.85:
            record["payload"] = "x" * self.random.choice((0, 1, 500, 3000))
        if self.random.random() < 0.5:
            record["ttl"] = self.random.choice((0, 1, 60, 3600))
        if self.random.random() < 0.3:
            record["sortindex"] = self.random.randrange(100)
        return record

    def name(self):
        return self.random.choice(COLLECTIONS)

    def post(self):
        count = self.random.randrange(1, 8)
        records = {record["id"]: record for record in (self.record() for _ in range(count))}
        self.store("POST", self.name(), "storage/%s", list(records.values()))

    def put(self):
        record = self.record()
        self.store("PUT", self.name(), "storage/%s/" + record["id"], [record])

    def store(self, method, name, path, records):
        fits = self.model.put(name, records)
        body = records if method == "POST" else records[0]
        status = 200 if fits else 400
        response = self.user.call(method, path % name, body, status)
        if not fits:
            assert response.body == b"14"
        elif any("payload" in record for record in records):
            self.touch(name, response)

    def delete_some(self):
        name, ids = self.name(), ["id%d" % self.random.randrange(12) for _ in range(3)]
        response = self.user.delete("storage/%s?ids=%s" % (name, ",".join(ids)))
        if self.model.delete(name, ids):
            self.touch(name, response)

    def delete_item(self):
        name, id_ = self.name(), "id%d" % self.random.randrange(12)
        response = self.user.delete("storage/%s/%s" % (name, id_))
        if self.model.delete(name, [id_]):
            self.touch(name, response)

    def delete_collection(self):
        name = self.name()
        response = self.user.delete("storage/" + name)
        if self.model.delete(name):
            self.touch(name, response)

    def jump(self):
        self.clock.jump(self.random.choice(self.jumps))

    def purge(self):
        """As `weave-server purge` does it."""
        if self.random.random() < 0.3:
            purge(self.site, 3)
            for name in COLLECTIONS:
                self.model.records[name] = self.model.live(name)

    def touch(self, name, response):
        self.model.modified[name] = float(response.headers["X-Weave-Timestamp"])

    def check(self):
        live = {name: self.model.live(name) for name in COLLECTIONS}
        live = {name: records for name, records in live.items() if records}
        get = self.user.get
        assert get("info/collection_counts").json == {n: len(r) for n, r in live.items()}
        sizes = {n: sum(size for size, _ in r.values()) for n, r in live.items()}
        assert get("info/collection_usage").json == {n: s / 1024 for n, s in sizes.items()}
        assert get("info/quota").json == [sum(sizes.values()) / 1024, QUOTA_KB]
        times = {name: self.model.modified[name] for name in live}
        assert get("info/collections").json == times
        check_kept(self.site)


def purge(site, at_most):
    (database,) = site.databases
    from weave.server.storage import Storage

    return Storage(database, create_tables=False).purge(at_most)


def check_kept(site, stale=()):
    """What the collections keep is what is there."""
    kept = site.sql(
        "select c.name, c.records, c.bytes, c.counted - c.modified from weave_collections c"
    )
    rows = site.sql(
        "select c.name, count(r.id), coalesce(sum(r.payload_size), 0)"
        " from weave_collections c left join weave_records r"
        " on r.user_id = c.user_id and r.collection = c.number group by c.name"
    )
    there = {name: (count, int(size)) for name, count, size in rows}
    for name, count, size, off in kept:
        if name not in stale:
            assert ((count, size), off) == (there[name], 0), name


def run(seed, make_site, clock, jumps):
    site = make_site(storage="use_quota = true\nquota_size = %d" % QUOTA_KB)
    run = Run(seed, site, site.user(), clock, jumps)
    for _ in range(100):
        run.step()


@pytest.mark.parametrize("seed", range(3 if KIND == "sqlite" else 1))
def test_counts_are_exact_at_every_moment(make_site, jumping, seed):
    run(seed, make_site, jumping, (-4000, -61, -1, 0.01, 1, 61, 4000))


@pytest.mark.parametrize("seed", range(2 if KIND == "sqlite" else 1))
def test_counts_while_much_has_expired(make_site, jumping, monkeypatch, seed):
    """A write removes less than has expired, and may replace some of it."""
    monkeypatch.setattr(writer, "PURGE_PER_WRITE", 1)
    run(seed, make_site, jumping, (0.01, 1, 61, 4000))


def test_mass_expiry(site, user, jumping):
    """More expires at once than one write removes."""
    for start in range(0, 500, 100):
        records = [
            {"id": str(n), "payload": "1234", "ttl": 60} for n in range(start, start + 100)
        ]
        user.post("storage/history", records)
    user.post("storage/history", [{"id": "s%d" % n, "payload": "56"} for n in range(10)])
    user.put("storage/tabs/a", {"payload": "78", "ttl": 60})

    def check(**counts):
        assert user.get("info/collection_counts").json == counts
        sizes = user.get("info/collection_usage").json
        assert {name: size * 1024 for name, size in sizes.items()} == {
            name: (count - 10) * 4 + 20 if name == "history" else 2 * count
            for name, count in counts.items()
        }
        assert set(user.get("info/collections").json) == set(counts)

    check(history=510, tabs=1)
    jumping.jump(61)
    check(history=10)
    # A clock that was wrong: what was not removed meanwhile is there again.
    jumping.jump(-61)
    check(history=510, tabs=1)
    jumping.jump(61)
    for left in (310, 110, 10, 10):
        user.put("storage/history/s1", {"payload": "56"})
        check(history=10)
        check_kept(site)
        assert site.sql("select count(*) from weave_records") == [(left + 1,)]
    assert writer.PURGE_PER_WRITE == 200
    assert purge(site, 100) == 1
    assert purge(site, 100) == 0
    check(history=10)
    check_kept(site)


def test_a_release_that_does_not_keep_counts(make_site, jumping):
    """It writes rows and times alone; the next write counts again."""
    site = make_site(storage="use_quota = true\nquota_size = 1")
    user = site.user()
    user.put("storage/history/a", {"payload": "12345"})
    user.put("storage/tabs/a", {"payload": "1"})
    ((owner, number),) = site.sql(
        "select user_id, number from weave_collections where name = 'history'"
    )
    later = jumping.now + 10

    def write_as_before(id_, expires):
        site.run(
            [
                (
                    "insert into weave_records (user_id, collection, id, modified, expires,"
                    " payload_size, payload) values (?, ?, ?, ?, ?, ?, ?)",
                    (owner, number, id_, later, expires, 100, "x" * 100),
                ),
                (
                    "update weave_collections set modified = ? where number = ?",
                    (later, number),
                ),
                ("update weave_users set modified = ?", (later,)),
            ]
        )

    def check(history, size):
        assert user.get("info/collection_counts").json == {"history": history, "tabs": 1}
        assert user.get("info/quota").json == [(size + 1) / 1024, 1]

    write_as_before("b", NEVER)
    write_as_before("c", 1)
    check(2, 105)
    check_kept(site, stale=["history"])
    # Under a quota a write to another collection does it, too.
    user.put("storage/tabs/a", {"payload": "2"})
    check_kept(site)
    check(2, 105)
    later += 100
    write_as_before("d", NEVER)
    check(3, 205)
    assert user.put("storage/history/e", {"payload": "x" * 819}, 400).body == b"14"
    user.put("storage/history/e", {"payload": "x" * 818})
    check(4, 1023)
    check_kept(site)
    # Before, all columns were empty.
    site.sql("update weave_collections set records = NULL, bytes = NULL, counted = NULL")
    check(4, 1023)
    user.delete("storage/history/e")
    check(3, 205)
    check_kept(site)


def test_quota_where_something_expired_is_replaced(make_site, jumping, monkeypatch):
    monkeypatch.setattr(writer, "PURGE_PER_WRITE", 0)
    user = make_site(storage="use_quota = true\nquota_size = 1").user()
    user.put("storage/tabs/a", {"payload": "x" * 1000, "ttl": 1})
    jumping.jump(2)
    user.put("storage/tabs/b", {"payload": "x" * 1000})
    assert user.put("storage/tabs/a", {"payload": "x" * 1000}, 400).body == b"14"
    user.put("storage/tabs/a", {"payload": "x" * 1000, "ttl": 0})
    user.put("storage/tabs/a", {"payload": "x" * 24})
    assert user.get("info/quota").json == [1, 1]
