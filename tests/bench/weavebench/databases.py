# SPDX-License-Identifier: Apache-2.0
"""The databases under weave.server: SQLite, and private servers of the others.

server/tests/dbservers.py starts those: on a socket in a temporary folder, as an
unprivileged user, without TCP.
"""

import contextlib
import importlib
import itertools
import sys
from pathlib import Path

from . import BenchError, process, servers

KINDS = ("sqlite", "mariadb", "postgresql")
# MariaDB by its driver in C, python3-mysqldb; `mariadb` has PyMySQL
MYSQLDB = "mysqldb"


def of_tests(name):
    """A module of server/tests."""
    folder = str(servers.TOP / "server" / "tests")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


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
        dbservers = of_tests("dbservers")
        server = "mariadb" if kind == MYSQLDB else kind
        lacks = dbservers.missing(server)
        if lacks:
            raise BenchError(f"{kind}: {lacks}, or leave it out with "
                             "--databases")
        self.server = dbservers.Server(server)
        if server == "mariadb":
            # as it is in life; the tests have little memory
            self.server.sql("SET GLOBAL innodb_buffer_pool_size=536870912",
                            "SET GLOBAL innodb_stats_persistent=1")

    def create(self):
        """The URL of a new database."""
        url = self.server.make_database(f"bench{next(self.numbers)}")
        return url.replace("+pymysql", "+mysqldb") \
            if self.kind == MYSQLDB else url

    def pids(self):
        """Every process whose CPU is the database's."""
        return process.tree(self.server.pid)

    def stop(self):
        self.server.close()


@contextlib.contextmanager
def running(kind, folder):
    """The server of one kind, stopped at the end; folder is for files."""
    if kind not in (*KINDS, MYSQLDB):
        raise BenchError(f"no database {kind!r}: there are "
                         f"{', '.join((*KINDS, MYSQLDB))}")
    found = Sqlite(folder) if kind == "sqlite" else Server(kind)
    try:
        yield found
    finally:
        found.stop()


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
