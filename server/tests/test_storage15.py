# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: writing."""

import pytest


class Store:
    """A device; paths begin with a slash, headers are given as X_Name."""

    def __init__(self, device):
        self.device = device

    def call(self, method, path, body=None, status=200, **headers):
        return self.device.call(method, path[1:] if path else None, body, status, **headers)


@pytest.fixture
def store(site15):
    return Store(site15.device())


def test_thin(store):
    r = store.call("GET", "/info/collections")
    print(r.headers, r.body)
    assert store.call("GET", "/storage/meta/global", status=404).body == b"0"
    r = store.call("PUT", "/storage/meta/global", {"payload": "x"}, X_If_Unmodified_Since="0")
    t = r.text
    assert r.headers["X-Last-Modified"] == t == r.headers["X-Weave-Timestamp"]
    r = store.call("GET", "/storage/meta/global")
    assert r.headers["X-Last-Modified"] == t
    print(r.body)
    store.call("GET", "/storage/meta/global", status=304, X_If_Modified_Since=t)
    store.call("GET", "/storage/meta/global", status=412, X_If_Unmodified_Since="1")
    store.call("PUT", "/storage/meta/global", {}, status=412, X_If_Unmodified_Since="0")
    r = store.call("POST", "/storage/col", [{"id": "%03d" % i, "payload": "x"} for i in range(100)])
    print(r.body[:100], r.headers)
    for sort in "oldest", "newest", "index", None:
        got, offset = [], ""
        while True:
            q = "/storage/col?limit=33" + offset + ("&sort=" + sort if sort else "")
            r = store.call("GET", q)
            got += r.json
            if "X-Weave-Next-Offset" not in r.headers:
                break
            offset = "&offset=" + r.headers["X-Weave-Next-Offset"]
        assert sorted(got) == ["%03d" % i for i in range(100)]
        print(offset)
    for path in "", "/", "/storage":
        r = store.call("DELETE", path)
        assert r.json == {}
    assert store.call("GET", "/info/collections").json == {}
    assert store.call("GET", "/info/configuration").json["max_post_records"] == 100
    assert store.call("GET", "/info/quota").json == [0, None]
    assert store.call("GET", "/foo", status=404).json == 0
    store.call("PUT", "/storage/a/b%2Fc", {"payload": "x"})
    assert store.call("GET", "/storage/a/b%2Fc").json["id"] == "b/c"
    assert store.call("GET", "/storage/a?full&ids=b/c").json[0]["id"] == "b/c"
