# SPDX-License-Identifier: Apache-2.0
"""The storage of Sync 1.5, where mobile clients depend on it, and where it is not 1.1.

Each test stands for a fact that is in the code of the clients for Android and iOS (9), or
for a difference to 1.1 (10); the second number is that of the fact.
"""

import json
import time
from urllib.parse import quote

import pytest

from client import hundredths
from client15 import hawk_header
from conftest import Site15, basic
from facts15 import READS, fill, modified_of, shortest, times


@pytest.fixture
def device(site15):
    return site15.device()


@pytest.fixture
def make_site15(make_site):
    return lambda lines: make_site(Site15, sync15=lines)


# ---- Android and iOS ----


def test_9_1_fresh_start(device):
    assert device.get("info/configuration").json["max_post_records"] >= 1
    assert device.get("info/collections").json == {}
    device.get("storage/meta/global", 404)
    device.delete(None)  # the endpoint itself, without a slash
    for path in ("meta/global", "crypto/keys"):
        device.put("storage/" + path, {"payload": "x"}, X_If_Unmodified_Since="0")
    assert set(device.get("info/collections").json) == {"meta", "crypto"}


@pytest.mark.parametrize("table", ["records", "collections", "users", "fxa_users"])
def test_9_1_and_44_3_no_wrong_404(site15, device, table):
    """A database that cannot be asked is a 503, which is always safe."""
    fill(device)
    table = "weave_" + table
    site15.sql("alter table %s rename to weave_away" % table)
    for path in (*READS, "storage/meta/other", "storage/other/other", "storage/other"):
        answer = device.get(path, None)
        assert answer.status != 404, path
        if answer.status != 200:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1800"), path
    assert device.delete("storage/meta/other", 503).headers["Retry-After"]
    site15.sql("alter table weave_away rename to %s" % table)
    for path in READS:
        device.get(path)


def test_9_1_and_44_3_who_is_gone_is_unauthorized(site15, device):
    """Neither a member who was replaced nor one who was deleted is told that it is empty."""
    fill(device)
    site15.sql("update weave_fxa_users set replaced = created")
    for path in (*READS, "storage/meta/other"):
        assert device.get(path, 401).json == 0
    for path in ("storage/meta/global", "storage/meta/other"):
        device.put(path, {"payload": "x"}, 401)
        device.delete(path, 401)
    site15.sql("delete from weave_fxa_users")
    for path in (*READS, "storage/meta/other"):
        device.get(path, 401)
    device.delete(None, 401)
    assert site15.sql("select count(*) from weave_records") == [(2,)]


def test_9_2_time_of_a_record_is_its_own(device):
    """Firefox for Android crashes where X-Last-Modified is another time."""
    put = modified_of(fill(device))
    device.put("storage/crypto/other", {"payload": "x"})
    for headers in ({}, {"X_If_Unmodified_Since": put}):
        answer = device.get("storage/crypto/keys", **headers)
        assert answer.headers["X-Last-Modified"] == put
        assert '"modified":' + put in answer.text.replace(" ", "")


def test_9_3_time_of_a_single_put_is_that_of_its_collection(device):
    for path in ("meta/global", "crypto/keys"):
        put = modified_of(device.put("storage/" + path, {"payload": "x"}))
        assert times(device)[path.split("/")[0]] == put


def requests_of_all_kinds(device):
    """Yields the answer of one request of each kind that has a 2xx."""
    for what in "collections", "collection_counts", "collection_usage", "quota", "configuration":
        yield device.get("info/" + what)
    yield device.put("storage/col/a", {"payload": "x"})
    yield device.put("storage/col/a", {"ttl": 1000})
    yield device.post("storage/col", [{"id": "b"}, {"id": "c"}])
    yield device.post("storage/col", [])
    started = device.post("storage/col?batch=true", [{"id": "d"}], 202)
    yield started
    path = "storage/col?batch=" + quote(started.json["batch"], safe="")
    yield device.post(path, [{"id": "e"}], 202)
    yield device.post(path + "&commit=true", [{"id": "f"}])
    yield device.get("storage/col")
    yield device.get("storage/col?full=1&limit=2")
    yield device.get("storage/nothing")
    yield device.get("storage/col/a")
    yield device.delete("storage/col/a")
    yield device.delete("storage/col?ids=b,nothing")
    yield device.delete("storage/nothing?ids=b")
    yield device.delete("storage/nothing")
    yield device.delete("storage/col")
    yield device.delete("storage")
    yield device.delete("")
    yield device.delete(None)


