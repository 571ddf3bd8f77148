# SPDX-License-Identifier: Apache-2.0
"""Storage 1.5: what clients read, when it was modified, and lists in pages."""

import base64
import hashlib
import itertools
import json
import threading

import pytest

from client import seconds
from client15 import time_of

INFO = ("collections", "collection_counts", "collection_usage", "quota", "configuration")
SORTS = (None, "newest", "oldest", "index")
BOUNDS = ("", "&newer=%s", "&older=%s", "&newer=1.00&older=%s")


@pytest.fixture
def device(site15):
    return site15.device()


def pages(device, path):
    """The answers to the pages of a list, whose path has arguments."""
    answers = [device.get(path)]
    while "X-Weave-Next-Offset" in answers[-1].headers:
        offset = answers[-1].headers["X-Weave-Next-Offset"]
        answers.append(device.get(path + "&offset=" + offset))
    return answers


def all_of(answers):
    return [item for answer in answers for item in answer.json]


# ---- info ----


def test_info(device):
    assert [device.get("info/" + what).json for what in INFO[:4]] == [{}, {}, {}, [0, None]]
    first = device.put("storage/a/1", {"payload": "x" * 512}).json
    second = device.post("storage/b", [{"id": "1", "payload": "y" * 512}, {"id": "2"}]).json
    answer = device.get("info/collections")
    assert answer.json == {"a": first, "b": second["modified"]}
    assert answer.headers["X-Weave-Records"] == "2"
    assert device.get("info/collection_counts").json == {"a": 1, "b": 2}
    assert device.get("info/collection_usage").json == {"a": 0.5, "b": 0.5}
    assert device.get("info/quota").json == [1.0, None]
    assert device.get("info/configuration").json == {
        "max_request_bytes": 2625536,
        "max_post_records": 100,
        "max_post_bytes": 2621440,
        "max_total_records": 10000,
        "max_total_bytes": 262144000,
        "max_record_payload_bytes": 2621440,
    }


def test_times_have_two_decimals(device, clock):
    device.put("storage/a/1", {"payload": ""})
    text = device.get("info/collections").text
    assert text == '{"a":%s}' % device.get("storage/a/1").headers["X-Last-Modified"]
    assert len(text.partition(".")[2]) == 3


def test_a_collection_without_records_is_shown(device):
    device.put("storage/a/1", {"payload": "x"})
    device.put("storage/b/1", {"payload": "x", "ttl": 0})
    times = {name: device.delete("storage/a?ids=1").json["modified"] for name in "a"}
    assert device.get("info/collections").json["a"] == times["a"]
    assert "b" in device.get("info/collections").json
    assert device.get("storage/a").headers["X-Last-Modified"] == "%.2f" % times["a"]
    assert device.get("info/collection_counts").json == {}


def test_times_and_conditions_of_info(device):
    for what in INFO:
        assert device.get("info/" + what).headers["X-Last-Modified"] == "0.00"
    stored = time_of(device.put("storage/a/1", {"payload": "x"}))
    device.put("storage/b/1", {"payload": "x"})
    last = time_of(device.delete("storage/b"))
    assert last > stored
    for what in INFO:
        path = "info/" + what
        answer = device.get(path)
        assert time_of(answer) == last
        unmodified = device.get(path, 304, X_If_Modified_Since=seconds(last))
        assert (unmodified.body, time_of(unmodified)) == (b"", last)
        assert device.get(path, X_If_Modified_Since=seconds(last - 1)).json == answer.json
        assert device.get(path, X_If_Unmodified_Since=seconds(last)).json == answer.json
        modified = device.get(path, 412, X_If_Unmodified_Since=seconds(last - 1))
        assert (modified.json, time_of(modified)) == (0, last)


# ---- items and conditions ----


def test_an_item(device):
    first = time_of(device.put("storage/a/1", {"payload": "x", "sortindex": -3, "ttl": 1000}))
    device.put("storage/a/2", {"payload": "x"})
    answer = device.get("storage/a/1")
    assert answer.text == '{"id":"1","modified":%s,"payload":"x","sortindex":-3}' % seconds(first)
    # Or Android's client panics.
    assert time_of(answer) == first
    assert sorted(device.get("storage/a/2").json) == ["id", "modified", "payload"]
    for missing in ("storage/a/3", "storage/b/1"):
        answer = device.get(missing, 404, X_If_Modified_Since="9999999999")
        assert (answer.json, answer.headers["Content-Type"]) == (0, "application/json")
        device.get(missing, 404, X_If_Unmodified_Since="0")


