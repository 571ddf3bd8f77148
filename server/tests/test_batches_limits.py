# SPDX-License-Identifier: Apache-2.0
"""Batches of Sync 1.5: how much they may have, and what becomes of those that are left."""

import pytest

from conftest import Site15
from test_batches import LIFE_SECONDS, add, begin, commit, full, records
from weave.server import batches
from weave.server.__main__ import main


@pytest.fixture
def device(site15):
    return site15.device()


# ---- limits ----


@pytest.fixture
def small(make_site):
    """A device where a batch has ten records and 1 KiB at most."""
    site = make_site(Site15, sync15="max_total_records = 10\nmax_total_bytes = 1024")
    device = site.device()
    device.site = site
    return device


TOO_LARGE = {"X_Weave_Total_Records": "11", "X_Weave_Total_Bytes": "1025"}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("name, value", TOO_LARGE.items())
@pytest.mark.parametrize("path", ["storage/col?batch=true", "storage/col?batch=true&commit=true"])
def test_announced_sizes(small, name, value, path):
    before = small.site.digest()
    assert small.post(path, records("a"), 400, **{name: value}).json == 17
    assert small.post(path, records("a"), 400, **{name: "x"}).json == 1
    assert small.site.digest() == before
    small.post(path, records("a"), None, **{name: str(int(value) - 1)})


BODIES = {"records": [records(*"abcdef"), records(*"ghij"), records("k")],
          "bytes": [records("a", payload="x" * 700), records("b", payload="ü" * 162),
                    records("c", payload="x")]}  # fmt: skip


