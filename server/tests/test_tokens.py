# SPDX-License-Identifier: Apache-2.0
"""Tokens of Sync 1.5: their format, what is refused, and the file of the secrets."""

import base64
import hashlib
import hmac
import json
import os
import pwd
import string

import pytest

from weave.server.config import ConfigError
from weave.server.secret_file import read_secrets
from weave.server.tokens import MAX_ID_CHARS, Secrets, TokenError

# The published test vector of the format, from the tests of syncstorage-rs.
VECTOR_SECRET = "Ted Koppel is a robot"
VECTOR_CLAIMS = {
    "uid": 1,
    "node": "http://localhost:5000",
    "expires": 1884968439.0,
    "fxa_uid": "319b98f9961ff1dbdd07313cd6ba925a",
    "fxa_kid": "de697ad66d845b2873c9d7e13b8971af",
    "hashed_fxa_uid": "0e8df5d41398a389913bd84024356495"
    "18af46493da1d4a437a46dc1784c501a",
    "hashed_device_id": "2bcb92f4d4698c3d7b083a3c698a16cc"
    "d78bc2a8d20a96e4bb128ddceaf4e0b6",
    "salt": "2b307b",
}
VECTOR_SIGNATURE = "9lXaC5pIOenf7qL1AWlgKFvYH63nakyniTXP-7acS5cw="
VECTOR_KEY = b"dSi3EoZyHwgDp-O9OG1jRHtmbGl2M1bwcWsi04C4F58="

SECRET = "a" * 64
OTHER = "b" * 64
NOW = 1700000000
CLAIMS = {
    "uid": 42,
    "node": "https://sync.example.org",
    "expires": NOW + 3600,
    "fxa_uid": "0123456789abcdef" * 2,
    "fxa_kid": "0001700000000-q83vASNFZ4mrze8BI0VniQ",
}


def vector_id():
    payload = json.dumps(VECTOR_CLAIMS).encode()
    # The last characters belong to the claims in part: their length is no multiple of 3.
    return base64.urlsafe_b64encode(payload).decode().rstrip("=")[:-1] + VECTOR_SIGNATURE


def sealed(payload, secret=SECRET):
    """The id of a token whose claims are these bytes, by another way than the server's."""
    info = b"services.mozilla.com/tokenlib/v1/signing\x01"
    extracted = hmac.new(b"\0" * 32, secret.encode(), hashlib.sha256).digest()
    key = hmac.new(extracted, info, hashlib.sha256).digest()
    signature = hmac.new(key, payload, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(payload + signature).decode()


def test_the_published_vector():
    token = Secrets([VECTOR_SECRET]).read(vector_id())
    assert token.key == VECTOR_KEY
    assert (token.uid, token.node) == (1, "http://localhost:5000")
    assert token.expires == 1884968439.0
    assert token.fxa_uid == VECTOR_CLAIMS["fxa_uid"]
    assert token.fxa_kid == VECTOR_CLAIMS["fxa_kid"]


def test_what_is_made_is_read():
    secrets = Secrets([SECRET])
    id_text, key_text = secrets.make(CLAIMS, NOW)
    token = secrets.read(id_text)
    assert token.key == key_text.encode() and len(token.key) == 44
    for name, value in CLAIMS.items():
        assert getattr(token, name) == value
    assert secrets.make(CLAIMS, NOW)[0] != id_text  # the salt
    # Another process.
    assert Secrets([SECRET]).read(id_text) == token


def test_the_last_secret_signs_and_all_verify():
    old, both, new = Secrets([SECRET]), Secrets([SECRET, OTHER]), Secrets([OTHER])
    of_old, of_both = old.make(CLAIMS, NOW), both.make(CLAIMS, NOW)
    assert both.read(of_old[0]).key == of_old[1].encode()
    assert both.read(of_both[0]) == new.read(of_both[0])
    assert both.read(of_both[0]).key == of_both[1].encode()
    for secrets, id_text in ((old, of_both[0]), (new, of_old[0])):
        with pytest.raises(TokenError, match="signed with none of the secrets"):
            secrets.read(id_text)


def changed(text, position):
    return text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]