def test_9_4_all_that_is_well_is_json_and_has_a_time(device):
    for answer in requests_of_all_kinds(device):
        answer.json
        assert answer.headers["Content-Type"].split(";")[0] == "application/json"
        hundredths(answer.headers["X-Last-Modified"])
        now = hundredths(answer.headers["X-Weave-Timestamp"])
        assert now >= hundredths(answer.headers["X-Last-Modified"])


def test_9_4_times_come_back_in_their_shortest_form(device):
    for stamp in ("1700000000.00", "1700000000.50", "1700000000.25"):
        assert float(shortest(stamp)) == float(stamp)
        device.put("storage/col/" + stamp, {"payload": stamp})
    for _ in range(25):  # among them are some that end in a nought
        put = modified_of(device.put("storage/col/a", {"payload": "x"}))
        since = shortest(put)
        device.get("storage/col/a", X_If_Unmodified_Since=since)
        device.get("storage/col/a", 304, X_If_Modified_Since=since)
        assert device.get("storage/col?newer=" + since).json == []
        if len(since) < len(put):
            break
        time.sleep(0.007)


def test_9_5_no_page_unless_asked(device):
    """Mobile clients know no pages: whatever there is comes in one answer."""
    ids = ["id%04d" % number for number in range(1500)]
    device.upload("history", [{"id": id_, "payload": "x"} for id_ in ids])
    for path in ("?full=1&newer=0", "?full=1", "", "?full=1&older=9999999999&sort=oldest"):
        answer = device.get("storage/history" + path)
        assert len(answer.json) == 1500 == int(answer.headers["X-Weave-Records"])
        assert "X-Weave-Next-Offset" not in answer.headers
    some = ",".join(ids[:100])
    assert len(device.get("storage/history?full=1&ids=" + some).json) == 100


def test_9_6_a_mobile_batch(device):
    """The time of each 202 is what comes back with the next POST of the batch."""
    since = modified_of(device.put("storage/col/old", {"payload": "x"}))
    device.put("storage/other/newer", {"payload": "x"})
    batch, json_type = "true", "application/json"
    for number in range(3):
        answer = device.post(
            "storage/col?batch=" + quote(batch, safe=""), [{"id": "a%d" % number}], 202,
            X_If_Unmodified_Since=since, Content_Type=json_type,
        )  # fmt: skip
        assert batch in ("true", answer.json["batch"])
        assert answer.headers["X-Last-Modified"] == since
        batch, since = answer.json["batch"], answer.headers["X-Last-Modified"]
    answer = device.post(
        "storage/col?batch=%s&commit=true" % quote(batch, safe=""), [{"id": "last"}],
        X_If_Unmodified_Since=since, Content_Type=json_type,
    )  # fmt: skip
    assert "batch" not in answer.json
    assert answer.headers["X-Last-Modified"] == times(device)["col"] > since
    assert len(device.get("storage/col").json) == 5


def test_9_7_maintenance_says_when_to_come_back(site15, device):
    fill(device)
    site15.sql("alter table weave_records rename to weave_away")
    answer = device.get("storage/meta/global", 503)
    assert int(answer.headers["Retry-After"]) and int(answer.headers["X-Weave-Backoff"])
    assert "X-Weave-Timestamp" in answer.headers and answer.json is not None


@pytest.mark.sqlite_only
def test_9_8_sizes_need_not_be_announced(device):
    """No client today sends X-Weave-Records and its like."""
    for path, status in (("", 200), ("?batch=true", 202), ("?batch=true&commit=true", 200)):
        device.post("storage/col" + path, [{"id": "a", "payload": "x"}], status)


