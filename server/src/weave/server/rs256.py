# SPDX-License-Identifier: Apache-2.0
"""Signatures by RS256: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2.2).

Verifying handles public data only, so that Python's own pow() is as good as a library.
The block that the signer must have made is built here and compared as a whole. Nothing in
the signature is parsed: parsers of its padding are where such code has gone wrong.
"""

import hashlib
import hmac
from dataclasses import dataclass

# Shorter keys can be broken; longer ones, and longer exponents, cost time.
MIN_BITS, MAX_BITS = 2048, 4096
MAX_EXPONENT = 2**32

# The DER code of "SHA-256, and 32 bytes of it follow" (RFC 8017, section 9.2, note 1).
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True)
class RsaKey:
    """A public key: its name or None, modulus, exponent. ValueError for a weak one."""

    kid: object
    n: int
    e: int

    def __post_init__(self):
        if not MIN_BITS <= self.n.bit_length() <= MAX_BITS or self.n % 2 == 0:
            raise ValueError("the modulus has not from %d to %d bits" % (MIN_BITS, MAX_BITS))
        if not 2 < self.e < MAX_EXPONENT or self.e % 2 == 0:
            raise ValueError("the exponent is none that is in use")

    def has_signed(self, message, signature):
        """Whether the signature (bytes) of the message is by this key."""
        size = (self.n.bit_length() + 7) // 8
        number = int.from_bytes(signature, "big")
        if len(signature) != size or number >= self.n:
            return False
        block = pow(number, self.e, self.n).to_bytes(size, "big")
        end = b"\0" + _DIGEST_INFO + hashlib.sha256(message).digest()
        wanted = b"\0\1" + b"\xff" * (size - 2 - len(end)) + end
        return hmac.compare_digest(block, wanted)
