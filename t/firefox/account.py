# SPDX-License-Identifier: Apache-2.0
"""What the account server would give a browser at sign-in, made by the tests themselves."""

import hashlib

from client15 import KEYS_CHANGED_AT, RsaKey, b64url

KEY = RsaKey.of_tests()


class Account:
    """Somebody with an account and its keys; all devices of one NAME have the same."""

    def __init__(self, name):
        def derived(purpose):
            return hashlib.sha512(("%s %s" % (name, purpose)).encode("utf-8")).digest()

        self.uid = derived("uid").hex()[:32]
        self.email = name + "@example.org"
        self._session = derived("session").hex()[:64]
        self._key = {
            "kid": "%d-%s" % (KEYS_CHANGED_AT, b64url(derived("fingerprint")[:16])),
            "k": b64url(derived("key")),
        }

    def sign_in(self):
        """What `signIn` and `giveToken` of inside.js want, with a fresh access token."""
        return {
            "uid": self.uid, "email": self.email, "session": self._session, "key": self._key,
            "token": KEY.jwt(sub=self.uid),
        }  # fmt: skip
