# SPDX-License-Identifier: Apache-2.0
"""PUT, POST and DELETE below /1.1/NAME/storage."""

import re
from urllib.parse import quote

import pytest

from conftest import User
from weave.server.stamps import Stamp

STAMP = re.compile(r"[0-9]+\.[0-9]{2}")


def test_body_of_put_is_the_timestamp_header(user):
    for number in range(20):
        response = user.put("storage/col/a", {"payload": str(number)})
        assert STAMP.fullmatch(response.text)
        assert response.text == response.headers["X-Weave-Timestamp"]
        assert response.content_type == "application/json"


def test_stamps_only_grow(user):
    stamps = [
        float(user.put("storage/col/a", {"payload": "x"}).text) for _ in range(20)
    ]
    stamps.append(
        float(user.post("storage/col", [{"id": "b", "payload": ""}]).json["modified"])
    )
    stamps.append(float(user.delete("storage/col/a").text))
    stamps.append(float(user.put("storage/other/a", {"payload": "x"}).text))
    assert stamps == sorted(set(stamps))


def test_stamps_grow_when_the_clock_goes_back(user, clock):
    first = Stamp.parse(user.put("storage/col/a", {"payload": "x"}).text)
    clock.forward(-1000000)
    response = user.put("storage/col/a", {"payload": "y"})
    assert Stamp.parse(response.text) == first + 1
    assert response.text == response.headers["X-Weave-Timestamp"]


def test_put_changes_only_what_it_names(user):
    user.put("storage/col/a", {"payload": "x", "sortindex": 1, "parentid": "p"})
    user.put("storage/col/a", {"payload": "y", "sortindex": None})
    record = user.get("storage/col/a").json
    assert (record["payload"], record["sortindex"], record["parentid"]) == ("y", 1, "p")


def test_put_without_payload_keeps_modified(user):
    stamp = user.put("storage/col/a", {"payload": "x"}).text
    before = user.get("info/collections").text
    response = user.put("storage/col/a", {"sortindex": 7})
    assert response.text == stamp
    record = user.get("storage/col/a")
    assert record.json["sortindex"] == 7 and record.json["payload"] == "x"
    assert ('"modified":' + stamp) in record.text
    assert user.get("info/collections").text == before


def test_single_put_to_a_collection(user):
    for call in (user.put, user.post):
        response = call("storage/col", {"id": "a", "payload": "x"})
        assert STAMP.fullmatch(response.text)
        assert response.text == response.headers["X-Weave-Timestamp"]
        assert ('"modified":' + response.text) in user.get("storage/col/a").text
    assert user.post("storage/col", {"id": 12, "payload": "x"}).status_int == 200
    assert user.get("storage/col/12").json["id"] == "12"
    assert user.post("storage/col", {"payload": "x"}, status=400).body == b"8"
    assert (
        user.post("storage/col", {"id": "a/b", "payload": "x"}, status=400).body == b"8"
    )


def test_id_of_the_url_wins(user):
    user.put("storage/col/a", {"id": "b", "payload": "x"})
    assert user.get("storage/col").json == ["a"]


def test_post(user):
    records = [{"id": str(n), "payload": "x", "sortindex": n} for n in range(100)]
    response = user.post("storage/col", records)
    assert response.json["success"] == [str(n) for n in range(100)]
    assert response.json["failed"] == {}
    stamp = response.headers["X-Weave-Timestamp"]
    assert ('"modified":' + stamp) in response.text
    assert ('"col":' + stamp) in user.get("info/collections").text
    assert {r["modified"] for r in user.get("storage/col?full=1").json} == {
        float(stamp)
    }


def test_post_updates_and_creates(user):
    user.post(
        "storage/col",
        [{"id": "a", "payload": "1", "sortindex": 1}, {"id": "b", "payload": "1"}],
    )
    batch = [
        {"id": "a", "payload": "2"},
        {"id": "b", "sortindex": 5},
        {"id": "c", "payload": "2", "parentid": "p"},
        {"id": "d", "sortindex": 5},
    ]
    assert user.post("storage/col", batch).json["success"] == list("abcd")
    found = {r["id"]: r for r in user.get("storage/col?full=1").json}
    assert sorted(found) == list("abcd")
    assert (found["d"]["payload"], found["d"]["modified"]) == ("", 0)
    assert (found["a"]["payload"], found["a"]["sortindex"]) == ("2", 1)
    assert (found["b"]["payload"], found["b"]["sortindex"]) == ("1", 5)
    assert found["b"]["modified"] < found["a"]["modified"] == found["c"]["modified"]


