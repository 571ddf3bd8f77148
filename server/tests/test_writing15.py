# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: what clients write, and what becomes of it."""

import json
import threading

import pytest

from client import seconds
from client15 import time_of
from conftest import Site15

ZEROS = '{"ciphertext":"c","IV":%s"AAAAAAAAAAAAAAAAAAAAAA==","hmac":"h"}'


@pytest.fixture
def device(site15):
    return site15.device()


def record(device, id_, collection="a"):
    return device.get("storage/%s/%s" % (collection, id_)).json


# ---- one record ----


def test_a_put(device):
    answer = device.put("storage/a/1", {"payload": "x", "id": "else", "modified": 5})
    assert answer.text == answer.headers["X-Last-Modified"]
    assert answer.text == answer.headers["X-Weave-Timestamp"]
    assert len(answer.text.partition(".")[2]) == 2
    # Android's client compares both with what it remembers, for equality.
    assert device.get("storage/a/1").headers["X-Last-Modified"] == answer.text
    assert device.get("info/collections").text == '{"a":%s}' % answer.text
    later = device.put("storage/a/1", {"payload": "y", "collection": "b"})
    assert time_of(later) > time_of(answer)
    assert record(device, "1")["payload"] == "y"


def test_fields_that_are_not_sent_stay(device, clock):
    first = device.put("storage/a/1", {"payload": "x", "sortindex": 5, "ttl": 1000}).json
    device.put("storage/a/endless", {"payload": "x", "ttl": None})
    assert record(device, "1") == {"id": "1", "modified": first, "payload": "x", "sortindex": 5}
    second = device.put("storage/a/1", {"payload": "y"}).json
    assert record(device, "1") == {"id": "1", "modified": second, "payload": "y", "sortindex": 5}
    third = device.put("storage/a/1", {"sortindex": -7}).json
    assert record(device, "1") == {"id": "1", "modified": third, "payload": "y", "sortindex": -7}
    nulls = {"payload": None, "sortindex": None, "ttl": None}
    fourth = device.put("storage/a/1", nulls)
    assert record(device, "1")["modified"] == third
    assert time_of(device.get("storage/a")) == time_of(fourth) > third * 100
    # The time to live is that of the first one, still.
    clock.forward(400)
    assert record(device, "1")["payload"] == "y"
    clock.forward(1010)
    device.get("storage/a/1", 404)
    assert record(device, "endless")["payload"] == "x"


def test_a_time_to_live_alone_moves_the_collection_alone(device, clock):
    first = device.post("storage/a", [{"id": id_, "payload": id_, "ttl": 50} for id_ in "12"])
    second = device.post("storage/a", [{"id": "1", "ttl": 1000}])
    assert record(device, "1")["modified"] * 100 == time_of(first)
    assert time_of(device.get("storage/a")) == time_of(second) > time_of(first)
    assert device.get("storage/a?newer=" + seconds(time_of(first))).json == []
    clock.forward(60)
    assert device.get("storage/a").json == ["1"]


def test_a_new_record_may_lack_everything(device):
    for number, body in enumerate(({"ttl": 1000}, {}, {"sortindex": 3}, {"payload": None})):
        id_ = str(number)
        modified = device.put("storage/a/" + id_, body).json
        found = record(device, id_)
        found.pop("sortindex", None)
        assert found == {"id": id_, "modified": modified, "payload": ""}


def test_an_expired_record_is_a_new_one(device, clock):
    """Also where nobody has removed its row: those that expired before it come first."""
    for first in (0, 100, 200):
        device.post("storage/a", [{"id": "o%d" % n, "ttl": 5} for n in range(first, first + 100)])
    device.put("storage/a/1", {"payload": "x", "sortindex": 5, "ttl": 10})
    device.put("storage/a/2", {"payload": "x", "ttl": 0})
    device.get("storage/a/2", 404, X_If_Unmodified_Since="0")
    device.delete("storage/a/2", 404, X_If_Unmodified_Since="0")
    clock.forward(20)
    device.get("storage/a/1", 404)
    device.delete("storage/a/1", 404)
    modified = device.put("storage/a/1", {"ttl": 1000}, X_If_Unmodified_Since="0").json
    assert record(device, "1") == {"id": "1", "modified": modified, "payload": ""}


