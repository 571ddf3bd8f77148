# SPDX-License-Identifier: Apache-2.0
"""Batches of Sync 1.5: uploads in several requests."""

import pytest

from conftest import Site15
from weave.server import batches
from weave.server.__main__ import main

LIFE_SECONDS = 2 * 3600

NONE = "0.00"


@pytest.fixture
def device(site15):
    return site15.device()


def last_modified(answer):
    return answer.headers["X-Last-Modified"]


def begin(device, collection="col", body=(), **headers):
    """The id of a new batch."""
    path = "storage/%s?batch=true" % collection
    return device.post(path, list(body), 202, **headers).json["batch"]


def add(device, batch, body, collection="col", status=202, **headers):
    return device.post("storage/%s?batch=%s" % (collection, batch), body, status, **headers)


def commit(device, batch, body=(), collection="col", status=200, **headers):
    path = "storage/%s?batch=%s&commit=true" % (collection, batch)
    return device.post(path, list(body), status, **headers)


def full(device, collection="col"):
    """{id: record}"""
    shown = device.get("storage/%s?full=1" % collection).json
    return {record["id"]: record for record in shown}


def records(*ids, **fields):
    return [dict(fields, id=id_) for id_ in ids]


# ---- what clients see ----


def test_nothing_is_seen_before_the_commit(site15, device):
    device.put("storage/other/x", {"payload": "before"})
    device.put("storage/col/a", {"payload": "old"})
    paths = ["info/collections", "info/collection_counts", "info/collection_usage",
             "info/quota", "storage/col?full=1", "storage/other?full=1"]  # fmt: skip

    def look():
        answers = [device.get(path) for path in paths]
        return [(answer.body, last_modified(answer)) for answer in answers]

    seen = look()
    batch = begin(device, body=records("a", "b", payload="new"))
    add(device, batch, records("c", payload="new"))
    add(device, batch, [])
    assert look() == seen
    device.get("storage/col/b", 404)
    stamp = last_modified(commit(device, batch, records("d", payload="new")))
    shown = full(device)
    assert shown.keys() == set("abcd")
    for record in shown.values():
        assert (record["payload"], "%.2f" % record["modified"]) == ("new", stamp)
    assert '"col":%s' % stamp in device.get("info/collections").text
    assert last_modified(device.get("info/collections")) == stamp
    assert device.get("info/collection_counts").json == {"col": 4, "other": 1}
    assert device.get("info/collection_usage").json["col"] == 12 / 1024
    assert not site15.sql("select 1 from weave_batches")
    assert not site15.sql("select 1 from weave_batch_records")


def test_answers_of_a_batch(device):
    answer = device.post("storage/col?batch=true", records("a", "b"), 202)
    batch = answer.json["batch"]
    assert answer.json == {"batch": batch, "success": ["a", "b"], "failed": {}}
    assert last_modified(answer) == NONE
    assert len(batch) == 11
    answer = add(device, batch, records("c"))
    assert answer.json == {"batch": batch, "success": ["c"], "failed": {}}
    assert last_modified(answer) == NONE
    answer = commit(device, batch, records("d"))
    stamp = last_modified(answer)
    assert answer.text == '{"modified":%s,"success":["d"],"failed":{}}' % stamp
    assert answer.headers["X-Weave-Timestamp"] == stamp


def test_the_time_of_the_collection_stays_until_the_commit(device):
    """Firefox sends back what the 202 says."""
    before = device.put("storage/col/a", {"payload": "x"}).text
    device.put("storage/other/a", {"payload": "x"})
    answer = device.post("storage/col?batch=true", [], 202)
    assert last_modified(answer) == before
    answer = add(device, answer.json["batch"], records("b"), X_If_Unmodified_Since=before)
    assert last_modified(answer) == before
    answer = commit(device, answer.json["batch"], X_If_Unmodified_Since=before)
    assert float(last_modified(answer)) > float(before)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("argument", ["batch=true", "batch=TRUE", "batch=True", "batch=", "batch"])
def test_ways_to_begin(device, argument):
    answer = device.post("storage/col?" + argument, records("a"), 202)
    commit(device, answer.json["batch"])
    assert full(device).keys() == {"a"}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("begins", ["true", "TRUE", ""])
@pytest.mark.parametrize("commits", ["true", "TRUE"])
def test_a_batch_of_one_request_is_a_plain_post(site15, device, begins, commits):
    path = "storage/col?batch=%s&commit=%s" % (begins, commits)
    answer = device.post(path, records("a", payload="x"))
    assert answer.json.keys() == {"modified", "success", "failed"}
    assert last_modified(answer) == "%.2f" % full(device)["a"]["modified"]
    assert not site15.sql("select 1 from weave_batches")