def test_post_of_the_same_id_twice_keeps_the_last(user):
    batch = [
        {"id": "a", "payload": "1", "sortindex": 1, "ttl": 0},
        {"id": "a", "payload": "2"},
    ]
    assert user.post("storage/col", batch).json["success"] == ["a"]
    record = user.get("storage/col/a").json
    assert (record["payload"], record["sortindex"]) == ("2", 1)


def test_post_of_nothing_creates_nothing(user):
    response = user.post("storage/col", [])
    assert response.json["success"] == [] and response.json["failed"] == {}
    assert user.get("info/collections").json == {}
    user.post("storage/col", [{"id": "a" * 65, "payload": "x"}])
    assert user.get("info/collections").json == {}


def test_post_fails_per_record(user):
    batch = [
        {"id": "good", "payload": "x"},
        {"id": "i" * 65, "payload": "x"},
        {"id": "sl/ash" + "i" * 59, "payload": "x"},
        {"id": "parent", "payload": "x", "parentid": "p" * 65},
        {"id": "before", "payload": "x", "predecessorid": "p" * 65},
        {"id": "index", "payload": "x", "sortindex": 1000000000},
        {"id": "ttl", "payload": "x", "ttl": 31536001},
        {"id": "number", "payload": 5},
        {"id": "large", "payload": "x" * 262145},
        {"payload": "no id"},
        "no object",
        {"id": "last", "payload": "x"},
    ]
    answer = user.post("storage/col", batch).json
    assert answer["success"] == ["good", "last"]
    assert answer["failed"] == {
        "i" * 65: ["invalid id"],
        "sl/ash" + "i" * 59: ["invalid id"],
        "parent": ["invalid parentid"],
        "before": ["invalid predecessorid"],
        "index": ["invalid sortindex"],
        "ttl": ["invalid ttl"],
        "number": ["invalid payload"],
        "large": ["invalid payload"],
        "": ["invalid wbo"],
    }
    assert user.get("storage/col").json == ["good", "last"]


def test_post_over_batch_max_count(make_site):
    user = make_site(storage="batch_max_count = 3").user()
    answer = user.post(
        "storage/col", [{"id": str(n), "payload": ""} for n in range(5)]
    ).json
    assert answer["success"] == ["0", "1", "2"]
    assert answer["failed"] == {"3": ["retry wbo"], "4": ["retry wbo"]}


def test_post_over_batch_max_bytes(make_site):
    user = make_site(storage="batch_max_bytes = 1024").user()
    payloads = {"a": "é" * 500, "b": "x" * 25, "c": "x" * 24, "d": "x"}
    batch = [{"id": id_, "payload": text} for id_, text in payloads.items()]
    answer = user.post("storage/col", batch).json
    assert answer["success"] == ["a", "c"]
    assert answer["failed"] == {"b": ["retry bytes"], "d": ["retry bytes"]}


def test_post_of_26_megabytes_is_taken(make_site):
    user = make_site(storage="batch_max_bytes = 100000000").user()
    batch = [{"id": str(n), "payload": "x" * 262144} for n in range(100)]
    assert len(user.post("storage/col", batch).json["success"]) == 100
    assert user.get("info/collection_usage").json == {"col": 25600.0}


def test_ids_that_clients_use(user):
    guid = "{0cf2a9c5-7e35-4b0b-8f5a-2d4a1fd0a000}"
    user.put(
        "storage/passwords/%7B0cf2a9c5-7e35-4b0b-8f5a-2d4a1fd0a000%7D", {"payload": "x"}
    )
    assert user.get("storage/passwords/" + guid).json["id"] == guid
    assert user.get("storage/passwords?ids=" + guid).json == [guid]
    user.put("storage/col/" + "i" * 64, {"payload": "x"})
    user.put("storage/col/%C3%A9", {"payload": "x"})
    assert user.get("storage/col/%C3%A9").json["id"] == "é"


