# SPDX-License-Identifier: Apache-2.0
"""Our server in worker processes of a real httpd, and what a test can see of it from outside."""

import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import subprocess
import urllib.request

import certificates
import disks
import e2e
import installed
import waiting
from account import KEY

# How long what must come at last may take, in seconds.
WAIT_S = 120

# What clients are told in maintenance, in seconds.
RETRY_AFTER_S = 600

INI = """\
[wsgi]
virtualenv = %(here)s/home/current
script = share/weave/weave.wsgi
[workers]
processes = 2
threads = 4
{clock}
[storage]
sqluri = sqlite:///%(here)s/data/weave.db
[global]
debug_page = versions
[maintenance]
style = sync
retry_after = {retry_after}
[sync15]
secret_file = %(here)s/data/secret
public_url = {url}
jwks_url = https://127.0.0.1:9/
{sync15}
[release]
home = %(here)s/home
find_links = %(here)s/share
python = {python}
system_site_packages = true
migrate = weave-server migrate
warmup = /__heartbeat__
"""

# The workers see the time of the tests' own clock.
CLOCK = """\
env.LD_PRELOAD = %(here)s/build/clock_shim.so
env.WEAVE_TEST_CLOCK = %(here)s/clock
"""
CLOCK_SHIM = e2e.BUILD / "tests" / "clock_shim.so"

# Logs of each request the status, method, URL and condition.
CONF = """
LogFormat "%>s %m %U%q %{X-If-Unmodified-Since}i" asked
CustomLog "{folder}/access_log" asked
"""

# With TLS, under a name that browsers are told to look for on this machine.
NAME = "sync.example.org"
TLS_CONF = """
LoadModule ssl_module "{libexec}/mod_ssl.so"
Listen 127.0.0.1:443
<VirtualHost 127.0.0.1:443>
    ServerName {name}
    SSLEngine on
    SSLCertificateFile "{certificate}"
    SSLCertificateKeyFile "{key}"
    CustomLog "{folder}/access_log" asked
</VirtualHost>
"""


eventually = functools.partial(waiting.eventually, seconds=WAIT_S)