def test_conditions_are_about_the_item_or_the_collection(device):
    first = time_of(device.put("storage/a/1", {"payload": "x"}))
    last = time_of(device.put("storage/a/2", {"payload": "x"}))
    for path, modified in (("storage/a/1", first), ("storage/a", last), ("storage/none", 0)):
        assert time_of(device.get(path)) == modified
        answer = device.get(path, 304, X_If_Modified_Since=seconds(modified))
        assert (answer.body, time_of(answer)) == (b"", modified)
        device.get(path, 200, X_If_Unmodified_Since=seconds(modified))
    for path, modified in (("storage/a/1", first), ("storage/a", last)):
        device.get(path, 200, X_If_Modified_Since=seconds(modified - 1))
        answer = device.get(path, 412, X_If_Unmodified_Since=seconds(modified - 1))
        assert (answer.json, time_of(answer)) == (0, modified)


def test_malformed_conditions(device):
    device.put("storage/a/1", {"payload": "x"})
    for path in ("info/collections", "storage/a", "storage/a/1", "storage/a/2"):
        for condition in (
            {"X_If_Modified_Since": "1", "X_If_Unmodified_Since": "1"},
            {"X_If_Modified_Since": "-1"},
            {"X_If_Unmodified_Since": "-0.01"},
            {"X_If_Modified_Since": "yesterday"},
            {"X_If_Unmodified_Since": "nan"},
            {"X_If_Unmodified_Since": "inf"},
            {"X_If_Modified_Since": ""},
        ):
            assert device.get(path, 400, **condition).json == 1, (path, condition)


def test_milliseconds_in_place_of_seconds(device):
    """Firefox sends them with its quick write of tabs."""
    device.put("storage/tabs/a", {"payload": "x"})
    for path in ("storage/tabs", "storage/tabs/a", "info/collections"):
        device.get(path, X_If_Unmodified_Since="4102405200000")
        device.get(path, 304, X_If_Modified_Since="4102405200000")


def test_nothing_is_later_than_the_time_of_the_answer(device, clock):
    clock.forward(1000)
    last = time_of(device.put("storage/a/1", {"payload": "x"}))
    clock.forward(0)
    for path, status in (
        ("info/collections", 200),
        ("storage/a", 200),
        ("storage/a/1", 200),
        ("storage/a/2", 404),
        ("storage/none", 200),
    ):
        assert device.get(path, status).headers["X-Weave-Timestamp"] == seconds(last)
    answer = device.get("storage/a", 412, X_If_Unmodified_Since="1")
    assert answer.headers["X-Weave-Timestamp"] == seconds(last)
    clock.forward(2000)
    assert float(device.get("storage/a/1").headers["X-Weave-Timestamp"]) > last / 100 + 500


@pytest.mark.in_process
def test_the_time_is_that_of_what_is_shown(site15):
    """While somebody else writes."""
    reader, writer = site15.device(), site15.device()
    reader.put("storage/a/first", {"payload": "x"})
    is_over = threading.Event()

    def write():
        try:
            for number in range(60):
                writer.put("storage/a/%d" % (number % 7), {"payload": "x" * number})
        finally:
            is_over.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while not is_over.is_set():
            answer = reader.get("storage/a?full=1")
            assert max(item["modified"] for item in answer.json) * 100 == time_of(answer)
            answer = reader.get("info/collections")
            assert answer.json["a"] * 100 == time_of(answer)
    finally:
        thread.join()


# ---- lists ----


