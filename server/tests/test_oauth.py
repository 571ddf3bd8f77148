# SPDX-License-Identifier: Apache-2.0
"""Access tokens: the good one, and those that must not be taken for good."""

import hashlib
import hmac
import json
import pathlib

import pytest
from client15 import KEY, SCOPE, b64url, from_b64url

from hypothesis import given, settings
from hypothesis import strategies as st

from weave.server import oauth, rs256
from weave.server.jwks import KeysError, read_document

(PUBLIC,) = read_document(KEY.jwks())
NOW = 2_000_000_000
ACCOUNT = "ab" * 16


def jwt(header=None, **claims):
    """A token whose times do not depend on when a test runs."""
    return KEY.jwt(header, **{"iat": NOW, "exp": NOW + 21600, **claims})


def verify(token, now=NOW):
    return oauth.verify(token, lambda kid: [PUBLIC] if kid in (None, KEY.kid) else [], now)


def refusal(token, now=NOW):
    """Why a token is refused, which it must be."""
    with pytest.raises(oauth.BadToken) as found:
        verify(token, now)
    return str(found.value)


@pytest.mark.parametrize(
    "header, claims",
    [
        ({}, {}),
        ({"typ": "AT+jwt"}, {}),
        ({"typ": "application/at+jwt"}, {}),
        ({"kid": None}, {}),
        ({}, {"scope": "profile " + SCOPE}),
        ({}, {"scope": SCOPE + ",profile"}),
        ({}, {"aud": "anything", "iss": "anything"}),
        ({}, {"aud": None, "iss": None, "iat": None}),
        ({}, {"exp": NOW - 59}),
        ({}, {"exp": NOW + 0.5}),
        ({}, {"iat": NOW + 59, "nbf": NOW + 59}),
    ],
)
def test_good(header, claims):
    found = verify(jwt(header, sub=ACCOUNT, fxa_generation=17, **claims))
    assert found == oauth.Identity(ACCOUNT, 17)


def test_a_token_without_a_generation():
    assert verify(jwt(sub=ACCOUNT, fxa_generation=None)).generation == 0


def hs256_with_the_public_key():
    """Libraries that let the token choose the algorithm accept this."""
    head, body, _ = jwt().split(".")
    head = b64url(json.dumps({"alg": "HS256", "typ": "at+JWT", "kid": KEY.kid}).encode())
    text = head + "." + body
    for secret in (KEY.jwks(), json.dumps(KEY.jwk()).encode()):
        yield text + "." + b64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def unsigned(alg):
    _, body, _ = jwt().split(".")
    head = b64url(json.dumps({"alg": alg, "typ": "at+JWT", "kid": KEY.kid}).encode())
    return [head + "." + body + ".", head + "." + body, head + "." + body + ".AA"]


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "RS256"])
def test_unsigned(alg):
    for token in unsigned(alg):
        refusal(token)


def test_hs256_with_the_public_key():
    for token in hs256_with_the_public_key():
        assert "RS256" in refusal(token)


@pytest.mark.parametrize("alg", ["RS384", "rs256", "PS256", "ES256", "", None, 1, ["RS256"]])
def test_other_algorithms(alg):
    assert "RS256" in refusal(jwt({"alg": alg}))


HEADERS = [
    ({"kid": "another"}, "names a key"),
    ({"kid": 5}, "no name"),
    ({"kid": "k" * 1000}, "no name"),
    ({"typ": "JWT"}, "access token"),
    ({"typ": None}, "access token"),
    ({"typ": ["at+jwt"]}, "access token"),
    ({"typ": "at+jwt "}, "access token"),
    ({"crit": ["exp"]}, "extensions"),
]


@pytest.mark.parametrize("header, why", HEADERS)
def test_other_headers(header, why):
    assert why in refusal(jwt(header))


