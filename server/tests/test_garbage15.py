# SPDX-License-Identifier: Apache-2.0
"""Requests to Sync 1.5 that no client should send: the documented error, and nothing has
changed; nothing of another user is ever shown, and nothing is a 404 that is not missing.
"""

import base64
from urllib.parse import quote

import pytest
from client15 import from_b64url
from test_garbage import NO_JSON, NO_OBJECT

SECRET_PAYLOAD = "of somebody else"

NO_RECORD = [
    {"payload": 5}, {"payload": ["x"]}, {"payload": {"a": 1}}, {"payload": True},
    {"payload": "\ud800"}, {"payload": "a\0b"},
    {"payload": "x", "sortindex": "x"}, {"payload": "x", "sortindex": [1]},
    {"payload": "x", "sortindex": True}, {"payload": "x", "sortindex": 1000000000},
    {"payload": "x", "sortindex": -1000000000}, {"payload": "x", "sortindex": 10**300},
    {"payload": "x", "sortindex": "1e5"}, {"payload": "x", "sortindex": ""},
    {"payload": "x", "ttl": -1}, {"payload": "x", "ttl": 1000000000}, {"payload": "x", "ttl": "x"},
    {"payload": "x", "ttl": {}}, {"payload": "x", "ttl": 10**300}, {"payload": "x", "ttl": True},
    {"payload": "x", "parentid": "a"}, {"payload": "x", "predecessorid": "a"},
    {"payload": "x", "Payload": "x"}, {"payload": "x", "": 1}, {"payload": "x", "\ud800": None},
    {"payload": "x", "unknown": None}, {"x" * 1000: {"y": []}},
]  # fmt: skip

NO_ID = [None, True, [], {}, "", "i" * 65, 10**65, "\ud800", "a\0b", "\u00e4", "a\n", "\x7f"]


@pytest.fixture
def device(site15):
    """The user of a site whose database must look the same at the end, but for times: a
    POST that stores nothing has one, too. Somebody else has records there."""
    other = site15.device(777)
    for name in ("col", "crypto"):
        other.put("storage/%s/a" % name, {"payload": SECRET_PAYLOAD, "sortindex": 3})
    device = site15.device()
    device.upload("col", [{"id": id_, "payload": "x"} for id_ in "abcdef"])
    device.batches_of_other = [
        other.post("storage/col?batch=true", [{"id": "z", "payload": SECRET_PAYLOAD}], 202)
        .json["batch"]
    ]  # fmt: skip
    but = ("weave_users", "weave_collections", "weave_logins", "weave_settings")
    before, names = site15.digest(but), device.get("info/collections").json.keys()
    yield device
    assert site15.digest(but) == before
    assert device.get("info/collections").json.keys() == names


def is_refused(answer, *codes, status=400):
    assert answer.status == status, answer
    assert answer.json in codes, answer
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    assert "X-Weave-Timestamp" in answer.headers
    return True


@pytest.mark.sqlite_only
def test_no_json(device):
    for body in NO_JSON:
        for method, path in (("PUT", "col/a"), ("POST", "col"), ("POST", "col?batch=true")):
            assert is_refused(device.call(method, "storage/" + path, body, None), 6, 8)


@pytest.mark.sqlite_only
def test_no_object(device):
    for body in [*NO_OBJECT, b"[]", b"[{}]"]:
        assert is_refused(device.put("storage/col/a", body, None), 8)
    for body in [*NO_OBJECT, b"{}", b'{"id": "a"}', b"[[]]", b"[null]", b"[{}]"]:
        assert is_refused(device.post("storage/col", body, None), 8)


@pytest.mark.sqlite_only
def test_no_lines(device):
    lines = {"Content_Type": "application/newlines"}
    for body in (b'{"id":"a"}\n\n{"id":"b"}\n', b"[]\n", b"{}\n", b'[{"id":"a"}]', b"nonsense\n",
                 b'{"id":"a"}{"id":"b"}\n', b'{"id":\n"a"}\n'):  # fmt: skip
        assert is_refused(device.post("storage/col", body, None, **lines), 6, 8), body


def test_no_record(device):
    for record in NO_RECORD:
        assert is_refused(device.put("storage/col/a", record, None), 8), record
        answer = device.post("storage/col", [dict(record, id="a")]).json
        assert answer["success"] == [] and list(answer["failed"]) == ["a"], record


def test_no_id(device):
    for id_ in NO_ID:
        answer = device.post("storage/col", [{"id": id_, "payload": "x"}], None)
        if answer.status == 200:
            assert answer.json["success"] == [] and len(answer.json["failed"]) == 1
            assert len(answer.body) < 500
        else:
            assert is_refused(answer, 8), id_