@pytest.mark.sqlite_only
@pytest.mark.parametrize("body", [b"[]", b""])
def test_an_empty_batch(device, body):
    """Of an application/newlines without a line, and of an empty list."""
    kind = {"Content_Type": "application/newlines" if not body else "application/json"}
    batch = device.post("storage/col?batch=true", body, 202, **kind).json["batch"]
    device.post("storage/col?batch=" + batch, body, 202, **kind)
    answer = device.post("storage/col?commit=true&batch=" + batch, body, 200, **kind)
    assert answer.json["success"] == []
    assert full(device) == {}
    assert '"col":%s' % last_modified(answer) in device.get("info/collections").text


@pytest.mark.sqlite_only
def test_lines_of_a_batch(device):
    kind = {"Content_Type": "application/newlines"}
    batch = device.post("storage/col?batch=true", b'{"id":"a"}\n{"id":"b"}\n', 202, **kind)
    commit(device, batch.json["batch"])
    assert full(device).keys() == {"a", "b"}


# ---- merging ----


def test_later_fields_win(device):
    device.put("storage/col/old", {"payload": "stored", "sortindex": 7})
    batch = begin(device, body=[
        {"id": "a", "payload": "1", "sortindex": 1},
        {"id": "b", "payload": "1"},
        {"id": "c", "payload": "1", "sortindex": 1},
        {"id": "old", "ttl": 1000},
    ])  # fmt: skip
    add(device, batch, [
        {"id": "a", "sortindex": 2},
        {"id": "b", "payload": "2", "sortindex": 2},
        {"id": "c", "payload": None, "sortindex": None, "ttl": None},
    ])  # fmt: skip
    answer = commit(device, batch, [{"id": "b", "sortindex": 3}, {"id": "new", "sortindex": 4}])
    stamp = float(last_modified(answer))

    def record(id_, payload, sortindex):
        return {"id": id_, "modified": stamp, "payload": payload, "sortindex": sortindex}

    assert full(device) == {
        "a": record("a", "1", 2),
        "b": record("b", "2", 3),
        "c": record("c", "1", 1),
        "new": record("new", "", 4),
        "old": record("old", "stored", 7),
    }


def test_a_commit_modifies_what_has_only_a_time_to_live(device):
    """A plain POST does not."""
    before = device.post("storage/col", records("a", payload="x")).json["modified"]
    device.post("storage/col", records("a", ttl=1000))
    assert full(device)["a"]["modified"] == before
    batch = begin(device, body=records("a", ttl=1000))
    stamp = commit(device, batch).json["modified"]
    assert full(device)["a"]["modified"] == stamp > before


def test_the_stored_record_counts_at_the_commit(device):
    batch = begin(device, body=records("a", sortindex=5))
    device.put("storage/col/a", {"payload": "meanwhile", "sortindex": 1})
    commit(device, batch)
    assert full(device)["a"]["payload"] == "meanwhile"
    assert full(device)["a"]["sortindex"] == 5


def test_a_time_to_live_begins_at_the_commit(device, clock):
    batch = begin(device, body=records("a", payload="x", ttl=1000))
    clock.forward(990)
    add(device, batch, records("b", payload="x", ttl=1000))
    clock.forward(2000)
    commit(device, batch, records("c", payload="x", ttl=1000))
    clock.forward(2995)
    assert full(device).keys() == set("abc")
    clock.forward(3005)
    assert full(device) == {}


def test_a_time_to_live_of_the_batch_counts_for_later_fields(device):
    """Not that of the stored record, nor none."""
    batch = begin(device, body=records("a", "b", payload="x", ttl=0))
    commit(device, batch, [{"id": "a", "sortindex": 1}, {"id": "b", "ttl": 1000}])
    assert full(device).keys() == {"b"}
    assert full(device)["b"]["payload"] == "x"


def test_what_has_expired_is_overwritten(device, clock):
    device.put("storage/col/a", {"payload": "old", "sortindex": 1, "ttl": 10})
    batch = begin(device, body=records("a", ttl=1000))
    clock.forward(20)
    commit(device, batch)
    assert full(device)["a"]["payload"] == ""
    assert "sortindex" not in full(device)["a"]


def test_a_commit_of_many(device):
    """More than one part."""
    many = [{"id": "%05d" % (n * 7919 % 1000), "payload": "p%d" % n} for n in range(1000)]
    device.post("storage/col", many[:100])
    device.upload("col", many)
    assert {id_: r["payload"] for id_, r in full(device).items()} == {
        record["id"]: record["payload"] for record in many
    }
    assert len({record["modified"] for record in full(device).values()}) == 1
    assert device.get("info/collection_counts").json == {"col": 1000}


# ---- what is refused ----


