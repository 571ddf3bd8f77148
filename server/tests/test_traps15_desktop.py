# SPDX-License-Identifier: Apache-2.0
"""The storage of Sync 1.5, where Firefox on a desktop depends on it.

Each test stands for a fact that was seen on the wire or is in its code: tokens (43), the
order of a sync (44), the rig (45), errors (46); the next number is that of the fact.
"""

import json
import time
from urllib.parse import quote

import pytest

from client import hundredths
from client15 import BATCH_OF_DESKTOP, hawk_header, make_token
from conftest import Site15
from facts15 import READS, fill, modified_of, shortest, times


@pytest.fixture
def device(site15):
    return site15.device()


@pytest.mark.sqlite_only
def test_43_slash_after_the_endpoint(device):
    for end in ("", "/"):
        device.put("storage/col/a", {"payload": "x"})
        device.delete(None if not end else "")
        assert device.get("info/collections").json == {}


@pytest.mark.sqlite_only
def test_43_clock_of_the_client(device):
    """It is set by another server's clock: a phone that is a day late is let in."""
    for seconds in (-90000, -600, 600, 90000):
        url = device.endpoint + "/info/collections"
        header = hawk_header(device.id, device.key, "GET", url, ts=int(time.time()) + seconds)
        device.get("info/collections", Authorization=header)


@pytest.mark.sqlite_only
def test_43_refusals_are_401(site15, device):
    """Each 401 has the body 0, and makes a browser ask for a new token."""
    old = make_token(site15.secret, device.uid, site15.node, duration=-8000)
    forged = make_token("another secret", device.uid, site15.node)
    other = make_token(site15.secret, 777, site15.node)
    for id_, key in (old, forged, other, (device.id, forged[1]), (device.id[:-8], device.key)):
        for path in READS:
            header = hawk_header(id_, key, "GET", device.endpoint + "/" + path)
            answer = device.get(path, 401, Authorization=header)
            assert answer.json == 0 and "X-Weave-Timestamp" in answer.headers
            assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    device.get("info/collections", 401, Authorization=None)


def test_44_3_first_sync(device):
    device.get("info/collections")
    device.get("info/configuration")
    device.get("storage/meta/global", 404)
    device.delete("storage", X_Confirm_Delete="1").json
    device.put("storage/meta/global", {"payload": "{}", "id": "global", "modified": 0},
               X_If_Unmodified_Since="0")  # fmt: skip
    put = modified_of(device.put("storage/crypto/keys", {"payload": "k", "id": "keys"},
                                 X_If_Unmodified_Since="0"))  # fmt: skip
    assert times(device)["crypto"] >= put
    assert device.get("storage/crypto/keys").json["payload"] == "k"


def test_44_4_body_of_a_put_is_a_number(device):
    body = device.put("storage/col/a", {"payload": "x"}).text
    assert isinstance(json.loads(body), float) and len(body.partition(".")[2]) == 2


@pytest.mark.sqlite_only
def test_44_5_unknown_arguments(device):
    fill(device)
    for path in ("info/collections", "info/configuration", "storage/meta/global", "storage/meta"):
        plain = device.get(path)
        assert device.get(path + "?v=1.155.0").body == plain.body
        assert device.get(path + "?v=%20&v=1&w").body == plain.body


def test_44_6a_engine_begins_anew(device):
    """It deletes its collection and posts with 0: the old time must be forgotten."""
    device.put("storage/forms/a", {"payload": "x"})
    before = times(device)["forms"]
    device.delete("storage/forms")
    started = device.post(
        "storage/forms?batch=true&commit=true", [{"id": "b"}], X_If_Unmodified_Since="0"
    )
    assert started.headers["X-Last-Modified"] > before
    assert device.get("storage/forms").json == ["b"]


