# SPDX-License-Identifier: Apache-2.0
"""What httpd itself does to requests, on the way to the application and back.

With WEAVE_TEST_HTTPD=1 only.
"""

import http.client
import io
import json
import socket

import pytest

from conftest import PASSWORD, THROUGH_HTTPD, basic

if not THROUGH_HTTPD:
    pytest.skip("WEAVE_TEST_HTTPD is not set", allow_module_level=True)

import apache  # noqa: E402

ALICE = basic("alice", PASSWORD)


class Raw:
    """Sends bytes as they are, on a connection of its own."""

    def __init__(self, site):
        self._ini = site.ini
        self._socket = socket.create_connection(("127.0.0.1", apache.server().port), 120)
        # An answer may come in one piece with the one before.
        self._file = self._socket.makefile("rb")

    def send(self, method, target, *lines, body=b"", user=ALICE):
        head = ["%s %s HTTP/1.1" % (method, target), "Host: localhost",
                "X-Test-Ini: %s" % self._ini, "Authorization: " + user, *lines]  # fmt: skip
        self._socket.sendall("\r\n".join(head + ["", ""]).encode("latin-1") + body)

    def more(self, body):
        self._socket.sendall(body)

    def answer(self, method="GET"):
        """(status, headers, body); what is not final comes first."""
        response = http.client.HTTPResponse(self, method=method)
        response.begin()
        return response.status, response.headers, response.read()

    def makefile(self, _mode):
        """For HTTPResponse, which closes what it has read to the end of an answer."""
        return _Kept(self._file)

    def read(self, size):
        return self._file.read(size)

    def close(self):
        self._file.close()
        self._socket.close()


class _Kept(io.BufferedIOBase):
    """Reads a file that somebody else closes."""

    def __init__(self, file):
        self._file = file

    def readable(self):
        return True

    def read(self, size=-1):
        return self._file.read(size)

    def readinto(self, data):
        return self._file.readinto(data)

    def readline(self, size=-1):
        return self._file.readline(size)


@pytest.fixture
def raw(site, user):
    user.put("storage/col/a", {"payload": "x"})
    opened = Raw(site)
    yield opened
    opened.close()


def length(body):
    return "Content-Length: %d" % len(body)


PUT = json.dumps({"payload": "y"}).encode()


def test_expect_100_continue(user, raw):
    raw.send("PUT", "/1.1/alice/storage/col/a", length(PUT), "Expect: 100-continue")
    assert raw.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    raw.more(PUT)
    status, headers, body = raw.answer()
    assert (status, body.decode()) == (200, headers["X-Weave-Timestamp"])
    assert user.get("storage/col/a").json["payload"] == "y"


def test_body_in_chunks(user, raw):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (PUT[:5], PUT[5:]))
    raw.send("PUT", "/1.1/alice/storage/col/a", "Transfer-Encoding: chunked",
             body=chunks + b"0\r\n\r\n")  # fmt: skip
    assert raw.answer()[0] == 200
    assert user.get("storage/col/a").json["payload"] == "y"


def test_body_that_ends_early_changes_nothing(site, user, raw):
    before = site.digest()
    raw.send("PUT", "/1.1/alice/storage/col/a", "Content-Length: 1000", body=PUT)
    raw.close()
    user.get("storage/col/a")
    assert site.digest() == before


def test_body_that_is_too_long(site, user, raw):
    before = site.digest()
    body = b"[" + b" " * 27_000_000
    raw.send("POST", "/1.1/alice/storage/col", length(body), body=body)
    status, headers, _ = raw.answer()
    assert status == 413 and "X-Weave-Timestamp" in headers
    assert site.digest() == before


def test_26_megabytes_are_taken_and_come_back(make_site):
    site = make_site(storage="batch_max_bytes = 100000000")
    user = site.user()
    batch = [{"id": "%02d" % n, "payload": "%02d" % n * 131072} for n in range(100)]
    assert len(user.post("storage/col", batch).json["success"]) == 100
    answer = user.get("storage/col?full=1", Accept="application/newlines")
    assert answer.headers["X-Weave-Records"] == "100"
    found = [json.loads(line) for line in answer.body.splitlines()]
    assert [(r["id"], r["payload"]) for r in found] == [(r["id"], r["payload"]) for r in batch]


def test_head_has_no_body(raw):
    """And the connection goes on."""
    raw.send("HEAD", "/1.1/alice/storage/col")
    status, headers, body = raw.answer("HEAD")
    assert (status, body) == (405, b"")
    assert "X-Weave-Timestamp" in headers
    raw.send("GET", "/1.1/alice/storage/col")
    assert raw.answer()[2] == b'["a"]'


