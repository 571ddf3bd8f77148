# SPDX-License-Identifier: Apache-2.0
"""Requests that no client should send: a 4xx, and nothing has changed."""

import json
import string
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import KIND, THROUGH_HTTPD, basic, sites
from weave.server import formats

NO_JSON = [
    b"", b"{", b"[1,]", b"nonsense", b"'a'", b'{"id": "a", "payload": "x"} x', b"\xef\xbb\xbf{}",
    b'{"payload": "\xff"}', b'{"payload": "\xed\xa0\x80"}', b'{"payload": "\xc0\xaf"}',
    b'{"payload": "x", "sortindex": NaN}', b'{"payload": "x", "sortindex": Infinity}',
    b'{"payload": "x", "sortindex": -Infinity}', b'{"payload": "x", "sortindex": 1e999}',
    b'{"payload": "x", "sortindex": ' + b"9" * 100000 + b"}",
    b'{"payload": "x", "sortindex": 1.' + b"9" * 100000 + b"}",
    b"[" * 100000, b"[" * 100000 + b"]" * 100000, b'{"a":' * 100000, b'{"payload": "\n"}',
    '{"payload": "x"}'.encode("utf-16"),
]  # fmt: skip

NO_OBJECT = [b"null", b"true", b"5", b'"text"', b"1.5"]

NO_RECORD = [
    {"payload": 5}, {"payload": ["x"]}, {"payload": {"a": 1}}, {"payload": True},
    {"payload": "\ud800"}, {"payload": "a\0b"}, {"payload": "x" * 262145},
    {"payload": "x", "sortindex": "x"}, {"payload": "x", "sortindex": [1]},
    {"payload": "x", "sortindex": True}, {"payload": "x", "sortindex": 1000000000},
    {"payload": "x", "sortindex": -1000000000}, {"payload": "x", "sortindex": 10**300},
    {"payload": "x", "sortindex": "9" * 5000}, {"payload": "x", "sortindex": "1e5"},
    {"payload": "x", "sortindex": "\u0661"}, {"payload": "x", "sortindex": ""},
    {"payload": "x", "ttl": -1}, {"payload": "x", "ttl": 31536001}, {"payload": "x", "ttl": "x"},
    {"payload": "x", "ttl": {}}, {"payload": "x", "ttl": 10**300},
    {"payload": "x", "parentid": "p" * 65}, {"payload": "x", "parentid": [1]},
    {"payload": "x", "parentid": "\udfff"}, {"payload": "x", "predecessorid": 10**65},
    {"payload": "x", "predecessorid": "\0"}, {"payload": "x", "parentid": False},
]  # fmt: skip

NO_ID = [None, True, [], {}, "", "/" * 65, "i" * 65, 10**65, "\ud800", "a\0b"]


@pytest.fixture
def unchanged(site, user):
    """The user of a site whose database must look the same at the end.

    But for the last stamp: a POST that stores nothing has one, too.
    """
    but = ("weave_logins", "weave_users")
    user.put("storage/col/a", {"payload": "x"})
    before = site.digest(but)
    yield user
    assert site.digest(but) == before


def test_no_json(unchanged):
    for body in NO_JSON:
        for method, path in (("PUT", "col/a"), ("PUT", "col"), ("POST", "col")):
            response = unchanged.call(method, "storage/" + path, body, 400)
            assert response.body == b"6", body[:40]


def test_no_json_of_an_account(unchanged):
    for body in NO_JSON:
        answer = unchanged.app.put("/user/1.0/bob", body, status="*")
        expected = (413, None) if len(body) > 64 * 1024 else (400, b"6")
        assert answer.status_int == expected[0], body[:40]
        assert expected[1] is None or answer.body == expected[1], body[:40]


def test_no_object(unchanged):
    for body in NO_OBJECT:
        for method, path in (("PUT", "col/a"), ("PUT", "col"), ("POST", "col")):
            response = unchanged.call(method, "storage/" + path, body, 400)
            assert response.body == b"8", body
    assert unchanged.put("storage/col/a", [], 400).body == b"8"
    assert unchanged.put("storage/col", [], 400).body == b"8"


