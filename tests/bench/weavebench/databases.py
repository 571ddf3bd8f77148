# SPDX-License-Identifier: Apache-2.0
"""The databases under weave.server: SQLite, and private servers of the others.

server/tests/dbservers.py starts those: on a socket in a temporary folder, as an
unprivileged user, without TCP.
"""

import contextlib
import itertools
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from . import BenchError, process, servers

KINDS = ("sqlite", "mariadb", "postgresql")
DBSERVERS = servers.TOP / "server" / "tests" / "dbservers.py"
START_S = 120
STOP_S = 60


class Sqlite:
    """A folder in which each database is a file."""

    kind = "sqlite"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.numbers = itertools.count(1)

    def create(self):
        """The URL of a new database."""
        return f"sqlite:///{self.folder}/weave{next(self.numbers)}.db"

    def pids(self):
        """Its work is done by the processes that use it."""
        return []

    def stop(self):
        pass


class Server:
    """One MariaDB or PostgreSQL."""

    def __init__(self, kind):
        self.kind = kind
        self.numbers = itertools.count(1)
        self.running = subprocess.Popen(
            [sys.executable, DBSERVERS, kind], stdout=subprocess.PIPE,
            text=True, start_new_session=True)
        ready, _, _ = select.select([self.running.stdout], [], [], START_S)
        self.url = ready and self.running.stdout.readline().strip()
        if not self.url:
            self.stop()
            raise BenchError(f"{kind} did not start; `conf/deps` names what "
                             "it needs, and --databases leaves it out")

    def create(self):
        """The URL of a new database."""
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url
        name = f"bench_{os.getpid()}_{next(self.numbers)}"
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with contextlib.closing(engine.raw_connection()) as connection:
            connection.cursor().execute(f"CREATE DATABASE {name}")
        engine.dispose()
        return make_url(self.url).set(database=name) \
            .render_as_string(hide_password=False)

    def pids(self):
        """Every process whose CPU is the database's."""
        return process.tree(self.running.pid)

    def stop(self):
        self.running.send_signal(signal.SIGTERM)
        try:
            self.running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
        self.running.stdout.close()


@contextlib.contextmanager
def running(kind, folder):
    """The server of one kind, stopped at the end; folder is for files."""
    if kind not in KINDS:
        raise BenchError(f"no database {kind!r}: there are {', '.join(KINDS)}")
    found = Sqlite(folder) if kind == "sqlite" else Server(kind)
    try:
        yield found
    finally:
        found.stop()


def analyze(url):
    """Gives the database statistics, as its own housekeeping does in life.

    SQLite has none in life.
    """
    from sqlalchemy import create_engine, inspect
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        return
    tables = [name for name in inspect(engine).get_table_names()
              if name.startswith("weave_")]
    with contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        if engine.dialect.name == "mysql":
            for name in tables:
                cursor.execute(f"ANALYZE TABLE {name}")
                cursor.fetchall()
        else:
            connection.commit()
            cursor.execute("ANALYZE")
        connection.commit()
    engine.dispose()


class CpuMeter:
    """What a database's processes spend between two calls of spent_us()."""

    def __init__(self, database):
        self.database = database
        self.before = process.usage(database.pids())

    def spent_us(self):
        """Since the last call, in µs; threads that have ended are missing."""
        now = process.usage(self.database.pids())
        spent, _, _ = now.since(self.before)
        self.before = now
        return spent
