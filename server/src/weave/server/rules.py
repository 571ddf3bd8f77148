# SPDX-License-Identifier: Apache-2.0
"""The differences between versions of the storage protocol, as data."""

import functools
from dataclasses import dataclass, replace
from typing import FrozenSet, Optional, Tuple


@dataclass(frozen=True)
class Rules:
    """The rules of one version: what a record may be, and what a write does to it."""

    # The members of a record that clients may send. Others are dropped where `dropped`
    # is None; otherwise those are, and any else makes the record invalid.
    fields: Tuple[str, ...]
    dropped: Optional[FrozenSet[str]]
    # Whether an id is printable ASCII, and numbers are JSON's integers; otherwise an id
    # is any text, without a slash where it is in a URL, and numbers may be rounded or
    # written as text.
    strict: bool
    max_payload_bytes: int
    max_ttl_seconds: int
    max_collection_chars: int

    # Fields that stay as they are where a record comes without them. The payload
    # always does; others become empty, and a time to live becomes endless.
    kept: FrozenSet[str]
    # A record that comes with one of these is modified now; otherwise it was modified
    # when it was before.
    moving: FrozenSet[str]
    # Whether a new record is modified now, whatever it comes with; otherwise one that
    # comes without those fields never was.
    always_moves_new: bool
    # Whether a write that modifies no record modifies the collection, or makes it.
    always_moves_collection: bool
    # Whether X-If-Unmodified-Since of a record is about the record, or its collection.
    condition_of_item: bool
    # Whether a collection that was deleted as a whole was never there; otherwise it
    # was modified then.
    forgets_deleted: bool
    # Whether info/collections shows what holds no record.
    shows_empty: bool


V11 = Rules(
    fields=("id", "parentid", "predecessorid", "sortindex", "ttl", "payload"),
    dropped=None,
    strict=False,
    max_payload_bytes=256 * 1024,
    max_ttl_seconds=365 * 24 * 3600,
    max_collection_chars=64,
    kept=frozenset(["sortindex", "parentid", "predecessorid"]),
    moving=frozenset(["payload"]),
    always_moves_new=False,
    always_moves_collection=False,
    condition_of_item=False,
    forgets_deleted=False,
    shows_empty=False,
)

# The longest payload is a setting: see Limits.
V15 = Rules(
    fields=("id", "sortindex", "ttl", "payload"),
    dropped=frozenset(["modified", "collection"]),
    strict=True,
    max_payload_bytes=2621440,
    max_ttl_seconds=999999999,
    max_collection_chars=32,
    kept=frozenset(["sortindex", "ttl"]),
    moving=frozenset(["payload", "sortindex"]),
    always_moves_new=True,
    always_moves_collection=True,
    condition_of_item=True,
    forgets_deleted=True,
    shows_empty=True,
)


@dataclass(frozen=True)
class Limits:
    """How much clients of 1.5 may send; info/configuration has these names.

    Bytes of payload are those of its UTF-8.
    """

    max_request_bytes: int = 2625536
    max_post_records: int = 100
    max_post_bytes: int = 2621440
    max_total_records: int = 10000
    max_total_bytes: int = 262144000
    max_record_payload_bytes: int = 2621440

    @functools.cached_property
    def rules(self):
        """V15 with the longest payload."""
        return replace(V15, max_payload_bytes=self.max_record_payload_bytes)
