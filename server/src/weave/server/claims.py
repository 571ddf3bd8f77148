# SPDX-License-Identifier: Apache-2.0
"""The claims of a device about the keys of its account, and the rules that they must meet.

An account server counts up two times: `generation` with each change of the account's
authentication, `keys_changed_at` with each change of its key. A device that does not
know of the latest change must sign in again, and must not bring back an old key. The
rules and their order are those of Mozilla's token servers: the first one that holds
decides which error a client is told.
"""

from dataclasses import dataclass
from typing import Optional

INVALID_STATE = "invalid-client-state"
INVALID_GENERATION = "invalid-generation"
INVALID_KEYS = "invalid-keysChangedAt"


class Refused(Exception):
    """A request for a token is refused; str() is for the log, the rest for the client.

    http_status is a number. status, location, name and description are those of an error
    of the token server 1.0.
    """

    def __init__(
        self,
        why,
        status,
        description="Unauthorized",
        location="body",
        name="",
        http_status=401,
    ):
        super().__init__(why)
        self.status = status
        self.description = description
        self.location = location
        self.name = name
        self.http_status = http_status


@dataclass(frozen=True)
class Claims:
    """The claims of one request. generation is 0 where the access token has none.

    client_state is the fingerprint of the key, in hexadecimal digits; both times are
    milliseconds since 1970.
    """

    fxa_uid: str
    client_state: str
    generation: int
    keys_changed_at: int


@dataclass(frozen=True)
class Member:
    """A row of schema15.members."""

    user_id: int
    client_state: str
    generation: int
    keys_changed_at: int
    replaced: Optional[int]
    endpoint: str
    seen: int
    note: Optional[str]

    @property
    def times(self):
        return self.generation, self.keys_changed_at


def _changes_key(new, row):
    return new.client_state != row.client_state


# (status, what the client is told, for the log, condition(claims, current row, the
# client states of the other rows))
_RULES = (
    (
        INVALID_KEYS,
        "Unauthorized",
        "its key is newer than its generation, which is impossible",
        lambda new, row, old: (
            new.keys_changed_at > row.keys_changed_at
            and 0 < new.generation < new.keys_changed_at
        ),
    ),
    (
        INVALID_STATE,
        "Unacceptable client-state value empty string",
        "it names no key, and the account has one",
        lambda new, row, old: not new.client_state and row.client_state,
    ),
    (
        INVALID_STATE,
        "Unacceptable client-state value stale value",
        "it has a key that was replaced by a newer one: it must sign in again",
        lambda new, row, old: new.client_state in old,
    ),
    (
        INVALID_STATE,
        "Unacceptable client-state value new value with no generation change",
        "it has another key than the account, and no newer generation",
        lambda new, row, old: (
            _changes_key(new, row) and 0 < new.generation <= row.generation
        ),
    ),
    (
        INVALID_STATE,
        "Unacceptable client-state value new value with no keys_changed_at change",
        "it has another key than the account, which is not newer",
        lambda new, row, old: (
            _changes_key(new, row) and new.keys_changed_at <= row.keys_changed_at
        ),
    ),
    (
        INVALID_GENERATION,
        "Unauthorized",
        "it has not noticed a change of the account's password: it must sign in again",
        lambda new, row, old: 0 < new.generation < row.generation,
    ),
    (
        INVALID_KEYS,
        "Unauthorized",
        "it has not noticed a change of the account's key: it must sign in again",
        lambda new, row, old: new.keys_changed_at < row.keys_changed_at,
    ),
)


def check_claims(new, row, old):
    """Compares Claims (new) with the current Member of the account (row); Refused.

    old is the set of the client states of its other rows.
    """
    for status, description, why, holds in _RULES:
        if holds(new, row, old):
            raise _refused(new, status, description, why)


def _refused(new, status, description, why):
    is_state = status == INVALID_STATE
    return Refused(
        "a device of the account %s is refused: %s" % (new.fxa_uid, why),
        status,
        description,
        location="header" if is_state else "body",
        name="X-Client-State" if is_state else "",
    )


def times_after(new, row):
    """Returns (generation, keys_changed_at) of the account after these Claims, both in ms.

    row is the current Member, or None.
    """
    generation, keys_changed_at = row.times if row else (0, 0)
    known = new.generation
    if not known and new.keys_changed_at > keys_changed_at:
        # A new key is a change of the authentication, too.
        known = new.keys_changed_at
    return max(generation, known), max(keys_changed_at, new.keys_changed_at)
