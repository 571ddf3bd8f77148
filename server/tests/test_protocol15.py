# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: paths, methods and errors, as clients see them."""

import json
import re

import pytest

from client15 import Client
from conftest import RETRY_HEADERS, Site15, User, basic
from weave.server.writer import Writer

STAMP = re.compile(r"[0-9]+\.[0-9]{2}")

# (method, path below the endpoint, body, status)
ANSWERS = (
    ("GET", "info/collections", None, 200),
    ("GET", "info/collection_counts", None, 200),
    ("GET", "info/collection_usage", None, 200),
    ("GET", "info/quota", None, 200),
    ("GET", "info/configuration", None, 200),
    ("GET", "info/collections?v=1.155.0", None, 200),
    ("GET", "storage/col", None, 200),
    ("GET", "storage/col?full=1&limit=1", None, 200),
    ("GET", "storage/none", None, 200),
    ("GET", "storage/col/a", None, 200),
    ("PUT", "storage/col/b", {"payload": "x"}, 200),
    ("POST", "storage/col", [{"id": "c", "payload": "x"}], 200),
    ("POST", "storage/col?batch=true", [{"id": "c", "payload": "x"}], 202),
    ("DELETE", "storage/col/b", None, 200),
    ("DELETE", "storage/col?ids=c", None, 200),
    ("DELETE", "storage/none", None, 200),
    ("GET", "storage/col/none", None, 404),
    ("DELETE", "storage/col/none", None, 404),
    ("GET", "storage/col%20x", None, 404),
    ("GET", "storage/" + "x" * 33, None, 404),
    ("GET", "info/nothing", None, 404),
    ("GET", "info", None, 404),
    ("GET", "nothing/at/all", None, 404),
    ("GET", "storage/col?newer=x", None, 400),
    ("PUT", "storage/col/a", b"nonsense", 400),
    ("POST", "storage/col", {}, 400),
    ("GET", None, None, 405),
    ("GET", "storage", None, 405),
    ("PUT", "storage", {}, 405),
    ("POST", "storage/col/a", {}, 405),
    ("POST", "storage/col/a/b", {}, 405),
    ("PATCH", "storage/col/a", {}, 405),
    ("PUT", "storage/col", {}, 405),
    ("PUT", "info/collections", {}, 405),
    ("DELETE", "info/collections", None, 405),
    ("HEAD", "storage/col", None, 405),
    ("HEAD", "info/collections", None, 405),
    ("OPTIONS", "info/collections", None, 405),
    ("OPTIONS", "storage/col/a/b", None, 405),
    ("DELETE", "storage", None, 200),
)


@pytest.fixture
def device(site15):
    return site15.device()


def test_every_answer(device):
    """A time, a type and a body that is JSON; and of those that are no errors, when the
    resource was modified."""
    device.put("storage/col/a", {"payload": "x"})
    for method, path, body, status in ANSWERS:
        answer = device.call(method, path, body, status)
        assert STAMP.fullmatch(answer.headers["X-Weave-Timestamp"]), (method, path)
        assert answer.headers["Content-Type"] == "application/json", (method, path)
        assert "X-Weave-Alert" not in answer.headers and "Location" not in answer.headers
        if status < 300:
            assert STAMP.fullmatch(answer.headers["X-Last-Modified"]), (method, path)
            json.loads(answer.body)
        elif method != "HEAD":
            assert answer.json == 0 if status != 400 else type(answer.json) is int


def test_both_paths(site15, device):
    """The path of Mozilla's old server works, too, though the token has another one."""
    url = site15.node + "/storage/1.5/%d" % device.uid
    device.put("storage/col/a", {"payload": "x"})
    old = Client(site15.transport, url, device.id, device.key)
    for method, path, body, status in ANSWERS:
        old.call(method, path, body, status)


def test_the_end_of_the_path_may_be_a_slash(device):
    device.put("storage/a/1", {"payload": "x"})
    assert device.get("info/collections/").json.keys() == {"a"}
    assert device.get("storage/a/").json == ["1"]
    device.post("storage/a/", [{"id": "2"}])
    assert device.get("storage/a/?ids=2").json == ["2"]
    device.delete("storage/a/")
    assert device.get("info/collections").json == {}