@pytest.mark.parametrize("sort", ["", "&sort=newest", "&sort=oldest"])
def test_44_6b_pages(device, sort):
    """All pages are of one time, which is the same text, and somebody's write is a 412."""
    device.upload("history", [{"id": "a%d" % n, "payload": "x"} for n in range(7)])
    path = "storage/history?full=1&limit=3" + sort
    first = answer = device.get(path)
    found, since = first.json, first.headers["X-Last-Modified"]
    while "X-Weave-Next-Offset" in answer.headers:
        asked = path + "&offset=" + quote(answer.headers["X-Weave-Next-Offset"], safe="")
        answer = device.get(asked, X_If_Unmodified_Since=since)
        assert answer.headers["X-Last-Modified"] == since
        found += answer.json
    assert sorted(record["id"] for record in found) == ["a%d" % n for n in range(7)]
    device.put("storage/history/new", {"payload": "x"})
    path += "&offset=" + quote(first.headers["X-Weave-Next-Offset"], safe="")
    device.get(path, 412, X_If_Unmodified_Since=since)


def test_44_6b_a_page_that_is_just_full_is_the_last(device):
    device.upload("col", [{"id": id_} for id_ in "abc"])
    assert "X-Weave-Next-Offset" not in device.get("storage/col?full=1&limit=3").headers
    assert "X-Weave-Next-Offset" in device.get("storage/col?full=1&limit=2").headers


def test_44_6c_backlog(device):
    first = modified_of(device.put("storage/history/old", {"payload": "x"}))
    device.upload("history", [{"id": "a%d" % n, "payload": "x"} for n in range(3)])
    last = modified_of(device.put("storage/history/new", {"payload": "x"}))
    path = "storage/history?newer=%s&older=%s&sort=oldest" % (shortest(first), shortest(last))
    assert sorted(device.get(path).json) == ["a0", "a1", "a2"]
    path = "storage/history?full=1&sort=newest&ids=new,a1,gone&limit=1000"
    assert [record["id"] for record in device.get(path).json] == ["new", "a1"]


def test_44_6_second_record_of_meta(device):
    fill(device)
    device.get("storage/meta/syncids", 404)
    put = modified_of(device.put("storage/meta/syncids", {"payload": "x"}))
    assert device.get("storage/meta/global").headers["X-Last-Modified"] < put


def test_44_7_upload(device):
    since = shortest(modified_of(device.put("storage/tabs/old", {"payload": "x"})))
    answer = device.upload("tabs", [{"id": "a%d" % n} for n in range(250)], since=since)
    assert answer.headers["X-Last-Modified"] == times(device)["tabs"] > since
    device.upload("tabs", [{"id": "b"}], since=answer.headers["X-Last-Modified"])
    answer = device.post(BATCH_OF_DESKTOP % "tabs", [{"id": "c"}], 412, X_If_Unmodified_Since=since)
    assert answer.headers["X-Last-Modified"] == times(device)["tabs"]
    assert "c" not in device.get("storage/tabs").json


def test_44_8_time_in_milliseconds(device):
    """The quick write of tabs sends a time of the year 131968."""
    device.put("storage/tabs/a", {"payload": "x"})
    path = BATCH_OF_DESKTOP % "tabs"
    device.post(path, [{"id": "a", "payload": "y"}], X_If_Unmodified_Since="4102405200000")
    assert device.get("storage/tabs/a").json["payload"] == "y"


def test_44_9_end_of_a_sync(device):
    fill(device)
    since = shortest(times(device)["meta"])
    put = device.put("storage/meta/global", {"payload": "new"}, X_If_Unmodified_Since=since)
    device.put("storage/meta/global", {"payload": "late"}, 412, X_If_Unmodified_Since=since)
    assert times(device)["meta"] == modified_of(put)
    ids = ["a%d" % number for number in range(101)]
    device.upload("col", [{"id": id_} for id_ in ids])
    device.delete("storage/col?ids=" + ",".join(ids), 400)
    device.delete("storage/col?ids=" + ",".join(ids[:100]))
    assert device.get("storage/col").json == ids[100:]


def test_44_10_no_record_is_later_than_its_answer(device):
    for number in range(10):  # quicker than the clock ticks
        device.put("storage/col/a%d" % number, {"payload": "x"})
        answer = device.get("storage/col?full=1")
        newest = max(hundredths("%.2f" % record["modified"]) for record in answer.json)
        assert newest == hundredths(answer.headers["X-Last-Modified"])
        assert newest <= hundredths(answer.headers["X-Weave-Timestamp"])


@pytest.mark.parametrize("ttl", [5184000, 15552000, 94608000, 999999999])
def test_44_life_of_forms(device, clock, ttl):
    """Three years, where 1.1 takes one at most."""
    device.put("storage/forms/a", {"payload": "x", "ttl": ttl})
    assert device.post("storage/forms", [{"id": "b", "ttl": ttl}]).json["failed"] == {}
    clock.forward(5000000)
    assert len(device.get("storage/forms").json) == 2


