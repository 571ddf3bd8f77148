# SPDX-License-Identifier: Apache-2.0
"""Refused requests of Sync 1.5: a 401, no write, and one line in the log that says why."""

import logging
import time

import pytest

import client15
from test_hawk import BAD_HEADERS
from test_refusals import lines

OTHER_SECRET = "0" * 64
GONE = "was deleted, or replaced when the key of the account changed"


@pytest.fixture(autouse=True)
def all_levels(caplog):
    caplog.set_level(logging.INFO, "weave.server")


def fields_of(header):
    """{attribute: value} of a header that client15 has made."""
    return dict(part.split("=", 1) for part in header[5:].replace('"', "").split(", "))


def refuse(site, caplog, client, method="GET", path="info/quota", why="", **headers):
    """Asks for what is refused; the message of the log."""
    caplog.clear()
    body = {"payload": "nothing of this is stored"} if method in ("PUT", "POST") else None
    body = [dict(body, id="a")] if method == "POST" else body
    answer = client.call(method, path, body, 401, **headers)
    assert answer.body == b"0" and answer.headers["Content-Type"] == "application/json"
    assert answer.headers["WWW-Authenticate"] == "Hawk"
    assert float(answer.headers["X-Weave-Timestamp"]) > 0
    assert "X-Last-Modified" not in answer.headers
    ((_, text),) = lines(caplog)
    assert why in text, text
    assert client.key not in text and client.id not in text
    return text


REQUESTS = [
    ("GET", "info/quota"),
    ("GET", "storage/meta/global"),
    ("GET", "storage/bookmarks?full=1"),
    ("PUT", "storage/meta/global"),
    ("POST", "storage/bookmarks"),
    ("POST", "storage/bookmarks?batch=true"),
    ("DELETE", "storage/meta/global"),
    ("DELETE", "storage/bookmarks"),
    ("DELETE", "storage"),
    ("DELETE", None),
]


@pytest.fixture
def mine(site15):
    """A device whose user has some records."""
    device = site15.device(42)
    device.put("storage/meta/global", {"payload": "mine"})
    device.post("storage/bookmarks", [{"id": "a", "payload": "mine"}])
    return device


def spoilt_by(client, **claims):
    """The same client with another token for its endpoint."""
    secret, node = claims.pop("secret"), client.endpoint.rpartition("/1.5/")[0]
    id_, key = client15.make_token(secret, claims.pop("uid", client.uid), node, **claims)
    return client15.Client(client.transport, client.endpoint, id_, key)


def bad_tokens(site, mine):
    """[(client, why it is refused)]"""
    secret = site.secret
    found = [
        (spoilt_by(mine, **claims), why)
        for claims, why in (
            ({"secret": OTHER_SECRET}, "none of the secrets in sync15.secret_file"),
            ({"secret": secret, "uid": 43}, "the token is of user 43, and the path of another"),
            ({"secret": secret, "now": time.time() - 3700}, "the token has expired 10"),
            ({"secret": secret, "expires": "never"}, "claims that no token has"),
        )
    ]
    for id_, key, why in (
        (mine.id[:-4], mine.key, "none of the secrets"),
        (mine.id[:-5], mine.key, "it was cut, or changed on the way"),
        (mine.id, "x" * 44, "the MAC does not match for "),
    ):
        found.append((client15.Client(mine.transport, mine.endpoint, id_, key), why))
    return found


def test_tokens_that_are_none(site15, mine, caplog):
    site15.device(43).put("storage/meta/global", {"payload": "theirs"})
    before = site15.digest()
    for client, why in bad_tokens(site15, mine):
        for method, path in REQUESTS:
            text = refuse(site15, caplog, client, method, path, why)
            assert "full=1" not in text and "batch=true" not in text
    for method, path in REQUESTS:
        why = "the request has no header Authorization"
        refuse(site15, caplog, mine, method, path, why, Authorization=None)
    assert site15.digest() == before


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_users_who_are_gone(site15, mine, caplog, change):
    if change == "replaced":
        site15.sql("update weave_fxa_users set replaced = 1 where user_id = ?", [42])
    else:
        site15.sql("delete from weave_fxa_users where user_id = ?", [42])
    before = site15.digest()
    for method, path in REQUESTS:
        refuse(site15, caplog, mine, method, path, "user 42 " + GONE)
    # A token that is good but for that says nothing about what is there.
    refuse(site15, caplog, mine, "GET", "storage/meta/none", GONE)
    refuse(site15, caplog, mine, "GET", "info/collections", GONE, X_If_Modified_Since="0")
    assert site15.digest() == before


def test_headers_that_are_none(site15, mine, caplog):
    before = site15.digest()
    for spoil, why in BAD_HEADERS:
        fields = fields_of(mine.sign("PUT", mine.endpoint + "/storage/meta/global"))
        header = spoil(fields)
        if header and any(character in header for character in "\0\x7f\n"):
            continue  # no client can send it
        refuse(site15, caplog, mine, "PUT", "storage/meta/global", why, Authorization=header)
    assert site15.digest() == before


def test_an_expired_token_begins_a_sync(site15, mine):
    """But not for long, and it writes nothing."""
    late = spoilt_by(mine, secret=site15.secret, now=time.time() - 3600 - 7000)
    assert set(late.get("info/collections").json) == {"meta", "bookmarks"}
    late.get("info/collections?v=1.155.0")
    late.get("info/configuration", 401)
    late.get("storage/meta/global", 401)
    later = spoilt_by(mine, secret=site15.secret, now=time.time() - 3600 - 7300)
    later.get("info/collections", 401)


def test_an_expired_token_is_routine(site15, mine, caplog):
    """The log says it at level info, and other 401s at level warning."""
    caplog.clear()
    late = spoilt_by(mine, secret=site15.secret, now=time.time() - 3700)
    late.get("info/quota", 401)
    spoilt_by(mine, secret=OTHER_SECRET).get("info/quota", 401)
    mine.get("info/quota", 401, Authorization=None)
    found = lines(caplog)
    assert [level for level, _ in found] == ["INFO", "WARNING", "WARNING"], found
    assert "is answered 401: the token has expired 10" in found[0][1]
    assert "give all nodes with this database the same one" in found[1][1]


def test_what_a_client_says_of_others(site15, mine, caplog):
    """The log has no values of the query, whatever the client signs."""
    path = "storage/bookmarks?ids=private-one,private-two&newer=1"
    forged = client15.Client(mine.transport, mine.endpoint, mine.id, "x" * 44)
    text = refuse(site15, caplog, forged, "GET", path, "storage/bookmarks?ids&newer")
    assert "private" not in text


def test_secrets_change_without_a_break(make_site, caplog):
    """A second line signs, and tokens of the first are good until it is removed."""
    from conftest import Site15

    class Two(Site15):
        def prepare(self):
            super().prepare()
            with (self.folder / "secrets").open("a") as file:
                file.write(OTHER_SECRET + "\n")

    site = make_site(Two)
    site.device(42).get("info/collections")
    other = spoilt_by(site.device(42), secret=OTHER_SECRET)
    other.get("info/collections")
    third = spoilt_by(site.device(42), secret="2" * 64)
    refuse(site, caplog, third, why="none of the secrets")