def test_long_times_to_live(device, clock):
    """Firefox keeps what was typed into forms for three years."""
    device.put("storage/forms/1", {"payload": "x", "ttl": 94608000})
    device.put("storage/forms/2", {"payload": "x", "ttl": 999999999})
    clock.forward(94607000)
    assert device.get("storage/forms").json == ["1", "2"]
    clock.forward(94609000)
    assert device.get("storage/forms").json == ["2"]


INVALID = (
    {"payload": 42},
    {"payload": ["x"]},
    {"payload": "a\0b"},
    {"payload": "\ud800"},
    {"sortindex": "5"},
    {"sortindex": 2.6},
    {"sortindex": True},
    {"sortindex": 1000000000},
    {"sortindex": -1000000000},
    {"ttl": -1},
    {"ttl": "5"},
    {"ttl": 1000000000},
    {"ttl": 1.5},
    {"parentid": "x"},
    {"predecessorid": "x"},
    {"unexpected": "x"},
)


def test_invalid_fields(site15, device):
    device.put("storage/a/1", {"payload": "x"})
    before = site15.digest()
    for fields in INVALID:
        assert device.put("storage/a/1", fields, 400).json == 8, fields
    for body in ("text", 42, None, [], [{"payload": "x"}], True):
        assert device.put("storage/a/1", json.dumps(body).encode(), 400).json == 8, body
    for body in (b"", b"{", b'{"payload":"x"} x', b'{"payload":"x","payload":"y"}', b"\xff"):
        assert device.put("storage/a/1", body, 400).json == 6, body
    assert site15.digest() == before
    for fields in INVALID:
        answer = device.post("storage/b", [{"id": "good", "payload": ""}, dict(fields, id="bad")])
        assert answer.json["success"] == ["good"]
        assert list(answer.json["failed"]) == ["bad"]
        assert isinstance(answer.json["failed"]["bad"], str)
    assert device.get("storage/b").json == ["good"]


def test_names(device):
    name, id_ = "aZ0._-" + "x" * 26, "!#$&'()*+,-./:;<=>@[]^_`{|}~ \"\\"
    device.post("storage/" + name, [{"id": id_, "payload": "x"}, {"id": "y" * 64}])
    assert sorted(device.get("storage/" + name).json) == [id_, "y" * 64]
    path = "storage/%s/%s" % (name, "".join("%%%02X" % ord(c) for c in id_))
    assert device.get(path).json["id"] == id_
    device.put(path, {"payload": "y"})
    assert device.get(path).json["payload"] == "y"
    device.delete(path)
    assert device.get("storage/" + name).json == ["y" * 64]
    for bad in (name + "x", "a%20b", "%C3%A4", "a,b"):
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", ""), ("PUT", "/1")):
            answer = device.call(method, "storage/" + bad + path, b"[]", 404)
            assert (answer.json, answer.headers["Content-Type"]) == (0, "application/json")
    for bad in ("y" * 65, "%C3%A4", "a%0A", "a%7F"):
        for method in ("GET", "PUT", "DELETE"):
            assert device.call(method, "storage/a/" + bad, b'{"payload":""}', 404).json == 0
    for bad in ("", "y" * 65, "ä", "a\n", "\tb", "a\x7f"):
        answer = device.post("storage/a", [{"id": bad, "payload": "x"}])
        assert answer.json["success"] == []
        assert answer.json["failed"] == {bad: "invalid id"}
    assert device.get("storage/a").json == []


def test_a_slash_at_the_end_belongs_to_the_id(device):
    device.put("storage/a/1", {"payload": "x"})
    device.get("storage/a/1/", 404)
    device.put("storage/a/1/", {"payload": "y"})
    assert device.get("storage/a?full=1&sort=oldest").json[1]["id"] == "1/"
    assert record(device, "1")["payload"] == "x"
    device.delete("storage/a/1/")
    assert device.get("storage/a").json == ["1"]


# ---- several ----


def test_a_post(device):
    answer = device.post("storage/a", [{"id": "1", "payload": "x"}, {"id": "2", "payload": "y"}])
    assert answer.text == '{"modified":%s,"success":["1","2"],"failed":{}}' % (
        answer.headers["X-Last-Modified"]
    )
    assert answer.headers["X-Weave-Timestamp"] == answer.headers["X-Last-Modified"]
    assert [r["modified"] * 100 for r in device.get("storage/a?full=1").json] == [
        time_of(answer)
    ] * 2
    assert device.get("info/collections").json == {"a": answer.json["modified"]}


