# SPDX-License-Identifier: Apache-2.0
"""Checks that conformance suites of other Sync 1.5 servers have, and no other test here."""

import json
import time
from urllib.parse import quote

import pytest

from model15 import hundredths

LINES = {"Content_Type": "application/newlines"}


@pytest.fixture
def device(site15):
    return site15.device()


def fill(device, count=12, at_once=4):
    """Records whose weights rise, and of whom some have one time."""
    records = [{"id": "%02d" % n, "payload": "x", "sortindex": n // 2} for n in range(count)]
    for start in range(0, count, at_once):
        device.post("storage/col", records[start : start + at_once])


@pytest.mark.parametrize("sort", ["", "newest", "oldest", "index"])
def test_pages_are_parts_of_the_list(device, sort):
    """Pages may change their size on the way, and the last may have no limit."""
    fill(device)
    path = "storage/col?" + ("sort=%s&" % sort if sort else "")
    whole = device.get(path).json
    for sizes in ([2] * 6, [3] * 4, [4] * 3, [5, 5, 2], [6, 6], [1, 10, 1], [2, 3, 7]):
        found, offset = [], ""
        for number, size in enumerate(sizes):
            is_last = number == len(sizes) - 1
            limit = "" if is_last and number % 2 else "limit=%d" % size
            answer = device.get(path + limit + offset)
            found += answer.json
            assert ("X-Weave-Next-Offset" not in answer.headers) == is_last
            offset = "&offset=" + quote(answer.headers.get("X-Weave-Next-Offset", ""), safe="")
        assert found == whole


@pytest.mark.parametrize("arguments", ["newer=%s&sort=oldest", "older=%s&sort=newest", "newer=%s",
                                       "older=%s", "newer=%s&sort=index"])  # fmt: skip
def test_pages_between_times(device, arguments):
    fill(device)
    records = device.get("storage/col?full=1").json
    for stamp in sorted({record["modified"] for record in records}):
        is_newer = arguments.startswith("newer")
        expected = {r["id"] for r in records
                    if (r["modified"] > stamp if is_newer else r["modified"] < stamp)}  # fmt: skip
        for limit in range(1, 7):
            path = "storage/col?limit=%d&%s" % (limit, arguments % stamp)
            answer = device.get(path)
            found = answer.json
            while "X-Weave-Next-Offset" in answer.headers:
                assert len(found) <= len(expected)
                answer = device.get(path + "&offset=" + answer.headers["X-Weave-Next-Offset"])
                found += answer.json
            assert len(found) == len(expected) and set(found) == expected


def test_lines(device):
    """A line feed in a payload is no end of a line, and the last line needs none."""
    texts = ["hello\nworld", "\n\n", "\u2028\u2029\x85\x0b\x0c\r"]
    records = [{"id": str(number), "payload": text} for number, text in enumerate(texts)]
    for ascii_only, end in ((True, ""), (False, "\n")):
        lines = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
        device.post("storage/col", ("\n".join(lines) + end).encode("utf-8"), **LINES)
        answer = device.get("storage/col?full=1&sort=index", Accept="application/newlines")
        found = [json.loads(line) for line in answer.text.split("\n") if line]
        assert sorted(record["payload"] for record in found) == sorted(texts)
        device.delete("storage/col")


@pytest.mark.parametrize("headers, body, status", [
    ({}, b"[]", 200), ({}, b"{}", 400), ({}, b"", 400),
    (LINES, b"", 200), (LINES, b"\n", 400), (LINES, b"{}", 400), (LINES, b"[]", 400),
])  # fmt: skip
def test_commit_of_nothing_more(device, headers, body, status):
    batch = device.post("storage/col?batch=true", [{"id": "a"}, {"id": "b"}], 202).json["batch"]
    path = "storage/col?commit=true&batch=" + quote(batch, safe="")
    device.post(path, body, status, **headers)
    assert sorted(device.get("storage/col").json) == (["a", "b"] if status == 200 else [])


def test_clock_of_the_server(device):
    """It is in each answer, and the same as that of the records."""
    answers = [
        device.put("storage/col/a", {"payload": "x"}),
        device.post("storage/col", [{"id": "b"}]),
        device.get("storage/col"),
        device.get("storage/col/nothing", 404),
        device.get("info/collections", 401, Authorization=None),
        device.get("storage/col?limit=x", 400),
        device.put("storage/col/a", {"payload": "x"}, 412, X_If_Unmodified_Since="0"),
    ]
    for answer in answers:
        assert abs(hundredths(answer.headers["X-Weave-Timestamp"]) / 100 - time.time()) < 600


def test_one_id_of_a_batch_of_two_users(site15, device):
    """It is by chance, and each has his own records in it."""
    other = site15.device(777)
    batch = device.post("storage/col?batch=true", [{"id": "mine"}], 202).json["batch"]
    other.post("storage/col?batch=true", [], 202)
    (number,) = site15.sql("select batch from weave_batches where user_id = ?", [device.uid])
    site15.sql("update weave_batches set batch = ? where user_id = 777", number)
    path = "storage/col?batch=" + quote(batch, safe="")
    other.post(path, [{"id": "of the other"}], 202)
    device.post(path, [{"id": "mine, too"}], 202)
    device.post(path + "&commit=true", [])
    assert sorted(device.get("storage/col").json) == ["mine", "mine, too"]
    other.post(path + "&commit=true", [])
    assert other.get("storage/col").json == ["of the other"]
