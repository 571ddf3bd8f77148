# SPDX-License-Identifier: Apache-2.0
"""weave.server under a real httpd with mod_weave, for tests/e2e_*.t.

It runs from a virtualenv into which its sdist has been installed.
"""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")
PYTHON = "/usr/bin/python3"
MPMS = ("event", "worker", "prefork")
USERS = ("www-data", "apache", "nobody")
PROGRAMS = ("weaved", "weave-worker", "weavectl")
WAIT_S = 60

# A client has done something wrong, or too often.
REFUSED = re.compile(r":warn\].* is answered (?:4\d\d|503): ")
WORSE_THAN_NOTICE = re.compile(r":(?:warn|error|crit|alert|emerg)\]|exit signal")

INI = """\
[wsgi]
virtualenv = %(here)s/venv
script = share/weave/weave.wsgi

[storage]
sqluri = sqlite:///%(here)s/data/weave.db
create_tables = true
"""

CONF = """\
ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{folder}/httpd.pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/error_log"
LogLevel warn weave:info
{modules}
{user}
StartServers 2
WeaveRuntimeDir "{folder}/run"
WeaveStateDir "{folder}/state"
WeaveApp / "{folder}/sync.ini"
"""


class Tap:
    """Passes on the TAP of programs, with numbers of its own."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *details):
        self.count += 1
        self.failed += not good
        print("%sok %d - %s" % ("" if good else "not ", self.count, name))
        for detail in () if good else details:
            print("# " + str(detail).replace("\n", "\n# "))
        sys.stdout.flush()

    def end(self):
        """The exit status; what was asserted is all."""
        print("1..%d" % self.count)
        return 1 if self.failed else 0

    def take(self, line, prefix):
        found = re.match(r"(not )?ok \d+\s*-?\s*(.*)", line)
        if found:
            self.ok(not found[1], "%s: %s" % (prefix, found[2]))
        elif line.startswith("#"):
            print(line, flush=True)


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def ask_apxs(name):
    apxs = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
    output = subprocess.run([apxs, "-q", name], check=True, stdout=subprocess.PIPE, text=True)
    return output.stdout.strip()


def make_venv(folder):
    run(TOP / "conf/sdist", folder / "dist")
    run(PYTHON, "-m", "venv", "--system-site-packages", "--without-pip", folder / "venv")
    run(folder / "venv/bin/python", "-m", "pip", "-q", "--disable-pip-version-check",
        "--no-cache-dir", "install", "--no-index", "--no-build-isolation",
        "--find-links", folder / "dist", "WeaveServer")


def copy_build(folder):
    """Copies the module and its programs to folder/build, where every user can read them."""
    (folder / "build").mkdir()
    for file in [*BUILD.glob("*.so"), *(BUILD / name for name in PROGRAMS)]:
        shutil.copy(file, folder / "build")
    # whatever the umask of the checkout was
    run("chmod", "-R", "a+rX", folder / "build")


@contextlib.contextmanager
def made_folder(prefix):
    """A folder with the virtualenv and the module, which httpd's user can read
    whatever the checkout's is."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        make_venv(folder)
        copy_build(folder)
        yield folder


def server_user():
    """Whom root's httpd serves as; None for an ordinary user."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


def load_modules(httpd, mpm):
    libexec = ask_apxs("LIBEXECDIR")
    builtin = subprocess.run([httpd, "-l"], stdout=subprocess.PIPE, text=True).stdout
    names = [name for name in ("mpm_" + mpm, "unixd", "authz_core", "log_config")
             if "mod_%s.c" % name not in builtin]
    lines = ['LoadModule %s_module "%s/mod_%s.so"' % (name, libexec, name) for name in names]
    return "\n".join(lines)


def hold_port():
    """A socket whose port nobody else gets: it stays bound, and does not listen.

    So httpd may bind it as well, as both allow it.
    """
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


def is_caught(pid, number):
    """Whether a process has a handler for a signal."""
    with contextlib.suppress(OSError):
        text = pathlib.Path("/proc", str(pid), "status").read_text()
        return int(re.search(r"^SigCgt:\s*(\w+)", text, re.MULTILINE)[1], 16) >> (number - 1) & 1
    return 0


def list_sleeps(parent):
    """How often each thread of the children has gone to sleep; None if it is awake."""
    found = {}
    for file in pathlib.Path("/proc/%d/task" % parent).glob("*/children"):
        with contextlib.suppress(OSError):
            for child in file.read_text().split():
                for status in pathlib.Path("/proc", child, "task").glob("*/status"):
                    text = status.read_text()
                    asleep = "\nState:\tS" in text
                    found[status] = re.findall(r"ctxt_switches:\s+(\d+)", text) if asleep else None
    return found


def wait_until_idle(parent, seconds=1):
    """Waits until all threads of httpd's children sleep, so many seconds at most.

    One that is closing a connection may crash where TERM comes then, which is a fault
    of httpd's (docs/operations.md).
    """
    before, now, end = None, list_sleeps(parent), time.monotonic() + seconds
    while (now != before or None in now.values()) and time.monotonic() < end:
        time.sleep(0.02)
        before, now = now, list_sleeps(parent)


class Httpd:
    """One with the sync.ini of a made folder, whose data it removes."""

    def __init__(self, folder, mpm):
        self.folder = folder
        self.holder = hold_port()
        self.port = self.holder.getsockname()[1]
        self.program = "%s/%s" % (ask_apxs("SBINDIR"), ask_apxs("PROGNAME"))
        self.process = None
        user = server_user()
        modules = load_modules(self.program, mpm)
        modules += '\nLoadModule weave_module "%s/build/mod_weave.so"' % folder
        conf = CONF.format(
            folder=folder, port=self.port, modules=modules,
            user="User %s\nGroup #%d" % (user.pw_name, user.pw_gid) if user else "")
        (folder / "httpd.conf").write_text(conf)
        shutil.rmtree(folder / "data", ignore_errors=True)
        (folder / "data").mkdir()
        if user:
            os.chown(folder / "data", user.pw_uid, user.pw_gid)

    @contextlib.contextmanager
    def running(self):
        """The URL of the server while it runs."""
        log = (self.folder / "error_log").open("wb")
        process = subprocess.Popen(
            [self.program, "-f", self.folder / "httpd.conf", "-DFOREGROUND"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            self.process = process
            self.wait_listening(process)
            yield "http://127.0.0.1:%d/" % self.port
            wait_until_idle(process.pid)
            process.terminate()
            process.wait(WAIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            log.close()

    def wait_listening(self, process):
        end = time.monotonic() + WAIT_S
        while process.poll() is None and time.monotonic() < end:
            # it listens before it reads its configuration again, and a signal ends it then
            if is_caught(process.pid, signal.SIGUSR1):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return
            time.sleep(0.05)
        raise RuntimeError("httpd does not listen:\n" + self.log())

    def log(self):
        return (self.folder / "error_log").read_text(errors="replace")

    def configtest(self):
        """The exit status, and what is said."""
        command = [self.program, "-t", "-f", self.folder / "httpd.conf"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def graceful(self):
        """What `apachectl graceful` does after its configtest: no more than that."""
        self.process.send_signal(signal.SIGUSR1)

    def weavectl(self, *words):
        """The exit status, and what is said."""
        command = [self.folder / "build/weavectl", "-d", self.folder / "run", *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
