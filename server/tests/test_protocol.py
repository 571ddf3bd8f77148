# SPDX-License-Identifier: Apache-2.0
"""Facts of ../shared/SYNC.md that hold for all answers, as clients see them.

With test_reading.py, test_writing.py and test_users.py these are all facts of its
section 3; WEAVE_TEST_HTTPD=1 asks through a real httpd.
"""

import json
import re

import pytest

from conftest import PASSWORD, THROUGH_HTTPD, basic, is_unavailable

STAMP = re.compile(r"[0-9]+\.[0-9]{2}")
SECONDS = re.compile(r"[1-9][0-9]*")

ALICE = basic("alice", PASSWORD)

# (method, path, status); what each answer of the application has is asked of all.
ANSWERS = [
    ("GET", "/1.1/alice/info/collections", 200),
    ("GET", "/1.1/alice/info/collection_counts", 200),
    ("GET", "/1.1/alice/info/collection_usage", 200),
    ("GET", "/1.1/alice/info/quota", 200),
    ("GET", "/1.1/alice/storage/col", 200),
    ("GET", "/1.1/alice/storage/col/a", 200),
    ("GET", "/1.1/alice/storage/col/b", 404),
    ("DELETE", "/1.1/alice/storage/col/b", 200),
    ("GET", "/1.1/alice/storage/col?newer=x", 400),
    ("GET", "/1.1/alice/storage/col%20x", 400),
    ("PUT", "/1.1/alice/storage/col/a", 400),
    ("POST", "/1.1/alice/storage/col", 400),
    ("DELETE", "/1.1/alice/storage", 400),
    ("HEAD", "/1.1/alice/storage/col", 405),
    ("POST", "/1.1/alice/storage/col/a", 405),
    ("PUT", "/1.1/alice/info/collections", 405),
    ("OPTIONS", "/1.1/alice/info/collections", 405),
    ("GET", "/1.1/alice/nothing", 404),
    ("GET", "/1.1/alice", 404),
    ("GET", "/1.1/bob/info/collections", 401),
    ("GET", "/1.2/alice/info/collections", 404),
    ("GET", "/user/1.0/alice", 200),
    ("GET", "/user/1.0/alice/node/weave", 200),
    ("GET", "/user/1.0/bob/node/weave", 404),
    ("PUT", "/user/1.0/bob", 400),
    ("GET", "/__heartbeat__", 200),
    ("GET", "/__lbheartbeat__", 200),
    ("GET", "/nothing", 404),
]