def test_45_batch_of_a_new_collection(device):
    """The time of the 202, `0.00`, comes back in the next POST; others are newer."""
    device.put("storage/other/a", {"payload": "x"})
    answer = device.post(
        "storage/col?batch=true", [{"id": "a"}], 202, X_If_Unmodified_Since="0"
    )
    assert answer.headers["X-Last-Modified"] == "0.00"
    batch = quote(answer.json["batch"], safe="")
    device.post("storage/col?batch=" + batch, [{"id": "b"}], 202, X_If_Unmodified_Since="0.00")
    path = "storage/col?commit=true&batch=" + batch
    device.post(path, [{"id": "c"}], X_If_Unmodified_Since="0.00")
    assert sorted(device.get("storage/col").json) == ["a", "b", "c"]


def test_45_ids_with_braces(device):
    """Escaped in paths, bare in queries: the MAC is over what was sent, not what it means."""
    id_ = "{aa2e-1}"
    device.put("storage/passwords/%7Baa2e-1%7D", {"payload": "x", "id": id_})
    device.post("storage/passwords", [{"id": id_, "sortindex": 5}, {"id": "y z"}])
    assert device.get("storage/passwords/%7baa2e-1%7D").json["sortindex"] == 5
    found = device.get("storage/passwords?full=1&ids={aa2e-1},y%20z,a%2Fb").json
    assert sorted(record["id"] for record in found) == ["y z", id_]
    device.delete("storage/passwords?ids={aa2e-1}")
    assert device.get("storage/passwords").json == ["y z"]


def test_45_sign_out(device):
    device.upload("clients", [{"id": "me", "payload": "x", "ttl": 15552000}])
    device.put("storage/tabs/me", {"payload": "x" * 17000})
    device.delete("storage/clients/me")
    device.delete("storage/tabs/me")
    assert device.get("info/collection_counts").json in ({}, {"clients": 0, "tabs": 0})
    device.delete("storage/tabs/me", 404)


def test_46_over_quota_is_14(make_site):
    site = make_site(Site15, storage="use_quota = true\nquota_size = 1")
    device = site.device()
    device.put("storage/col/a", {"payload": "x" * 600})
    assert device.put("storage/col/b", {"payload": "x" * 600}, 400).json == 14
    path = BATCH_OF_DESKTOP % "col"
    assert device.post(path, [{"id": "b", "payload": "x" * 600}], 400).json == 14
    assert device.get("storage/col").json == ["a"]
    started = device.post("storage/col?batch=true", [{"id": "b", "payload": "x" * 600}], 202)
    path = "storage/col?commit=true&batch=" + quote(started.json["batch"], safe="")
    assert device.post(path, [{"id": "c"}], 400).json == 14
    assert device.get("storage/col").json == ["a"]
    assert device.put("storage/col/b", {"payload": "x"}).headers["X-Weave-Quota-Remaining"]


def test_46_empty_store(device):
    """All data is gone: the browser writes meta/global with 0, wipes, and writes it again."""
    fill(device)
    device.delete("storage")
    device.get("storage/meta/global", 404)
    first = modified_of(device.put("storage/meta/global", {"payload": "1"},
                                   X_If_Unmodified_Since="0"))  # fmt: skip
    device.delete("storage", X_Confirm_Delete="1")
    second = modified_of(device.put("storage/meta/global", {"payload": "2"},
                                    X_If_Unmodified_Since="0"))  # fmt: skip
    device.put("storage/crypto/keys", {"payload": "k"}, X_If_Unmodified_Since="0")
    assert second > first and times(device)["meta"] == second


def test_46_time_never_goes_back(device):
    """Even where everything is deleted, and there is no 409 however quick the writes are."""
    last = 0
    for number in range(12):
        written = device.put("storage/col/a", {"payload": "x"})
        wiped = device.delete("storage" if number % 2 else None)
        now = hundredths(device.get("info/collections").headers["X-Last-Modified"])
        assert last < hundredths(modified_of(written)) < now
        assert hundredths(wiped.headers["X-Weave-Timestamp"]) == now
        last = now
