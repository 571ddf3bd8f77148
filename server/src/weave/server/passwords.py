# SPDX-License-Identifier: Apache-2.0
"""Password hashes (Argon2id), and a memory of what was verified lately.

Clients send the password with every request, and verifying takes Argon2 some
20 ms and 19 MiB on purpose. So the outcome is remembered: in this process that a
password was right, for CACHE_SECONDS, or wrong, for FAILURE_SECONDS, at most
CACHE_ENTRIES of each, under an HMAC of stored hash and password with a key that
only this process knows; and among all processes, in the database, under
Passwords.tags(). Nothing can be computed from what is remembered. A memory holds
for the network from which the password came.

The stored hash is read from the database for each request and has a fresh salt
whenever a password is set, so a new password or a deleted account counts at
once, in all processes.
"""

import base64
import collections
import hashlib
import hmac
import logging
import secrets
import threading
import time

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHash, VerificationError, VerifyMismatchError

from weave.server.secret import shared_secret
from weave.server.turns import Turns

log = logging.getLogger(__name__)

CACHE_SECONDS = 300
FAILURE_SECONDS = 60
CACHE_ENTRIES = 10000

# Half a millisecond. Whoever reads both the database and the memory of a process
# still has to spend it for each password that he tries.
TAG_ROUNDS = 1000

MIN_CHARS = 8

TIME_COST = 2
MEMORY_KIB = 19 * 1024
HASH_BYTES = 32
SALT_BYTES = 16
# How a hash with these begins.
PARAMETERS = "$argon2id$v=19$m=%d,t=%d,p=1" % (MEMORY_KIB, TIME_COST)


class Memory:
    """Keys that were seen within `seconds`; the oldest go when there are many."""

    def __init__(self, seconds, clock):
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._ends = collections.OrderedDict()

    def __contains__(self, key):
        with self._lock:
            return self._ends.get(key, 0) > self._clock()

    def add(self, key):
        with self._lock:
            self._ends[key] = self._clock() + self._seconds
            self._ends.move_to_end(key)
            while len(self._ends) > CACHE_ENTRIES:
                self._ends.popitem(last=False)


class Passwords:
    """Thread-safe; `clock` is a monotonic clock in seconds.

    hash() and verify() are costly. Who calls them for a request takes a turn:
    `strangers` for those who may not have an account, and `members`, so that
    they need not wait for strangers.
    """

    def __init__(self, clock=time.monotonic):
        self._hasher = PasswordHasher(
            time_cost=TIME_COST,
            memory_cost=MEMORY_KIB,
            parallelism=1,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
            type=Type.ID,
        )
        self._key = secrets.token_bytes(32)
        self._verified = Memory(CACHE_SECONDS, clock)
        self._failed = Memory(FAILURE_SECONDS, clock)
        self._shared_secret = None
        self.strangers = Turns("a password", running=1, waiting=3, seconds=5)
        # They are bounded by their accounts; a hash takes some 20 ms.
        self.members = Turns("a new password", running=1, waiting=20, seconds=10)

    def hash(self, password):
        return self._hasher.hash(password)

    def hash_of_nobody(self, name):
        """Returns a hash for a name without an account, which no password has.

        Verifying it takes as long as any other. It is the same for a name as long
        as the process lives, so that what was wrong is remembered as for others.
        """
        drawn = hmac.new(self._key, name.encode("utf-8"), hashlib.sha512).digest()
        salt, digest = (
            base64.b64encode(part).decode("ascii").rstrip("=")
            for part in (drawn[:SALT_BYTES], drawn[-HASH_BYTES:])
        )
        return "%s$%s$%s" % (PARAMETERS, salt, digest)

    def is_outdated(self, stored):
        """Whether a stored hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def recall(self, stored, password, network):
        """Whether password (str) is the one of a stored hash; None: unknown."""
        key = self._memory_key(stored, password, network)
        if key in self._verified:
            return True
        return False if key in self._failed else None

    def remember(self, stored, password, network):
        """Takes it from somebody else that the password is the right one."""
        self._verified.add(self._memory_key(stored, password, network))

    def verify(self, stored, password, network):
        """Whether password (str) is the one of which the hash was stored."""
        known = self.recall(stored, password, network)
        if known is not None:
            return known
        try:
            self._hasher.verify(stored, password)
        except VerifyMismatchError:
            self._failed.add(self._memory_key(stored, password, network))
            return False
        except (InvalidHash, VerificationError) as error:
            log.error("a stored password hash cannot be verified: %s", error)
            return False
        self.remember(stored, password, network)
        return True

    def tags(self, stored, password, network):
        """Texts that stand for both: from that network, and from anywhere.

        They are the same in all processes of this user.
        """
        if self._shared_secret is None:
            # Not sooner: the process may not have been the server's user yet.
            self._shared_secret = shared_secret()
        slow = hashlib.pbkdf2_hmac(
            "sha256", password.encode("utf-8"), stored.encode("utf-8"), TAG_ROUNDS
        )
        return [
            hmac.new(self._shared_secret, slow + where, hashlib.sha256).hexdigest()
            for where in (network.encode("utf-8"), b"")
        ]

    def _memory_key(self, stored, password, network):
        message = "\0".join((stored, network, password)).encode("utf-8")
        return hmac.new(self._key, message, hashlib.sha256).digest()
