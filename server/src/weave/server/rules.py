# SPDX-License-Identifier: Apache-2.0
"""The differences between versions of the storage protocol, as data."""

from dataclasses import dataclass
from typing import FrozenSet, Tuple


@dataclass(frozen=True)
class Rules:
    """The rules of one version: what a record may be, and what a write does to it."""

    # The members of a record that clients may send; others are dropped.
    fields: Tuple[str, ...]
    max_payload_bytes: int
    max_ttl_seconds: int
    max_collection_chars: int

    # Fields that stay as they are where a record comes without them. The payload
    # always does; others become empty, and a time to live becomes endless.
    kept: FrozenSet[str]
    # A record that comes with one of these is modified now; otherwise it was modified
    # when it was before, and a new one never.
    moving: FrozenSet[str]
    # Whether a write that modifies no record modifies the collection.
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
    max_payload_bytes=256 * 1024,
    max_ttl_seconds=365 * 24 * 3600,
    max_collection_chars=64,
    kept=frozenset(["sortindex", "parentid", "predecessorid"]),
    moving=frozenset(["payload"]),
    always_moves_collection=False,
    condition_of_item=False,
    forgets_deleted=False,
    shows_empty=False,
)