def test_what_is_no_list_of_records(site15, device):
    device.put("storage/a/1", {"payload": "x"})
    before = site15.digest()
    good = {"id": "2", "payload": "x"}
    for body in (
        {},
        good,
        "text",
        42,
        [good, "text"],
        [good, []],
        [good, None],
        [good, {}],
        [good, {"payload": "x"}],
        [good, {"id": 5, "payload": "x"}],
        [good, {"id": None}],
        [good, good],
        [good, {"id": "2", "ttl": -1}],
    ):
        assert device.post("storage/a", body, 400).json == 8, body
    for body in (b"", b"[", b"[]]", b"nonsense", b'[{"id":"2"},]'):
        assert device.post("storage/a", body, 400).json == 6, body
    assert site15.digest() == before


def test_a_post_of_nothing_makes_the_collection(device):
    for body in ([], [{"id": "", "payload": "x"}]):
        answer = device.post("storage/a", body)
        assert device.get("info/collections").json == {"a": answer.json["modified"]}
        assert time_of(device.get("storage/a")) == time_of(answer)


def test_lines(device):
    def post(body, status=200):
        return device.post("storage/a", body, status, Content_Type="application/newlines").json

    assert post(b'{"id":"1","payload":"a\\nb"}\n{"id":"2"}')["success"] == ["1", "2"]
    assert post(b'{"id":"3"}\n')["success"] == ["3"]
    assert post(b"")["success"] == []
    for body in (b"\n", b'{"id":"4"}\n\n{"id":"5"}', b"{}", b"[]", b"x", b'{"id":"4"},{"id":"5"}'):
        assert post(body, 400) in (6, 8)
    assert device.get("storage/a").json == ["1", "2", "3"]
    assert record(device, "1")["payload"] == "a\nb"
    device.put("storage/a/4", b'{"payload":""}', 415, Content_Type="application/newlines")


def test_types_of_bodies(device):
    body = b'{"payload":"x"}'
    for good in (None, "application/json", "text/plain", "Text/Plain; charset=utf-8"):
        device.put("storage/a/1", body, Content_Type=good)
        device.post("storage/a", b"[]", Content_Type=good)
    for bad in ("application/octet-stream", "application/x-www-form-urlencoded", "json", "a/b"):
        assert device.put("storage/a/2", body, 415, Content_Type=bad).json == 0
        assert device.post("storage/b", b"[]", 415, Content_Type=bad).json == 0
    assert list(device.get("info/collections").json) == ["a"]
    assert device.get("storage/a").json == ["1"]


LIMITS = """
max_request_bytes = 14096
max_post_bytes = 10000
max_record_payload_bytes = 5000
max_post_records = 5
max_total_bytes = 20000
max_total_records = 10
"""


def test_limits_of_a_post(make_site):
    device = make_site(Site15, sync15=LIMITS).device()
    assert device.get("info/configuration").json["max_post_bytes"] == 10000
    answer = device.post("storage/a", [{"id": str(n), "payload": "x"} for n in range(7)])
    assert answer.json["success"] == list("01234")
    assert answer.json["failed"] == {"5": "retry bso", "6": "retry bso"}
    sizes = {"a": 5000, "b": 5001, "c": 4990, "d": 11, "e": 10}
    body = [{"id": id_, "payload": "x" * size} for id_, size in sizes.items()]
    answer = device.post("storage/b", body[:1] + body[2:])
    assert answer.json["success"] == ["a", "c", "e"]
    assert answer.json["failed"] == {"d": "retry bytes"}
    answer = device.post("storage/c", body[1:2])
    assert answer.json["failed"] == {"b": "retry bytes"}
    # It is bytes that count, and not characters.
    answer = device.post("storage/c", ('[{"id":"u","payload":"%s"}]' % ("ü" * 2501)).encode())
    assert answer.json["failed"] == {"u": "retry bytes"}
    device.put("storage/c/u", ('{"payload":"%s"}' % ("ü" * 2500)).encode())
    assert device.put("storage/c/b", {"payload": "x" * 5001}, 413).json == 0
    assert device.post("storage/c", b"[]" + b" " * 14094).json["success"] == []
    assert device.post("storage/c", b"[]" + b" " * 14095, 413).json == 0
    assert device.put("storage/c/1", b"{}" + b" " * 14095, 413).json == 0


def test_a_post_of_the_largest_size(device):
    body = [{"id": "big", "payload": "x" * (2621440 - 3)}, {"id": "small", "payload": "xxx"}]
    assert device.post("storage/a", body).json["failed"] == {}
    body[1]["payload"] += "x"
    assert device.post("storage/a", body).json["failed"] == {"small": "retry bytes"}
    assert len(record(device, "big")["payload"]) == 2621440 - 3