def test_lists(device):
    device.put("storage/a/1", {"payload": "x", "sortindex": 5})
    middle = time_of(device.put("storage/a/2", {"payload": "y"}))
    device.post("storage/a", [{"id": "3", "payload": "z", "sortindex": 9}])
    answer = device.get("storage/a?sort=oldest")
    assert (answer.text, answer.headers["X-Weave-Records"]) == ('["1","2","3"]', "3")
    assert device.get("storage/a?sort=newest").json == ["3", "2", "1"]
    assert device.get("storage/a?sort=index").json == ["3", "1", "2"]
    for full in ("full", "full=1", "full=0", "full=false"):
        assert device.get("storage/a?sort=oldest&" + full).json[1] == {
            "id": "2",
            "modified": middle / 100,
            "payload": "y",
        }
    for arguments, ids in (
        ("newer=%s" % seconds(middle), ["3"]),
        ("older=%s" % seconds(middle), ["1"]),
        ("newer=%s" % seconds(middle - 1), ["2", "3"]),
        ("ids=3,1,none,1", ["1", "3"]),
        ("ids=3,1&newer=%s" % seconds(middle), ["3"]),
        ("ids=", []),
        ("ids=%31%2C2", ["1", "2"]),
        ("limit=0", []),
        ("limit=2&sort=oldest", ["1", "2"]),
        ("limit=99999999999999999999", ["1", "2", "3"]),
        # Those of 1.1 are none of 1.5, and neither is what somebody makes up.
        ("parentid=x&index_above=6&index_below=b&v=1.155.0", ["1", "2", "3"]),
    ):
        assert sorted(device.get("storage/a?" + arguments).json) == ids, arguments
    assert "X-Weave-Next-Offset" not in device.get("storage/a?limit=0").headers
    assert device.get("storage/none").text == "[]"
    assert device.get("storage/none").headers["X-Weave-Records"] == "0"


def test_malformed_arguments(device):
    device.put("storage/a/1", {"payload": "x"})
    for arguments in (
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.0",
        "sort=up",
        "sort=",
        "newer=x",
        "newer=-1",
        "older=nan",
        "older=",
        "ids=a,,b",
        "ids=%C3%A4",
        "ids=%00",
        "ids=" + "x" * 65,
        "ids=" + ",".join(str(number) for number in range(101)),
        "ids=%FF",
        "offset=0",
        "offset=",
        "limit=1&offset=1",
    ):
        for collection in "ab":
            assert device.get("storage/%s?%s" % (collection, arguments), 400).json == 1


def test_a_hundred_ids(device):
    device.put("storage/a/7", {"payload": "x"})
    ids = ",".join(str(number) for number in range(100))
    assert device.get("storage/a?ids=" + ids).json == ["7"]


def test_lines(device):
    device.post("storage/a", [{"id": id_, "payload": "a\nb"} for id_ in "12"])
    answer = device.get("storage/a", Accept="application/newlines")
    assert answer.body == b'"1"\n"2"\n'
    assert answer.headers["Content-Type"] == "application/newlines"
    answer = device.get("storage/a?full=1", Accept="application/newlines")
    assert [json.loads(line)["payload"] for line in answer.text.splitlines()] == ["a\nb"] * 2
    assert device.get("storage/none", Accept="application/newlines").body == b""


ACCEPTED = (
    # Accept, the format of lists, the status of what is no list
    (None, "json", 200),
    ("", "json", 200),
    ("*/*", "json", 200),
    ("application/json;q=0.9,*/*;q=0.2", "json", 200),
    ("application/*", "json", 200),
    ("Application/NewLines", "newlines", 406),
    ("application/newlines, */*;q=0.1", "newlines", 200),
    ("application/newlines;q=0.4, application/json;q=0.5", "json", 200),
    ("application/json;q=0, */*", "newlines", 406),
    ("application/whoisi", 406, 406),
    ("text/html, application/xml;q=0.9", 406, 406),
    ("application/json;q=0", 406, 406),
    ("image/*", 406, 406),
    ("x", 406, 406),
)


def test_the_format_that_is_accepted(device):
    device.put("storage/a/1", {"payload": "x"})
    for accept, of_lists, of_others in ACCEPTED:
        if of_lists == 406:
            assert device.get("storage/a", 406, Accept=accept).json == 0
        else:
            answer = device.get("storage/a", Accept=accept)
            assert answer.headers["Content-Type"] == "application/" + of_lists, accept
        for path in ("storage/a/1", "info/collections", "info/configuration", "info/quota"):
            device.get(path, of_others, Accept=accept)


# ---- pages ----


