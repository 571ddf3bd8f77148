# SPDX-License-Identifier: Apache-2.0
"""Private httpds on loopback, each with its own ServerRoot."""

import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import BenchError, process
from .program import Program, free_port

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


class Httpd(Program):
    """One httpd: configured by the constructor, run by start() and stop()."""

    name = "httpd"

    def __init__(self, installation, root, directives, modules=""):
        super().__init__(root, [installation.program, "-f",
                                f"{root}/httpd.conf"], free_port())
        self.installation = installation
        user = unprivileged_user()
        (self.root / "htdocs").mkdir(parents=True)
        loads = installation.load_lines("mpm_event", "unixd", "authz_core")
        (self.root / "httpd.conf").write_text(CONFIGURATION.format(
            root=self.root, port=self.port, directives=directives,
            modules=f"{loads}\n{modules}", server_limit=SERVER_LIMIT,
            children=CHILDREN, threads=THREADS, workers=CHILDREN * THREADS,
            user=f"User {user.pw_name}\nGroup #{user.pw_gid}" if user else ""))

    def children(self):
        """The MPM's own processes, the application's not among them."""
        return [pid for pid in process.children(self.pid)
                if process.command(pid) == process.command(self.pid)]

    def start(self, mode="-DFOREGROUND", **options):
        super().start(after=[mode], **options)

    def graceful(self):
        self.running.send_signal(signal.SIGUSR1)
