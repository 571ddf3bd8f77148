# SPDX-License-Identifier: Apache-2.0
"""MariaDB and PostgreSQL as servers of the tests' own, on private sockets.

`python3 dbservers.py mariadb|postgresql` runs one until it is ended, and prints its URL.

Such a server has no TCP port, a password, a temporary folder, and settings that a server
starts quickly with, but that differ from SQLite as far as they can: words are sorted
as in English, and MariaDB's own charset is latin1 without cases. What was committed
survives the end of the server, and not that of the machine. A program of its own, the
keeper, looks after the server: it is not root, and when its standard input ends, as it
does with the tests, however they end, it takes the server and the folder away.
"""

import contextlib
import ctypes
import glob
import importlib.util
import json
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

# mariadbd and PostgreSQL refuse to run as root.
USERS = ("www-data", "apache", "nobody")

WAIT_SECONDS = 240

# The path of a socket ends at 107 bytes.
MAX_FOLDER_BYTES = 60

DRIVERS = {
    "mariadb": {"pymysql": "python3-pymysql", "MySQLdb": "python3-mysqldb"},
    "postgresql": {"psycopg2": "python3-psycopg2"},
}

MARIADB_SQL = """
CREATE DATABASE IF NOT EXISTS weave;
CREATE USER IF NOT EXISTS weave@localhost IDENTIFIED BY '%s';
GRANT ALL ON *.* TO weave@localhost WITH GRANT OPTION;
"""
MARIADB_OPTIONS = """
character-set-server=latin1
skip-networking
skip-name-resolve
skip-log-bin
innodb-flush-log-at-trx-commit=2
innodb-flush-method=nosync
innodb-doublewrite=0
innodb-buffer-pool-size=64M
innodb-log-file-size=16M
innodb-fast-shutdown=2
innodb-stats-persistent=0
key-buffer-size=1M
max-allowed-packet=512M
max-connections=400
table-open-cache=1000
"""
POSTGRESQL_OPTIONS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 256MB
dynamic_shared_memory_type = mmap
shared_buffers = 64MB
max_connections = 400
autovacuum = off
jit = off
log_min_messages = warning
"""


def program(name):
    """The path of a program of a database server, or None."""
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_number, reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), *places, "/usr/sbin", "/usr/libexec"])
    return shutil.which(name, path=path)


def _number(folder):
    digits = folder.split("/")[-2]
    return int(digits) if digits.isdigit() else 0


def missing(kind):
    """The sentence that says what the tests lack for a kind, or None."""
    names = {"mariadb": ("mariadbd", "mariadb-install-db"), "postgresql": ("postgres", "initdb")}
    lacks = [name for name in names[kind] if not program(name)]
    lacks += [
        package
        for module, package in DRIVERS[kind].items()
        if importlib.util.find_spec(module) is None
    ]
    return "not installed: %s (conf/deps test installs it)" % ", ".join(lacks) if lacks else None


# ---- the keeper: a program that nobody but root can end ----


def become_ordinary():
    """Gives up the rights of root."""
    os.chdir("/")
    if os.geteuid():
        return
    for name in USERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            break
    else:
        raise SystemExit("dbservers.py: none of the users %s exists" % ", ".join(USERS))
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = "/"


def make_folder():
    """A folder that others can enter, with a path that leaves room for a socket's name."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(parent)) <= MAX_FOLDER_BYTES and os.access(parent, os.W_OK | os.X_OK):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="weave-db-", dir=parent))
            folder.chmod(0o711)
            return folder
    raise SystemExit("dbservers.py: no temporary folder can be written")


def follow_parent(number):
    """In a child: it gets the signal when its parent ends."""

    def prepare():
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG

    return prepare