def test_slash_in_the_id_of_a_single_object_is_400(user):
    for path in ("storage/col/a%2Fb", "storage/col/a/b"):
        assert user.put(path, {"payload": "x"}, status=400).body == b"8"
        assert user.get(path, status=400).body == b"8"
        assert user.delete(path, status=400).body == b"8"
    for call in (user.put, user.post):
        record = {"id": "a/b", "payload": "x"}
        assert call("storage/col", record, status=400).body == b"8"
    assert user.get("storage/col").json == []


# As browsers make them for form history: 12 random bytes in plain base64; and with
# all that base64 and other clients can have, to the longest.
FORM_IDS = ["q/Wz0+9nVYpBAAAA", "////////////////", "++++++++++++++++", "/", "a+b/c==",
            "//a", "a;b", "a'b", "(a)~!*$:@?", "+/=" * 21 + "+"]  # fmt: skip


def test_ids_of_form_history(user):
    batch = [{"id": id_, "payload": "of " + id_, "parentid": id_} for id_ in FORM_IDS]
    answer = user.post("storage/forms", batch).json
    assert (answer["success"], answer["failed"]) == (FORM_IDS, {})
    found = user.get("storage/forms?full=1").json
    assert {r["id"]: r["payload"] for r in found} == {i: "of " + i for i in FORM_IDS}
    # again, as they come after each change
    assert user.post("storage/forms", batch).json["success"] == FORM_IDS
    assert user.get("info/collection_counts").json == {"forms": len(FORM_IDS)}


def test_ids_of_form_history_come_unescaped(user):
    batch = [{"id": id_, "payload": "x", "parentid": id_, "predecessorid": id_}
             for id_ in FORM_IDS]  # fmt: skip
    user.post("storage/forms", batch + [{"id": "a b", "payload": "x"}])
    assert user.get("storage/forms?ids=" + ",".join(FORM_IDS)).json == sorted(FORM_IDS)
    for id_ in FORM_IDS:
        for name in ("ids", "parentid", "predecessorid"):
            for text in (id_, quote(id_, safe="")):
                path = "storage/forms?newer=0&%s=%s&full=1" % (name, text)
                assert [r["id"] for r in user.get(path).json] == [id_], path
    assert user.get("storage/forms?ids=a%20b").json == ["a b"]
    assert user.get("storage/forms?ids=a+b").json == []
    for id_ in FORM_IDS[1:]:
        user.delete("storage/forms?ids=" + id_)
    assert user.get("storage/forms").json == ["a b", FORM_IDS[0]]
    user.delete("storage/forms?parentid=" + FORM_IDS[0])
    assert user.get("storage/forms").json == ["a b"]


def test_plus_and_equals_sign_in_the_path_of_an_object(user):
    for id_ in ("a+b==", "+", "=", "a,b", "a;b=c"):
        for text in (id_, quote(id_, safe="")):
            user.put("storage/forms/" + text, {"payload": text})
            record = user.get("storage/forms/" + text).json
            assert (record["id"], record["payload"]) == (id_, text)
        user.delete("storage/forms/" + id_)
        user.get("storage/forms/" + id_, status=404)


def test_numbers_become_strings(user):
    batch = [{"id": 5, "payload": "x", "parentid": 6, "predecessorid": 7.5}]
    assert user.post("storage/col", batch).json["success"] == ["5"]
    record = user.get("storage/col/5").json
    assert (record["parentid"], record["predecessorid"]) == ("6", "7.5")


@pytest.mark.parametrize(
    "sent, kept",
    [
        ("5.5", 5),
        (5.9, 5),
        ("-3", -3),
        (999999999, 999999999),
        ("-999999999", -999999999),
    ],
)
def test_sortindex(user, sent, kept):
    user.put("storage/col/a", {"payload": "x", "sortindex": sent})
    assert user.get("storage/col/a").json["sortindex"] == kept


def test_payload_of_256_kib(user):
    for text in ("x" * 262144, "é" * 131072):
        user.put("storage/col/a", {"payload": text})
        assert user.get("storage/col/a").json["payload"] == text
        assert (
            user.put("storage/col/a", {"payload": text + "x"}, status=400).body == b"8"
        )


