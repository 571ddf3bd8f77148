# SPDX-License-Identifier: Apache-2.0
"""Private httpds on loopback, each with its own ServerRoot."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import BenchError, process

CHILDREN = 2
THREADS = 32
# graceful restarts need room for the children of the last generation
SERVER_LIMIT = 8

CONFIGURATION = """\
ServerRoot "{root}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile "{root}/httpd.pid"
DefaultRuntimeDir "{root}"
DocumentRoot "{root}/htdocs"
ErrorLog "{root}/error.log"
LogLevel notice
{modules}
{user}
ServerTokens Prod
Timeout 60
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
ServerLimit {server_limit}
StartServers {children}
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {workers}
MinSpareThreads 1
MaxSpareThreads {workers}
MaxConnectionsPerChild 0
<Directory "/">
    AllowOverride None
    Require all granted
</Directory>
{directives}
"""


def run_text(*command):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed:\n"
                         f"{done.stdout}{done.stderr}".rstrip())
    return done.stdout.strip()


@dataclass(frozen=True)
class Installation:
    """An installed httpd, as its apxs describes it."""

    apxs: str
    program: str
    modules: Path
    static: frozenset

    @classmethod
    def find(cls):
        apxs = os.environ.get("APXS") or shutil.which("apxs") \
            or shutil.which("apxs2")
        if not apxs:
            raise BenchError("apxs is missing: apt-get install apache2-dev")
        def ask(name):
            return run_text(apxs, "-q", name)
        program = f"{ask('SBINDIR')}/{ask('PROGNAME')}"
        static = frozenset(line.strip() for line in
                           run_text(program, "-l").splitlines())
        return cls(apxs, program, Path(ask("LIBEXECDIR")), static)

    def version(self):
        return run_text(self.program, "-v").splitlines()[0].split(": ")[1]

    def load_lines(self, *names):
        """LoadModule lines for those of `names` that are not built in."""
        return "\n".join(
            f'LoadModule {name}_module "{self.modules}/mod_{name}.so"'
            for name in names if not {f"mod_{name}.c", f"{name}.c"}
            & self.static)


def unprivileged_user():
    """The user children run as when we are root, else None."""
    if os.geteuid() != 0:
        return None
    for name in ("www-data", "apache", "http", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise BenchError("no www-data, apache, http or daemon user to run as")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Httpd:
    """One httpd: configured by the constructor, run by start() and stop()."""

    def __init__(self, installation, root, directives, modules=""):
        self.installation = installation
        self.root = Path(root)
        self.port = free_port()
        self.running = None
        user = unprivileged_user()
        (self.root / "htdocs").mkdir(parents=True)
        loads = installation.load_lines("mpm_event", "unixd", "authz_core")
        (self.root / "httpd.conf").write_text(CONFIGURATION.format(
            root=self.root, port=self.port, directives=directives,
            modules=f"{loads}\n{modules}", server_limit=SERVER_LIMIT,
            children=CHILDREN, threads=THREADS, workers=CHILDREN * THREADS,
            user=f"User {user.pw_name}\nGroup #{user.pw_gid}" if user else ""))

    @property
    def command(self):
        return [self.installation.program, "-f", f"{self.root}/httpd.conf"]

    @property
    def pid(self):
        return self.running.pid

    def pids(self):
        """Every process whose CPU is this server's."""
        return process.tree(self.pid)

    def log(self):
        path = self.root / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, before=(), mode="-DFOREGROUND", timeout=30, **popen):
        """Runs it (`before` is put in front of the command) till it accepts.

        A session of its own keeps the terminal's Ctrl-C away from it: stop()
        ends it in order.
        """
        with open(self.root / "start.log", "wb") as output:
            self.running = subprocess.Popen(
                [*before, *self.command, mode], stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, start_new_session=True, **popen)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.running.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise BenchError(f"httpd in {self.root} did not start:\n"
                         + (self.root / "start.log").read_text(
                             errors="replace") + self.log()[-4000:])

    def stop(self):
        """TERM, and KILL for all of its session after 15 s."""
        if not self.running:
            return
        try:
            self.running.terminate()
            self.running.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()
        self.running = None
