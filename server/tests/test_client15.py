# SPDX-License-Identifier: Apache-2.0
"""The test client's own tokens, HAWK and JWTs, against what others have published."""

import base64
import json
import subprocess

import client15

# Published with Mozilla's server of 2019: secret, token and the MACs of two requests.
SECRET = "Ted Koppel is a robot"
TOKEN = (
    "eyJ1aWQiOiAxLCAibm9kZSI6ICJodHRwOi8vbG9jYWxob3N0OjUwMDAiLCAiZXhwaXJlcyI6IDE4ODQ5Njg0"
    "MzkuMCwgImZ4YV91aWQiOiAiMzE5Yjk4Zjk5NjFmZjFkYmRkMDczMTNjZDZiYTkyNWEiLCAiZnhhX2tpZCI6"
    "ICJkZTY5N2FkNjZkODQ1YjI4NzNjOWQ3ZTEzYjg5NzFhZiIsICJoYXNoZWRfZnhhX3VpZCI6ICIwZThkZjVk"
    "NDEzOThhMzg5OTEzYmQ4NDAyNDM1NjQ5NTE4YWY0NjQ5M2RhMWQ0YTQzN2E0NmRjMTc4NGM1MDFhIiwgImhh"
    "c2hlZF9kZXZpY2VfaWQiOiAiMmJjYjkyZjRkNDY5OGMzZDdiMDgzYTNjNjk4YTE2Y2NkNzhiYzJhOGQyMGE5"
    "NmU0YmIxMjhkZGNlYWY0ZTBiNiIsICJzYWx0IjogIjJiMzA3YiJ9lXaC5pIOenf7qL1AWlgKFvYH63nakyni"
    "TXP-7acS5cw="
)
KEY = "dSi3EoZyHwgDp-O9OG1jRHtmbGl2M1bwcWsi04C4F58="
MACS = [
    ("GET", "", "h1Ch4vo=", "UwDpC+DSrHCSTQSfMOWlueB6kM6gHb0Hsv8eU9ZcTVs="),
    ("POST", "?batch=MTUzNjE5ODk3NjkyMQ==&commit=true", "4Rj7c+0=",
     "E7j1UjN7//mh7pYXsgGi3n0KGR+sUPpuyogDVzJWaHg="),
]  # fmt: skip


def test_published_token():
    claims = client15.open_token(SECRET, TOKEN)
    assert (claims["uid"], claims["node"]) == (1, "http://localhost:5000")
    assert client15.token_key(SECRET, TOKEN, claims["salt"]) == KEY


def test_published_macs():
    for method, query, nonce, mac in MACS:
        url = "http://localhost:5000/storage/1.5/1/storage/col2" + query
        assert client15.hawk_mac(KEY, method, url, "1569608439", nonce) == mac


def test_openssl_takes_the_signature(tmp_path):
    """The public key is written by hand as DER, so that openssl can read it."""
    key = client15.RsaKey.of_tests()
    text, _, signature = key.jwt(sub="cd" * 16).rpartition(".")
    assert json.loads(client15.from_b64url(text.split(".")[1]).decode())["sub"] == "cd" * 16
    n = client15.from_b64url(key.jwk()["n"])
    numbers = b"\x02\x82\x01\x01\0" + n + b"\x02\x03\1\0\1"
    der = b"\x30\x82" + len(numbers).to_bytes(2, "big") + numbers
    pem = base64.encodebytes(der).decode()
    files = {"key": "-----BEGIN RSA PUBLIC KEY-----\n%s-----END RSA PUBLIC KEY-----\n" % pem,
             "text": text}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    pkey = subprocess.check_output(
        ["openssl", "rsa", "-RSAPublicKey_in", "-in", "key", "-pubout"],
        cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (tmp_path / "key").write_bytes(pkey)
    (tmp_path / "signature").write_bytes(client15.from_b64url(signature))
    words = "dgst -sha256 -verify key -signature signature text".split()
    assert subprocess.check_output(["openssl", *words], cwd=tmp_path) == b"Verified OK\n"
