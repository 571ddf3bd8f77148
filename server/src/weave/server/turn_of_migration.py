# SPDX-License-Identifier: Apache-2.0
"""The turn of one process to change tables, among all nodes that share a database."""

import contextlib
import random
import time
import zlib

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from weave.server.config import ConfigError
from weave.server.engines import make_engine_without_pool
from weave.server.retries import is_forbidden, is_transient

_LOCK = 0x77656176  # "weav"

# A statement that changes a table waits for those who use it, and all others wait
# behind it. After so many seconds it gives way to them, and is tried again.
LOCK_SECONDS = 3
STEP_SECONDS = 300

# Another node may have been quicker with the same step: then it is not the next any more.
REFUSED_ATTEMPTS = 5


@contextlib.contextmanager
def migration_turn(engine, write, seconds):
    """Waits for others who migrate, up to `seconds`, and gives the function run(act).

    run() returns act(connection). On SQLite that is one transaction, as by write();
    elsewhere each statement is committed by itself, as these databases do with most
    changes of tables anyway. So act does whatever is found to be the next step.
    """
    if engine.dialect.name == "sqlite":
        yield write
        return
    # A connection of its own: one that waits must not have the last of the pool.
    with make_engine_without_pool(engine.url).connect() as connection:
        _wait_for_turn(connection, seconds)
        # The turn ends with the connection, however the process ends.
        set_timeout = "SET lock_timeout = '%ds'"
        if connection.dialect.name != "postgresql":
            set_timeout = "SET SESSION lock_wait_timeout = %d"
        connection.exec_driver_sql(set_timeout % LOCK_SECONDS)
        yield lambda act: _run(connection, act)


def _wait_for_turn(connection, seconds):
    """Takes the lock of all who migrate; ConfigError when that takes too long.

    Galera has such locks for each of its servers alone: there, a step may be done by
    two at once, and the second one fails, and looks again (_run).
    """
    until = time.monotonic() + seconds
    while not _take_lock(connection):
        if time.monotonic() > until:
            raise ConfigError(
                "another `weave-server migrate` is at work on the same database, and has "
                "not come to its end: wait for it, and try again"
            )
        # Not in the database: there, one that waits has a snapshot, and PostgreSQL
        # waits for that before an index made beside writers is complete.
        time.sleep(random.uniform(0.1, 0.3))


def _take_lock(connection):
    if connection.dialect.name == "postgresql":
        place = connection.execute(text("SELECT current_schema()")).scalar()
        query = text("SELECT pg_try_advisory_lock(:lock, :place)")
        place = zlib.crc32(str(place).encode()) >> 1
        return connection.execute(query, {"lock": _LOCK, "place": place}).scalar()
    place = connection.execute(text("SELECT DATABASE()")).scalar()
    query = text("SELECT GET_LOCK(:name, 0)")
    # A server has the names of all its databases in common; 64 characters at most.
    name = "weave-server migrate %08x" % zlib.crc32(str(place).encode())
    return connection.execute(query, {"name": name}).scalar() == 1


def _run(connection, act):
    until, refused = time.monotonic() + STEP_SECONDS, 0
    while True:
        try:
            return act(connection)
        except DBAPIError as error:
            is_over = error.connection_invalidated or time.monotonic() > until
            if is_over or is_forbidden(error):
                raise
            refused += not is_transient(error)
            if refused == REFUSED_ATTEMPTS:
                raise
        time.sleep(random.uniform(0.1, 1))
