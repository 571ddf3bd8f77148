# SPDX-License-Identifier: Apache-2.0
"""The offsets of Sync 1.5: tokens that say where the next page of a list begins.

A token names the last record of a page by its position in the order of the list, and not
by the number of records before it, so that writes of others move nothing. Clients do not
look into it. It has a checksum over itself, the user, the collection and the order, so
that a token is refused that was cut, changed or taken from another list. The checksum
needs no secret: a token that somebody made up is refused, or gives a part of the user's
own list.
"""

import hashlib
import json

from weave.server import base64url
from weave.server.records import MAX_SORTINDEX, is_text
from weave.server.stamps import LIMIT

CHECKSUM_BYTES = 6

# Far more than a token has.
MAX_CHARS = 400


def encode(position, user_id, collection, sort):
    """The token (A-Z a-z 0-9 - _) of a position; see query.Selection."""
    text = json.dumps(position, separators=(",", ":")).encode("ascii")
    return base64url.encode(_checksum(text, user_id, collection, sort) + text)


def decode(token, user_id, collection, sort):
    """The position; ValueError unless encode() has made the token of the same list."""
    if len(token) > MAX_CHARS:
        raise ValueError("too long")
    data = base64url.decode(token)
    checksum, text = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
    if checksum != _checksum(text, user_id, collection, sort):
        raise ValueError("no token of this list")
    position = json.loads(text)
    if not _is_position(position, sort):
        raise ValueError("no place in this list")
    return tuple(position)


def _is_position(value, sort):
    """Whether it is one that a list of this order has, and every database takes."""
    if not isinstance(value, list) or len(value) != 3:
        return False
    id_, modified, sortindex = value
    return (
        is_text(id_)
        and (_is_whole(modified, LIMIT) or modified is None and sort in (None, "index"))
        and (_is_whole(sortindex, MAX_SORTINDEX) or sortindex is None)
    )


def _is_whole(value, most):
    return type(value) is int and -most <= value <= most


def _checksum(text, user_id, collection, sort):
    whole = b"%d %s %s %s" % (
        user_id,
        collection.encode("ascii"),
        (sort or "none").encode("ascii"),
        text,
    )
    return hashlib.blake2s(whole, digest_size=CHECKSUM_BYTES).digest()