def test_each_character_counts():
    secrets = Secrets([SECRET])
    id_text = secrets.make(CLAIMS, NOW)[0]
    for position in range(len(id_text)):
        with pytest.raises(TokenError):
            secrets.read(changed(id_text, position))
    for length in range(len(id_text)):
        with pytest.raises(TokenError):
            secrets.read(id_text[:length])
    assert secrets.read(id_text)


def padded():
    """The id of a token that has padding, and what only the urlsafe alphabet has."""
    claims = dict(CLAIMS)
    while True:
        id_text = Secrets([SECRET]).make(claims, NOW)[0]
        if "=" in id_text and {"-", "_"} & set(id_text):
            return id_text
        claims["node"] += "x"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.rstrip("="),
        lambda text: text + "=",
        lambda text: text + "A",
        lambda text: text + "AAAA",
        lambda text: "AAAA" + text,
        lambda text: " " + text,
        lambda text: text + "\n",
        lambda text: text[:9] + "\n" + text[9:],
        lambda text: text[:9] + "!" + text[9:],
        lambda text: text[:9] + "é" + text[10:],
        lambda text: text[:9] + "=" + text[10:],
        lambda text: text.replace("_", "/").replace("-", "+"),
        lambda text: text.replace("=", "%3D"),
        lambda text: text.swapcase(),
        lambda text: text + text,
        lambda text: "",
        lambda text: "A" * MAX_ID_CHARS,
        lambda text: text + "A" * MAX_ID_CHARS,
        lambda text: "\N{SNOWMAN}" * 400,
        lambda text: "\udcff" * 400,
    ],
)
def test_other_spellings_are_refused(spoil):
    secrets, id_text = Secrets([SECRET]), padded()
    assert secrets.read(id_text)
    with pytest.raises(TokenError):
        secrets.read(spoil(id_text))


def test_a_long_text_costs_nothing():
    for length in (MAX_ID_CHARS + 1, 10**7):
        with pytest.raises(TokenError, match="has over %d characters" % MAX_ID_CHARS):
            Secrets([SECRET]).read("A" * length)