@pytest.mark.parametrize(
    "target, status, expected",
    [
        # as clients make them of a node's URL and a path
        ("//1.1/alice/storage/col", 200, b'["a"]'),
        ("/1.1//alice/storage/col", 404, None),
        ("/1.1/alice/storage/col/", 200, b'["a"]'),
        ("/1.1/alice/./storage/x/../col", 200, b'["a"]'),
        ("/1.1/%61lice/storage/c%6Fl", 200, b'["a"]'),
        ("http://localhost/1.1/alice/storage/col", 200, b'["a"]'),
        ("/1.1/alice/storage/col?ids=%61", 200, b'["a"]'),
        ("/1.1/alice/storage/col?ids=a%00", 400, b"1"),
        ("/1.1/alice/storage/col?ids=a%FF", 400, b"1"),
        ("/1.1/alice/storage/col/a%2Fb", 400, b"8"),
        ("/1.1/alice/storage/col/%FF", 400, b"8"),
        ("/1.1/alice/storage/col/a;b", 404, b'"404 Not Found"'),
        ("/1.1/alice/storage/col%2Fa", 200, None),
        ("/1.1/alice/storage/../../bob/storage/col", 401, None),
    ],
)
def test_paths(raw, target, status, expected):
    raw.send("GET", target)
    answer = raw.answer()
    assert answer[0] == status
    assert expected is None or answer[2] == expected


def test_headers_have_no_lines_of_others(site, user, raw):
    """What a client sends never becomes a header of an answer."""
    user.put("storage/col/x%0D%0AX-Evil:%201", {"payload": "x"})
    for target in (
        "/1.1/alice/storage/col/x%0D%0AX-Evil:%201",
        "/1.1/alice/storage/col?ids=x%0D%0AX-Evil:%201",
        "/1.1/x%0D%0AX-Evil:%201/info/collections",
        "/1.1/alice/storage/x%0D%0AX-Evil:%201",
        "/user/1.0/x%0D%0AX-Evil:%201",
        "/user/1.0/x%0D%0AX-Evil:%201/node/weave",
        "/x%0D%0AX-Evil:%201",
    ):
        raw.send("GET", target, "Accept: application/json\r\n X-Evil: 1")
        status, headers, _ = raw.answer()
        assert status in (200, 400, 401, 404) and "X-Evil" not in headers, target
        if status >= 400:
            raw.close()
            raw = Raw(site)
    raw.close()


@pytest.mark.parametrize(
    "line", ["X-If-Unmodified-Since: 1\r\n X-Evil: 1", "X-If-Unmodified-Since: 1\rX-Evil: 1",
             "X-If-Unmodified-Since: \x00", "X-If-Unmodified-Since: 1, 2",
             "X-If-Unmodified-Since: 99999999999\r\nX-If-Unmodified-Since: 0"]
)  # fmt: skip
def test_bad_precondition_changes_nothing(site, user, raw, line):
    before = site.digest()
    raw.send("PUT", "/1.1/alice/storage/col/a", line, length(PUT), body=PUT)
    status, headers, _ = raw.answer()
    assert status == 400 and "X-Evil" not in headers
    assert site.digest() == before


def test_host_is_no_header_of_others(site, user, raw):
    raw.send("GET", "/user/1.0/alice/node/weave", "Host: a\r\n b")
    status, headers, body = raw.answer()
    assert status == 400 or b"\n" not in body


def test_a_slash_that_httpd_does_not_pass_on(user, raw):
    """AllowEncodedSlashes is off by default; the tests have it on."""
    raw.send("GET", "/1.1/alice/storage/col/a%00")
    assert raw.answer()[0] == 404


def test_long_lists_of_ids(user):
    many = ",".join("x%d" % number for number in range(8000))
    assert user.get("storage/col?ids=%s" % many).json == []
    user.get("storage/col?ids=" + "x" * 200000, status=414)


def test_two_writes_on_one_connection_before_their_answers(user, raw):
    for payload in ("1", "2"):
        body = json.dumps({"payload": payload}).encode()
        raw.send("PUT", "/1.1/alice/storage/col/a", length(body), body=body)
    first, second = raw.answer(), raw.answer()
    assert first[0] == second[0] == 200
    assert float(first[2]) < float(second[2])
    assert user.get("storage/col/a").json["payload"] == "2"