def test_no_record(unchanged):
    for record in NO_RECORD:
        assert unchanged.put("storage/col/a", record, 400).body == b"8", record
        named = dict(record, id="a")
        assert unchanged.post("storage/col", named, 400).body == b"8", record
        answer = unchanged.post("storage/col", [named]).json
        assert answer["success"] == [] and list(answer["failed"]) == ["a"], record


def test_no_id(unchanged):
    for id_ in NO_ID:
        record = {"id": id_, "payload": "x"}
        assert unchanged.post("storage/col", record, 400).body == b"8", id_
        answer = unchanged.post("storage/col", [record]).json
        assert answer["success"] == [] and len(answer["failed"]) == 1, id_


@pytest.mark.parametrize(
    "path, code",
    [
        ("storage/col/" + "i" * 65, b"8"),
        ("storage/col/%00", b"8"),
        ("storage/col/%FF", b"8"),
        ("storage/%FF/a", b"8"),
        ("storage/col/%C0%AF", b"8"),
        ("storage/col/%ED%A0%80", b"8"),
        ("storage//a", b"13"),
        ("storage/col%20x/a", b"13"),
        ("storage/c%C3%B6l/a", b"13"),
        ("storage/" + "c" * 65 + "/a", b"13"),
    ],
)
def test_bad_paths(unchanged, path, code):
    for method in ("GET", "PUT", "DELETE"):
        if THROUGH_HTTPD and "%00" in path:
            unchanged.call(method, path, {"payload": "x"}, 404)  # httpd's own
            continue
        response = unchanged.call(method, path, {"payload": "x"}, 400)
        assert response.body == code
        assert "X-Weave-Timestamp" in response.headers


@pytest.mark.parametrize("path", ["", "nothing", "info", "info/nothing", "storages"])
def test_unknown_paths(unchanged, path):
    response = unchanged.get(path, 404)
    assert "X-Weave-Timestamp" in response.headers
    assert response.content_type == "application/json"


@pytest.mark.parametrize("path", ["/2", "/1.2/alice/info/collections", "/1.6/1/info/collections",
                                  "/user/1.0", "/user/1.0/a/b/c", "//2", "/1.1"])  # fmt: skip
def test_unknown_paths_outside(site, path):
    response = site.app.get(path, status=404)
    assert "X-Weave-Timestamp" in response.headers


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize(
    "path, allowed",
    [
        ("info/collections", "GET"),
        ("info/collection_counts", "GET"),
        ("info/collection_usage", "GET"),
        ("info/quota", "GET"),
        ("storage", "DELETE"),
        ("storage/col", "GET PUT POST DELETE"),
        ("storage/col/a", "GET PUT DELETE"),
    ],
)
def test_wrong_verbs(unchanged, path, allowed):
    verbs = {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "PROPFIND",
        "LOCK",
    }
    for verb in verbs - set(allowed.split()):
        response = unchanged.call(verb, path, b"", 405)
        assert "X-Weave-Timestamp" in response.headers
    # Not even those who are nobody are told anything else.
    unchanged.call("PATCH", path, b"", 405, Authorization="")


@pytest.mark.parametrize(
    "path",
    [
        "/user/1.0/alice",
        "/user/1.0/alice/node/weave",
        "/__heartbeat__",
    ],
)
def test_head_is_refused(unchanged, path):
    response = unchanged.app.request(path, method="HEAD", status=405)
    assert "X-Weave-Timestamp" in response.headers


@pytest.mark.parametrize(
    "query",
    ["newer=" + "1" * 65, "older=1." + "0" * 65, "index_above=" + "1" * 65,
     "ids=" + "x" * 70000, "&".join("x%d=1" % number for number in range(200))],
)  # fmt: skip
def test_endless_arguments(unchanged, query):
    assert unchanged.get("storage/col?" + query, 400).body == b"1"
    assert unchanged.delete("storage/col?" + query, 400).body == b"1"


def test_endless_number_in_a_header(unchanged):
    since = {"X_If_Unmodified_Since": "1" * 65}
    assert unchanged.put("storage/col/a", {"payload": ""}, 400, **since).body == b"1"


def test_endless_id_does_not_come_back(unchanged):
    batch = [{"id": "\U0001d11e" * 100000, "payload": "x"}]
    response = unchanged.post("storage/col", batch)
    assert list(response.json["failed"].values()) == [["invalid id"]]
    assert len(response.body) < 5000