def test_modified_and_unknown_fields_are_dropped(user):
    stamp = user.put(
        "storage/col/a", {"payload": "x", "modified": 5, "extra": [1]}
    ).text
    assert user.get("storage/col/a").json == {
        "id": "a",
        "payload": "x",
        "modified": float(stamp),
    }


def test_ttl_of_zero_expires_at_once(site, user):
    user.put("storage/col/a", {"payload": "x", "sortindex": 4, "ttl": 0})
    user.get("storage/col/a", status=404)
    assert user.get("storage/col").json == []
    assert user.get("info/collections").json == {}
    assert user.get("info/collection_counts").json == {}
    assert user.get("info/quota").json == [0, None]
    assert user.put("storage/col/a", {"sortindex": 1}).body == b"null"
    user.put("storage/col/a", {"payload": "y"})
    record = user.get("storage/col/a").json
    assert (record["payload"], record["sortindex"]) == ("y", 1)


def test_ttl_expires_later(user, clock):
    user.put("storage/col/a", {"payload": "x", "ttl": 31536000})
    clock.forward(31535900)
    user.get("storage/col/a")
    clock.forward(31536001)
    user.get("storage/col/a", status=404)


def test_put_without_ttl_resets_it_to_never(user, clock):
    user.put("storage/col/a", {"payload": "x", "ttl": 10})
    user.put("storage/col/a", {"sortindex": 1})
    clock.forward(40 * 365 * 24 * 3600)
    assert user.get("storage/col/a").json["sortindex"] == 1


def test_expired_records_are_purged_by_writes(site, user):
    batch = [{"id": str(n), "payload": "x", "ttl": 0} for n in range(100)]
    for _ in range(3):
        user.post("storage/col", batch)
    user.put("storage/col/alive", {"payload": "x"})
    assert site.sql("select id from weave_records") == [("alive",)]


def test_delete_an_item(user):
    user.post("storage/col", [{"id": "a", "payload": ""}, {"id": "b", "payload": ""}])
    response = user.delete("storage/col/a")
    assert response.text == response.headers["X-Weave-Timestamp"]
    assert user.get("storage/col").json == ["b"]
    assert ('"col":' + response.text) in user.get("info/collections").text


def test_deleting_all_hides_the_collection(user):
    user.post("storage/col", [{"id": "a", "payload": ""}, {"id": "b", "payload": ""}])
    user.delete("storage/col/a")
    user.delete("storage/col/b")
    assert user.get("info/collections").json == {}
    assert user.get("storage/col").json == []
    user.put("storage/col/c", {"payload": ""})
    assert user.get("storage/col").json == ["c"]
    user.delete("storage/col")
    assert user.get("info/collections").json == {}


@pytest.mark.parametrize(
    "arguments, left",
    [
        ("ids=a,c", "bde"),
        ("newer={c}", "abc"),
        ("older={c}", "cde"),
        ("index_above=2", "abc"),
        ("parentid=p1", "ace"),
        ("sort=newest&limit=2", "abc"),
        ("sort=oldest&limit=2&offset=1", "ade"),
        ("unknown=1", ""),
    ],
)
def test_delete_a_selection(user, arguments, left):
    stamps = {}
    for index, name in enumerate("abcde"):
        body = {"payload": "x", "sortindex": index, "parentid": "p%d" % (index % 2)}
        stamps[name] = user.put("storage/col/" + name, body).text
    user.delete("storage/col?" + arguments.format(**stamps))
    assert user.get("storage/col").json == list(left)


def test_delete_many_ids(user):
    batches = [["%d-%d" % (b, n) for n in range(100)] for b in range(10)]
    for batch in batches:
        user.post("storage/col", [{"id": id_, "payload": ""} for id_ in batch])
    user.delete("storage/col?ids=" + ",".join(sum(batches[:9], [])))
    assert user.get("storage/col").json == sorted(batches[9])


def test_delete_everything_wants_to_be_sure(site, user):
    user.put("storage/col/a", {"payload": ""})
    before = site.digest()
    assert user.delete("storage", status=400).body == b"4"
    assert site.digest() == before
    response = user.delete("storage", X_Confirm_Delete="1")
    assert response.text == response.headers["X-Weave-Timestamp"]
    assert user.get("info/collections").json == {}
    assert site.sql("select * from weave_records") == []