# ---- what differs from 1.1 ----


def test_10_auth(site15, device):
    """The password of 1.1 opens nothing of 1.5, and a token nothing of 1.1."""
    old = site15.user()
    password = basic(old.name, old.password)
    for path in ("info/collections", "storage/meta/global"):
        answer = device.get(path, 401, Authorization=password)
        assert answer.json == 0 and answer.headers["WWW-Authenticate"].startswith("Hawk")
        url = "http://localhost/1.1/alice/" + path
        hawk = hawk_header(device.id, device.key, "GET", url)
        old.get(path, 401, Authorization=hawk)
    old.put("storage/col/a", {"payload": "old"})
    device.put("storage/col/a", {"payload": "new"})
    assert old.get("storage/col/a").json["payload"] == "old"
    assert device.get("storage/col/a").json["payload"] == "new"


@pytest.mark.sqlite_only
def test_10_auth_body_is_not_signed(device):
    """A hash of the body is a part of the MAC, and nothing else."""
    url = device.endpoint + "/storage/col/a"
    header = hawk_header(device.id, device.key, "PUT", url, hash_="bm9uc2Vuc2U=", ext="x")
    device.put("storage/col/a", {"payload": "x"}, Authorization=header)
    cut = header.replace("bm9uc2Vuc2U=", "b3RoZXI=")
    device.put("storage/col/a", {"payload": "x"}, 401, Authorization=cut)


def test_10_ttl_stays(device, clock):
    device.put("storage/clients/a", {"payload": "x", "ttl": 1000})
    device.put("storage/clients/a", {"payload": "y"})
    device.post("storage/clients", [{"id": "a", "sortindex": 5}])
    device.upload("clients", [{"id": "a", "payload": "z"}], size=100)
    assert device.get("storage/clients/a").json["payload"] == "z"
    clock.forward(2000)
    device.get("storage/clients/a", 404)
    assert device.get("storage/clients").json == []


def test_10_record_without_payload(device):
    first = modified_of(device.put("storage/col/a", {"sortindex": 1}))
    found = device.get("storage/col/a")
    assert found.json == {"id": "a", "payload": "", "sortindex": 1, "modified": float(first)}
    second = modified_of(device.put("storage/col/a", {"sortindex": 2}))
    assert device.get("storage/col/a").json["modified"] == float(second) > float(first)
    third = modified_of(device.put("storage/col/a", {"ttl": 1000}))
    answer = device.get("storage/col/a")
    assert answer.headers["X-Last-Modified"] == second
    assert answer.json["sortindex"] == 2
    assert times(device)["col"] == third > second
    for fields in ({}, {"ttl": 1000}, {"payload": None, "sortindex": None, "ttl": None}):
        put = modified_of(device.put("storage/col/b", fields))
        answer = device.get("storage/col/b")
        assert answer.json == {"id": "b", "payload": "", "modified": float(put)}
        assert answer.headers["X-Last-Modified"] == put
        device.delete("storage/col/b")


def test_10_empty_collections_are_shown(device):
    device.put("storage/col/a", {"payload": "x"})
    device.delete("storage/col?ids=a")
    assert set(device.get("info/collections").json) == {"col"}
    device.delete("storage/col")
    assert device.get("info/collections").json == {}
    device.post("storage/col", [{"id": "a"}], X_If_Unmodified_Since="0")
    device.delete("storage/col/a")
    assert set(device.get("info/collections").json) == {"col"}


def test_10_412_of_an_item_is_about_the_item(device):
    first = modified_of(device.put("storage/col/a", {"payload": "x"}))
    device.put("storage/col/b", {"payload": "x"})
    device.put("storage/col/a", {"payload": "y"}, X_If_Unmodified_Since=first)
    answer = device.put("storage/col/a", {"payload": "z"}, 412, X_If_Unmodified_Since=first)
    assert answer.headers["X-Last-Modified"] > first
    device.put("storage/col/new", {"payload": "x"}, X_If_Unmodified_Since="0")
    device.put("storage/col/new", {"payload": "y"}, 412, X_If_Unmodified_Since="0")
    device.delete("storage/col/a", 412, X_If_Unmodified_Since=first)


