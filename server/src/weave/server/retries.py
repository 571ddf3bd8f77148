# SPDX-License-Identifier: Apache-2.0
"""Errors of a database that pass, and trying a transaction again.

Deadlocks and conflicts of snapshots are part of normal work: the database has
rolled one transaction back, so that the other could go on. A connection that is
lost tells the same, unless COMMIT was under way. Each engine says so by a number
of its own, in the exception of the driver.
"""

import logging
import random
import re
import time

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

# How often a transaction begins at most, and for how long after its first failure.
ATTEMPTS = 12
PATIENCE_SECONDS = 3

# The pause after the first failure. It doubles each time, up to the longest one.
PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5

# The database has rolled the transaction back, even where the error answers COMMIT.
_ROLLED_BACK = frozenset(
    [
        "40001",  # serialization failure: PostgreSQL, CockroachDB, YugabyteDB
        "40P01",  # deadlock: PostgreSQL
        1020,  # the row has changed since the snapshot: MariaDB 11.6 and later
        1213,  # deadlock: MySQL and MariaDB; a conflict between nodes: Galera
    ]
)

# A table was changed since the snapshot of one that reads: MySQL and MariaDB.
_TABLE_CHANGED = frozenset([1412])

# A lock was waited for in vain. That took long enough: the transaction is not tried again,
# and the client is told to come back soon.
_LOCKED = frozenset(
    [
        "55P03",  # PostgreSQL
        1205,  # MySQL and MariaDB
        "database is locked",  # SQLite, which has no number before Python 3.11
    ]
)

# The server cannot do it just now.
_REFUSED = frozenset(
    [
        "53300",  # too many connections
        1040,  # too many connections
        1047,  # this node of Galera is not ready
    ]
)

# The connection is of no use any more, or will not be soon.
_LOST = frozenset(
    [
        "57P01",  # an administrator ends the server or the connection
        "57P02",  # another process of the server has crashed
        "57P03",  # the server starts or ends
        "57P05",  # idle for too long
        1053,  # the server ends
        1927,  # an administrator has ended the connection: MariaDB
        2006,  # the server has gone away
        2013,  # the connection was lost while a statement ran
        2055,  # the same, with what the system says
        4031,  # idle for too long: MySQL
    ]
)

# The user of the database may not do that.
_FORBIDDEN = frozenset(
    [
        "42501",  # PostgreSQL
        "3F000",  # the schema: PostgreSQL
        1044,  # to the whole database: MySQL and MariaDB, as the next ones
        1142,  # to a table
        1143,  # to a column
        1227,  # to what is granted for all databases
    ]
)

# The message quotes what was to be stored, or a part of the statement with it.
_QUOTES_VALUES = frozenset(
    [
        "42601",  # a syntax error: PostgreSQL
        1062,  # a key that is there already
        1064,  # a syntax error: MySQL and MariaDB
        1292,  # text that is no value of its column
        1366,  # text that is none in the charset
    ]
)

# The class of SQLSTATEs about values that a column does not take.
_DATA_EXCEPTIONS = "22"


class OutcomeUnknown(SQLAlchemyError):
    """The connection was lost while COMMIT was under way; str() says why."""


def code(error):
    """The SQLSTATE (text) or the number that a DBAPIError has from the server, or None."""
    its = error.orig
    # psycopg2 has pgcode, psycopg has sqlstate, pg8000 has a dictionary
    state = getattr(its, "pgcode", None) or getattr(its, "sqlstate", None)
    if isinstance(state, str):
        return state
    first = its.args[0] if getattr(its, "args", None) else None
    if isinstance(first, dict):
        first = first.get("C")
    return first if isinstance(first, (int, str)) else None


def reason(error):
    """Returns what the database said, for people: no statement, and no user's data."""
    its = getattr(error, "orig", None)
    if its is None:
        return str(error)
    number = code(error)
    # PostgreSQL says the statement, and the values of keys, in further lines.
    text = getattr(getattr(its, "diag", None), "message_primary", None) or str(its)
    if isinstance(number, int) and len(its.args) > 1:
        text = str(its.args[1])
    if number in _QUOTES_VALUES or str(number)[:2] == _DATA_EXCEPTIONS:
        text = re.sub(r"\".*\"|'.*'", "...", text, flags=re.DOTALL)
    return text if number is None or text == number else "%s (%s)" % (text, number)


def is_lost(error):
    """Whether a DBAPIError means that the connection cannot be used any more."""
    return error.connection_invalidated or code(error) in _LOST


def is_rolled_back(error):
    """Whether a DBAPIError tells that nothing of the transaction was stored."""
    return code(error) in _ROLLED_BACK


def is_transient(error):
    """Whether a transaction that has met a DBAPIError before COMMIT may succeed now."""
    return is_lost(error) or code(error) in _ROLLED_BACK | _TABLE_CHANGED | _REFUSED


def is_locked(error):
    """Whether an SQLAlchemyError tells that others kept the lock for too long."""
    return getattr(error, "orig", None) is not None and code(error) in _LOCKED


def is_forbidden(error):
    """Whether a DBAPIError tells that a right is missing, which somebody has to grant."""
    return code(error) in _FORBIDDEN


class Retries:
    """How long one transaction is tried, with a random pause between attempts.

    Two that have met shall not meet again, and a server that restarts shall not
    meet all clients at once.
    """

    def __init__(self):
        self._failures = 0
        self._until = None

    def wait(self):
        """Sleeps until the next attempt; False, at once, when there shall be none."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + PATIENCE_SECONDS
        longest = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2**self._failures)
        pause = random.uniform(longest / 2, longest)
        self._failures += 1
        if self._failures == ATTEMPTS or now + pause > self._until:
            return False
        time.sleep(pause)
        return True