def test_delete_everything_is_for_one_user(site, user):
    other = site.user("bob")
    other.put("storage/col/a", {"payload": ""})
    user.delete("storage", X_Confirm_Delete="1")
    assert other.get("storage/col").json == ["a"]


def test_unmodified_since(site, user):
    old = user.put("storage/col/a", {"payload": "1"}).text
    new = user.put("storage/col/b", {"payload": "1"}).text
    before = site.digest()
    calls = (
        ("PUT", "storage/col/a", {"payload": "2"}),
        ("PUT", "storage/col", {"id": "a", "payload": "2"}),
        ("POST", "storage/col", [{"id": "a", "payload": "2"}]),
        ("DELETE", "storage/col/a", None),
        ("DELETE", "storage/col", None),
        ("DELETE", "storage", None),
    )
    for method, path, body in calls:
        user.call(
            method, path, body, 412, X_If_Unmodified_Since=old, X_Confirm_Delete="1"
        )
    assert site.digest() == before
    user.put("storage/other/a", {"payload": "1"}, X_If_Unmodified_Since="0")
    user.put("storage/col/a", {"payload": "2"}, X_If_Unmodified_Since=new)
    user.put("storage/col/a", {"payload": "2"}, 400, X_If_Unmodified_Since="nan")


def test_unmodified_since_sees_deletions(user):
    old = user.post(
        "storage/col", [{"id": "a", "payload": ""}, {"id": "b", "payload": ""}]
    )
    user.delete("storage/col/b")
    stamp = old.headers["X-Weave-Timestamp"]
    user.put("storage/col/a", {"payload": "2"}, 412, X_If_Unmodified_Since=stamp)


@pytest.mark.parametrize(
    "standard, numbers", [("true", {7, 100}), ("false", {100, 101})]
)
def test_standard_collections(make_site, standard, numbers):
    site = make_site(storage="standard_collections = " + standard)
    user = site.user()
    user.put("storage/bookmarks/a", {"payload": "b"})
    user.put("storage/mine/a", {"payload": "m"})
    assert {
        row[0] for row in site.sql("select number from weave_collections")
    } == numbers
    assert user.get("storage/bookmarks/a").json["payload"] == "b"
    assert sorted(user.get("info/collections").json) == ["bookmarks", "mine"]


def test_quota(make_site):
    site = make_site(storage="use_quota = true\nquota_size = 1030")
    user = site.user()
    response = user.put("storage/col/a", {"payload": "x" * 5 * 1024})
    assert "X-Weave-Quota-Remaining" not in response.headers
    response = user.put("storage/col/b", {"payload": "x" * 2 * 1024})
    assert response.headers["X-Weave-Quota-Remaining"] == "1023.00"
    for name in "cdef":
        user.put("storage/col/" + name, {"payload": "x" * 255 * 1024})
    assert user.get("info/quota").json == [1027, 1030]
    before = site.digest()
    assert user.put("storage/col/g", {"payload": "x" * 4096}, 400).body == b"14"
    batch = [{"id": "h", "payload": "x" * 4096}, {"id": "i", "payload": ""}]
    assert user.post("storage/col", batch, 400).body == b"14"
    assert site.digest() == before
    response = user.put("storage/col/g", {"payload": "x" * 3 * 1024})
    assert response.headers["X-Weave-Quota-Remaining"] == "0.00"
    user.put("storage/col/g", {"payload": "x"})
    user.delete("storage/col/c")


def test_over_a_quota_that_was_lowered_one_may_still_shrink(make_site):
    user = make_site(storage="use_quota = true\nquota_size = 100").user()
    user.put("storage/col/a", {"payload": "x" * 50 * 1024})
    user.put("storage/col/b", {"payload": "x" * 40 * 1024})
    lowered = make_site(storage="use_quota = true\nquota_size = 60")
    user = User(lowered.app, "alice")
    assert user.put("storage/col/c", {"payload": "x"}, 400).body == b"14"
    user.put("storage/col/a", {"payload": "x" * 49 * 1024})
    user.delete("storage/col/b")
    assert user.get("info/quota").json == [49, 60]
