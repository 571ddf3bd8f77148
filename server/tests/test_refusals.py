# SPDX-License-Identifier: Apache-2.0
"""The log says why a request was refused, once, with its id, and no secrets."""

import base64
import logging
import re

import pytest
from sqlalchemy.exc import OperationalError

from conftest import PASSWORD, basic
from weave.server import http, refusals
from weave.server.refusals import Allowance
from weave.server.storage import Storage
from weave.server.turns import Turns

SECRETS = ("a wrong password", PASSWORD, "the payload", "new and weak")


@pytest.fixture(autouse=True)
def all_levels(caplog):
    caplog.set_level(logging.INFO, "weave.server")


def lines(caplog):
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == refusals.__name__]


def raising(error):
    def act(*_arguments, **_more):
        raise error

    return act


REFUSALS = [
    ("GET", "/1.1/alice/info/collections", {"Authorization": ""}, b"", 401,
     "WARNING", "there are no Basic credentials"),
    ("GET", "/1.1/alice/info/collections", {"Authorization": "Basic *"}, b"", 401,
     "WARNING", "the credentials are malformed"),
    ("GET", "/1.1/alice/info/collections", {"Authorization": basic("alice", SECRETS[0])}, b"",
     401, "WARNING", "the password is wrong"),
    ("GET", "/1.1/bob/info/collections", {"Authorization": basic("bob", SECRETS[0])}, b"", 401,
     "WARNING", "the name has no account"),
    ("GET", "/1.1/bob/info/collections", {}, b"", 401,
     "WARNING", "the credentials are of another name than the path"),
    ("PUT", "/1.1/alice/storage/col/a", {}, b'{"payload": "the payload', 400,
     "WARNING", "the body is incomplete, or no JSON that is taken"),
    ("PUT", "/1.1/alice/storage/col/a", {}, b'{"payload": "the payload", "ttl": "x"}', 400,
     "WARNING", "the path or the record is malformed"),
    ("GET", "/1.1/alice/storage/col?limit=x", {}, b"", 400,
     "WARNING", "an argument or a header is malformed"),
    ("DELETE", "/1.1/alice/storage", {}, b"", 400,
     "WARNING", "X-Confirm-Delete is missing"),
    ("PUT", "/user/1.0/alice", {}, b'{"password": "new and weak"}', 400,
     "WARNING", "the name is taken"),
    ("GET", "/1.1/alice/storage/col/none", {}, b"", 404,
     "INFO", "there is nothing of that name"),
    ("GET", "/nowhere", {}, b"", 404, "INFO", "there is nothing of that name"),
    ("PATCH", "/1.1/alice/storage/col", {}, b"", 405,
     "WARNING", "this method is not for this path"),
    ("PUT", "/1.1/alice/storage/col/a", {"X-If-Unmodified-Since": "0"},
     b'{"payload": "the payload"}', 412, "INFO", "X-If-Unmodified-Since does not hold"),
    ("PUT", "/user/1.0/carol", {}, b"x" * 70000, 413, "WARNING", "the body is too long"),
    ("GET", "/weave-delete-account", {}, b"", 404, "INFO", "there is nothing of that name"),
]  # fmt: skip


def test_each_refusal_has_one_line(site, user, caplog):
    user.put("storage/col/there", {"payload": "x"})
    for number, (method, path, headers, body, status, level, why) in enumerate(REFUSALS):
        caplog.clear()
        site.app.extra_environ = {"weave.request_id": "id-%d" % number}
        site.app.request(
            path,
            method=method,
            body=body,
            headers=dict({"Authorization": basic("alice", PASSWORD)}, **headers),
            status=status,
        )
        expected = "%s '%s' is answered %d: %s" % (method, path.split("?")[0], status, why)
        ((found, text),) = lines(caplog)
        assert (found, text[: len(expected)]) == (level, expected)
        assert text.endswith(" (request id-%d)" % number)
        check_secrets(caplog)


def check_secrets(caplog):
    for secret in SECRETS:
        assert secret not in caplog.text
        for name in ("alice", "bob"):
            encoded = base64.b64encode(("%s:%s" % (name, secret)).encode()).decode()
            assert encoded not in caplog.text


def test_faults_have_one_line_too(user, caplog, monkeypatch):
    body = {"payload": "the payload"}
    row = "null value\nDETAIL:  Failing row contains (the payload)."
    error = OperationalError("INSERT", {}, Exception(row))
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "write", raising(error))
        user.put("storage/col/a", body, 503)
        patch.setattr(Storage, "write", raising(RuntimeError("for the test")))
        user.put("storage/col/a", body, 500)
    with monkeypatch.context() as patch:
        patch.setattr(http, "large_bodies", Turns("a test", 1, 0, 60))
        with http.large_bodies.taken():
            user.put("storage/col/a", b'"x"'.ljust(http.LARGE_BODY_BYTES + 1), 503)
    start = "PUT '/1.1/alice/storage/col/a' is answered "
    end = " (request without id)"
    assert lines(caplog) == [
        ("ERROR", start + "503: the database does not answer: null value" + end),
        ("ERROR", start + "500: unexpected exception" + end),
        ("WARNING", start + "503: too many wait for a test" + end),
    ]
    assert "Traceback" in caplog.text and "for the test" in caplog.text
    check_secrets(caplog)


def test_who_sends_many_fills_no_log(site, user, caplog, monkeypatch):
    for _ in range(100):
        site.app.get("/1.1/alice/info/collections", status=401)
    levels = [level for level, _ in lines(caplog)]
    assert levels.count("INFO") == 100 - levels.count("WARNING")
    assert 30 <= levels.count("WARNING") < 60
    monkeypatch.setattr(Storage, "write", raising(RuntimeError("for the test")))
    for _ in range(100):
        user.put("storage/col/a", {"payload": "x"}, 500)
    assert 30 <= caplog.text.count("Traceback") < 60, "faults have an allowance of their own"


def test_allowance():
    now = [0]
    subject = Allowance(lines=3, seconds=10, clock=lambda: now[0])
    assert [subject.take() for _ in range(5)] == [0, 0, 0, None, None]
    now[0] = 10
    assert [subject.take() for _ in range(2)] == [2, None]
    now[0] = 1000
    assert [subject.take() for _ in range(4)] == [1, 0, 0, None]


def test_a_long_path_is_cut(site, caplog):
    site.app.get("/1.1/" + "x" * 5000, status=404)
    ((_, text),) = lines(caplog)
    assert len(text) < 400
    site.app.get("/1.1/a%0Ab", status=404)
    assert "\n" not in lines(caplog)[1][1] and re.search(r"a\\nb", lines(caplog)[1][1])
