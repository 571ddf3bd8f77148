# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: writing."""

import falcon
import pytest
import webtest

from weave.server import http, storage15_api
from weave.server.refusals import Refusals
from weave.server.rules import Limits
from weave.server.storage import Storage


class Authenticator:
    """Believes everybody; those in `gone` are there no longer."""

    def __init__(self):
        self.gone = set()

    def claim(self, req, uid):
        if req.get_header("Authorization") != "Test " + uid:
            raise http.unauthorized("of somebody else")
        return int(uid)

    def check(self, connection, user_id):
        if user_id in self.gone:
            raise http.unauthorized("gone")


class Client:
    def __init__(self, app, uid=7, prefix="/1.5"):
        self.app = app
        self.uid = uid
        self.root = "%s/%d" % (prefix, uid)

    def call(self, method, path, body=None, status=200, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Authorization", "Test %d" % self.uid)
        if body is not None and not isinstance(body, (bytes, str)):
            body = http.formats.json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        return self.app.request(
            self.root + path, method=method, body=body or b"", headers=headers, status=status
        )


@pytest.fixture
def store(site):
    (database,) = site.databases
    limits = Limits()
    app = falcon.App(middleware=[http.Stamps(), Refusals()])
    app.req_options.strip_url_path_trailing_slash = True
    errors = http.Errors(7)
    errors.install(app)
    for prefix in storage15_api.PREFIXES:
        errors.add(prefix, http.error_of_15)
    storage = Storage(database, False, rules=limits.rules)
    storage15_api.add_routes(app, storage, Authenticator(), limits)
    return Client(webtest.TestApp(app))


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
