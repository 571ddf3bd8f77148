# SPDX-License-Identifier: Apache-2.0
"""GET below /1.1/NAME/: info and collections."""

import json
import re
import struct

import pytest
from sqlalchemy import event

STAMP = re.compile(rb"[0-9]+\.[0-9]{2}")


@pytest.fixture
def filled(user):
    """Records a to e, one write each; their stamps as `user.stamps`."""
    user.stamps = {}
    for index, name in enumerate("abcde"):
        body = {
            "payload": name * 10,
            "sortindex": index,
            "parentid": "p%d" % (index % 2),
        }
        user.stamps[name] = user.put("storage/col/" + name, body).text
    return user


def ids(user, arguments):
    return user.get("storage/col?" + arguments).json


def test_versions_are_one(filled):
    answers = set()
    for filled.version in ("1", "1.0", "1.1"):
        answers.add(filled.get("storage/col?full=1").body)
    assert len(answers) == 1


def test_trailing_slash_is_stripped(filled):
    assert filled.get("info/collections/").json == filled.get("info/collections").json
    assert filled.get("storage/col/a/").json["id"] == "a"


def test_info_collections(filled):
    filled.put("storage/other/x", {"payload": ""})
    response = filled.get("info/collections?v=5.0&client=x")
    assert sorted(response.json) == ["col", "other"]
    assert response.headers["X-Weave-Records"] == "2"
    assert STAMP.findall(response.body)[0].decode() == filled.stamps["e"]


def test_info_of_nothing(user):
    assert user.get("info/collections").body == b"{}"
    assert user.get("info/collection_counts").body == b"{}"
    assert user.get("info/collection_usage").body == b"{}"
    assert user.get("info/quota").json == [0, None]


def test_counts(filled):
    response = filled.get("info/collection_counts")
    assert response.json == {"col": 5}
    assert response.headers["X-Weave-Records"] == "1"


def test_usage_counts_payload_bytes_in_kb(user):
    user.put("storage/col/a", {"payload": "é" * 512, "parentid": "not counted"})
    response = user.get("info/collection_usage")
    assert response.body == b'{"col":1.0}'
    assert user.get("info/quota").body == b"[1.0,null]"


def test_unknown_collection_is_an_empty_list(user):
    response = user.get("storage/nothing")
    assert response.body == b"[]"
    assert response.headers["X-Weave-Records"] == "0"
    assert user.get("storage/nothing?full=1").body == b"[]"


def test_unknown_item_is_404(filled):
    filled.get("storage/col/zzz", status=404)
    filled.get("storage/nothing/a", status=404)


def test_item_shows_what_was_put(user):
    fields = {"parentid": "p", "predecessorid": "q", "sortindex": -3}
    stamp = user.put("storage/col/a", dict(fields, payload="…", ttl=100)).text
    response = user.get("storage/col/a")
    assert response.json == dict(fields, id="a", payload="…", modified=float(stamp))
    assert ('"modified":%s,' % stamp) in response.text


def test_ids_unless_full(filled):
    assert ids(filled, "") == list("abcde")
    assert filled.get("storage/col").headers["X-Weave-Records"] == "5"
    assert [r["payload"][0] for r in ids(filled, "full=1")] == list("abcde")
    assert ids(filled, "full=0") == list("abcde")


def test_newer_and_older_are_strict(filled):
    c = filled.stamps["c"]
    assert ids(filled, "newer=" + c) == ["d", "e"]
    assert ids(filled, "older=" + c) == ["a", "b"]
    assert ids(filled, "newer=%s&older=%s" % (filled.stamps["a"], c)) == ["b"]
    assert ids(filled, "newer=-1") == list("abcde")
    for more in ("sort=oldest", "sort=newest", "sort=index", "ids=a,b,c,d,e", "parentid=p0"):
        found = ids(filled, "newer=%s&%s" % (c, more))
        assert sorted(found) == (["e"] if more == "parentid=p0" else ["d", "e"]), more
        found = ids(filled, "older=%s&%s" % (c, more))
        assert sorted(found) == (["a"] if more == "parentid=p0" else ["a", "b"]), more


def test_index_above_and_below_are_strict(filled):
    assert ids(filled, "index_above=2") == ["d", "e"]
    assert ids(filled, "index_below=2") == ["a", "b"]
    assert ids(filled, "index_above=1.5&index_below=2.5") == ["c"]
    for more in ("sort=oldest", "sort=newest", "sort=index", "ids=a,b,c,d,e", "newer=0"):
        assert sorted(ids(filled, "index_above=2&" + more)) == ["d", "e"]
        assert sorted(ids(filled, "index_below=2&" + more)) == ["a", "b"]


def test_sort(filled):
    assert ids(filled, "sort=oldest") == list("abcde")
    assert ids(filled, "sort=newest") == list("edcba")
    assert ids(filled, "sort=index") == list("edcba")
    assert ids(filled, "sort=nonsense") == list("abcde")


def test_sort_by_index_has_those_without_one_last(filled):
    filled.put("storage/col/0", {"payload": "no index"})
    assert ids(filled, "sort=index") == list("edcba0")
    assert ids(filled, "sort=index&ids=a,0,b") == ["b", "a", "0"]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ("limit=2", "ab"),
        ("limit=2&offset=1", "bc"),
        ("limit=2&offset=4", "e"),
        ("limit=2&offset=9", ""),
        ("limit=99999999999999999999999", "abcde"),
        ("offset=2", "abcde"),  # needs a limit
        ("limit=-1", "abcde"),
        ("limit=-1&offset=2", "abcde"),
        ("limit=2&offset=-1", "ab"),
        ("limit=0", "abcde"),
        ("sort=newest&limit=2&offset=1", "dc"),
        ("unknown=1&limit=1", "a"),
    ],
)
def test_limit_and_offset(filled, arguments, expected):
    assert ids(filled, arguments) == list(expected)


