# SPDX-License-Identifier: Apache-2.0
"""The public keys of the account server (RFC 7517), in the database and in memory.

They change once in years. So they are kept in the database, for all processes, and in
memory for a minute. They are fetched when there are none, or when a token names another
one: at most once a minute in all processes together, outside of any transaction, and by
one thread, while the others use the keys that are there. Once a day they are fetched
anew, since a key that the account server has dropped may have been stolen. A fetch that
fails leaves the keys as they are. An administrator can load them from a file, which may be
old; they stay until somebody loads others, or a token names a key that is not in it.
"""

import json
import logging
import threading
import time
from dataclasses import dataclass
from typing import Tuple

from weave.server import base64url, formats, settings_table
from weave.server.fetch import FetchError, fetch
from weave.server.oauth import MAX_KID_CHARS
from weave.server.rs256 import RsaKey

log = logging.getLogger(__name__)

_monotonic = time.monotonic

# Names in weave_settings: the keys, as _encode() writes them; and when (Unix seconds)
# somebody last began to fetch them.
KEYS = "jwks"
ATTEMPT = "jwks_attempt"

MEMORY_SECONDS = 60
ATTEMPT_SECONDS = 60

# The account server shows a key for longer than this before it signs with it. So a
# token with another key is no good where the keys are younger. Older ones are fetched anew.
FRESH_SECONDS = 24 * 3600

MAX_BYTES = 64 * 1024
MAX_KEYS = 16


class KeysError(Exception):
    """A document has no keys that can be used; str() is the reason."""


class NoKeys(Exception):
    """A token cannot be checked now, for lack of keys; str() is for the log."""


@dataclass(frozen=True)
class Keys:
    """A set of RsaKeys; since is when they were fetched (Unix seconds), or 0: from a file."""

    keys: Tuple[RsaKey, ...]
    since: float

    def named(self, kid):
        """The keys that may have signed a token that names kid; any of them where it is None."""
        return [key for key in self.keys if kid is None or key.kid in (kid, None)]


NOTHING = Keys((), 0)


def read_document(data):
    """The RsaKeys of a JWKS (bytes); KeysError. Keys for other uses are left out."""
    if len(data) > MAX_BYTES:
        raise KeysError("it has over %d bytes" % MAX_BYTES)
    try:
        found = formats.decode(data)
    except ValueError as error:
        raise KeysError("it is no JSON (%s)" % error) from None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise KeysError("it has no list of keys")
    keys = tuple(filter(None, map(_read_key, listed)))
    if not keys or len(keys) > MAX_KEYS:
        raise KeysError(
            "it must have from 1 to %d keys for RS256, and has %d" % (MAX_KEYS, len(keys))
        )
    return keys


def _read_key(jwk):
    """The RsaKey of a JWK, or None where it is no key for RS256."""
    if not isinstance(jwk, dict) or jwk.get("kty") != "RSA":
        return None
    if jwk.get("alg", "RS256") != "RS256" or jwk.get("use", "sig") != "sig":
        return None
    kid = jwk.get("kid")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        return None
    try:
        n, e = (int.from_bytes(base64url.decode(jwk[name]), "big") for name in "ne")
        return RsaKey(kid, n, e)
    except (KeyError, TypeError, ValueError):
        return None


def _encode(keys):
    listed = [[key.kid, "%x" % key.n, key.e] for key in keys.keys]
    return json.dumps({"since": keys.since, "keys": listed})


def _decode(text):
    """The Keys in a row of weave_settings; NOTHING where it has none, or is damaged."""
    try:
        found = json.loads(text or "")
        listed = [RsaKey(kid, int(n, 16), e) for kid, n, e in found["keys"]]
        return Keys(tuple(listed), float(found["since"]))
    except (ValueError, TypeError, KeyError):
        return NOTHING


class Jwks:
    """The keys of the account server, whose JWKS is at url. Thread-safe.

    Members makes the tables that it needs.
    """

    def __init__(self, database, url, clock=time.time):
        self._database = database
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._keys = NOTHING
        self._read_at = None  # monotonic time
        self._attempted_at = None

    def find(self, kid):
        """Returns [RsaKey] that may have signed a token that names kid (None: no name).

        It is empty where the account server has no such key, and NoKeys is raised where
        that is not known. It may take as long as fetch() takes.
        """
        keys = self._remembered()
        if not keys.named(kid):
            keys = self._read()
        pause_seconds = FRESH_SECONDS if keys.named(kid) else ATTEMPT_SECONDS
        is_old = keys.since and self._clock() - keys.since >= FRESH_SECONDS
        if (is_old or not keys.named(kid)) and self._fetch(pause_seconds):
            keys = self._keys
        age_seconds = self._clock() - keys.since
        if not keys.named(kid) and not 0 <= age_seconds < FRESH_SECONDS:
            raise NoKeys(
                "the keys of the account server are not known, or too old to tell, and "
                "cannot be fetched now; save %s with a browser, and load it with "
                "`weave-server fetch-keys INI FILE`" % self._url
            )
        return keys.named(kid)

    def stored(self):
        """The Keys that are in the database."""
        return self._read()

    def fetch_now(self):
        """Fetches and stores the keys; returns how many. KeysError."""
        try:
            return self.load(fetch(self._url, MAX_BYTES), self._clock())
        except (FetchError, KeysError) as error:
            raise KeysError("%s cannot be fetched (%s)" % (self._url, error)) from None

    def load(self, data, since=0):
        """Stores the keys of a JWKS (bytes); returns how many. KeysError. since: see Keys."""
        keys = Keys(read_document(data), since)
        self._database.write(
            lambda connection: settings_table.put(connection, KEYS, _encode(keys))
        )
        self._remember(keys)
        return len(keys.keys)

    def _remembered(self):
        read_at = self._read_at
        if read_at is None or _monotonic() - read_at > MEMORY_SECONDS:
            return self._read()
        return self._keys

    def _read(self):
        text = self._database.read(
            lambda connection: settings_table.get(connection, KEYS)
        )
        keys = _decode(text)
        self._remember(keys)
        return keys

    def _remember(self, keys):
        self._keys = keys
        self._read_at = _monotonic()

    def _fetch(self, pause_seconds):
        """Fetches the keys unless somebody has tried since the pause; returns whether it did."""
        if not self._lock.acquire(blocking=False):
            return False  # another thread does it
        try:
            if not self._may_attempt(pause_seconds):
                return False
            count = self.fetch_now()
        except KeysError as error:
            log.error(
                "%s, and the server goes on with the keys of the account server that it "
                "has; where that stays so, save that document with a browser, and load it "
                "with `weave-server fetch-keys INI FILE`",
                error,
            )
            return False
        finally:
            self._lock.release()
        log.info("the keys of the account server were fetched from %s: %d", self._url, count)
        return True

    def _may_attempt(self, pause_seconds):
        """Whether no process has begun to fetch since the pause; notes that this one does."""
        last = self._attempted_at
        if last is not None and _monotonic() - last < pause_seconds:
            return False
        self._attempted_at = _monotonic()
        return self._database.write(
            lambda connection: self._claim_attempt(connection, pause_seconds)
        )

    def _claim_attempt(self, connection, pause_seconds):
        settings_table.lock(connection, ATTEMPT)
        now = self._clock()
        last = float(settings_table.get(connection, ATTEMPT) or 0)
        # A time in the future was noted by a clock that was wrong.
        if 0 <= now - last < pause_seconds:
            return False
        settings_table.put(connection, ATTEMPT, repr(now))
        return True