CLAIMS = [
    ({"exp": NOW - 60}, "expired 60 s ago: the client gets another one; where"),
    ({"exp": None}, "no end"),
    ({"exp": "9999999999"}, "exp of the token is no time"),
    ({"exp": True}, "exp of the token is no time"),
    ({"exp": -1}, "exp of the token is no time"),
    ({"exp": 2**60}, "exp of the token is no time"),
    ({"exp": [NOW + 100]}, "exp of the token is no time"),
    ({"iat": NOW + 61}, "begins in 61 s"),
    ({"nbf": NOW + 3600}, "begins in 3600 s"),
    ({"iat": "now"}, "iat of the token is no time"),
    ({"scope": None}, "scope"),
    ({"scope": "profile"}, "scope"),
    ({"scope": [SCOPE]}, "scope"),
    ({"scope": SCOPE + "/bookmarks"}, "scope"),
    ({"scope": SCOPE.upper()}, "scope"),
    ({"scope": "x" + SCOPE}, "scope"),
    ({"sub": None}, "no account"),
    ({"sub": ""}, "no account"),
    ({"sub": 12}, "no account"),
    ({"sub": "a" * 65}, "no account"),
    ({"sub": "a\n"}, "no account"),
    ({"sub": "ä" * 32}, "no account"),
    ({"sub": "a b"}, "no account"),
    ({"fxa_generation": "1"}, "generation"),
    ({"fxa_generation": -1}, "generation"),
    ({"fxa_generation": 2**53 + 1}, "generation"),
    ({"fxa_generation": 1.5}, "generation"),
    ({"fxa_generation": True}, "generation"),
]


@pytest.mark.parametrize("claims, why", CLAIMS)
def test_other_claims(claims, why):
    assert why in refusal(jwt(**claims))


def test_time_passes():
    token = jwt(exp=NOW + 100)
    verify(token, NOW + 159)
    assert "expired" in refusal(token, NOW + 160)


def test_every_cut():
    token = jwt(sub=ACCOUNT)
    for length in range(len(token)):
        refusal(token[:length])


def test_every_changed_character():
    token = jwt(sub=ACCOUNT)
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        refusal(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: ".",
        lambda token: "..",
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + "=",
        lambda token: token + "AA",
        lambda token: token + "\n",
        lambda token: token.replace(".", ". "),
        lambda token: token.replace(".", "\x00."),
        lambda token: token + "ä",
        lambda token: ".".join(part + "=" for part in token.split(".")),
        lambda token: ".".join(reversed(token.split("."))),
        lambda token: token.swapcase(),
        lambda token: token.rpartition(".")[0] + "." + "A" * 5000,
        lambda token: "a" * 9000,
    ],
)
def test_malformed(change):
    refusal(change(jwt(sub=ACCOUNT)))


@pytest.mark.parametrize(
    "top, body",
    [
        (b"[]", {}),
        (b"{", {}),
        (b"\xff\xff", {}),
        (b'{"alg":"none","alg":"RS256","typ":"at+JWT"}', {}),
        (b"[" * 3000, {}),
        ({"alg": "RS256", "typ": "at+JWT"}, b"[]"),
        ({"alg": "RS256", "typ": "at+JWT"}, b"null"),
        ({"alg": "RS256", "typ": "at+JWT"}, b"1" * 5000),
        ({"alg": "RS256", "typ": "at+JWT"}, b'{"exp":NaN}'),
        ({"alg": "RS256", "typ": "at+JWT"}, b'{"exp":1e999}'),
        ({"alg": "RS256", "typ": "at+JWT"}, b'{"sub":"a","sub":"b"}'),
    ],
)
def test_signed_but_no_json_object(top, body):
    refusal(KEY.signed(top, body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
NEAR = st.sampled_from(
    ["RS256", "none", "at+jwt", KEY.kid, SCOPE, "", NOW, NOW + 100, 0, -1, 2**64]
)
HEADER = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["alg", "typ", "kid", "crit", "jwk"], NEAR | JSON)
)
BODY = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(["exp", "iat", "nbf", "scope", "sub", "fxa-generation"], NEAR | JSON),
)


@settings(max_examples=50)
@given(HEADER, BODY)
def test_whatever_is_in_it(header, body):
    """It is refused, or it is as it must be; nothing else is raised."""
    good = {"alg": "RS256", "typ": "at+JWT", "kid": KEY.kid}
    claims = {"exp": NOW + 100, "scope": SCOPE, "sub": ACCOUNT}
    try:
        found = verify(KEY.signed({**good, **header}, {**claims, **body}))
    except oauth.BadToken:
        return
    header, claims = {**good, **header}, {**claims, **body}
    assert header["alg"] == "RS256" and header["typ"].lower().endswith("at+jwt")
    assert claims["exp"] > NOW - 60 and SCOPE in claims["scope"]
    assert found.fxa_uid == claims["sub"] and 0 <= found.generation <= 2**53


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ascii(text).encode()))
def test_any_bytes(data):
    refusal(data.decode("latin-1"))
    refusal(".".join(b64url(part) for part in data.split(b".")))
    with pytest.raises(KeysError):
        read_document(data)


JWK = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["kty", "alg", "use", "kid", "n", "e"], st.just("AQAB") | JSON)
)


