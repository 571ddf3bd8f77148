# SPDX-License-Identifier: Apache-2.0
"""The token server as clients see it."""

import pytest
from client15 import RsaKey, ask_for_token

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
