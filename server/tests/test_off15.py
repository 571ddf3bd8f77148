# SPDX-License-Identifier: Apache-2.0
"""A server that does not serve Sync 1.5, beside one with the same database that does.

Nodes have such a time: secret_file is set on one after the other, and taken out so.
"""

import itertools

import pytest

from client15 import Client, InProcess

pytestmark = pytest.mark.sqlite_only

PATHS = (None, "storage", "storage/meta/global", "storage/crypto/keys", "storage/col",
         "info/collections", "info/configuration", "storage/col?batch=true", "nothing")  # fmt: skip


class Balancer:
    """A transport that asks one server after the other."""

    def __init__(self, *transports):
        self._transports = itertools.cycle(transports)

    def request(self, *what):
        return next(self._transports).request(*what)


@pytest.fixture
def without(site15, make_site):
    """The transport to a server without secrets, of the same database."""
    return InProcess(make_site().app)


@pytest.mark.parametrize("prefix", ["", "/storage"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_never_a_404(site15, without, method, prefix):
    """A 404 of meta/global, and Firefox deletes what is on the other nodes."""
    device = site15.device()
    there = Client(without, site15.node + prefix + "/1.5/12345", device.id, device.key)
    body = b"[]" if method in ("PUT", "POST") else None
    for path in PATHS:
        answer = there.call(method, path, body, 503)
        assert answer.headers["Retry-After"] == "1800"
        assert answer.headers["Content-Type"] == "application/json"
        assert "X-Weave-Timestamp" in answer.headers


def test_a_sync_that_meets_both(site15, without, caplog):
    device = site15.device()
    device.put("storage/meta/global", {"payload": "x"})
    both = Balancer(site15.transport, without)
    device = Client(both, device.endpoint, device.id, device.key)
    device.get("info/collections")
    if device.get("storage/meta/global", None).status == 404:
        device.delete("storage")
    device = site15.device()
    assert device.get("storage/meta/global").json["payload"] == "x"
    assert "sync15.secret_file" in caplog.text


def test_the_token_server_is_not_there(without):
    """No server of tokens is one that Firefox asks again later."""
    for path in ("/1.0/sync/1.5", "/token/1.0/sync/1.5", "/1.5", "/1.5/x/storage", "/1.5/"):
        assert without.request("GET", path).status == 404