@settings(max_examples=50)
@given(st.lists(JWK.map(lambda changes: KEY.jwk(**changes)), max_size=3))
def test_any_keys(keys):
    try:
        found = read_document(json.dumps({"keys": keys}).encode())
    except KeysError:
        return
    assert all(key.n == PUBLIC.n and key.e > 2 for key in found)


def test_forged_with_another_key():
    # A key of the same size with another modulus: the attacker's own.
    other = rs256.RsaKey(None, PUBLIC.n - 2, PUBLIC.e)
    with pytest.raises(oauth.BadToken, match="signature"):
        oauth.verify(jwt(), lambda kid: [other], NOW)


# ---- the signature itself ----

MESSAGE = b"what is signed"
SIZE = (PUBLIC.n.bit_length() + 7) // 8
PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def signed_block(block):
    """The signature of a whole block, whatever is in it."""
    jwk = json.loads((pathlib.Path(__file__).resolve().parent / "rsa15.json").read_text())
    d = int.from_bytes(from_b64url(jwk["d"]), "big")
    return pow(int.from_bytes(block, "big"), d, PUBLIC.n).to_bytes(SIZE, "big")


def block(digest, prefix=PREFIX, fill=b"\xff", begin=b"\0\1", end=b""):
    rest = b"\0" + prefix + digest + end
    return begin + fill * (SIZE - len(begin) - len(rest)) + rest


DIGEST = hashlib.sha256(MESSAGE).digest()


def test_a_signature():
    assert PUBLIC.has_signed(MESSAGE, KEY.sign(MESSAGE))
    assert PUBLIC.has_signed(MESSAGE, signed_block(block(DIGEST)))
    assert not PUBLIC.has_signed(MESSAGE + b".", KEY.sign(MESSAGE))


@pytest.mark.parametrize(
    "forged",
    [
        block(DIGEST, fill=b"\xfe"),
        block(DIGEST, begin=b"\0\2"),
        block(DIGEST, begin=b"\0\0"),
        block(DIGEST, prefix=b""),
        block(DIGEST, prefix=PREFIX[:-1] + b"\x10"),
        # SHA-256 without the NULL of its parameters, which some libraries take.
        block(DIGEST, prefix=bytes.fromhex("302f300b0609608648016503040201" "0420")),
        # Bleichenbacher's: the rest behind a short block is not looked at.
        b"\0\1\xff\0" + PREFIX + DIGEST + b"\0" * (SIZE - 4 - len(PREFIX) - 32),
        block(DIGEST, end=b"\0"),
        block(
            hashlib.sha1(MESSAGE).digest(),
            prefix=bytes.fromhex("3021300906052b0e03021a05000414"),
        ),
    ],
)
def test_blocks_that_are_nearly_right(forged):
    assert len(forged) == SIZE
    assert not PUBLIC.has_signed(MESSAGE, signed_block(forged))


def test_numbers_that_are_the_same():
    good = KEY.sign(MESSAGE)
    number = int.from_bytes(good, "big") + PUBLIC.n
    for same in (b"\0" + good, number.to_bytes(SIZE + 1, "big"), good.lstrip(b"\0") + b"\0"):
        assert not PUBLIC.has_signed(MESSAGE, same)
    for trivial in (b"", b"\0" * SIZE, b"\0" * (SIZE - 1) + b"\1", b"\xff" * SIZE):
        assert not PUBLIC.has_signed(MESSAGE, trivial)


@pytest.mark.parametrize(
    "n, e",
    [(0, 65537), (2**512 + 1, 65537), (2**2047 + 1, 1), (2**2047 + 1, 4), (2**2047, 65537),
     (2**2047 + 1, 2**40 + 1), (2**5000 + 1, 65537), (2**2047 + 1, 0), (2**2047 + 1, -3)],
)  # fmt: skip
def test_weak_keys(n, e):
    with pytest.raises(ValueError):
        rs256.RsaKey(None, n, e)


# RFC 7515, appendix A.2.
RFC_KEY = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz"
    "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf6"
    "3kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw"
    "Kh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
    "yuXpoQ"
)
RFC_TEXT = (
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
RFC_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt"
    "_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArL"
    "IARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7no"
    "OPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)


def test_the_example_of_the_rfc():
    key = rs256.RsaKey(None, int.from_bytes(from_b64url(RFC_KEY), "big"), 65537)
    assert key.has_signed(RFC_TEXT.encode(), from_b64url(RFC_SIGNATURE))
    assert not key.has_signed(RFC_TEXT.encode() + b"A", from_b64url(RFC_SIGNATURE))