class Site:
    """A running server with an empty database, in a made folder of installed.py.

    sync15: further lines of that section of its sync.ini. outside: it is at https:// on the
    port of that, and below a path, as behind the name of a house; `authority` is to be trusted.
    disk_mib: the database has a disk of its own, of so many MiB, where that can be; has_disk
    tells. wants_clock: set_clock() is to work; has_clock tells whether the shim was built.
    """

    def __init__(self, folder, sync15="allow_new_users = true", outside=None, disk_mib=0,
                 wants_clock=False):  # fmt: skip
        self.folder = folder
        self._httpd = e2e.Httpd(folder, "event")
        self.has_disk = False
        if disk_mib:
            with contextlib.suppress(OSError):
                disks.put(folder / "data", disk_mib, e2e.server_user())
                self.has_disk = True
        self.url = "http://127.0.0.1:%d/" % self._httpd.port
        if outside is not None:
            self.url = "https://%s%s" % (NAME, outside)
            (folder / "tls").mkdir()
            self.authority = certificates.Authority(folder / "tls")
        self.token_server = self.url + "1.0/sync/1.5"
        self._database = folder / "data" / "weave.db"
        self.ini = folder / "sync.ini"
        self.has_clock = wants_clock and CLOCK_SHIM.exists()
        if self.has_clock:
            shutil.copy(CLOCK_SHIM, folder / "build")
            self.set_clock(0)
        self.ini.write_text(INI.replace("{url}", self.url).replace("{sync15}", sync15)
                            .replace("{clock}\n", CLOCK if self.has_clock else "")
                            .replace("{retry_after}", str(RETRY_AFTER_S))
                            .replace("{python}", e2e.PYTHON))  # fmt: skip
        self._write_conf(outside)
        with contextlib.suppress(FileNotFoundError):
            (folder / "access_log").unlink()  # of the site before
        self.write_secret("5ec2e7" * 10)
        if not (folder / "home/current").exists():
            self.weavectl("install", installed.PROJECT)
        self.load_keys()
        self._running = contextlib.ExitStack()
        self._earlier_log = ""
        self.start()

    def _write_conf(self, outside):
        file = self.folder / "httpd.conf"
        text = file.read_text() + CONF.replace("{folder}", str(self.folder))
        if outside is not None:
            text = text.replace("\nWeaveApp / ", "\nWeaveApp %s " % (outside.rstrip("/") or "/"))
            certificate, key = self.authority.make(
                "leaf", certificates.day(-1), certificates.day(2), "DNS:" + NAME)  # fmt: skip
            text += TLS_CONF.format(folder=self.folder, name=NAME, certificate=certificate,
                                    key=key, libexec=e2e.ask_apxs("LIBEXECDIR"))  # fmt: skip
        file.write_text(text)

    def write_secret(self, text):
        """Replaces the secret of the tokens; the workers that run go on with the old one."""
        secret = self.folder / "data" / "secret"
        secret.write_text(text + "\n")
        secret.chmod(0o600)
        user = e2e.server_user()
        if user:
            os.chown(secret, user.pw_uid, user.pw_gid)

    def command(self, *words):
        """Runs weave-server; returns what it prints. AssertionError unless it succeeds."""
        done = subprocess.run(
            [self.folder / "home/current/bin/weave-server", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def load_keys(self):
        """Has the server know the key of the tests, as if it were the account server's."""
        file = self.folder / "jwks.json"
        file.write_bytes(KEY.jwks())
        self.command("create-tables", self.ini)
        self.command("fetch-keys", self.ini, file)

    # ---- httpd and its workers ----

    def start(self):
        self._running.enter_context(self._httpd.running())

    def stop(self):
        self._running.close()
        self._earlier_log += self._httpd.log()

    def set_clock(self, ahead_s):
        """Sets the wall clock of the workers so many seconds ahead of this machine's."""
        file = self.folder / "clock"
        # in place: they have it mapped
        with file.open("r+b" if file.exists() else "wb", buffering=0) as opened:
            opened.write(struct.pack("q", ahead_s))

    @contextlib.contextmanager
    def full_disk(self):
        """The disk of the database, which has_disk, has no room while this context lasts."""
        assert self.has_disk
        # what is free in the write-ahead log would be used without the disk
        with contextlib.closing(sqlite3.connect(self._database, timeout=WAIT_S)) as connection:
            (row,) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            assert row[0] == 0, row
        filler = self.folder / "data" / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        try:
            yield
        finally:
            filler.unlink()

    def lose_data(self):
        """The server is stopped, loses its database, and is started again."""
        self.stop()
        for file in (self.folder / "data").glob("weave.db*"):
            file.unlink()
        self.load_keys()
        self.start()

    def close(self):
        self.stop()
        self._httpd.holder.close()
        if self.has_disk:
            disks.take_off(self.folder / "data")

    def weavectl(self, *words):
        """Runs weavectl; returns what it prints. AssertionError unless it succeeds."""
        status, said = self._httpd.weavectl("-i", self.ini, *words)
        assert status == 0, said
        return said

    def workers(self):
        """The pids of the worker processes that serve."""
        (app,) = json.loads(self.weavectl("status", "--json"))["applications"]
        return [worker["pid"] for generation in app["generations"]
                for worker in generation["workers"]]  # fmt: skip

    def peak_memory(self):
        """The most memory that one of the workers has had, in bytes."""
        peaks = []
        for pid in self.workers():
            text = pathlib.Path("/proc", str(pid), "status").read_text()
            peaks.append(int(re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024)
        return max(peaks)

    def version(self):
        """The version of the release that answers."""
        with urllib.request.urlopen(self.url + "versions", timeout=WAIT_S) as answer:
            return json.loads(answer.read().decode())["weave.server"]

    # ---- what it has been asked, what it has said, what it keeps ----

    def log(self):
        """The error log, of earlier starts, too."""
        return self._earlier_log + self._httpd.log()

    def asked(self, pattern="", under_way=False):
        """Lines of httpd's log of requests in which the pattern is found.

        Of what was answered all are there, unless others are still under way: httpd writes
        the line behind the answer.
        """
        if not under_way:
            e2e.wait_until_idle(self._httpd.process.pid, WAIT_S)
        file = self.folder / "access_log"
        return [line for line in file.read_text().splitlines() if re.search(pattern, line)]

    def complaints(self, *expected):
        """Lines of the error log at warn and above, but for those with an expected pattern."""
        return [line for line in self.log().splitlines() if e2e.WORSE_THAN_NOTICE.search(line)
                and not any(re.search(pattern, line) for pattern in expected)]  # fmt: skip

    def sql(self, statement, *values):
        """The rows of the server's database."""
        uri = "file:%s?mode=ro" % self._database
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S)) as connection:
            return connection.execute(statement, values).fetchall()

    def uid(self, account):
        """The number under which the storage keeps an account's data now; None: none."""
        rows = self.sql("SELECT user_id FROM weave_fxa_users WHERE fxa_uid = ?"
                        " AND replaced IS NULL", account.uid)  # fmt: skip
        return rows[0][0] if rows else None

    def ids(self, account, collection):
        """The ids of the records in a collection, those that mark a deletion included."""
        rows = self.sql(
            "SELECT r.id FROM weave_records r JOIN weave_collections c"
            " ON r.user_id = c.user_id AND r.collection = c.number"
            " WHERE r.user_id = ? AND c.name = ?", self.uid(account), collection)  # fmt: skip
        return {row[0] for row in rows}