def test_who_is_nobody_gets_no_more_than_that(site15, device):
    device.put("storage/col/a", {"payload": "x"})
    for method, path, body, status in ANSWERS:
        if status not in (405, 404) or "storage/col" in (path or ""):
            answer = device.call(method, path, body, None, Authorization=None)
            assert answer.status in (401, 405), (method, path)
        if path is None:
            continue
        uid = site15.node + "/1.5/%d"
        other = Client(site15.transport, uid % (device.uid + 1), device.id, device.key)
        assert other.call(method, path, body, None).status in (401, 404, 405)
    assert device.get("storage/col").json == ["a"]


def test_a_user_of_sync_1_0_may_be_called_sync(site15):
    """Although the token server is among the paths of that name."""
    user = User(site15.app, "sync").sign_up()
    for user.version in ("1.0", "1.1", "1"):
        user.put("storage/col/" + user.version, {"payload": "x"})
        assert user.get("info/collections").json.keys() == {"col"}
        assert user.get("storage/col/" + user.version).json["payload"] == "x"
        assert user.get("storage/none/x", 404).json == "404 Not Found"
    assert user.get("storage/col").json == ["1", "1.0", "1.1"]
    site15.app.get("/1.0/sync/1.5", status=401)


def test_other_paths_have_the_errors_that_they_had(site15):
    user = site15.user()
    assert site15.app.get("/nothing", status=404).json == "404 Not Found"
    assert site15.app.get("/1.50/5/info/collections", status=404).json == "404 Not Found"
    assert user.get("storage/col/none", 404).json == "404 Not Found"
    assert site15.app.get("/1.5", status=404).json == 0
    assert site15.app.get("/storage/1.5/", status=404).json == 0


def test_version(site15):
    found = site15.app.get("/__version__").json
    assert found["name"] == "weave.server" and re.match(r"\d+\.\d+", found["version"])


def test_a_site_without_secrets_knows_nothing_of_it(site):
    for path in ("/1.5", "/storage/1.5", "/__version__", "/1.0/sync/1.5"):
        answer = site.app.get(path, status=404, headers={"Authorization": basic("a", "b")})
        assert answer.json == "404 Not Found"


def test_data_are_the_ones_of_1_1(make_site):
    """Both protocols have one table, and differ in what they show."""
    site = make_site(Site15)
    user, device = site.user(), site.device(77)
    site.sql("update weave_accounts set user_id = 77")
    user.put("storage/col/a", {"payload": "x", "parentid": "p"})
    assert device.get("storage/col/a").json["payload"] == "x"
    device.delete("storage/col?ids=a")
    assert user.get("info/collections").json == {}
    assert device.get("info/collections").json.keys() == {"col"}


def test_a_database_that_fails(site15, device):
    """Never a 404, which would make Firefox delete everything."""
    device.put("storage/meta/global", {"payload": "x"})
    calls = [(m, p, b) for m, p, b, status in ANSWERS if status in (200, 202)]
    calls += [("GET", "storage/meta/global", None), ("GET", "storage/none/none", None)]
    site15.sql("alter table weave_users rename to gone_users")
    try:
        for method, path, body in calls:
            answer = device.call(method, path, body, 503)
            assert (answer.json, answer.headers["Content-Type"]) == (0, "application/json")
            assert [answer.headers[name] for name in RETRY_HEADERS] == ["1800"] * 3
            assert answer.headers["Cache-Control"] == "no-store"
            assert STAMP.fullmatch(answer.headers["X-Weave-Timestamp"])
    finally:
        site15.sql("alter table gone_users rename to weave_users")
    assert device.get("storage/meta/global").json["payload"] == "x"


@pytest.mark.in_process
def test_a_fault_of_the_server(device, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Writer, "put", fail)
    answer = device.put("storage/a/1", {"payload": "x"}, 500)
    assert (answer.json, answer.headers["Content-Type"]) == (0, "application/json")
    assert device.get("info/collections").json == {}
