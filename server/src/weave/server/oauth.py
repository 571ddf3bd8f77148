# SPDX-License-Identifier: Apache-2.0
"""Access tokens of the account server: JWTs that are signed by RS256 (RFC 7519, RFC 9068).

A token is good when all of this holds: the type and the algorithm are those of such
tokens, one of the account server's keys has signed it, its time has come and is not over,
and its scope is that of Sync. Nothing in a token chooses how it is checked, except for the
name of the key.
"""

import re
from dataclasses import dataclass

from weave.server import base64url, formats

SCOPE = "https://identity.mozilla.com/apps/oldsync"

# A token of Mozilla's has about 1,000, and httpd takes 8,190 for a line.
MAX_TOKEN_CHARS = 8192
MAX_KID_CHARS = 200
MAX_NUMBER = 2**53

# The clocks of the account server and of this one may differ by so much.
LEEWAY_SECONDS = 60

_TYPES = ("at+jwt", "application/at+jwt")
# Mozilla's have 32 hexadecimal digits; those of doctor_api.py have a colon.
_FXA_UID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


class BadToken(Exception):
    """The token is not good; str() is the reason for the log."""


class NotYet(BadToken):
    """The token is genuine, and from the future: the clock of this server is behind."""


@dataclass(frozen=True)
class Identity:
    """The account that a token is of; generation is in ms, and 0 where the token has none."""

    fxa_uid: str
    generation: int


def verify(text, find_keys, now):
    """The Identity of a token; BadToken, NotYet.

    find_keys(kid) returns the RsaKeys that may have signed it; it is called last, since
    it may have to fetch them. now is Unix time.
    """
    if len(text) > MAX_TOKEN_CHARS:
        raise BadToken("the token has over %d characters" % MAX_TOKEN_CHARS)
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken("the token is no JWT: it has not three parts")
    header, claims, signature = map(_bytes, parts)
    kid = _check_header(_object(header))
    claims = _object(claims)
    identity = _check_claims(claims, now)
    begins = max(_time(claims, name) or 0 for name in ("iat", "nbf"))
    message = text.rpartition(".")[0].encode("ascii")
    keys = find_keys(kid)
    if not keys:
        raise BadToken("the token names a key that the account server does not have")
    if not any(key.has_signed(message, signature) for key in keys):
        raise BadToken("the signature of the token is wrong: it was forged or cut")
    if begins - LEEWAY_SECONDS > now:
        raise NotYet(
            "the account server has signed a token that begins in %d s: set the clock of "
            "this server (timedatectl set-ntp true)" % (begins - now)
        )
    return identity


def _bytes(part):
    try:
        return base64url.decode(part)
    except ValueError:
        raise BadToken("the token is no JWT: a part of it is no base64url") from None


def _object(data):
    try:
        found = formats.decode(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadToken("the token is no JWT: a part of it is no JSON object")
    return found


def _check_header(header):
    """Checks the header; returns the name of the key (kid) or None. BadToken."""
    if header.get("alg") != "RS256":
        raise BadToken("the token is not signed by RS256")
    kind = header.get("typ")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise BadToken("the token is no access token (typ is not at+jwt)")
    if "crit" in header:
        raise BadToken("the token wants extensions that are not understood")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        raise BadToken("the token names its key by what is no name")
    return kid


def _check_claims(claims, now):
    """Checks the claims at the Unix time now; returns the Identity. BadToken."""
    expires = _time(claims, "exp")
    if expires is None:
        raise BadToken("the token has no end (exp)")
    if expires + LEEWAY_SECONDS <= now:
        raise BadToken(
            "the token has expired %d s ago: the client gets another one; where that has "
            "expired, too, set the clock of this server (timedatectl set-ntp true)"
            % (now - expires)
        )
    scope = claims.get("scope")
    if not isinstance(scope, str) or SCOPE not in re.split(r"[ ,]+", scope):
        raise BadToken("the token is not for Sync: its scope is another one")
    fxa_uid = claims.get("sub")
    if not isinstance(fxa_uid, str) or not _FXA_UID.fullmatch(fxa_uid):
        raise BadToken("the token has no account (sub)")
    generation = claims.get("fxa-generation")
    if generation is None:
        generation = 0
    if type(generation) is not int or not 0 <= generation <= MAX_NUMBER:
        raise BadToken("the token has a generation that is no time")
    return Identity(fxa_uid, generation)


def _time(claims, name):
    """A claim that is a time in Unix seconds, or None where there is none."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMBER:
        raise BadToken("the claim %s of the token is no time" % name)
    return value