def test_unused_bits_at_the_end_are_refused():
    """Base64 has several texts of the same bytes: only one of them was given out."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    id_text = padded()
    body = id_text.rstrip("=")
    other = body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + id_text[len(body) :]
    assert base64.urlsafe_b64decode(other) == base64.urlsafe_b64decode(id_text)
    with pytest.raises(TokenError, match="was cut, or changed"):
        Secrets([SECRET]).read(other)


GOOD = dict(CLAIMS, salt="012345")


@pytest.mark.parametrize(
    "claims",
    [{name: value for name, value in GOOD.items() if name != lacking}
     for lacking in ("uid", "node", "expires", "salt")]
    + [dict(GOOD, uid=value)
       for value in (0, -1, 2**53, 10**400, 1.5, "42", None, True, [42])]
    + [dict(GOOD, expires=value)
       for value in ("1700000000", None, True, float("nan"), float("inf"), 10**400, [1], {})]
    + [dict(GOOD, salt=value) for value in ("", 5, None, "é", [])]
    + [dict(GOOD, node=value) for value in (None, 5, [], {})]
    + [dict(GOOD, fxa_uid=5), dict(GOOD, fxa_kid=None)]
    + [[], [GOOD], "text", 5, None],
)  # fmt: skip
def test_claims_of_another_form_are_refused(claims):
    """They have the right signature: another program has the secret."""
    with pytest.raises(TokenError, match="another program"):
        Secrets([SECRET]).read(sealed(json.dumps(claims).encode()))


@pytest.mark.parametrize("payload", [b"x", b"{", b"\xff", b"{}", b"[" * 1400])
def test_what_is_no_json_is_refused(payload):
    with pytest.raises(TokenError, match="another program"):
        Secrets([SECRET]).read(sealed(payload))


def test_claims_that_others_add_do_no_harm():
    claims = dict(GOOD, hashed_fxa_uid="0" * 32, tokenserver_origin="rust")
    assert Secrets([SECRET]).read(sealed(json.dumps(claims).encode())).uid == 42
    del claims["fxa_uid"], claims["fxa_kid"]
    assert Secrets([SECRET]).read(sealed(json.dumps(claims).encode())).fxa_uid == ""


@pytest.mark.parametrize(
    "claims",
    [dict(CLAIMS, expires=NOW), dict(CLAIMS, uid=0), dict(CLAIMS, node=None),
     dict(CLAIMS, node="https://" + "x" * MAX_ID_CHARS)],
)  # fmt: skip
def test_what_nobody_could_use_is_not_made(claims):
    with pytest.raises(ValueError):
        Secrets([SECRET]).make(claims, NOW)


def test_a_token_that_is_printed_does_not_show_its_key():
    secrets = Secrets([SECRET])
    id_text, key = secrets.make(CLAIMS, NOW)
    token = secrets.read(id_text)
    assert token.key == key.encode()
    assert key not in repr(token) and SECRET not in repr(secrets)


def test_what_is_remembered_is_bounded_and_genuine():
    secrets = Secrets([SECRET])
    ids = [secrets.make(CLAIMS, NOW)[0] for _ in range(1100)]
    for id_text in ids:
        secrets.read(id_text)
    assert secrets.read.cache_info().currsize == 1024
    for id_text in ids:
        with pytest.raises(TokenError):
            secrets.read(id_text[:-8])
    assert secrets.read.cache_info().currsize == 1024
    # Those that were forgotten are read as well.
    assert secrets.read(ids[0]).uid == 42


@pytest.mark.parametrize("texts", [[], [""], [SECRET, ""]])
def test_no_secret_is_no_secret(texts):
    with pytest.raises(ValueError):
        Secrets(texts)


@pytest.fixture
def file(tmp_path):
    def make(content, mode=0o600):
        path = tmp_path / "secret"
        if path.exists():
            path.unlink()
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    return make


def test_secret_file(file):
    content = "# the second one signs\r\n\n %s \n%s\n\n" % (SECRET, OTHER)
    for mode in (0o600, 0o400, 0o640):
        secrets = read_secrets(file(content.encode(), mode))
        made = secrets.make(CLAIMS, NOW)[0]
        assert Secrets([OTHER]).read(made) == secrets.read(made)
        assert secrets.read(Secrets([SECRET]).make(CLAIMS, NOW)[0]).uid == 42


@pytest.mark.parametrize(
    "content, mode, message",
    [
        (b"", 0o600, "has no secret"),
        (b"\n# nothing\n  \n", 0o600, "has no secret"),
        # as some editors save it: everybody could guess that comment
        (b"\xef\xbb\xbf# The secrets of Sync 1.5, one a line\n", 0o600, "has no secret"),
        (b"a" * 64 + b"\nshort\n", 0o600, "secret:2: this secret has less than 32"),
        (b"\xff" * 64, 0o600, "is not UTF-8"),
        (b"a" * 20000, 0o600, "is too long"),
        (b"a" * 64, 0o644, "users of this machine may use it"),
        (b"a" * 64, 0o602, "users of this machine may use it"),
        (b"a" * 64, 0o660, "users of this machine may use it"),
    ],
)
def test_secret_file_with_a_mistake(file, content, mode, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_secrets(file(content, mode))
    for secret in (b"a" * 64, b"short"):
        assert secret.decode() not in str(caught.value)


def test_secret_file_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match="No such file.*weave-server init"):
        read_secrets(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="not a regular file"):
        read_secrets(str(tmp_path))
    os.mkfifo(str(tmp_path / "pipe"), 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_secrets(str(tmp_path / "pipe"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_secret_file_that_the_server_cannot_read(file):
    path = file(b"a" * 64)
    os.seteuid(pwd.getpwnam("daemon").pw_uid)
    try:
        with pytest.raises(ConfigError, match="run `chown daemon %s`" % path):
            read_secrets(path)
    finally:
        os.seteuid(0)