@pytest.mark.in_process
def test_oversize(unchanged, monkeypatch):
    monkeypatch.setattr("weave.server.storage_api.MAX_BODY_BYTES", 1000)
    body = json.dumps([{"id": "b", "payload": "x" * 1000}]).encode()
    unchanged.post("storage/col", body, 413)
    unchanged.app.put("/user/1.0/bob", b"x" * 70000, status=413)


@pytest.mark.in_process
@pytest.mark.parametrize("size, status", [(1000, 200), (1001, 413)])
def test_body_without_length(site, user, monkeypatch, size, status):
    monkeypatch.setattr("weave.server.storage_api.MAX_BODY_BYTES", 1000)
    body = b'{"payload": "x"}'.ljust(size)
    request = user.app.RequestClass.blank("/1.1/alice/storage/col/a", method="PUT")
    request.authorization = (
        "Basic",
        user.get("storage/col").request.headers["Authorization"][6:],
    )
    request.body = body
    request.environ.pop("CONTENT_LENGTH")
    request.environ["wsgi.input_terminated"] = True
    assert request.get_response(site.application).status_int == status


@pytest.mark.in_process
def test_body_that_ends_early(unchanged):
    request = unchanged.app.RequestClass.blank("/1.1/alice/storage/col/a", method="PUT")
    request.headers["Authorization"] = unchanged.get("storage/col").request.headers[
        "Authorization"
    ]
    request.body = b'{"payload": "x"}'
    request.environ["CONTENT_LENGTH"] = "17"
    response = request.get_response(unchanged.app.app)
    assert (response.status_int, response.body) == (400, b"6")


@pytest.mark.in_process
@pytest.mark.parametrize("length", ["x", "-5", "1.5"])
def test_nonsense_as_length(unchanged, length):
    headers = {
        "Authorization": unchanged.get("storage/col").request.headers["Authorization"]
    }
    environ = {"CONTENT_LENGTH": length, "REQUEST_METHOD": "PUT",
               "HTTP_AUTHORIZATION": headers["Authorization"]}  # fmt: skip
    request = unchanged.app.RequestClass.blank("/1.1/alice/storage/col/a", environ)
    assert request.get_response(unchanged.app.app).status_int == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

RECORD = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.text(max_size=70) | st.integers()
        for name in ("id", "payload", "sortindex", "ttl", "parentid", "predecessorid")
    },
)

BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    RECORD.map(lambda value: json.dumps(value).encode()),
    st.lists(RECORD, max_size=5).map(lambda value: json.dumps(value).encode()),
)

SEGMENT = st.text(
    string.ascii_letters + string.digits + "%/{}._-?&=;\\\"' ", max_size=20
)

QUERY = st.dictionaries(
    st.sampled_from(
        "ids newer older full sort limit offset index_above index_below parentid".split()
    ),
    st.text(string.printable.strip() + "é\0", max_size=20),
    max_size=4,
)

# http.client refuses to send control characters and surrogates.
NO_CONTROLS = st.characters(blacklist_categories=("Cc", "Cs"))

FUZZ = settings(max_examples=150 if KIND == "sqlite" and not THROUGH_HTTPD else 50)


@pytest.fixture(scope="module")
def fuzzed(database_server, tmp_path_factory):
    with sites(database_server, tmp_path_factory.mktemp("fuzz")) as make_site:
        site = make_site()
        user = site.user()
        user.site, user.digest = site, site.digest()
        yield user


@FUZZ
@given(
    body=BODIES, to=st.sampled_from([("PUT", "col/a"), ("PUT", "col"), ("POST", "col")])
)
def test_any_body(fuzzed, body, to):
    response = fuzzed.call(to[0], "storage/" + to[1], body, "*")
    assert response.status_int in (200, 400)
    if response.status_int == 400:
        assert response.body in (b"6", b"8")
        assert fuzzed.site.digest() == fuzzed.digest
    else:
        fuzzed.digest = fuzzed.site.digest()
    # Whatever was taken can be given back, as JSON.
    for record in fuzzed.get("storage/col?full=1").json:
        assert fuzzed.get("storage/col?" + urlencode({"ids": record["id"]}))


def marks_of(value):
    """What formats.check_shape() counts, from the value itself."""
    if isinstance(value, str):
        return 1
    if isinstance(value, list):
        return 2 + max(0, len(value) - 1) + sum(map(marks_of, value))
    if isinstance(value, dict):
        inner = sum(1 + marks_of(item) for item in value.values())
        return 2 + max(0, len(value) - 1) + inner
    return 0