def test_what_is_announced(device):
    for header, limit in (
        ("X_Weave_Records", 100),
        ("X_Weave_Bytes", 2621440),
        ("X_Weave_Total_Records", 10000),
        ("X_Weave_Total_Bytes", 262144000),
    ):
        for number in ("0", str(limit)):
            device.post("storage/a?batch=true&commit=true", [], **{header: number})
        answer = device.post("storage/b", [], 400, **{header: str(limit + 1)})
        assert answer.json == 17
        for malformed in ("x", "", "-1", "1.0", "1e3", "1, 2", "0x1", "9" * 65, "nan"):
            assert device.post("storage/b", [], 400, **{header: malformed}).json == 1
    assert list(device.get("info/collections").json) == ["a"]


def test_keys_that_are_encrypted_with_zeros(site15, device):
    """Only a broken client writes such keys."""
    for blanks in ("", " ", "  \t"):
        bad = {"id": "keys", "payload": ZEROS % blanks}
        before = site15.digest()
        assert device.put("storage/crypto/keys", bad, 400).json == 8
        for query in ("", "?batch=true", "?batch=true&commit=true"):
            assert device.post("storage/crypto" + query, [{"id": "a"}, bad], 400).json == 8
        assert site15.digest() == before
        device.put("storage/a/keys", bad)
        device.post("storage/a", [bad])
    device.put("storage/crypto/keys", {"payload": (ZEROS % "").replace("AAAA", "BBBB")})


# ---- conditions ----


def test_conditions_of_writes(site15, device):
    first = time_of(device.put("storage/a/1", {"payload": "x"}))
    last = time_of(device.put("storage/a/2", {"payload": "x"}))
    store = time_of(device.put("storage/b/1", {"payload": "x"}))
    before = site15.digest()
    for method, path, modified in (
        ("PUT", "storage/a/1", first),
        ("DELETE", "storage/a/1", first),
        ("POST", "storage/a", last),
        ("DELETE", "storage/a?ids=1", last),
        ("DELETE", "storage/a", last),
        ("DELETE", "storage", store),
        ("DELETE", None, store),
    ):
        body = {"PUT": {"payload": "y"}, "POST": [{"id": "1", "payload": "y"}]}.get(method)
        for since in ("0", seconds(modified - 1)):
            answer = device.call(method, path, body, 412, X_If_Unmodified_Since=since)
            assert (answer.json, time_of(answer)) == (0, modified)
        for wrong in (
            {"X_If_Unmodified_Since": "-1"},
            {"X_If_Unmodified_Since": "x"},
            {"X_If_Unmodified_Since": seconds(store), "X_If_Modified_Since": "0"},
        ):
            assert device.call(method, path, body, 400, **wrong).json == 1
        assert site15.digest() == before
    since = seconds(first)
    first = time_of(device.put("storage/a/1", {"payload": "y"}, X_If_Unmodified_Since=since))
    device.put("storage/a/3", {"payload": "new"}, X_If_Unmodified_Since="0")
    device.put("storage/c/1", {"payload": "new"}, X_If_Unmodified_Since="0")
    device.post("storage/d", [{"id": "1"}], X_If_Unmodified_Since="0.00")
    device.delete("storage/a/1", X_If_Unmodified_Since=seconds(first))
    last = time_of(device.get("storage/a"))
    device.delete("storage/a?ids=2", X_If_Unmodified_Since=seconds(last))
    assert device.get("storage/a").json == ["3"]
    device.post("storage/a", [{"id": "1"}], X_If_Unmodified_Since="4102405200000")
    device.delete(None, X_If_Unmodified_Since="4102405200000")


@pytest.mark.in_process
@pytest.mark.usefixtures("patience")
def test_one_of_several_makes_what_is_not_there(site15):
    """All send "only if it is not there" at once."""
    answers = []

    def put(payload):
        device = site15.device()
        answers.append(device.put("storage/meta/global", {"payload": payload}, None,
                                  X_If_Unmodified_Since="0"))  # fmt: skip

    site15.device()
    threads = [threading.Thread(target=put, args=(str(n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] + [412] * 5
    (made,) = (answer for answer in answers if answer.status == 200)
    found = site15.device().get("storage/meta/global")
    assert time_of(found) == time_of(made)
    assert {time_of(answer) for answer in answers} == {time_of(made)}