@pytest.fixture
def ask(site):
    """Sends alice's credentials; the answer, whatever its status."""
    site.user().put("storage/col/a", {"payload": "x"})

    def ask(method, path, body=b"", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Authorization", ALICE)
        return site.app.request(path, method=method, body=body, headers=headers, status="*")

    return ask


def test_every_answer_has_a_timestamp_and_a_type(ask):
    for method, path, status in ANSWERS:
        answer = ask(method, path)
        assert answer.status_int == status, (method, path)
        if THROUGH_HTTPD and path == "/__lbheartbeat__":
            continue  # mod_weave answers that itself
        assert STAMP.fullmatch(answer.headers["X-Weave-Timestamp"]), (method, path)
        text = path.startswith("/user/") and status == 200
        assert answer.content_type == ("text/plain" if text else "application/json")
        # Clients persist what the one says, and follow the other.
        assert "X-Weave-Alert" not in answer.headers and "Location" not in answer.headers


def test_the_body_of_a_400_is_an_integer(ask):
    for method, path, status in ANSWERS:
        if status == 400:
            assert re.fullmatch(rb"[1-9][0-9]?", ask(method, path).body), path


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", b"6"), (b"{", b"6"), (b'{"id": "a", "payload": "\xff"}', b"6"),
        (b'{"id": "a", "sortindex": NaN}', b"6"), (b"5", b"8"), (b'"text"', b"8"),
        (b'{"id": "a", "payload": 5}', b"8"), (b'{"id": "a", "payload": ["x"]}', b"8"),
        (b'{"id": "a", "payload": {"x": "y"}}', b"8"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_body(ask, body, code):
    for method, path in (("PUT", "/a"), ("PUT", ""), ("POST", "")):
        answer = ask(method, "/1.1/alice/storage/col" + path, body)
        assert (answer.status_int, answer.body) == (400, code), (method, path)
    assert ask("GET", "/1.1/alice/storage/col/a").json["payload"] == "x"


def test_known_paths_refuse_other_verbs(ask):
    """Also those of which httpd has an idea of its own."""
    allowed = {
        "/1.1/alice/info/collections": {"GET"},
        "/1.1/alice/info/collection_counts": {"GET"},
        "/1.1/alice/info/collection_usage": {"GET"},
        "/1.1/alice/info/quota": {"GET"},
        "/1.1/alice/storage": {"DELETE"},
        "/1.1/alice/storage/col": {"GET", "PUT", "POST", "DELETE"},
        "/1.1/alice/storage/col/a": {"GET", "PUT", "DELETE"},
        "/user/1.0/alice": {"GET", "PUT", "DELETE"},
        "/user/1.0/alice/node/weave": {"GET"},
        "/user/1.0/alice/password": {"POST"},
        "/user/1.0/alice/email": {"POST"},
    }
    for path, verbs in allowed.items():
        for verb in {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"} - verbs:
            answer = ask(verb, path)
            assert answer.status_int == 405, (verb, path)
            assert STAMP.fullmatch(answer.headers["X-Weave-Timestamp"])
            if verb == "HEAD":
                assert answer.body == b""
    assert ask("GET", "/1.1/alice/storage/col").json == ["a"]


def test_trailing_slashes_are_stripped(ask):
    for _, path, status in ANSWERS:
        if "?" not in path:
            assert ask("GET", path + "/").status_int == ask("GET", path).status_int, path
    body = json.dumps({"payload": "y"}).encode()
    assert STAMP.fullmatch(ask("PUT", "/1.1/alice/storage/col/a/", body).text)
    assert ask("GET", "/1.1/alice/storage/col/").json == ["a"]


# ---- X-Weave-Timestamp of a GET: some clients take it as their next `newer` ----

READS = ["info/collections", "info/collection_counts", "info/collection_usage", "info/quota",
         "storage/col", "storage/col?full=1", "storage/col/a"]  # fmt: skip


def shown(user, path):
    return user.get(path).headers["X-Weave-Timestamp"]


def test_a_get_tells_the_last_stamp_and_not_what_time_it_is(user, clock):
    last = user.put("storage/col/a", {"payload": "x"}).text
    clock.forward(3600)
    assert {shown(user, path) for path in READS} == {last}
    assert user.get("storage/col/b", 404).headers["X-Weave-Timestamp"] == last
    assert shown(user, "storage/nothing") == last
    # Nothing that came before an answer's timestamp, and was not in it, comes later.
    second = user.put("storage/other/a", {"payload": "x"}).text
    assert float(second) > float(last)
    assert {shown(user, path) for path in READS} == {second}


def test_a_get_tells_the_stamp_of_each_kind_of_write(user, clock):
    user.post("storage/col", [{"id": id_, "payload": "x"} for id_ in "abc"])
    writes = [
        lambda: user.post("storage/col", [{"id": "a", "payload": "y"}]),
        lambda: user.put("storage/col", {"id": "a", "payload": "z"}),
        lambda: user.delete("storage/col/b"),
        lambda: user.delete("storage/col/none"),
        lambda: user.delete("storage/none?ids=a"),
        lambda: user.put("storage/col/a", {"sortindex": 5}),
        lambda: user.delete("storage/col"),
        lambda: user.delete("storage", X_Confirm_Delete="1"),
    ]
    before = 0
    for write in writes:
        clock.forward(len(writes))
        stamp = write().headers["X-Weave-Timestamp"]
        assert float(stamp) > before
        before = float(stamp)
        clock.forward(3600)
        assert shown(user, "info/collections") == stamp
        assert shown(user, "storage/col?full=1") == stamp


def test_stamps_of_users_are_their_own(site, user, clock):
    other = site.user("bob")
    mine = user.put("storage/col/a", {"payload": "x"}).text
    clock.forward(60)
    other.put("storage/col/a", {"payload": "x"})
    assert shown(user, "storage/col") == mine


def test_answers_without_data_tell_the_time(site, user):
    """Sign-up forms and clients' clocks: no account, no last stamp."""
    for path in ("/__heartbeat__", "/user/1.0/alice", "/nothing"):
        stamp = site.app.get(path, status="*").headers["X-Weave-Timestamp"]
        assert float(stamp) > 1_500_000_000


# ---- PUT without payload ----


def test_put_without_payload_on_a_missing_item_creates_it(user):
    assert user.put("storage/col/a", {"sortindex": 11, "parentid": "p"}).body == b"null"
    assert user.put("storage/col", {"id": "b", "sortindex": 9}).body == b"null"
    assert user.get("storage/col/a").json == {
        "id": "a", "modified": 0.0, "payload": "", "sortindex": 11, "parentid": "p"
    }  # fmt: skip
    assert '"modified":0.00' in user.get("storage/col/a").text
    assert user.get("storage/col").json == ["a", "b"]
    assert user.get("storage/col?newer=0").json == []
    assert user.get("info/collection_counts").json == {"col": 2}
    user.delete("storage/col?index_above=10")
    assert user.get("storage/col").json == ["b"]
    stamp = user.put("storage/col/b", {"payload": "x"}).text
    assert user.get("storage/col?newer=0&full=1").json == [
        {"id": "b", "modified": float(stamp), "payload": "x", "sortindex": 9}
    ]


# ---- section 1: what a 503 of the application has ----


def test_a_503_of_each_path(make_site):
    """Never 401, and never what the sign-up form takes for an answer."""
    site = make_site(more="[global]\nretry_after = 77")
    user = site.user()
    user.put("storage/col/a", {"payload": "x"})
    user.get("info/collections")
    site.sql("ALTER TABLE weave_accounts RENAME TO weave_gone")
    paths = [("GET", "/1.1/alice/" + path) for path in READS]
    paths += [("PUT", "/1.1/alice/storage/col/a"), ("POST", "/1.1/alice/storage/col"),
              ("DELETE", "/1.1/alice/storage/col/a"), ("DELETE", "/1.1/alice/storage"),
              ("GET", "/user/1.0/alice"), ("PUT", "/user/1.0/bob"),
              ("GET", "/user/1.0/alice/node/weave"), ("POST", "/user/1.0/alice/password"),
              ("POST", "/user/1.0/alice/email"), ("DELETE", "/user/1.0/alice"),
              ("GET", "/__heartbeat__")]  # fmt: skip
    for password in (PASSWORD, "wrong password"):
        headers = {"Authorization": basic("alice", password), "X-Confirm-Delete": "1"}
        for method, path in paths:
            body = b'{"email": "b@example.org", "password": "long enough", "payload": "x"}'
            answer = site.app.request(
                path, method=method, body=body if method in ("PUT", "POST") else b"",
                headers=headers, status=503
            )  # fmt: skip
            assert is_unavailable(answer, 77), path
            assert SECONDS.fullmatch(answer.headers["Retry-After"])
            assert STAMP.fullmatch(answer.headers["X-Weave-Timestamp"])
            assert isinstance(answer.json, str)
    assert site.app.get("/__lbheartbeat__").status_int == 200
    site.sql("ALTER TABLE weave_gone RENAME TO weave_accounts")
    assert user.get("storage/col/a").json["payload"] == "x"
    assert site.app.get("/__heartbeat__").status_int == 200
