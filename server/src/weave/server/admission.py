# SPDX-License-Identifier: Apache-2.0
"""Decides which accounts may become members: those that were named, or the next ones.

Everybody on earth may have an account at Mozilla, and its tokens have no e-mail
address. So an administrator opens a window for the next people, or names the id of an
account, which the log has. Those who are members stay so, whatever is set here.
"""

import json
import time
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from weave.server import settings_table
from weave.server.claims import Refused
from weave.server.queries import Query, insert_or_update
from weave.server.schema15 import allowed

# Names in weave_settings. The first has the id of the account that became a member
# first; once it is there, `allow_new_users = first` lets nobody in any more, also when
# that member was deleted. The second is a JSON object: `left` is how many more may come,
# until the time `until` (Unix seconds).
FIRST = "first_member"
WINDOW = "admission_window"

_OF_ACCOUNT = allowed.c.fxa_uid == bindparam("fxa_uid")
_ALLOWED = Query(select(allowed.c.fxa_uid, allowed.c.note).where(_OF_ACCOUNT))
_ALL = Query(select(allowed.c.fxa_uid, allowed.c.note).order_by(allowed.c.fxa_uid))
_ADMIT = Query(insert_or_update(allowed))
_FORGET = Query(delete(allowed).where(_OF_ACCOUNT))


@dataclass(frozen=True)
class Window:
    """Lets `left` more accounts become members before `until` (Unix seconds)."""

    left: int
    until: float

    def is_open(self, now):
        return self.left > 0 and now < self.until


class Admission:
    """allow_new_users is `first`, `true` or `false`."""

    def __init__(self, allow_new_users, clock=time.time):
        self._mode = allow_new_users
        self._clock = clock

    def check(self, connection, fxa_uid):
        """Refused unless the account may become a member now. Changes nothing."""
        self._find(connection, fxa_uid)

    def take(self, connection, fxa_uid):
        """Uses up what lets the account in, or Refused; the note about it, or None.

        The caller has the lock of all who change members.
        """
        note, window = self._find(connection, fxa_uid)
        if window:
            write_window(connection, Window(window.left - 1, window.until))
        if settings_table.get(connection, FIRST) is None:
            settings_table.put(connection, FIRST, fxa_uid)
        return note

    def _find(self, connection, fxa_uid):
        """Returns (note or None, the Window that must be counted down or None); Refused."""
        row = _ALLOWED.row(connection, fxa_uid=fxa_uid)
        if row:
            return row[1], None
        if self._mode == "true":
            return None, None
        if self._mode == "first" and settings_table.get(connection, FIRST) is None:
            return None, None
        window = read_window(connection)
        if window and window.is_open(self._clock()):
            return None, window
        raise Refused(
            "the account %s is not admitted; this command admits it: "
            "weave-server admit INI %s" % (fxa_uid, fxa_uid),
            "new-users-disabled",
            "New users are not admitted",
            http_status=403,
        )


def admit(connection, fxa_uid, note=None):
    """Lets the account become a member at any later time."""
    _ADMIT.change(connection, fxa_uid=fxa_uid, note=note)


def forget(connection, fxa_uid):
    """Takes admit() back; returns whether the account was admitted."""
    return _FORGET.change(connection, fxa_uid=fxa_uid) > 0


def admitted(connection):
    """Returns [(fxa_uid, note)] of all accounts that admit() has let in."""
    return [tuple(row) for row in _ALL.rows(connection)]


def read_window(connection):
    """The Window, open or not; None where there was none yet."""
    text = settings_table.get(connection, WINDOW)
    try:
        found = json.loads(text) if text else None
        return found and Window(int(found["left"]), float(found["until"]))
    except (ValueError, TypeError, KeyError):
        return None  # a row that cannot be understood lets nobody in


def write_window(connection, window):
    value = json.dumps({"left": window.left, "until": window.until})
    settings_table.put(connection, WINDOW, value)