def test_id_in_the_body_is_another(site15):
    """The one in the URL counts."""
    device = site15.device()
    for id_ in ("b", 5, None, "\u00e4"):
        device.put("storage/col/a", {"id": id_, "payload": "x"})
    assert device.get("storage/col").json == ["a"]


def test_ids_with_slashes(site15):
    """They are legal, however they are written, and no other record is meant."""
    device = site15.device()
    ids = ["a", "a/b", "/", "a/", "//a"]
    assert device.post("storage/col", [{"id": id_, "payload": id_} for id_ in ids]).json["success"]
    for id_ in ids:
        found = device.get("storage/col?full=1&ids=" + quote(id_, safe="")).json
        assert [record["payload"] for record in found] == [id_]
    device.put("storage/col/a%2Fb", {"payload": "new"})
    assert device.get("storage/col/a%2Fb").json["id"] == "a/b"
    device.delete("storage/col/a%2Fb")
    assert sorted(device.get("storage/col").json) == sorted(set(ids) - {"a/b"})
    assert device.get("storage/col/a").json["payload"] == "a"


def test_members_that_come_twice(device):
    for body in (b'{"id": "a", "payload": "1", "payload": "2"}',
                 b'{"id": "a", "payload": "1", "p\\u0061yload": "2"}',
                 b'{"id": "a", "id": "b"}'):  # fmt: skip
        assert is_refused(device.put("storage/col/a", body, None), 6, 8)
        assert is_refused(device.post("storage/col", b"[" + body + b"]", None), 6, 8)


@pytest.mark.sqlite_only
def test_media_types(device):
    for kind in ("application/octet-stream", "text/html", "x", "application/json2"):
        for method, path in (("PUT", "storage/col/a"), ("POST", "storage/col")):
            answer = device.call(method, path, b"{}", None, Content_Type=kind)
            assert is_refused(answer, 0, status=415)
    answer = device.put("storage/col/a", b"{}", None, Content_Type="application/newlines")
    assert answer.status in (400, 415)


PATHS = [
    "storage/col/" + "i" * 65, "storage/col/%FF", "storage/col/%C3%A4", "storage/col/%7F",
    "storage/col/%0A", "storage/%FF/a", "storage/c%C3%B6l/a", "storage/col%20x/a",
    "storage/%s/a" % ("c" * 33), "storage//a",
]  # fmt: skip


@pytest.mark.sqlite_only
@pytest.mark.parametrize("path", PATHS)
def test_bad_paths(device, path):
    for method in ("GET", "PUT", "DELETE"):
        answer = device.call(method, path, {"payload": "x"} if method == "PUT" else None, None)
        assert is_refused(answer, 0, 1, 8, 13, status=answer.status)
        assert answer.status in (400, 404) or path == "storage//a" and answer.status == 405


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "path", ["nothing", "info", "info/nothing", "storages", "info/collections/x"]
)
def test_unknown_paths(device, path):
    assert is_refused(device.get(path, None), 0, status=404)


@pytest.mark.sqlite_only
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_wrong_verbs(device):
    allowed = {"info/collections": "GET", "info/configuration": "GET", "storage": "DELETE",
               "storage/col": "GET POST DELETE", "storage/col/a": "GET PUT DELETE"}  # fmt: skip
    for path, verbs in allowed.items():
        for verb in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "LOCK"} - {*verbs.split()}:
            assert is_refused(device.call(verb, path, b"", None), 0, status=405), (verb, path)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("uid", [
    "0", "777", "-1", "012345", "12345x", "1e3", "99999999999", "12345%20", "%31", "alice", "1/2",
    "12345/1.5/777", "\uff11",
])  # fmt: skip
def test_paths_of_others(device, uid):
    """Whatever is signed, and whoever is asked for."""
    endpoint = device.endpoint.rpartition("/")[0] + "/" + quote(uid, safe="/%")
    liar = type(device)(device.transport, endpoint, device.id, device.key)
    for path in ("info/collections", "storage/col", "storage/col/a", "storage/col?full=1"):
        for headers in ({}, {"Authorization": device.sign("GET", device.endpoint + "/" + path)}):
            answer = liar.get(path, None, **headers)
            assert answer.status in (401, 404) and SECRET_PAYLOAD not in answer.text
            assert answer.status == 401 or not uid.isdigit() or uid[0] == "0" or len(uid) > 10
    liar.put("storage/col/a", {"payload": "x"}, None)
    liar.delete(None, None)
    liar.delete("storage", None)


# ---- batches ----