@pytest.mark.parametrize("bodies", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("ask", [add, commit])
def test_real_sizes(small, bodies, ask):
    batch = begin(small, body=bodies[0])
    add(small, batch, bodies[1])
    before = small.site.digest()
    assert ask(small, batch, bodies[2], status=400).json == 17
    assert small.site.digest() == before
    commit(small, batch)
    assert len(full(small)) == len(bodies[0] + bodies[1])


QUOTA = "use_quota = true\nquota_size = 1"


def test_quota(make_site):
    site = make_site(Site15, storage=QUOTA)
    device = site.device()
    device.put("storage/col/a", {"payload": "x" * 700})
    batch = begin(device, body=records("b", payload="x" * 300))
    add(device, batch, records("c", payload="x" * 100))
    before = site.digest()
    assert commit(device, batch, status=400).json == 14
    assert site.digest() == before
    assert full(device).keys() == {"a"}
    commit(device, batch, records("a", payload="x" * 600))
    assert full(device).keys() == set("abc")


def test_what_is_over_the_quota_may_become_smaller(make_site):
    """Only the growth of live records is refused, in a user who has more than the quota."""
    site = make_site(Site15, storage=QUOTA)
    device = site.device()
    device.put("storage/other/a", {"payload": "x"})
    device.put("storage/col/a", {"payload": "123"})
    site.sql("update weave_collections set bytes = 9000 where name = 'other'")
    dead = {"payload": "1234", "ttl": 0}
    for status, fields in [(400, {"payload": "1234"}), (200, {"payload": "321"}), (200, dead),
                           (400, {"payload": "1"})]:  # fmt: skip
        batch = begin(device, body=records("a", **fields))
        commit(device, batch, status=status)
    assert full(device) == {}


def test_open_batches_have_no_more_than_the_quota(make_site):
    """One batch over the quota is refused; of several, the oldest is dropped."""
    site = make_site(Site15, storage=QUOTA)
    device = site.device()
    first = begin(device, body=records("a", payload="x" * 1000))
    assert add(device, first, records("b", payload="x" * 100), status=400).json == 14
    second = begin(device, body=records("b", payload="x" * 20))
    add(device, second, records("c", payload="x" * 20))
    add(device, first, records("d"), status=400)
    assert not site.sql("select 1 from weave_batch_records where id in ('a', 'd')")
    commit(device, second)
    assert full(device).keys() == {"b", "c"}


def test_open_batches_have_a_bound_without_a_quota(small):
    for _ in range(2 * batches.ROOM_IN_BATCHES):
        last = begin(small, body=records("a", payload="x" * 1000))
    ((size,),) = small.site.sql("select sum(payload_size) from weave_batch_records")
    assert size <= batches.ROOM_IN_BATCHES * 1024
    commit(small, last)


def test_number_of_open_batches(site15, device, clock):
    """The oldest makes place for a new one."""
    other, made = begin(site15.device(67890)), []
    for number in range(batches.MAX_OPEN):
        clock.forward(number)
        made.append(begin(device, body=records("r%d" % number)))
    add(device, made[0], [])
    made.append(begin(device))
    add(device, made[0], [], status=400)
    for batch in made[1:]:
        add(device, batch, [])
    assert site15.sql("select count(*) from weave_batches") == [(batches.MAX_OPEN + 1,)]
    add(site15.device(67890), other, [])


# ---- the end of what is left ----


@pytest.mark.parametrize("path", ["storage/col", "storage/col?batch=true"])
def test_what_has_expired_is_removed_by_others(site15, device, clock, monkeypatch, path):
    """Each POST of the user removes some of it, and at last the batch."""
    monkeypatch.setattr(batches, "PURGE_PER_WRITE", 20)
    begin(device, body=records(*("r%d" % n for n in range(50))))
    kept = begin(site15.device(67890), body=records("a"))
    clock.forward(LIFE_SECONDS + 1)
    counted = ("select (select count(*) from weave_batches where records = 50), count(*)"
               " from weave_batch_records")  # fmt: skip
    seen = []
    for _ in range(4):
        device.post(path, [], None)
        seen += site15.sql(counted)
    assert seen == [(1, 31), (1, 11), (0, 1), (0, 1)]
    add(site15.device(67890), kept, [], status=400)


def test_purge(site15, clock):
    """It removes the batches of all users, some records in each transaction."""
    old = [site15.device(uid) for uid in range(1, 4)]
    for device in old:
        begin(device, body=records(*("r%d" % n for n in range(30))))
        begin(device)
    clock.forward(LIFE_SECONDS + 1)
    batch = begin(site15.device(4), body=records("a"))
    (database,) = site15.databases
    assert batches.purge_batches(database, 7) == 6
    assert site15.sql("select count(*) from weave_batches") == [(1,)]
    assert site15.sql("select id from weave_batch_records") == [("a",)]
    assert batches.purge_batches(database, 7) == 0
    commit(site15.device(4), batch)


@pytest.mark.parametrize("path, gone", [
    ("storage/col", {"col"}),
    ("storage/col?ids=a", set()),
    ("storage/col/a", set()),
    ("storage", {"col", "other"}),
    (None, {"col", "other"}),
])  # fmt: skip
def test_deletion_ends_open_batches(site15, device, path, gone):
    """A collection that was deleted shall not come back as the half of itself."""
    device.put("storage/col/a", {"payload": "x"})
    stranger = site15.device(67890)
    made = {name: begin(device, name, records("b", payload="y")) for name in ("col", "other")}
    foreign = begin(stranger, body=records("b"))
    device.delete(path)
    for name, batch in made.items():
        add(device, batch, records("c"), name, 400 if name in gone else 202)
        commit(device, batch, records("d"), name, 400 if name in gone else 200)
    shown = device.get("info/collections").json
    assert not gone & shown.keys()
    commit(stranger, foreign)


def test_deletion_of_a_user_ends_open_batches(site15, device):
    batch = begin(device, body=records("a", payload="x"))
    kept = begin(site15.device(67890), body=records("a", payload="x"))
    main(["users", "delete", str(site15.ini), "%032x" % device.uid, "--yes"])
    assert site15.sql("select user_id from weave_batches") == [(67890,)]
    assert site15.sql("select user_id from weave_batch_records") == [(67890,)]
    before = site15.digest()
    add(device, batch, records("b"), status=401)
    device.post("storage/col?batch=true", records("b"), 401)
    commit(device, batch, status=401)
    assert site15.digest() == before
    commit(site15.device(67890), kept)