@pytest.mark.parametrize(
    "arguments",
    ["limit=x", "limit=", "limit=1.5", "limit=1_0", "limit=2&offset=x", "newer=x",
     "newer=nan", "older=inf", "index_above=x", "index_below=nan", "ids=%ff", "newer=",
     "ids=a,%00", "parentid=%00", "newer=1_0", "index_above=1_0"],
)  # fmt: skip
def test_bad_arguments_are_400(filled, arguments):
    assert filled.get("storage/col?" + arguments, status=400).body == b"1"


def test_ids(filled):
    assert ids(filled, "ids=a,c,zzz,a") == ["a", "c"]
    assert ids(filled, "ids=") == []
    assert ids(filled, "ids=a,b,c&limit=1&offset=1") == ["b"]
    assert ids(filled, "ids=c,a&sort=newest") == ["c", "a"]
    assert ids(filled, "ids=a,b,c&newer=" + filled.stamps["a"]) == ["b", "c"]


def test_ids_have_no_cap(filled):
    many = ",".join("x%d" % number for number in range(5000))
    assert ids(filled, "ids=a,%s,e" % many) == ["a", "e"]


def test_parentid_and_predecessorid(filled):
    assert ids(filled, "parentid=p1") == ["b", "d"]
    assert ids(filled, "predecessorid=x") == []


def test_newlines(filled):
    response = filled.get("storage/col?full=1", Accept="application/newlines")
    assert response.content_type == "application/newlines"
    assert response.body.count(b"\n") == 5 and response.body.endswith(b"\n")
    assert [json.loads(line)["id"] for line in response.body.splitlines()] == list(
        "abcde"
    )
    response = filled.get("storage/col", Accept="application/newlines")
    assert response.body == b'"a"\n"b"\n"c"\n"d"\n"e"\n'


def test_newlines_of_nothing(user):
    assert user.get("storage/col", Accept="application/newlines").body == b""


def test_whoisi(filled):
    response = filled.get("storage/col?full=1", Accept="application/whoisi")
    assert response.content_type == "application/whoisi"
    assert response.headers["X-Weave-Records"] == "5"
    body, found = response.body, []
    while body:
        (size,) = struct.unpack(">I", body[:4])
        found.append(json.loads(body[4 : 4 + size])["id"])
        body = body[4 + size :]
    assert found == list("abcde")


@pytest.mark.parametrize(
    "accept, expected",
    [
        ("text/html", "application/json"),
        ("*/*", "application/json"),
        ("nonsense;;q=x,,", "application/json"),
        ("application/newlines;q=0.5, application/whoisi", "application/whoisi"),
        ("application/json;q=0.1, application/newlines;q=0.2", "application/newlines"),
        ("application/newlines;q=0", "application/json"),
        ("Application/Newlines", "application/newlines"),
    ],
)
def test_accept(filled, accept, expected):
    assert filled.get("storage/col", Accept=accept).content_type == expected


def test_answer_is_never_older_than_what_it_shows(site, user):
    user.put("storage/col/a", {"payload": "x"})
    site.sql("update weave_collections set modified = 999999999999")
    site.sql("update weave_records set modified = 999999999999")
    site.sql("update weave_users set modified = 999999999999")
    for path in ("info/collections", "storage/col?full=1", "storage/col/a"):
        assert user.get(path).headers["X-Weave-Timestamp"] == "9999999999.99"


def test_users_see_only_their_own(site, filled):
    other = site.user("bob")
    assert other.get("info/collections").json == {}
    other.get("storage/col/a", status=404)
    other.put("storage/col/a", {"payload": "bob's"})
    assert filled.get("storage/col/a").json["payload"] == "a" * 10


def plans(site, call):
    """How SQLite finds the records that call() makes it look for."""
    (database,) = site.databases
    seen = []

    def trace(connection, *_):
        connection.set_trace_callback(seen.append)

    event.listen(database.engine, "checkout", trace)
    try:
        call()
    finally:
        event.remove(database.engine, "checkout", trace)
    lines = []
    for statement in seen:
        if "weave_records" in statement:
            rows = site.sql("EXPLAIN QUERY PLAN " + statement)
            lines += [row[3] for row in rows if "weave_records" in row[3]]
    return lines


@pytest.mark.sqlite_only
@pytest.mark.in_process
@pytest.mark.parametrize(
    "path, index",
    [
        ("storage/col?newer=1.5&sort=oldest&full=1", "modified>"),
        ("storage/col?newer=1.5&full=1", "modified>"),
        ("storage/col?ids=a,b&full=1", "id=?"),
        ("storage/col/a", "id=?"),
        ("info/collections", "USING COVERING INDEX weave_records_usage"),
        ("info/collection_counts", "USING COVERING INDEX weave_records_usage"),
    ],
)
def test_records_are_found_by_the_right_index(site, filled, path, index):
    # Once an index on the expiry was chosen, and whole collections were read.
    found = plans(site, lambda: filled.get(path))
    assert found and all(index in plan for plan in found)