TRICKY = st.text('\\"[]{},:a', max_size=12)
TRICKY_JSON = st.recursive(
    st.none() | TRICKY,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(TRICKY, inner, max_size=4),
    max_leaves=12,
)


@FUZZ
@given(value=JSON | TRICKY_JSON, ascii_only=st.booleans())
def test_shape_is_counted_exactly(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    body = text.encode("utf-8", "surrogatepass")
    formats.check_shape(body, marks_of(value))
    if marks_of(value):
        with pytest.raises(ValueError):
            formats.check_shape(body, marks_of(value) - 1)


@FUZZ
@given(arguments=QUERY)
def test_any_query(fuzzed, arguments):
    path = "storage/col?" + urlencode(arguments)
    response = fuzzed.get(path, "*")
    assert response.status_int in (200, 400)
    if response.status_int == 400:
        assert response.body == fuzzed.delete(path, 400).body == b"1"
        assert fuzzed.site.digest() == fuzzed.digest


HEADER = st.one_of(
    st.text(NO_CONTROLS, max_size=40).map(lambda text: text.encode().decode("latin-1")),
    st.text("0123456789.eE+-_ ,x", max_size=70),
)


@FUZZ
@given(since=HEADER)
def test_any_precondition(fuzzed, since):
    response = fuzzed.put("storage/col/a", {"payload": "x"}, "*", X_If_Unmodified_Since=since)
    assert response.status_int in (200, 400, 412)
    if response.status_int == 200:
        fuzzed.digest = fuzzed.site.digest()
    else:
        assert response.status_int == 412 or response.body == b"1"
        assert fuzzed.site.digest() == fuzzed.digest


@FUZZ
@given(accept=HEADER | st.text("aplictonewsh/;=q0.159*, ", max_size=60))
def test_any_accept(fuzzed, accept):
    response = fuzzed.get("storage/col?full=1", Accept=accept)
    assert response.content_type in (formats.JSON, formats.NEWLINES, formats.WHOISI)
    assert {name.lower() for name in response.headers} <= {
        "content-type", "content-length", "x-weave-timestamp", "x-weave-records"
    }  # fmt: skip


@FUZZ
@given(
    what=st.sampled_from(["email", "password"]),
    body=st.binary(max_size=7) | st.binary(max_size=60).map(lambda body: body + b"\xff"),
)
def test_any_change_of_an_account(fuzzed, what, body):
    headers = {"Authorization": basic(fuzzed.name, fuzzed.password)}
    path = "/user/1.0/%s/%s" % (fuzzed.name, what)
    response = fuzzed.app.post(path, body, headers=headers, status="*")
    if what == "email" and response.status_int == 200:
        assert b"@" in body
        fuzzed.digest = fuzzed.site.digest()
    else:
        assert (response.status_int, response.body) == (400, b"12" if what == "email" else b"9")
        assert fuzzed.site.digest() == fuzzed.digest


@FUZZ
@given(path=SEGMENT, method=st.sampled_from(["GET", "PUT", "DELETE", "POST", "HEAD"]))
def test_any_path(fuzzed, path, method):
    response = fuzzed.call(method, quote(path), b"nonsense", "*")
    assert response.status_int in (200, 400, 404, 405)
    assert fuzzed.site.digest() == fuzzed.digest


@FUZZ
@given(body=BODIES | st.dictionaries(st.sampled_from(["email", "password"]), JSON).map(
    lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_sign_up(fuzzed, body):
    response = fuzzed.app.put("/user/1.0/somebody", body, status="*")
    assert response.status_int == 400
    assert response.body in (b"6", b"12", b"7", b"9")
    assert fuzzed.site.digest() == fuzzed.digest


@FUZZ
@given(header=st.text(NO_CONTROLS, max_size=40).map(lambda text: text.encode().decode("latin-1")))
def test_any_credentials(fuzzed, header):
    environ = {"HTTP_AUTHORIZATION": "Basic " + header}
    for path in ("/1.1/alice/info/collections", "/1.1/alice/storage/col"):
        assert fuzzed.app.get(path, extra_environ=environ, status="*").status_int == 401