def fill(device):
    """Records of few times and few sortindexes, some without one, in two collections."""
    for part in range(5):
        body = [
            {
                "id": "%02d" % number,
                "payload": "p" * number,
                "sortindex": None if number % 4 == 0 else number % 3,
            }
            for number in range(part, 40, 5)
        ]
        last = device.post("storage/a", body)
        if part == 2:
            middle = time_of(last)
    device.post("storage/a", [{"id": "gone%d" % n, "payload": "", "ttl": 0} for n in range(3)])
    return middle


def test_pages_together_are_the_list(device):
    middle = fill(device)
    ids = "&ids=" + ",".join("%02d" % number for number in range(3, 30))
    for sort, bound, named, full in itertools.product(SORTS, BOUNDS, ("", ids), ("", "&full=1")):
        path = "storage/a?x" + (bound % seconds(middle) if bound else "") + named + full
        path += "&sort=" + sort if sort else ""
        whole = device.get(path)
        assert "X-Weave-Next-Offset" not in whole.headers
        for limit in (8, len(whole.json) - 1, len(whole.json)):
            answers = pages(device, path + "&limit=%d" % limit)
            assert all_of(answers) == whole.json, (path, limit)
            sizes = [len(answer.json) for answer in answers]
            assert [int(answer.headers["X-Weave-Records"]) for answer in answers] == sizes
            assert set(sizes[:-1]) <= {limit} and 1 <= sizes[-1] <= limit
            assert {time_of(answer) for answer in answers} == {time_of(whole)}
        offset = device.get(path + "&limit=3").headers["X-Weave-Next-Offset"]
        assert device.get(path + "&offset=" + offset).json == whole.json[3:]
    for sort in ("newest", "oldest", "index"):
        answers = pages(device, "storage/a?limit=1&sort=" + sort)
        assert all_of(answers) == device.get("storage/a?sort=" + sort).json


def test_pages_while_somebody_writes(device):
    """A record that is not changed comes once, whatever others write before the page."""
    for sort in SORTS:
        device.delete("storage/a")
        fill(device)
        check_pages_while_somebody_writes(sort, device)


def check_pages_while_somebody_writes(sort, device):
    path = "storage/a?limit=9" + ("&sort=" + sort if sort else "")
    found, answer = [], device.get(path)
    while True:
        found += answer.json
        if "X-Weave-Next-Offset" not in answer.headers:
            break
        device.delete("storage/a?ids=" + ",".join(answer.json[::4]))
        device.put("storage/a/" + answer.json[1], {"payload": "changed"})
        device.put("storage/a/%02dnew" % len(found), {"payload": "x", "sortindex": 1})
        answer = device.get(path + "&offset=" + answer.headers["X-Weave-Next-Offset"])
    steady = {id_ for id_ in device.get("storage/a").json if len(id_) == 2}
    steady = {id_ for id_ in steady if device.get("storage/a/" + id_).json["payload"] != "changed"}
    assert len(steady) > 20
    assert all(found.count(id_) == 1 for id_ in steady)


def test_long_lists_have_pages_too(device):
    """Lists that are sent while they are read, since they are over 1 MiB."""
    payload = "x" * 9000
    for part in range(4):
        body = [{"id": "%d-%03d" % (part, number), "payload": payload} for number in range(100)]
        device.post("storage/a", body)
    for sort in ("&sort=newest", "&sort=oldest", "&sort=index", ""):
        whole = [record["id"] for record in device.get("storage/a?full=1" + sort).json]
        answers = pages(device, "storage/a?full=1&limit=150" + sort)
        assert [record["id"] for record in all_of(answers)] == whole
        records = [answer.headers["X-Weave-Records"] for answer in answers]
        assert records == ["150", "150", "100"]
        offset = answers[0].headers["X-Weave-Next-Offset"]
        answer = device.get("storage/a?full=1&offset=" + offset + sort)
        assert [record["id"] for record in answer.json] == whole[150:]
        assert answer.headers["X-Weave-Records"] == "250"
        assert "X-Weave-Next-Offset" not in answer.headers
        assert time_of(answer) == time_of(answers[0]) > 0


