# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the account server: it makes the data that a browser gets at sign-in."""

import hashlib

from client15 import KEY, KEYS_CHANGED_AT, b64url


def _derived(*words):
    return hashlib.sha512(" ".join(words).encode("utf-8")).digest()


class Account:
    """Somebody with an account and its key; all devices of one NAME have the same."""

    def __init__(self, name):
        self._name = name
        self.uid = _derived(name, "uid").hex()[:32]
        self._key_time = KEYS_CHANGED_AT  # in milliseconds since 1970

    def change_key(self):
        """As somebody does who has forgotten the password, and sets another."""
        self._key_time += 1

    def sign_in(self):
        """What `signIn` of inside.js wants, with a fresh access token."""
        key = str(self._key_time)
        fingerprint = _derived(self._name, key, "fingerprint")[:16]
        return {
            "uid": self.uid,
            "email": self._name + "@example.org",
            "session": _derived(self._name, key, "session").hex()[:64],
            "key": {"kid": "%s-%s" % (key, b64url(fingerprint)),
                    "k": b64url(_derived(self._name, key, "key"))},
            "token": KEY.jwt(sub=self.uid, fxa_generation=self._key_time),
        }  # fmt: skip
