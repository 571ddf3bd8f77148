# SPDX-License-Identifier: Apache-2.0
"""base64url without padding (RFC 7515, section 2), in the one spelling that an encoder makes."""

import base64
import re

_TEXT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def encode(data):
    """The text (A-Z a-z 0-9 - _) of bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text):
    """The bytes of a text; ValueError where encode() has not made it."""
    # Python's decoder passes over what is no character of the alphabet.
    if not _TEXT.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not the base64url that an encoder makes")
    return data