class Keeper:
    """The server's processes and files; the server is started and stopped as often as asked."""

    end_signal = signal.SIGKILL

    def __init__(self):
        self.folder = make_folder()
        self.data = self.folder / "data"
        self.password = secrets.token_hex(8)
        self._process = None

    def run(self, name, *words):
        with open(self.folder / "log", "ab") as log:
            done = subprocess.run(
                [program(name), *map(str, words)],
                env=dict(os.environ, LC_ALL="C.UTF-8"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=follow_parent(signal.SIGKILL),
            )
        if done.returncode:
            raise SystemExit("dbservers.py: %s failed:\n%s" % (name, self.log()))

    def log(self):
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")[-5000:]
        return ""

    def start(self):
        """Starts the server, and returns when it answers."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            with open(self.folder / "log", "ab") as log:
                self._process = subprocess.Popen(
                    [str(word) for word in self.command()],
                    env=dict(os.environ, LC_ALL="C.UTF-8"),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=follow_parent(self.end_signal),
                )
            while self._process.poll() is None:
                if self.answers():
                    return
                if time.monotonic() > until:
                    raise SystemExit("dbservers.py: the server is not ready:\n" + self.log())
                time.sleep(0.02)
            # A killed PostgreSQL leaves its socket and memory behind for a moment.
            if time.monotonic() > until:
                raise SystemExit("dbservers.py: the server ended:\n" + self.log())
            time.sleep(0.2)

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        """As the kernel ends a process for want of memory."""
        self._process.kill()
        self._process.wait()

    def close(self):
        if self._process and self._process.poll() is None:
            self._process.send_signal(self.end_signal)
            self._process.wait()
        for _ in range(50):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)


class MariaDB(Keeper):
    """Its database is `weave`."""

    def __init__(self):
        super().__init__()
        self.socket = self.folder / "socket"
        self.options = self.folder / "my.cnf"
        (self.folder / "sql").write_text(MARIADB_SQL % self.password)
        (self.folder / "sql").chmod(0o600)
        lines = "[mariadbd]\ndatadir={0}\nsocket={1}\npid-file={2}/pid\ninit-file={2}/sql\n"
        # It removes the temporary tables of others where it shares a folder with them.
        lines += "tmpdir={2}\n"
        self.options.write_text(
            lines.format(self.data, self.socket, self.folder) + MARIADB_OPTIONS
        )

    def command(self):
        self.socket.unlink() if self.socket.exists() else None
        return [program("mariadbd"), "--defaults-file=%s" % self.options]

    def install(self):
        self.run(
            "mariadb-install-db", "--no-defaults", "--datadir=%s" % self.data,
            "--tmpdir=%s" % self.folder, "--skip-test-db",
            "--skip-name-resolve", "--innodb-flush-method=nosync", "--innodb-log-file-size=16M",
            "--auth-root-authentication-method=socket",
        )

    def answers(self):
        """It greets when it has done all else."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(self.socket))
                return bool(client.recv(1))
        except OSError:
            return False

    def url(self):
        return "mysql+pymysql://weave:%s@localhost/weave?unix_socket=%s" % (
            self.password, self.socket
        )


class PostgreSQL(Keeper):
    """Its database is `postgres`."""

    end_signal = signal.SIGQUIT  # ends all of its processes at once

    def command(self):
        return [program("postgres"), "-D", self.data]

    def install(self):
        password = self.folder / "password"
        password.write_text(self.password)
        password.chmod(0o600)
        words = ["-D", self.data, "-U", "weave", "-A", "password", "--pwfile", password]
        words += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        version = subprocess.check_output([program("initdb"), "--version"]).decode()
        if int(version.split()[2].split(".")[0]) >= 15:
            words += ["--locale-provider=icu", "--icu-locale=en-US"]
        self.run("initdb", *words)
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(POSTGRESQL_OPTIONS.format(folder=self.folder))

    def answers(self):
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().split()
            return int(lines[0]) == self.pid and lines[-1] == "ready"
        return False

    def url(self):
        return "postgresql+psycopg2://weave:%s@/postgres?host=%s" % (self.password, self.folder)


KINDS = {"mariadb": MariaDB, "postgresql": PostgreSQL}


def end(*_):
    raise SystemExit(0)


def main(kind, follows=None):
    """Says in a line of JSON each time that the server is ready; obeys `kill` and `start`."""
    become_ordinary()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    keeper = KINDS[kind]()
    try:
        keeper.install()
        keeper.start()
        if not follows:
            print(keeper.url(), flush=True)
            signal.pause()
        print(json.dumps({"url": keeper.url(), "pid": keeper.pid}), flush=True)
        for line in sys.stdin:
            getattr(keeper, {"kill": "kill", "start": "start"}[line.strip()])()
            print(json.dumps({"url": keeper.url(), "pid": keeper.pid}), flush=True)
    finally:
        keeper.close()


# ---- what tests use ----


class Server:
    """A running server of a kind. `pid` is its process, `url` that of its first database."""

    def __init__(self, kind):
        self.kind = kind
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", os.path.abspath(__file__), kind, "follows"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._read()

    def make_database(self, name):
        """Makes an empty database; its URL. On PostgreSQL it is a schema, which is quicker."""
        if self.kind == "postgresql":
            self.sql("CREATE SCHEMA %s" % name)
            return "%s&options=-csearch_path%%3D%s" % (self.url, name)
        self.sql("CREATE DATABASE %s" % name)
        return self.url.replace("/weave?", "/%s?" % name)

    def drop_database(self, name):
        """Where a connection holds it, it stays until the server ends."""
        from sqlalchemy.exc import DBAPIError

        with contextlib.suppress(DBAPIError):
            if self.kind == "postgresql":
                self.sql("SET lock_timeout = '1s'", "DROP SCHEMA %s CASCADE" % name)
            else:
                self.sql("SET lock_wait_timeout = 1", "DROP DATABASE %s" % name)

    def sql(self, *statements):
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def kill(self):
        """kill -9; it stays away until start()."""
        self._ask("kill")

    def start(self):
        self._ask("start")

    def close(self):
        with self._keeper.stdin, self._keeper.stdout:
            pass
        self._keeper.wait()

    def _ask(self, word):
        self._keeper.stdin.write(word.encode() + b"\n")
        self._keeper.stdin.flush()
        self._read()

    def _read(self):
        line = self._keeper.stdout.readline()
        if not line:
            raise RuntimeError("dbservers.py: the %s server is not there" % self.kind)
        said = json.loads(line.decode())
        self.url, self.pid = said["url"], said["pid"]


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in KINDS:
        main(*sys.argv[1:3])
    else:
        sys.exit("usage: python3 dbservers.py mariadb|postgresql")