NO_BATCH = [
    "x", "", "0", "A" * 11, "-" * 11, "A" * 70000, "\u00e4", "%FF", "%00", "'", "a b", "null",
    "true ", "1 or 1=1", "../", "=" * 11, "AAAAAAAAAAA=", "\uff11" * 11, "-1", "1e9",
]  # fmt: skip


def test_batches_that_are_none(device):
    """An empty value, and `true`, begin one."""
    for id_ in [*NO_BATCH, *device.batches_of_other]:
        for end in ("", "&commit=true"):
            asked = quote(id_, safe="%")
            if not asked:
                continue
            answer = device.post("storage/col?batch=" + asked + end, [{"id": "new"}], None)
            assert is_refused(answer, 0, 1), id_[:20]
            assert SECRET_PAYLOAD not in answer.text


# ---- offsets ----


def offsets_of(device):
    """True offsets of each order."""
    for sort in ("", "newest", "oldest", "index"):
        path = "storage/col?limit=2" + ("&sort=" + sort if sort else "")
        yield device.get(path).headers["X-Weave-Next-Offset"]


def made_up(offset):
    """Offsets that a client may make up."""
    yield from (offset[:-1], offset[1:], offset + "A", offset + "==", offset * 2, offset.swapcase())
    raw = from_b64url(offset)
    for position in range(len(raw)):
        for bit in (1, 16, 128):
            changed = raw[:position] + bytes([raw[position] ^ bit]) + raw[position + 1 :]
            yield base64.urlsafe_b64encode(changed).decode().rstrip("=")


NO_OFFSETS = [
    "x", "-1", "0", "1", "2", "1.5", "10" * 30, "1:2", "a.b", "\u00e4", "%00", "%FF", "'", " ",
    "A" * 70000, "null", "{}", "MS4x", "bmFuLmE", "LTEuYQ",
]  # fmt: skip


def test_offsets_that_are_made_up(device):
    """400, or a page of what is one's own."""
    true = list(offsets_of(device))
    for offset in [*NO_OFFSETS, *true, *(new for offset in true for new in made_up(offset))]:
        for sort in ("", "&sort=newest", "&sort=oldest", "&sort=index"):
            path = "storage/col?full=1&limit=2&offset=" + quote(offset, safe="%") + sort
            answer = device.get(path, None)
            assert answer.status in (200, 400), (offset[:60], answer)
            assert SECRET_PAYLOAD not in answer.text
            if answer.status == 200:
                assert {record["id"] for record in answer.json} <= set("abcdef")
            else:
                assert is_refused(answer, 0, 1)
    for offset in NO_OFFSETS:
        if not offset.isdigit():
            device.get("storage/col?limit=2&offset=" + quote(offset, safe="%"), 400)


def test_offset_of_another_list(site15, device):
    """That of a user, a collection or an order is no place in another one."""
    offsets = dict(zip(("", "newest", "oldest", "index"), offsets_of(device)))
    for sort, offset in offsets.items():
        for other, status in ((sort, 200), *((name, 400) for name in offsets if name != sort)):
            order = "&sort=" + other if other else ""
            device.get("storage/col?limit=2&offset=" + offset + order, status)
    offset = offsets[""]
    assert is_refused(device.get("storage/crypto?limit=2&offset=" + offset, None), 0, 1)
    other = site15.device(777)
    assert is_refused(other.get("storage/col?limit=2&offset=" + offset, None), 0, 1)
    for changed in made_up(offset):
        assert is_refused(device.get("storage/col?limit=2&offset=" + changed, None), 0, 1)


# ---- headers ----

NO_TIMES = [
    "x", "", "nan", "inf", "-1", "-0.01", "1e400", "0x10", "1_0", "1,5", "1 2", "1;2", "1.0, 2.0",
    "9" * 65, "--1", "1.2.3", "'1'",
]  # fmt: skip


def test_times_that_are_none(device):
    for text in NO_TIMES:
        for name in ("X_If_Unmodified_Since", "X_If_Modified_Since"):
            for path in ("storage/col", "storage/col/a", "info/collections"):
                assert is_refused(device.get(path, None, **{name: text}), 0, 1), (name, text)
        since = {"X_If_Unmodified_Since": text}
        assert is_refused(device.put("storage/col/a", {"payload": "y"}, None, **since), 0, 1)
        assert is_refused(device.post("storage/col", [{"id": "new"}], None, **since), 0, 1)
        assert is_refused(device.post("storage/col?batch=true", [], None, **since), 0, 1)
        for path in ("storage/col/a", "storage/col?ids=a", "storage/col", "storage", None):
            assert is_refused(device.delete(path, None, **since), 0, 1)