def test_10_412_and_304_of_reads(device):
    first = modified_of(device.put("storage/col/a", {"payload": "x"}))
    last = modified_of(device.put("storage/col/b", {"payload": "x"}))
    for path in ("storage/col", "storage/col/b", "info/collections", "info/quota"):
        answer = device.get(path, 412, X_If_Unmodified_Since=first)
        assert answer.headers["X-Last-Modified"] == last
        device.get(path, X_If_Unmodified_Since=last)
        answer = device.get(path, 304, X_If_Modified_Since=last)
        assert (answer.body, answer.headers["X-Last-Modified"]) == (b"", last)
        device.get(path, X_If_Modified_Since=first)


def test_10_delete_by_ids_only(device):
    """All other arguments are ignored."""
    device.delete("storage/col?ids=a,b")  # 200 where there is nothing
    device.upload("col", [{"id": id_} for id_ in "abcd"])
    device.delete("storage/col?ids=a,b&newer=9999999999&limit=1")
    assert sorted(device.get("storage/col").json) == ["c", "d"]
    device.delete("storage/col?ids=", None)
    assert sorted(device.get("storage/col").json) == ["c", "d"]
    device.delete("storage/col?newer=9999999999&limit=1")
    assert device.get("info/collections").json == {}


def test_10_delete_everything_needs_no_confirmation(device):
    for path in ("storage", "storage/", "", None):
        device.put("storage/col/a", {"payload": "x"})
        device.delete(path)
        assert device.get("info/collections").json == {}
        device.get("storage/col/a", 404)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("query", [
    "limit=-1", "limit=x", "limit=1.5", "limit=", "sort=other", "sort=", "newer=x", "newer=",
    "older=-1", "newer=nan", "offset=x", "limit=1&offset=", "ids=" + "x" * 65,
])  # fmt: skip
def test_10_bad_arguments_are_refused(device, query):
    device.put("storage/col/a", {"payload": "x"})
    device.get("storage/col?" + query, 400)


def test_10_offset_is_opaque(device):
    device.upload("col", [{"id": "a%d" % number} for number in range(5)])
    seen, path = [], "storage/col?limit=2"
    answer = device.get(path)
    while "X-Weave-Next-Offset" in answer.headers:
        seen += answer.json
        offset = answer.headers["X-Weave-Next-Offset"]
        assert set(offset) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        )
        answer = device.get(path + "&offset=" + offset)
    assert sorted(seen + answer.json) == ["a%d" % number for number in range(5)]


def test_10_ids_are_printable_ascii(device):
    for id_ in ("!", "~" * 64, "a b", "{0}"):
        device.post("storage/col", [{"id": id_}])
        assert device.get("storage/col/" + quote(id_, safe="")).json["id"] == id_
    for id_ in ("\u00e4", "a\x7f", "a\n", "~" * 65):
        path = "storage/col/" + quote(id_, safe="")
        assert device.put(path, {"payload": "x"}, None).status in (400, 404)
        answer = device.post("storage/col", [{"id": id_}], None)
        assert answer.status == 400 or list(answer.json["failed"]) == [id_]
    assert len(device.get("storage/col").json) == 4


def test_10_names_of_collections_have_32_characters(device):
    device.put("storage/%s/a" % ("c" * 32), {"payload": "x"})
    assert device.put("storage/%s/a" % ("c" * 33), {"payload": "x"}, None).status in (400, 404)
    assert list(device.get("info/collections").json) == ["c" * 32]


def test_10_failures_are_texts(device):
    answer = device.post("storage/col", [{"id": "a", "payload": 5}, {"id": "b"}]).json
    assert answer["success"] == ["b"] and isinstance(answer["failed"]["a"], str)


def test_10_twice_in_one_post(device):
    assert device.post("storage/col", [{"id": "a"}, {"id": "b"}, {"id": "a"}], 400).json == 8
    assert device.get("info/collections").json == {}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("element", [5, None, "a", [], True, {}, {"payload": "x"}])