@pytest.mark.sqlite_only
@pytest.mark.parametrize("path", [
    "storage/col?commit=true",
    "storage/col?batch=true&commit=false",
    "storage/col?batch=true&commit=",
    "storage/col?batch=true&commit=1",
    "storage/col?batch=false",
    "storage/col?batch=1",
    "storage/col?batch=AAAAAAAAAAB",
    "storage/col?batch=AAAAAAAAAA%3D%3D",
    "storage/col?batch=AAAAAAAAAAA",
    "storage/col?batch=%00%00%00%00%00%00%00%00%00%00%00",
    "storage/col?batch=%FF%FE",
    "storage/col?batch=" + "A" * 5000,
    "storage/col?batch=AAAAAAAAAAA&commit=true",
])  # fmt: skip
def test_wrong_arguments(site15, device, path):
    device.put("storage/col/a", {"payload": "x"})
    before = site15.digest()
    assert device.post(path, records("a", payload="y"), 400).json == 1
    assert site15.digest() == before


def test_batches_of_others(site15, device):
    """Of another user, another collection, and one that was committed."""
    batch = begin(device, body=records("a", payload="x"))
    other = site15.device(67890)
    device.put("storage/another/a", {"payload": "x"})
    done = begin(device, body=records("a", payload="x"))
    commit(device, done)
    before = site15.digest()
    for who, id_, collection in (
        (other, batch, "col"), (device, batch, "another"), (device, done, "col"),
    ):  # fmt: skip
        add(who, id_, records("b", payload="y"), collection, 400)
        commit(who, id_, records("b", payload="y"), collection, 400)
    assert site15.digest() == before
    commit(device, batch)


def test_a_batch_ends_after_two_hours(site15, device, clock):
    batch = begin(device, body=records("a", payload="x"))
    clock.forward(LIFE_SECONDS - 20)
    add(device, batch, records("b", payload="x"))
    clock.forward(LIFE_SECONDS + 1)
    before = site15.digest()
    add(device, batch, records("c", payload="x"), status=400)
    commit(device, batch, records("c", payload="x"), status=400)
    assert site15.digest() == before
    assert full(device) == {}


def test_somebody_has_written_meanwhile(site15, device):
    since = device.put("storage/col/a", {"payload": "x"}).text
    other = device.put("storage/col/b", {"payload": "x"}).text
    before = site15.digest()
    answer = device.post("storage/col?batch=true", [], 412, X_If_Unmodified_Since=since)
    assert last_modified(answer) == other
    assert site15.digest() == before
    batch = begin(device, body=records("a", payload="y"), X_If_Unmodified_Since=other)
    add(device, batch, records("b", payload="y"), X_If_Unmodified_Since=other)
    new = device.put("storage/col/c", {"payload": "x"}).text
    before = site15.digest()
    for ask in (add, commit):
        answer = ask(device, batch, records("d"), status=412, X_If_Unmodified_Since=other)
        assert last_modified(answer) == new
    assert site15.digest() == before
    assert full(device)["a"]["payload"] == "x"


def test_a_commit_that_is_repeated(site15, device):
    """As after a lost answer: it says what a browser takes quietly, and changes nothing."""
    since = device.put("storage/col/a", {"payload": "x"}).text
    batch = begin(device, body=records("a", payload="y"), X_If_Unmodified_Since=since)
    answer = commit(device, batch, records("b"), X_If_Unmodified_Since=since)
    before = site15.digest()
    again = commit(device, batch, records("b"), status=412, X_If_Unmodified_Since=since)
    assert last_modified(again) == last_modified(answer)
    assert site15.digest() == before


def test_some_records_fail(device):
    answer = device.post("storage/col?batch=true", [
        {"id": "a", "payload": "x"},
        {"id": "b", "payload": 5},
        {"id": "c", "payload": "x", "parentid": "a"},
    ], 202)  # fmt: skip
    assert answer.json["success"] == ["a"]
    assert answer.json["failed"].keys() == {"b", "c"}
    answer = commit(device, answer.json["batch"], [{"id": "d", "sortindex": "x"}, {"id": "e"}])
    assert (answer.json["success"], list(answer.json["failed"])) == (["e"], ["d"])
    assert full(device).keys() == {"a", "e"}


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


def test_open_batches_have_no_more_than_the_quota(make_site):
    """One alone is refused; of several the oldest goes."""
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


@pytest.mark.in_process
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


@pytest.mark.in_process
def test_purge(site15, clock):
    """What the command does: of all users, some records in each transaction."""
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


@pytest.mark.in_process
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


def test_names_of_batches():
    for number in (0, 1, -1, 2**63 - 1, -(2**63)):
        text = batches.batch_text(number)
        assert len(text) == 11 and batches.parse_batch(text) == number
    for text in ("", "true", "A" * 10, "A" * 12, "AAAAAAAAAAB", "AAAAAAAAAA=", "AAAAA AAAAA",
                 "AAAAAAAAAA\n", "ÄAAAAAAAAAA"):  # fmt: skip
        with pytest.raises(batches.NoBatch):
            batches.parse_batch(text)
