# SPDX-License-Identifier: Apache-2.0
"""The tokens of Sync 1.5, which the token server gives out and storage 1.5 checks.

A token is two texts (tokenlib 2.0). The id is the urlsafe base64 of a JSON object, the
claims, and of their signature. The key signs the requests (hawk.py); it follows from
the id and the secret. So nothing is stored, and any process that knows the secret can
check any token.
"""

import base64
import binascii
import functools
import hmac
import json
import secrets
from dataclasses import dataclass, field

SIGNING = b"services.mozilla.com/tokenlib/v1/signing"
DERIVING = b"services.mozilla.com/tokenlib/v1/derive/"
NAMING = b"weave.server/hashed_fxa_uid"
SIGNATURE_BYTES = 32
SALT_BYTES = 3

# The id of a token of ours has about 400; the rest is for a long URL of the node.
MAX_ID_CHARS = 2048
# User ids are integers in JSON, and clients compute with floating point numbers.
MAX_USER_ID = 2**53 - 1
MAX_EXPIRES = 2**53

# So many tokens are remembered in each process with their keys, some KB each.
REMEMBERED = 1024


class TokenError(Exception):
    """The text is no token of ours; str() is a sentence for the log."""


@dataclass(frozen=True)
class Token:
    """The claims of a token, and its key.

    node is the URL of the server: the endpoint of a client without /1.5/UID. expires
    is in seconds since 1970. key is what requests are signed with: 44 characters
    of base64 as they are, and not the 32 bytes that they encode.
    """

    uid: int
    node: str
    expires: float
    fxa_uid: str
    fxa_kid: str
    key: bytes = field(repr=False)


class Secrets:
    """Makes tokens with the last of several secrets, and reads those of each.

    texts are the secrets: any text, of which the bytes in UTF-8 count. Thread-safe.
    """

    def __init__(self, texts):
        self._secrets = [text.encode("utf-8") for text in texts]
        if not all(self._secrets) or not self._secrets:
            raise ValueError("a secret is empty, or there is none")
        self._signing_keys = [_hkdf(secret, b"", SIGNING) for secret in self._secrets]
        # Only genuine tokens are remembered: lru_cache keeps no errors.
        self.read = functools.lru_cache(maxsize=REMEMBERED)(self._read)

    def make(self, claims, now):
        """Returns (id, key) of a new token; claims are uid, node, expires, fxa_uid, fxa_kid.

        now is in seconds since 1970. ValueError where no client could use the token: a
        claim is not of its type, `expires` is over, or the URL is too long.
        """
        body = dict(claims, salt=secrets.token_hex(SALT_BYTES))
        _check(body)
        if not now < body["expires"]:
            raise ValueError("the token would be expired")
        payload = json.dumps(body, separators=(",", ":")).encode("ascii")
        signature = _signature(self._signing_keys[-1], payload)
        id_bytes = base64.urlsafe_b64encode(payload + signature)
        if len(id_bytes) > MAX_ID_CHARS:
            raise ValueError("the token would have over %d characters" % MAX_ID_CHARS)
        key = _key(self._secrets[-1], body["salt"], id_bytes)
        return id_bytes.decode("ascii"), key.decode("ascii")

    def pseudonym(self, fxa_uid):
        """32 hexadecimal digits for an account, which do not reveal its id."""
        key = _hkdf(self._secrets[-1], b"", NAMING)
        return hmac.digest(key, fxa_uid.encode("utf-8"), "sha256").hex()[:32]

    def _read(self, id_text):
        """The Token of an id, expired or not; TokenError."""
        payload, signature, id_bytes = _split(id_text)
        for secret, signing_key in zip(self._secrets, self._signing_keys):
            if hmac.compare_digest(_signature(signing_key, payload), signature):
                return _token(secret, payload, id_bytes)
        raise TokenError(
            "the token is signed with none of the secrets in sync15.secret_file: the file "
            "has changed since, or the token was forged, or another node has another file "
            "(give all nodes with this database the same one)"
        )


def _split(id_text):
    """(claims, signature, id) of the text, as bytes."""
    if len(id_text) > MAX_ID_CHARS:
        raise TokenError("the token has over %d characters" % MAX_ID_CHARS)
    try:
        id_bytes = id_text.encode("ascii")
        raw = base64.urlsafe_b64decode(id_bytes)
        # The decoder skips characters that are not of its alphabet.
        is_canonical = base64.urlsafe_b64encode(raw) == id_bytes
    except (binascii.Error, ValueError):
        is_canonical = False
    if not is_canonical:
        raise TokenError(
            "the token is not the urlsafe base64 that was given out: it was cut, or "
            "changed on the way"
        )
    if len(raw) <= SIGNATURE_BYTES:
        raise TokenError("the token is shorter than a signature: it was cut")
    return raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:], id_bytes


def _token(secret, payload, id_bytes):
    """The Token of claims that are genuine."""
    try:
        body = json.loads(payload.decode("utf-8"))
        _check(body)
    except (ValueError, RecursionError):
        raise TokenError(
            "the token has our signature and claims that no token has: another program "
            "signs with the same secret; give this server a secret of its own"
        ) from None
    return Token(
        uid=body["uid"],
        node=body["node"],
        expires=float(body["expires"]),
        fxa_uid=body.get("fxa_uid", ""),
        fxa_kid=body.get("fxa_kid", ""),
        key=_key(secret, body["salt"], id_bytes),
    )


def _check(body):
    """ValueError for claims that are missing, or not of their type."""
    if type(body) is not dict:
        raise ValueError("the claims are no object")
    uid, expires, salt = body.get("uid"), body.get("expires"), body.get("salt")
    if type(uid) is not int or not 0 < uid <= MAX_USER_ID:
        raise ValueError("the claim uid is no id of a user")
    if type(expires) not in (int, float) or not 0 <= expires <= MAX_EXPIRES:
        raise ValueError("the claim expires is no time")
    if type(salt) is not str or not salt or not salt.isascii():
        raise ValueError("the claim salt is no text in ASCII")
    for name in ("node", "fxa_uid", "fxa_kid"):
        # Tokens of other servers that share the secret need not have the last two.
        default = None if name == "node" else ""
        if type(body.get(name, default)) is not str:
            raise ValueError("the claim %s is no text" % name)


def _key(secret, salt, id_bytes):
    derived = _hkdf(secret, salt.encode("ascii"), DERIVING + id_bytes)
    return base64.urlsafe_b64encode(derived)


def _signature(signing_key, payload):
    return hmac.digest(signing_key, payload, "sha256")


def _hkdf(secret, salt, info):
    """32 bytes made of the secret (RFC 5869, with SHA-256: one block)."""
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")
