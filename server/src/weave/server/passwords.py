# SPDX-License-Identifier: Apache-2.0
"""Password hashes (Argon2id), and a memory of what was verified lately.

Clients send the password with every request, and verifying takes Argon2 some
20 ms and 19 MiB on purpose. So a successful verification is remembered for
CACHE_SECONDS, at most CACHE_ENTRIES of them, under an HMAC of stored hash and
password with a key that only this process knows: neither can be computed from
what is remembered. The stored hash is read from the database for each request
and has a fresh salt whenever a password is set, so a new password or a deleted
account counts at once, in all processes.
"""

import collections
import hashlib
import hmac
import logging
import secrets
import threading
import time

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHash, VerificationError, VerifyMismatchError

log = logging.getLogger(__name__)

CACHE_SECONDS = 300
CACHE_ENTRIES = 10000

MIN_CHARS = 8


class Passwords:
    """Thread-safe; `clock` is a monotonic clock in seconds."""

    def __init__(self, clock=time.monotonic):
        self._hasher = PasswordHasher(
            time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID
        )
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._verified = collections.OrderedDict()  # HMAC -> when it expires

    def hash(self, password):
        return self._hasher.hash(password)

    def is_outdated(self, stored):
        """Whether a stored hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def verify(self, stored, password):
        """Whether password (str) is the one of which the hash was stored."""
        tag = self._tag(stored, password)
        if self._is_remembered(tag):
            return True
        try:
            self._hasher.verify(stored, password)
        except VerifyMismatchError:
            return False
        except (InvalidHash, VerificationError) as error:
            log.error("a stored password hash cannot be verified: %s", error)
            return False
        self._remember(tag)
        return True

    def _tag(self, stored, password):
        message = stored.encode("utf-8") + b"\0" + password.encode("utf-8")
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def _is_remembered(self, tag):
        with self._lock:
            return self._verified.get(tag, 0) > self._clock()

    def _remember(self, tag):
        with self._lock:
            self._verified[tag] = self._clock() + CACHE_SECONDS
            self._verified.move_to_end(tag)
            while len(self._verified) > CACHE_ENTRIES:
                self._verified.popitem(last=False)