def test_10_no_record_in_a_post(device, element):
    assert device.post("storage/col", [{"id": "a"}, element], 400).json == 8
    assert device.post("storage/col?batch=true", [{"id": "a"}, element], 400).json == 8
    assert device.get("info/collections").json == {}


def test_10_limits_of_a_post(make_site15):
    limits = "max_post_records = 3\nmax_post_bytes = 2000\nmax_record_payload_bytes = 1500"
    device = make_site15(limits).device()
    answer = device.post("storage/col", [{"id": id_} for id_ in "abcd"]).json
    assert answer["success"] == ["a", "b", "c"] and answer["failed"] == {"d": "retry bso"}
    records = [{"id": id_, "payload": "x" * 900} for id_ in "abc"]
    answer = device.post("storage/col", records).json
    assert answer["success"] == ["a", "b"] and answer["failed"] == {"c": "retry bytes"}
    answer = device.post("storage/col", [{"id": "e", "payload": "x" * 1501}, {"id": "f"}]).json
    assert answer["success"] == ["f"] and list(answer["failed"]) == ["e"]
    device.put("storage/col/e", {"payload": "x" * 1500})
    assert device.put("storage/col/e", {"payload": "x" * 1501}, None).status in (400, 413)


@pytest.mark.sqlite_only
def test_10_no_whoisi(device):
    device.put("storage/col/a", {"payload": "x"})
    device.get("storage/col", 406, Accept="application/whoisi")
    lines = device.get("storage/col?full=1", Accept="application/newlines")
    assert json.loads(lines.text)["id"] == "a" and lines.body.endswith(b"\n")
    device.get("storage/col", Accept="application/json;q=0.9,*/*;q=0.2")


def test_10_limits_are_told_and_kept(make_site15):
    told = {
        "max_request_bytes": 8192, "max_post_records": 5, "max_post_bytes": 4096,
        "max_total_records": 7, "max_total_bytes": 6000, "max_record_payload_bytes": 4096,
    }  # fmt: skip
    lines = "\n".join("%s = %d" % limit for limit in told.items())
    device = make_site15(lines).device()
    found = device.get("info/configuration").json
    assert {name: found[name] for name in told} == told
    device.put("storage/col/a", {"payload": "x" * 4096})
    body = json.dumps({"payload": "x"}).encode()
    device.put("storage/col/a", body.ljust(8192))
    device.put("storage/col/a", body.ljust(8193), 413)
    for name, limit in told.items():
        header = {"max_post_records": "X_Weave_Records", "max_post_bytes": "X_Weave_Bytes",
                  "max_total_records": "X_Weave_Total_Records",
                  "max_total_bytes": "X_Weave_Total_Bytes"}.get(name)  # fmt: skip
        if header:
            path = "storage/col?batch=true"
            device.post(path, [], 202, **{header: str(limit)})
            assert device.post(path, [], 400, **{header: str(limit + 1)}).json == 17
            device.post(path, [], 400, **{header: "x"})


def test_10_totals_of_a_batch_are_counted(make_site15):
    """Whether they were announced or not; equal is not too much."""
    device = make_site15("max_total_records = 4\nmax_total_bytes = 2000").device()
    for first, more, too_much in (
        ([{"id": "a"}, {"id": "b"}], [{"id": "c"}, {"id": "d"}], [{"id": "e"}]),
        ([{"id": "a", "payload": "x" * 1500}], [{"id": "b", "payload": "x" * 500}],
         [{"id": "c", "payload": "x"}]),
    ):  # fmt: skip
        path = "storage/col?batch="
        path += quote(device.post(path + "true", first, 202).json["batch"], safe="")
        device.post(path, more, 202)
        assert device.post(path, too_much, 400).json == 17
        assert device.post(path + "&commit=true", too_much, 400).json == 17
        device.post(path + "&commit=true", [])
        assert len(device.get("storage/col").json) == len(first + more)
        device.delete("storage/col")
