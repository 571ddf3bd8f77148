# SPDX-License-Identifier: Apache-2.0
"""Batches of Sync 1.5: uploads in several requests."""

import pytest

from weave.server import batches, writer

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
    """The bodies are application/newlines without a line, and an empty list."""
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
    clock.forward(2400)
    assert full(device).keys() == set("abc")
    clock.forward(3005)
    assert full(device) == {}


def test_a_time_to_live_of_the_batch_counts_for_later_fields(device):
    """An element without ttl keeps that of an earlier element, not that of the stored record."""
    batch = begin(device, body=records("a", "b", payload="x", ttl=0))
    commit(device, batch, [{"id": "a", "sortindex": 1}, {"id": "b", "ttl": 1000}])
    assert full(device).keys() == {"b"}
    assert full(device)["b"]["payload"] == "x"


@pytest.mark.parametrize("fields, stays", [({"ttl": 1000}, False), ({"payload": "new"}, True)])
def test_what_has_expired_is_overwritten(device, clock, monkeypatch, fields, stays):
    """Nothing of it is kept, also of what is more than one write removes."""
    monkeypatch.setattr(writer, "PURGE_PER_WRITE", 1)
    device.post("storage/col", records(*"abc", payload="old", sortindex=1, ttl=10))
    batch = begin(device, body=records(*"abc", **fields))
    clock.forward(20)
    payload = fields.get("payload", "")
    stamp = commit(device, batch).json["modified"]
    shown = {id_: {"id": id_, "modified": stamp, "payload": payload} for id_ in "abc"}
    assert full(device) == shown
    assert device.get("info/collection_counts").json == {"col": 3}
    assert device.get("info/collection_usage").json == {"col": 3 * len(payload) / 1024}
    clock.forward(2000)
    assert full(device) == (shown if stays else {})


def test_what_is_not_sent_stays(device, clock):
    device.put("storage/col/a", {"payload": "old", "sortindex": 1, "ttl": 1000})
    batch = begin(device, body=records("a", "b", payload="new"))
    stamp = commit(device, batch).json["modified"]
    assert full(device)["a"] == {"id": "a", "modified": stamp, "payload": "new", "sortindex": 1}
    clock.forward(1005)
    assert full(device).keys() == {"b"}


def test_a_commit_of_many(device):
    """More than one part, with short payloads and long ones."""
    many = [
        {"id": "%05d" % (n * 7919 % 1000), "payload": "p%d" % n * (1 if n % 7 else 1200)}
        for n in range(1000)
    ]
    device.post("storage/col", many[:100])
    device.upload("col", many)
    assert {id_: r["payload"] for id_, r in full(device).items()} == {
        record["id"]: record["payload"] for record in many
    }
    assert len({record["modified"] for record in full(device).values()}) == 1
    assert device.get("info/collection_counts").json == {"col": 1000}
    size = sum(len(record["payload"]) for record in many)
    assert device.get("info/collection_usage").json == {"col": size / 1024}


# ---- what is refused ----


@pytest.mark.sqlite_only
@pytest.mark.parametrize("path", [
    "storage/col?commit=true",
    "storage/col?commit=false",
    "storage/col?commit",
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
    """Batches of another user or collection, and committed ones, are refused."""
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
    clock.forward(LIFE_SECONDS - 600)
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
    """After a lost answer, the second commit is a 412, which browsers take quietly."""
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


def test_names_of_batches():
    for number in (0, 1, -1, 2**63 - 1, -(2**63)):
        text = batches.batch_text(number)
        assert len(text) == 11 and batches.parse_batch(text) == number
    for text in ("", "true", "A" * 10, "A" * 12, "AAAAAAAAAAB", "AAAAAAAAAA=", "AAAAA AAAAA",
                 "AAAAAAAAAA\n", "ÄAAAAAAAAAA"):  # fmt: skip
        with pytest.raises(batches.NoBatch):
            batches.parse_batch(text)