def test_tokens_are_of_one_list(site15, device):
    other = site15.device(54321)
    for each, collection in ((device, "a"), (device, "b"), (other, "a")):
        each.post("storage/" + collection, [{"id": id_, "payload": "x"} for id_ in "12345"])
    token = device.get("storage/a?limit=2").headers["X-Weave-Next-Offset"]
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    # What it says of the list may change in what does not matter for its order.
    for arguments in ("", "&limit=1", "&full=1", "&ids=1,5"):
        device.get("storage/a?offset=" + token + arguments)
    for each, path in (
        (device, "storage/b?offset="),
        (other, "storage/a?offset="),
        (device, "storage/a?sort=newest&offset="),
        (device, "storage/a?sort=index&offset="),
        (device, "storage/a?newer=1&offset="),
    ):
        assert each.get(path + token, 400).json == 1
    for made_up in (
        token[:-1],
        token[1:],
        token + "A",
        token + "=",
        token.swapcase(),
        "A" * len(token),
        "A" * 10000,
        "",
        "2",
        "%FF",
        "a%20b",
        "a%0A",
        "..",
        "'%22;--",
    ):
        assert device.get("storage/a?limit=2&offset=" + made_up, 400).json == 1


NO_POSITIONS = [
    b"5", b"null", b'"abc"', b"{}", b"[]", b'["a"]', b'["a",1]', b'["a",1,1,1]', b"[1,2,3]",
    b'["a","x",null]', b'["a",NaN,1]', b'["a",true,1]', b'["a",1.5,1]', b'["a",1,1.5]',
    b'["a",[],[]]', b'["a",1,[]]', b'[["a"],1,1]', b'[{"a":1},1,1]', b'["\\u0000",1,1]',
    b'["\\ud800",1,1]', b'["a",%d,1]' % 2**70, b'["a",1,%d]' % 2**40, b"[" * 200 + b"]" * 200,
]  # fmt: skip


@pytest.mark.parametrize("sort", [None, "newest", "oldest", "index"])
def test_tokens_with_a_checksum_that_somebody_knows(device, sort):
    """The source is public: 400, and no fault of the server."""
    device.post("storage/a", [{"id": id_, "sortindex": 1, "payload": ""} for id_ in "1234"])
    made_up = [*NO_POSITIONS, b'["a",null,1]'] if sort in ("newest", "oldest") else NO_POSITIONS
    for position in made_up:
        whole = b"%d a %s %s" % (device.uid, (sort or "none").encode(), position)
        data = hashlib.blake2s(whole, digest_size=6).digest() + position
        token = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        path = "storage/a?limit=2&offset=" + token + ("&sort=" + sort if sort else "")
        for more in ("", "&full=1", "&ids=1,2"):
            assert device.get(path + more, 400).json == 1, position


def test_a_token_widens_no_bounds(device):
    """A token of the same order is taken with other bounds, which count."""
    times = [time_of(device.put("storage/a/%d" % n, {"payload": "x"})) for n in range(8)]
    path = "storage/a?sort=%s&limit=2"
    early = device.get(path % "oldest").headers["X-Weave-Next-Offset"]
    late = device.get(path % "newest").headers["X-Weave-Next-Offset"]
    bounds = "&newer=%s&older=%s" % (seconds(times[3]), seconds(times[6]))
    assert device.get("storage/a?sort=oldest&offset=" + early + bounds).json == ["4", "5"]
    assert device.get("storage/a?sort=newest&offset=" + late + bounds).json == ["5", "4"]
    bounds = "&newer=%s" % seconds(times[6])
    assert device.get("storage/a?sort=newest&offset=" + late + bounds).json == []
    bounds = "&older=%s" % seconds(times[1])
    assert device.get("storage/a?sort=oldest&offset=" + early + bounds).json == []
    # Behind the position there are others of the same time.
    last = time_of(device.post("storage/b", [{"id": str(n)} for n in range(4)]))
    for sort, bound in (("oldest", "newer"), ("newest", "older"), ("oldest", "older")):
        path = "storage/b?sort=" + sort
        token = device.get(path + "&limit=2").headers["X-Weave-Next-Offset"]
        assert len(device.get(path + "&offset=" + token).json) == 2
        assert device.get(path + "&%s=%s&offset=%s" % (bound, seconds(last), token)).json == []
