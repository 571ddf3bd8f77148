# SPDX-License-Identifier: Apache-2.0
"""The token server as clients see it."""

import pytest
from client15 import Client, RsaKey, ask_for_token, endpoint_of

from weave.server.jwks import Jwks

KEY = RsaKey.of_tests()
PATHS = ("/1.0/sync/1.5", "/token/1.0/sync/1.5")


@pytest.mark.parametrize("path", PATHS)
def test_a_token(path, site15):
    Jwks(next(iter(site15.databases)), "http://localhost:1/").load(KEY.jwks())
    answer = ask_for_token(site15.transport, path, KEY.jwt(sub="ab" * 16))
    assert answer.status == 200
    again = ask_for_token(site15.transport, path, KEY.jwt(sub="ab" * 16))
    assert again.json["uid"] == answer.json["uid"]
    other = ask_for_token(site15.transport, path, KEY.jwt(sub="cd" * 16))
    assert (other.status, other.json["status"]) == (403, "new-users-disabled")


def test_a_sync_with_the_token(site15):
    Jwks(next(iter(site15.databases)), "http://localhost:1/").load(KEY.jwks())
    answer = ask_for_token(site15.transport, PATHS[0], KEY.jwt(sub="ab" * 16))
    device = Client(site15.transport, **endpoint_of(answer.json))
    assert device.get("info/collections").json == {}
    device.put("storage/meta/global", {"payload": "x"}, X_If_Unmodified_Since="0")
    device.post("storage/bookmarks", [{"id": "a", "payload": "y"}])
    assert device.get("storage/bookmarks?full=1").json[0]["payload"] == "y"
    site15.sql("update weave_fxa_users set replaced = 1")
    device.get("storage/meta/global", 401)
    device.put("storage/meta/global", {"payload": "x"}, 401)
