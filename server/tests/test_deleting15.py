# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: what is deleted, and whose it is."""

import pytest

from client import seconds
from client15 import time_of
from conftest import Site15


@pytest.fixture
def device(site15):
    return site15.device()


def test_a_collection_that_was_deleted_was_never_there(device):
    """Firefox deletes each collection before its first upload, and sends 0 with it."""
    store = 0
    for _ in range(3):
        answer = device.delete("storage/a")
        assert time_of(answer) > store
        store = time_of(answer)
        assert answer.json == {"modified": store / 100}
        assert answer.headers["X-Weave-Timestamp"] == seconds(store)
        assert device.get("info/collections").json == {}
        assert time_of(device.get("info/collections")) == store
        empty = device.get("storage/a")
        assert (empty.json, empty.headers["X-Last-Modified"]) == ([], "0.00")
        device.get("storage/a/1", 404)
        answer = device.post("storage/a", [{"id": "1", "payload": "x"}], X_If_Unmodified_Since="0")
        assert time_of(answer) > store
        store = time_of(answer)
        device.post("storage/a", [{"id": "1", "payload": "x"}], 412, X_If_Unmodified_Since="0")


def test_some_are_deleted(device):
    device.post("storage/a", [{"id": id_, "payload": "x"} for id_ in "12345"])
    device.put("storage/b/1", {"payload": "x"})
    answer = device.delete("storage/a?ids=1%2C3,none")
    assert answer.json == {"modified": time_of(answer) / 100}
    assert time_of(device.get("storage/a")) == time_of(answer)
    assert device.get("storage/a").json == ["2", "4", "5"]
    answer = device.delete("storage/a/4")
    assert answer.json == {"modified": time_of(answer) / 100}
    assert time_of(device.get("storage/a")) == time_of(answer)
    before = time_of(device.get("info/collections"))
    for path in ("storage/a/4", "storage/none/4"):
        assert device.delete(path, 404).json == 0
    assert time_of(device.get("info/collections")) == before
    # Nothing is named, and not everything.
    device.delete("storage/a?ids=")
    assert device.get("storage/a").json == ["2", "5"]
    device.delete("storage/a?ids=2,5")
    assert device.get("storage/a").json == []
    assert device.get("info/collections").json["a"] * 100 == time_of(device.get("storage/a")) > 0
    device.delete("storage/none?ids=1")
    assert sorted(device.get("info/collections").json) == ["a", "b"]
    ids = ",".join(str(n) for n in range(101))
    for bad in ("ids=" + ids, "ids=a,,b", "ids=%C3%A4"):
        assert device.delete("storage/b?" + bad, 400).json == 1
    assert device.get("storage/b").json == ["1"]
    device.delete("storage/b?limit=x&newer=9999999999&sort=none")
    assert list(device.get("info/collections").json) == ["a"]


def test_everything_is_deleted(site15, device):
    other = site15.device(54321)
    other.put("storage/a/1", {"payload": "x"})
    last = 0
    for path in ("storage", "storage/", None, ""):
        stored = time_of(device.put("storage/meta/global", {"payload": "x"}))
        device.put("storage/a/1", {"payload": "x"})
        answer = device.delete(path)
        # Android's client reads each body as JSON.
        assert answer.json == {}
        assert time_of(answer) > stored > last
        last = time_of(answer)
        assert device.get("info/collections").json == {}
        assert time_of(device.get("info/collections")) == last
        device.get("storage/meta/global", 404)
        device.put("storage/meta/global", {"payload": "x"}, X_If_Unmodified_Since="0")
    assert other.get("storage/a").json == ["1"]


def test_the_time_of_the_store_goes_on_where_the_clock_goes_back(device, clock):
    clock.forward(1000)
    last = 0
    for method, path, body in (
        ("PUT", "storage/a/1", {"payload": "x"}),
        ("DELETE", "storage/a", None),
        ("PUT", "storage/a/1", {"payload": "x"}),
        ("DELETE", "storage", None),
        ("POST", "storage/a", [{"id": "1", "payload": "x"}]),
        ("DELETE", "storage/a?ids=1", None),
    ):
        answer = device.call(method, path, body)
        assert time_of(answer) > last
        last = time_of(answer)
        assert answer.headers["X-Weave-Timestamp"] == seconds(last)
        clock.forward(0)


# ---- who ----


def test_users_are_apart(site15, device):
    other = site15.device(54321)
    time = device.put("storage/a/1", {"payload": "x"})
    other.get("storage/a/1", 404)
    assert other.get("storage/a").json == []
    assert other.get("info/collections").json == {}
    other.delete("storage/a/1", 404)
    other.delete("storage")
    assert time_of(device.get("storage/a/1")) == time_of(time)


def test_who_was_replaced_is_refused_at_once(site15, device):
    device.put("storage/a/1", {"payload": "x"})
    site15.sql("update weave_fxa_users set replaced = 1 where user_id = ?", [device.uid])
    before = site15.digest()
    for method, path, body in (
        ("GET", "info/collections", None),
        ("GET", "info/configuration", None),
        ("GET", "info/quota", None),
        ("GET", "storage/a", None),
        ("GET", "storage/a/1", None),
        ("GET", "storage/a/2", None),
        ("PUT", "storage/a/1", {"payload": "y"}),
        ("POST", "storage/a", [{"id": "1", "payload": "y"}]),
        ("POST", "storage/a?batch=true", [{"id": "1", "payload": "y"}]),
        ("DELETE", "storage/a/1", None),
        ("DELETE", "storage/a?ids=1", None),
        ("DELETE", "storage/a", None),
        ("DELETE", "storage", None),
        ("DELETE", None, None),
    ):
        # A condition that does not hold says nothing either.
        for since in (None, "0"):
            answer = device.call(method, path, body, 401, X_If_Unmodified_Since=since)
            assert answer.json == 0
    assert site15.digest() == before


def test_quota(make_site):
    site = make_site(Site15, storage="use_quota = true\nquota_size = 2000")
    device = site.device()
    answer = device.put("storage/a/1", {"payload": "x" * 1024 * 512})
    assert "X-Weave-Quota-Remaining" not in answer.headers
    answer = device.put("storage/a/2", {"payload": "x" * 1024 * 1024})
    assert answer.headers["X-Weave-Quota-Remaining"] == "464.00"
    assert device.get("info/quota").json == [1536, 2000]
    before = site.digest()
    body = {"id": "3", "payload": "x" * 1024 * 465}
    assert device.put("storage/a/3", body, 400).json == 14
    assert device.post("storage/b", [body], 400).json == 14
    assert site.digest() == before
    device.put("storage/a/2", {"payload": ""})
    device.post("storage/b", [body])
